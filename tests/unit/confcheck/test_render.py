"""All or nothing, whatever happens on the way."""

import errno
import os
import signal
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from confcheck import render, tree
from confcheck.placeholder import Values
from confcheck.values import NotRendered
from lab.confcheck import copied, found, spoiled, tree_hash

VALUES: Values = {"HOST": "mail.postbox.test", "DOMAINS": ("postbox.test", "postbox.example"), "DQS": "q7-canary-q7"}
PLACES = [
    ("wildduck/imap.toml", '"mail.postbox.test"', "__HOST__"),
    ("wildduck-webmail/default.toml", 'domains=["postbox.test"]', "domains=__DOMAINS__"),
    ("rspamd/local.d/rbl.conf", "q7dqs0token0of0the0tests00", "__DQS__"),
    ("haraka/me", "mail.postbox.test", "__HOST__"),
]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Make a sound tree with placeholders in four files."""
    made = copied(tmp_path)
    for file, old, new in PLACES:
        spoiled(made, file, old, new)
    return made


def rendered(root: Path) -> None:
    render.recover(root)
    render.write(root, render.plan(root, VALUES))


def refused(root: Path, values: Values = VALUES) -> list[str]:
    """Try, and see that no byte changed."""
    before = tree_hash(root)
    with pytest.raises(NotRendered) as caught:
        render.write(root, render.plan(root, values))
    assert tree_hash(root) == before
    return caught.value.complaints


def test_every_placeholder_is_filled_and_nothing_else_is_touched(root: Path) -> None:
    before = tree_hash(root)

    rendered(root)

    after = tree_hash(root)
    assert {name for name in after if after[name] != before.get(name)} == {file for file, _, _ in PLACES}
    assert set(after) == set(before)
    assert found(root) == []
    assert 'domains=["postbox.test", "postbox.example"]' in (root / "wildduck-webmail/default.toml").read_text()


def test_a_second_run_changes_nothing(root: Path) -> None:
    rendered(root)
    before = tree_hash(root), {path: path.stat().st_mtime_ns for path in root.rglob("*")}

    rendered(root)

    assert (tree_hash(root), {path: path.stat().st_mtime_ns for path in root.rglob("*")}) == before


@as_root
def test_owner_and_mode_stay(root: Path) -> None:
    file = root / "haraka/me"
    file.chmod(0o640)
    os.chown(file, 1000, 1001)

    rendered(root)

    status = file.stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o640, 1000, 1001)


def test_one_missing_name_leaves_every_file_as_it_was(root: Path) -> None:
    without = {name: value for name, value in VALUES.items() if name != "DQS"}
    assert refused(root, without) == ["rspamd/local.d/rbl.conf:3 the map has no value for DQS"]


def test_a_file_that_cannot_be_read_leaves_every_file_as_it_was(root: Path) -> None:
    line = spoiled(root, "wildduck/lmtp.toml", "port = 2424", "port = 24 24")
    (complaint,) = refused(root)
    assert complaint.startswith(f"wildduck/lmtp.toml:{line} ")


def test_a_link_in_the_place_of_a_file_leaves_every_file_as_it_was(root: Path) -> None:
    (root / "haraka/me").rename(root / "haraka/mine")
    (root / "haraka/me").symlink_to("mine")
    assert [each.split(":")[0] for each in refused(root)] == ["haraka/me"]


def test_a_value_that_fits_nowhere_leaves_every_file_as_it_was(root: Path) -> None:
    (complaint,) = refused(root, {**VALUES, "DQS": "canary $CONFDIR"})
    assert complaint.startswith("rspamd/local.d/rbl.conf:3 DQS ")
    assert "canary" not in complaint


def test_a_file_that_changes_meanwhile_leaves_every_file_as_it_was(root: Path) -> None:
    planned = render.plan(root, VALUES)
    (root / "haraka/me").write_text("# somebody edits\n__HOST__\n")
    before = tree_hash(root)
    with pytest.raises(NotRendered):
        render.write(root, planned)
    assert tree_hash(root) == before


@as_root
def test_a_folder_that_cannot_be_written_leaves_every_file_as_it_was(root: Path) -> None:
    def attempt() -> None:
        os.setuid(1000)
        assert refused(root)

    for path in root.rglob("*"):
        os.chown(path, 1000, 1000)
    os.chown(root, 1000, 1000)
    os.chown(root / "haraka", 0, 0)  # its files are the user's, but no other can be put beside them
    for parent in [root, *root.parents][:-2]:
        parent.chmod(0o755)
    assert in_a_child(attempt) == 0


def test_a_rename_that_fails_brings_every_file_back(root: Path) -> None:
    def attempt() -> None:
        renames = []

        def fail_the_fourth(event: str, _: object) -> None:
            if event == "os.rename":
                renames.append(event)
                if len(renames) == 4:  # the journal, two files, and now the third
                    raise OSError(errno.EBUSY, "busy")

        sys.addaudithook(fail_the_fourth)
        assert refused(root)

    assert in_a_child(attempt) == 0


def test_a_kill_at_any_instant_leaves_each_file_old_or_new_and_the_next_run_the_whole(tmp_path: Path) -> None:
    old_tree, new_tree = copied(tmp_path / "old"), copied(tmp_path / "new")
    for made in (old_tree, new_tree):
        for file, old, new in PLACES:
            spoiled(made, file, old, new)
    rendered(new_tree)
    old, new = ({file: (made / file).read_bytes() for file, _, _ in PLACES} for made in (old_tree, new_tree))
    before, after = tree_hash(old_tree), tree_hash(new_tree)
    outcomes = []
    for instant in range(2000):
        root = old_tree
        for file, content in old.items():
            (root / file).write_bytes(content)
        assert tree_hash(root) == before
        survived = killed_at_call(instant, lambda root=root: rendered(root))  # type: ignore[misc]
        for file, content in old.items():
            assert (root / file).read_bytes() in {content, new[file]}, f"{file}, killed at call {instant}"

        recovered = render.recover(root)

        state = tree_hash(root)
        assert state in (before, after), f"killed at call {instant}"
        outcomes.append(state == after)
        assert not recovered or state == after, "what has a journal is finished"
        rendered(root)
        assert tree_hash(root) == after
        if survived:
            break
    assert outcomes[0] is False
    assert outcomes == sorted(outcomes), "once new, a later kill must not bring the old back"
    assert len(outcomes) > 25


def test_an_interrupted_render_is_a_finding_until_it_is_finished(root: Path) -> None:
    killed_before_third_rename(lambda: rendered(root))
    assert (tree.JOURNAL, 1, "render-interrupted") in [(each.file, each.line, each.rule) for each in found(root)]

    assert render.recover(root) is True

    assert found(root) == []


def test_the_journal_holds_no_value(root: Path) -> None:
    killed_before_third_rename(lambda: rendered(root))
    kept = [path.read_bytes() for path in (root / tree.JOURNAL).iterdir()]
    assert kept
    assert not [each for each in kept if b"canary" in each]


def test_two_at_one_time_do_not_mix(root: Path) -> None:
    with render._journal(root), pytest.raises(NotRendered, match="another render is at work"):
        render.write(root, render.plan(root, VALUES))
    rendered(root)
    assert found(root) == []


def killed_at_call(number: int, action: Callable[[], object]) -> bool:
    """Run *action* in a child, killed before its *number*-th call on the file system; True if it got through."""
    return run_killed(lambda _, count: count == number, action)


def killed_before_third_rename(action: Callable[[], object]) -> None:
    renames = []

    def third(event: str, _: int) -> bool:
        if event == "os.rename":
            renames.append(event)
        return len(renames) == 3  # the journal is in place, and one file of four

    assert not run_killed(third, action)


def run_killed(fatal: Callable[[str, int], bool], action: Callable[[], object]) -> bool:
    events = {
        "open",
        "os.rename",
        "os.link",
        "os.remove",
        "os.rmdir",
        "os.mkdir",
        "os.chmod",
        "os.chown",
        "os.truncate",
    }

    def attempt() -> None:
        count = 0

        def hook(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal count
            reads = event == "open" and not (isinstance(arguments[2], int) and arguments[2] & (os.O_CREAT | os.O_RDWR))
            if event in events and not reads:
                if fatal(event, count):
                    os.kill(os.getpid(), signal.SIGKILL)
                count += 1

        sys.addaudithook(hook)
        action()

    return in_a_child(attempt) != -signal.SIGKILL


def in_a_child(attempt: Callable[[], object]) -> int:
    """Run *attempt* in a child; returns its exit status, negative for the signal that ended it."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            attempt()
            status = 0
        finally:
            os._exit(status)
    _, ended = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(ended)
