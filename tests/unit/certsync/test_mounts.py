import pytest

from certsync.mounts import Mount, NotShared, Shared, translate


def bind(source: str, destination: str, *, writable: bool = True) -> Mount:
    return Mount.read({"Type": "bind", "Source": source, "Destination": destination, "RW": writable})


def volume(name: str, destination: str) -> Mount:
    return Mount.read({"Type": "volume", "Name": name, "Source": "", "Destination": destination, "RW": True})


@pytest.mark.parametrize(
    ("theirs", "ours", "expected"),
    [
        (bind("/srv/haraka", "/app/config"), bind("/srv/haraka", "/haraka"), "/haraka/tls.pem"),
        (volume("conf", "/app/config"), volume("conf", "/targets/h"), "/targets/h/tls.pem"),
        (bind("/srv/stack/haraka", "/app/config"), bind("/srv/stack", "/stack"), "/stack/haraka/tls.pem"),
        (bind("/srv/haraka", "/app"), bind("/srv/haraka/config", "/haraka"), "/haraka/tls.pem"),
    ],
)
def test_a_path_is_found_through_the_mount_that_both_have(theirs: Mount, ours: Mount, expected: str) -> None:
    assert translate("/app/config/tls.pem", [theirs], [ours], "haraka") == Shared(
        expected, str(ours.destination), writable=True
    )


def test_the_nearest_mount_of_the_consumer_counts() -> None:
    theirs = [bind("/srv/app", "/app"), bind("/srv/keys", "/app/keys")]
    ours = [bind("/srv/app", "/a"), bind("/srv/keys", "/k")]
    assert translate("/app/keys/x.pem", theirs, ours, "z") == Shared("/k/x.pem", "/k", writable=True)


def test_a_mount_of_ours_that_lies_over_the_path_hides_it() -> None:
    theirs = [bind("/srv/app", "/app")]
    ours = [bind("/srv/app", "/a"), bind("/elsewhere", "/a/keys")]
    assert isinstance(translate("/app/keys/x.pem", theirs, ours, "z"), NotShared)


def test_a_read_only_mount_of_ours_is_told() -> None:
    found = translate("/app/x", [bind("/srv", "/app")], [bind("/srv", "/a", writable=False)], "z")
    assert found == Shared("/a/x", "/a", writable=False)


@pytest.mark.parametrize(
    ("theirs", "line"),
    [
        ([bind("/srv/haraka", "/app/config")], "`- /srv/haraka:/targets/haraka`"),
        ([volume("conf", "/app/config")], "`- conf:/targets/haraka`"),
        ([], "`- certs-haraka:/app/config` under haraka"),
        ([bind("/srv/tls.pem", "/app/config/tls.pem")], "mount its directory in haraka"),
    ],
)
def test_without_a_shared_mount_the_line_to_add_is_told(theirs: list[Mount], line: str) -> None:
    found = translate("/app/config/tls.pem", theirs, [bind("/other", "/app/config")], "haraka")
    assert isinstance(found, NotShared)
    assert line in found.detail


def test_a_volume_and_a_directory_of_one_name_are_not_the_same() -> None:
    assert isinstance(translate("/a/x", [volume("srv", "/a")], [bind("srv", "/b")], "z"), NotShared)
