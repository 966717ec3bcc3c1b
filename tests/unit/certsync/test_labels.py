from dataclasses import replace

import pytest

from certsync.forms import Form
from certsync.labels import PRESETS, Asked, Consumer, is_consumer, read
from certsync.mounts import Mount
from certsync.policy import Wanted
from certsync.refusal import Reason
from certsync.store import Owner
from certsync.target import Endpoint, Http, Output, Restart, Signal, Touch
from sidecarkit.containers import PROJECT, row


def consumer(service: str = "haraka", mounts: tuple[Mount, ...] = (), **labels: str) -> Consumer:
    """Make a container of a Compose project; label names with `_` for `.`."""
    all_labels = {"certsync": "true", "com.docker.compose.service": service}
    all_labels |= {f"certsync.{key}": value for key, value in labels.items()}
    document = {"Id": "a" * 64, "Names": [f"/stack-{service}-1"], "State": "running", "Labels": all_labels}
    return Consumer(row(document), mounts)


def bind(source: str, destination: str, *, writable: bool = True) -> Mount:
    return Mount.read({"Type": "bind", "Source": source, "Destination": destination, "RW": writable})


THEIRS = (bind("/srv/haraka", "/app/config"),)
OURS = (bind("/srv/haraka", "/haraka"),)
PLAIN = {"certsync.preset": "", "certsync.combined": "/app/config/all.pem"}


def refused(asked: Asked) -> str:
    assert asked.refusal is not None
    assert asked.refusal.reason is Reason.UNDELIVERABLE
    return asked.refusal.detail


def test_the_preset_for_haraka_needs_no_restart_and_every_path_is_translated() -> None:
    asked = read(consumer(mounts=THEIRS, preset="haraka", domains="mail.example.com, imap.example.com"), OURS)
    assert asked.refusal is None
    target = asked.target
    assert target.name == "haraka"
    assert target.wanted == Wanted(("mail.example.com", "imap.example.com"))
    assert target.outputs == (
        Output(Form.CERTIFICATE, "/haraka/tls_cert.pem", 0o640, "/haraka"),
        Output(Form.KEY, "/haraka/tls_key.pem", 0o600, "/haraka"),
    )
    assert target.reload == Touch("/haraka/tls.ini")
    assert target.dhparams == Output(Form.CERTIFICATE, "/haraka/dhparams.pem", 0o644, "/haraka")
    assert target.verify == Endpoint("haraka", 25, "smtp")


def test_the_preset_for_zonemta_gives_the_plugin_a_chance_before_it_restarts() -> None:
    target = read(
        consumer("zonemta", (bind("/z", "/app/config"),), preset="zonemta", domains="m.example.com"),
        (bind("/z", "/z"),),
    ).target
    assert target.reload == Restart("stack-zonemta-1", patience_seconds=5.0)
    assert target.verify == Endpoint("zonemta", 587, "smtp")


def test_the_preset_for_wildduck_writes_no_file() -> None:
    asked = read(consumer("wildduck", preset="wildduck", domains="m.example.com"), ())
    assert asked.refusal is None
    assert asked.target.outputs == ()
    assert asked.target.reload == Http("http://wildduck:8080/certs")


@pytest.mark.parametrize("preset", ["postfix", "dovecot", "nginx"])
def test_the_presets_that_reload_on_a_hangup_send_one(preset: str) -> None:
    folder = PRESETS[preset].certificate.rpartition("/")[0]
    asked = read(consumer(preset, (bind("/x", folder),), preset=preset, domains="m.example.com"), (bind("/x", "/x"),))
    assert asked.refusal is None
    assert asked.target.reload == Signal(f"stack-{preset}-1", "HUP")


def test_labels_alone_and_over_a_preset() -> None:
    labels = {
        "domains": "m.example.com",
        "certificate": "/app/config/c.pem",
        "owner": "1000:1000",
        "reload": "restart",
        "verify": ":465",
        "resolver": "le",
    }
    over = read(consumer(mounts=THEIRS, preset="haraka", **labels), OURS).target
    alone = read(consumer(mounts=THEIRS, key="/app/config/k.pem", **labels), OURS).target
    assert [one.path for one in over.outputs] == ["/haraka/c.pem", "/haraka/tls_key.pem"]
    assert [one.path for one in alone.outputs] == ["/haraka/c.pem", "/haraka/k.pem"]
    for target in (over, alone):
        assert target.owner == Owner(1000, 1000)
        assert target.reload == Restart("stack-haraka-1")
        assert target.verify == Endpoint("haraka", 465, "")
        assert target.wanted.resolver == "le"


def test_one_combined_file_takes_the_place_of_the_presets_two() -> None:
    target = read(
        consumer(mounts=THEIRS, preset="haraka", domains="m.example.com", combined="/app/config/all.pem"), OURS
    ).target
    assert target.outputs == (Output(Form.COMBINED, "/haraka/all.pem", 0o600, "/haraka"),)


