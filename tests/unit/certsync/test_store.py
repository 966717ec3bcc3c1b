import errno
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from certsync import store
from certsync.refusal import Reason, RefusalError
from certsync.store import Owner, Placement, Store
from sidecarkit import mountpoints

OLD, NEW = b"old", b"new content"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def shelf(tmp_path: Path) -> Store:
    (tmp_path / "journals").mkdir()
    return Store(tmp_path / "journals", mountpoints.own_mount_points)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "target").mkdir()
    return tmp_path / "target"


def pair(target: Path, content: bytes = NEW) -> list[Placement]:
    return [
        Placement(str(target / "cert.pem"), content + b" cert", 0o640),
        Placement(str(target / "key.pem"), content + b" key", 0o600),
    ]


def tree(directory: Path) -> dict[str, tuple[bytes, int, int]]:
    """Everything in a directory: bytes, inode and modification time of each file."""
    found = {}
    for path in sorted(directory.iterdir()):
        status = path.lstat()
        found[path.name] = (path.read_bytes() if path.is_file() else b"", status.st_ino, status.st_mtime_ns)
    return found


def contents(directory: Path) -> dict[str, bytes]:
    return {name: content for name, (content, _, _) in tree(directory).items()}


def owner_of(path: str) -> Owner:
    status = Path(path).stat()
    return Owner(status.st_uid, status.st_gid)


def reason_of(shelf: Store, placements: list[Placement]) -> Reason:
    with pytest.raises(RefusalError) as caught:
        shelf.deliver("haraka", placements)
    return caught.value.refusal.reason


def foreseen(shelf: Store, placements: list[Placement]) -> Reason | None:
    refusal = shelf.objection(placements)
    return refusal.reason if refusal else None


def test_what_would_stand_in_the_way_is_foreseen_without_writing(shelf: Store, target: Path) -> None:
    (target / "folder").mkdir()
    before = tree(target)
    mounted = Store(shelf.journals, lambda: frozenset({"/", str(target / "cert.pem")}))

    assert foreseen(shelf, pair(target)) is None
    assert foreseen(shelf, pair(target / "absent")) is Reason.TARGET_MISSING
    assert foreseen(shelf, [Placement(str(target / "folder"), NEW, 0o600)]) is Reason.TARGET_NOT_REPLACEABLE
    assert foreseen(mounted, pair(target)) is Reason.TARGET_NOT_REPLACEABLE
    assert tree(target) == before


@as_root
def test_a_read_only_file_system_is_foreseen(shelf: Store, target: Path) -> None:
    made = f"mount -t tmpfs -o mode=755 x {target}; mount -o remount,ro {target}"

    assert in_a_mount_namespace(made, lambda: str(foreseen(shelf, pair(target)))) == Reason.TARGET_READ_ONLY


@as_root
def test_a_folder_of_somebody_elses_is_foreseen(shelf: Store, target: Path) -> None:
    def attempt() -> str:
        os.setgid(1000)
        os.setuid(1000)
        return str(foreseen(shelf, pair(target)))

    for parent in [target, *target.parents][:-2]:
        parent.chmod(0o755)
    assert in_a_child(attempt) == Reason.TARGET_READ_ONLY


def test_a_delivery_leaves_the_files_and_nothing_else(shelf: Store, target: Path) -> None:
    shelf.deliver("haraka", pair(target, OLD))
    shelf.deliver("haraka", pair(target))
    assert contents(target) == {"cert.pem": NEW + b" cert", "key.pem": NEW + b" key"}
    assert stat.S_IMODE((target / "cert.pem").stat().st_mode) == 0o640
    assert stat.S_IMODE((target / "key.pem").stat().st_mode) == 0o600
    assert list(shelf.journals.iterdir()) == []


def test_the_mode_does_not_depend_on_the_umask(shelf: Store, target: Path) -> None:
    before = os.umask(0o777)
    try:
        shelf.deliver("haraka", pair(target))
    finally:
        os.umask(before)
    assert stat.S_IMODE((target / "cert.pem").stat().st_mode) == 0o640