def test_without_a_shared_mount_it_is_undeliverable_and_says_what_to_add() -> None:
    asked = read(consumer(mounts=THEIRS, preset="haraka", domains="m.example.com"), (bind("/other", "/haraka"),))
    assert "`- /srv/haraka:/targets/haraka`" in refused(asked)


def test_a_read_only_mount_is_told() -> None:
    asked = read(
        consumer(mounts=THEIRS, preset="haraka", domains="m.example.com"), (bind("/srv/haraka", "/h", writable=False),)
    )
    assert asked.refusal is not None
    assert asked.refusal.reason is Reason.TARGET_READ_ONLY


def test_on_the_host_itself_bind_mounts_are_reached_under_their_own_path() -> None:
    target = read(consumer(mounts=THEIRS, preset="haraka", domains="m.example.com"), None).target
    assert target.outputs[0].path == "/srv/haraka/tls_cert.pem"


@pytest.mark.parametrize(
    ("labels", "word"),
    [
        ({"preset": "exim", "domains": "a.example.com"}, "expected one of haraka"),
        ({"preset": "haraka"}, "certsync.domains is missing"),
        ({"preset": "haraka", "domains": "not/aname"}, "host name"),
        ({"domains": "a.example.com"}, "nothing says where"),
        ({"preset": "haraka", "domains": "a.example.com", "reload": "signal:HUP"}, "SIGHUP does not reload"),
        ({"preset": "haraka", "domains": "a.example.com", "owner": "node"}, "numbers"),
        ({"preset": "haraka", "domains": "a.example.com", "domain": "x"}, "certsync.domain is not a label"),
        ({"preset": "haraka", "domains": "a.example.com", "key": "relative"}, "absolute path"),
        ({"preset": "haraka", "domains": "a.example.com", "verify": "25"}, "[host]:port"),
    ],
)  # fmt: skip
def test_a_wrong_label_is_told_and_delivers_nothing(labels: dict[str, str], word: str) -> None:
    asked = read(consumer(mounts=THEIRS, **labels), OURS)
    assert word in refused(asked)


@pytest.mark.parametrize(
    ("value", "expected"), [("true", True), ("True", True), ("1", True), ("false", False), ("", False)]
)
def test_truth_is_read_in_any_case(value: str, expected: bool) -> None:
    assert is_consumer(row({"Id": "a", "Labels": {"certsync": value}})) is expected


def test_a_one_off_container_is_no_consumer() -> None:
    labels = {"certsync": "true", "com.docker.compose.oneoff": "True"}
    assert not is_consumer(row({"Id": "a", "Labels": labels}))


def test_of_two_services_of_one_name_each_is_reached_by_its_containers_name() -> None:
    one = consumer("wildduck", preset="wildduck", verify=":993", domains="m.example.com")
    twin = replace(one, namesake=True, row=replace(one.row, labels={**one.row.labels, PROJECT: "staging"}))

    target = read(twin, ()).target

    assert (read(one, ()).target.name, target.name) == ("wildduck", "staging-wildduck")
    assert target.reload == Http("http://stack-wildduck-1:8080/certs")
    assert target.verify == Endpoint("stack-wildduck-1", 993)


@pytest.mark.parametrize("signal", ["HUP", "hup", "SIGHUP", "1"])
def test_a_hangup_is_refused_by_what_the_container_is_whatever_it_is_called(signal: str) -> None:
    mx = consumer("mx", THEIRS, preset="haraka", domains="m.example.com", reload=f"signal:{signal}")
    by_image = replace(mx, row=replace(mx.row, image="nodemailer/wildduck:1", labels={**mx.row.labels, **PLAIN}))

    assert "SIGHUP does not reload haraka" in refused(read(mx, OURS))
    assert "SIGHUP does not reload wildduck" in refused(read(by_image, OURS))


@pytest.mark.parametrize(
    "labels",
    [
        {"certificate": "/app/config/../../etc/passwd", "key": "/app/config/key.pem"},
        {"combined": "/app/config/../x.pem"},
        {"combined": "/app/config/x.pem", "reload": "touch:/app/config/../../var/lib/certsync/x"},
    ],
)
def test_a_path_that_leads_out_again_is_none(labels: dict[str, str]) -> None:
    asked = read(consumer("nginx", THEIRS, domains="m.example.com", **labels), OURS)

    assert "the absolute path of a file" in refused(asked)


def test_two_files_in_one_place_are_refused() -> None:
    same = {"certificate": "/app/config/x.pem", "key": "/app/config/x.pem"}

    assert "a path of its own" in refused(read(consumer("nginx", THEIRS, domains="m.example.com", **same), OURS))