@as_root
def test_the_owner_is_the_one_asked_for_else_of_the_file_else_of_the_directory(shelf: Store, target: Path) -> None:
    os.chown(target, 1001, 1002)
    cert, key = (str(target / name) for name in ("cert.pem", "key.pem"))
    Path(key).write_bytes(OLD)
    os.chown(key, 1003, 1004)
    shelf.deliver("haraka", [Placement(cert, NEW, 0o640), Placement(key, NEW, 0o600)])
    assert (owner_of(cert), owner_of(key)) == (Owner(1001, 1002), Owner(1003, 1004))
    shelf.deliver("haraka", [Placement(cert, NEW, 0o640, Owner(7, 8))])
    assert owner_of(cert) == Owner(7, 8)


def test_one_impossible_file_leaves_all_of_the_target_as_it_was(shelf: Store, target: Path) -> None:
    shelf.deliver("haraka", pair(target, OLD))
    before = tree(target)
    missing = Placement(str(target / "absent" / "chain.pem"), NEW, 0o640)
    assert reason_of(shelf, [*pair(target), missing]) is Reason.TARGET_MISSING
    assert tree(target) == before


def test_a_directory_in_the_place_of_a_file_is_not_replaceable(shelf: Store, target: Path) -> None:
    (target / "key.pem").mkdir()
    assert reason_of(shelf, pair(target)) is Reason.TARGET_NOT_REPLACEABLE
    assert set(tree(target)) == {"key.pem"}


def test_a_file_that_is_a_mount_point_is_not_replaceable(tmp_path: Path, target: Path) -> None:
    key = target / "key.pem"
    key.write_bytes(OLD)
    (tmp_path / "journals").mkdir()
    shelf = Store(tmp_path / "journals", lambda: frozenset({"/", str(key)}))
    assert reason_of(shelf, pair(target)) is Reason.TARGET_NOT_REPLACEABLE
    assert contents(target) == {"key.pem": OLD}


@as_root
def test_a_single_file_mount_that_the_mount_table_did_not_show_is_not_replaceable(tmp_path: Path, target: Path) -> None:
    (tmp_path / "journals").mkdir()
    (target / "cert.pem").write_bytes(OLD)
    (target / "key.pem").write_bytes(OLD)
    before = tree(target)
    shelf = Store(tmp_path / "journals", lambda: frozenset({"/"}))
    refused = in_a_mount_namespace(
        f"mount --bind {target}/key.pem {target}/key.pem", lambda: reason_of(shelf, pair(target)).value
    )
    assert refused == Reason.TARGET_NOT_REPLACEABLE
    assert tree(target) == before


@pytest.mark.parametrize("names_before", [(), ("cert.pem", "key.pem"), ("cert.pem",), ("key.pem",)])
def test_a_rename_that_fails_brings_the_very_same_files_back(
    shelf: Store, target: Path, names_before: tuple[str, ...]
) -> None:
    for name in names_before:
        (target / name).write_bytes(OLD)
    before = tree(target)

    def attempt() -> str:
        renames = []

        def fail_the_third(event: str, _arguments: object) -> None:
            if event == "os.rename":
                renames.append(event)
                if len(renames) == 3:  # the journal, the certificate, and now the key
                    raise OSError(errno.EBUSY, "busy")

        sys.addaudithook(fail_the_third)
        return reason_of(shelf, pair(target)).value

    assert in_a_child(attempt) == Reason.TARGET_NOT_REPLACEABLE
    assert tree(target) == before
    assert list(shelf.journals.iterdir()) == []


@as_root
@pytest.mark.parametrize(
    ("option", "reason"),
    [("ro", Reason.TARGET_READ_ONLY), ("size=8k", Reason.NO_SPACE), ("nr_inodes=4", Reason.NO_SPACE)],
)
def test_a_full_or_read_only_file_system_keeps_the_old_pair(
    shelf: Store, target: Path, option: str, reason: Reason
) -> None:
    def attempt() -> str:
        before = tree(target)
        answer = reason_of(shelf, pair(target, NEW * 400))
        assert tree(target) == before
        return answer.value

    made = f"mount -t tmpfs -o mode=755 x {target}; echo old > {target}/cert.pem; echo old > {target}/key.pem;"
    assert in_a_mount_namespace(f"{made} mount -o remount,{option} {target}", attempt) == reason


@as_root
def test_an_ordinary_user_delivers_where_it_may_and_is_told_where_not(tmp_path: Path) -> None:
    def attempt() -> str:
        os.setgid(1000)
        os.setuid(1000)
        shelf = Store(tmp_path / "journals")
        shelf.deliver("haraka", pair(tmp_path / "mine"))
        assert (tmp_path / "mine" / "key.pem").stat().st_uid == 1000
        shelf.deliver("haraka", pair(tmp_path / "mine"))  # over files whose owner it is
        for_root = [Placement(str(tmp_path / "mine" / "other.pem"), NEW, 0o600, Owner(0, 0))]
        reasons = [reason_of(shelf, for_root), reason_of(shelf, pair(tmp_path / "theirs"))]
        assert set(tree(tmp_path / "mine")) == {"cert.pem", "key.pem"}
        return " ".join(reasons)

    for name, uid in (("mine", 1000), ("theirs", 0), ("journals", 1000)):
        (tmp_path / name).mkdir()
        os.chown(tmp_path / name, uid, uid)
    for parent in [tmp_path, *tmp_path.parents][:-2]:
        parent.chmod(0o755)
    assert in_a_child(attempt) == f"{Reason.TARGET_NOT_REPLACEABLE} {Reason.TARGET_READ_ONLY}"


@as_root
def test_as_root_two_capabilities_are_enough_for_files_of_others(tmp_path: Path, target: Path) -> None:
    """What a container of `cap_drop: ALL` and `cap_add: [CHOWN, DAC_OVERRIDE]` may do."""
    (tmp_path / "journals").mkdir()
    for path in (target / "cert.pem", target / "key.pem"):
        path.write_bytes(OLD)
        path.chmod(0o600)
        os.chown(path, 1000, 1000)
    os.chown(target, 1000, 1000)
    program = (
        "import sys; from pathlib import Path; from certsync.store import Owner, Placement, Store\n"
        "target = sys.argv[2]\n"
        "Store(Path(sys.argv[1])).deliver('haraka', [Placement(f'{target}/{name}', b'new', mode, Owner(1000, 1000))"
        " for name, mode in (('cert.pem', 0o640), ('key.pem', 0o600), ('more.pem', 0o440))])"
    )
    bare = ["setpriv", "--bounding-set=-all,+chown,+dac_override", "--no-new-privs", sys.executable, "-c", program]
    environ = {"PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        [*bare, str(tmp_path / "journals"), str(target)], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for name, mode in (("cert.pem", 0o640), ("key.pem", 0o600), ("more.pem", 0o440)):
        assert (target / name).read_bytes() == b"new"
        assert owner_of(str(target / name)) == Owner(1000, 1000)
        assert stat.S_IMODE((target / name).stat().st_mode) == mode


def test_a_link_is_followed_and_stays_a_link(shelf: Store, target: Path) -> None:
    (target / "archive").mkdir()
    (target / "archive" / "key1.pem").write_bytes(OLD)
    (target / "key.pem").symlink_to("archive/key1.pem")
    shelf.deliver("haraka", pair(target))
    assert (target / "key.pem").is_symlink()
    assert (target / "archive" / "key1.pem").read_bytes() == NEW + b" key"
    assert set(tree(target / "archive")) == {"key1.pem"}


def test_a_link_out_of_the_mount_is_refused(shelf: Store, target: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(OLD)
    (target / "key.pem").symlink_to(elsewhere)
    guarded = [Placement(str(target / "key.pem"), NEW, 0o600, root=str(target))]
    assert reason_of(shelf, guarded) is Reason.TARGET_NOT_REPLACEABLE
    assert elsewhere.read_bytes() == OLD


def test_a_dangling_link_is_given_its_file(shelf: Store, target: Path) -> None:
    (target / "key.pem").symlink_to("real.pem")
    shelf.deliver("haraka", pair(target))
    assert (target / "real.pem").read_bytes() == NEW + b" key"


@pytest.mark.parametrize("names_before", [(), ("cert.pem", "key.pem")])
def test_a_kill_at_any_instant_leaves_the_old_or_the_new_target_after_recovery(
    shelf: Store, target: Path, names_before: tuple[str, ...]
) -> None:
    old = {name: OLD + name[:-4].encode() for name in names_before}
    new = {"cert.pem": NEW + b" cert", "key.pem": NEW + b" key"}
    outcomes = []
    for instant in range(1000):
        for path in target.iterdir():
            path.unlink()
        for name, content in old.items():
            (target / name).write_bytes(content)
        survived = killed_at_call(instant, lambda: shelf.deliver("haraka", pair(target)))
        shelf.recover()
        store.sweep(placement.path for placement in pair(target))
        found = contents(target)
        assert found in (old, new), f"after a kill at call {instant}"
        outcomes.append(found == new)
        assert list(shelf.journals.iterdir()) == []
        if survived:
            break
    assert outcomes[0] is False
    assert outcomes[-1] is True
    assert outcomes == sorted(outcomes), "once new, a later kill must not bring the old back"
    assert len(outcomes) > 15


def test_recovery_that_is_killed_itself_is_finished_by_the_next(shelf: Store, target: Path) -> None:
    for instant in range(1000):
        for name in ("cert.pem", "key.pem"):
            (target / name).write_bytes(OLD)
        killed_before_second_rename(lambda: shelf.deliver("haraka", pair(target)))
        assert contents(target)["cert.pem"] == NEW + b" cert"
        assert contents(target)["key.pem"] == OLD
        survived = killed_at_call(instant, shelf.recover)
        shelf.recover()
        store.sweep(placement.path for placement in pair(target))
        assert contents(target) == {"cert.pem": NEW + b" cert", "key.pem": NEW + b" key"}
        if survived:
            break


def test_a_target_without_a_kill_needs_no_repair(shelf: Store, target: Path) -> None:
    shelf.deliver("haraka", pair(target))
    assert shelf.recover() == []


def test_nothing_of_the_content_is_in_the_journal_or_in_a_representation(shelf: Store, target: Path) -> None:
    killed_before_second_rename(lambda: shelf.deliver("haraka", pair(target)))
    (journal,) = shelf.journals.iterdir()
    assert NEW not in journal.read_bytes()
    assert "new content" not in repr(pair(target))


def killed_at_call(number: int, action: Callable[[], object]) -> bool:
    """Run *action* in a child that is killed before its *number*-th call on the file system; True if it got through."""
    return run_killed(lambda event, count: count == number, action)


def killed_before_second_rename(action: Callable[[], object]) -> None:
    renames = []

    def second(event: str, _count: int) -> bool:
        if event == "os.rename":
            renames.append(event)
        # The first rename puts the journal in place, the second the certificate, the third the key.
        return len(renames) == 3

    assert not run_killed(second, action)


def run_killed(fatal: Callable[[str, int], bool], action: Callable[[], object]) -> bool:
    child = os.fork()
    if child == 0:
        count = 0

        def hook(event: str, _arguments: object) -> None:
            nonlocal count
            if event in {"open", "os.rename", "os.link", "os.remove", "os.chmod", "os.chown", "os.truncate"}:
                if fatal(event, count):
                    os.kill(os.getpid(), signal.SIGKILL)
                count += 1

        sys.addaudithook(hook)
        try:
            action()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return not os.WIFSIGNALED(status)


def in_a_mount_namespace(commands: str, attempt: Callable[[], str]) -> str:
    """Run *attempt* in a child with mounts of its own, and return what it returns."""

    def unshared() -> str:
        import ctypes  # noqa: PLC0415 - only here, and only in the child
        import subprocess  # noqa: PLC0415

        if ctypes.CDLL(None, use_errno=True).unshare(0x00020000) != 0:  # CLONE_NEWNS
            raise OSError(ctypes.get_errno(), "unshare")
        subprocess.run(f"mount --make-rprivate /; {commands}", shell=True, check=True)
        return attempt()

    return in_a_child(unshared)


def in_a_child(attempt: Callable[[], str]) -> str:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            answer = str(attempt())
        except BaseException as error:  # noqa: BLE001 - it is told to the parent
            answer = f"failed: {error!r}"
        os.write(writing, answer.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return answer
