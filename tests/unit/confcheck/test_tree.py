"""Whatever lies in the folder: it is told, nothing is guessed, and nothing breaks the look."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from confcheck.tree import NotCheckable
from lab.confcheck import copied, found, spoiled, told

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return copied(tmp_path)


def test_windows_line_ends_are_no_defect_and_move_no_line(root: Path) -> None:
    line = spoiled(root, "haraka/wildduck.yaml", '"redis"', '"__REDIS__"')
    for path in root.rglob("*"):
        if path.is_file() and not path.name.endswith(".pem"):
            path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))

    assert told(root) == [("haraka/wildduck.yaml", line, "leftover-placeholder")]


@pytest.mark.parametrize("file", ["wildduck/api.toml", "wildduck/roles.json", "haraka/rspamd.ini", "haraka/plugins"])
def test_a_byte_order_mark_is_told_where_its_server_stumbles_over_it(root: Path, file: str) -> None:
    (root / file).write_bytes(b"\xef\xbb\xbf" + (root / file).read_bytes())
    assert told(root) == [(file, 1, "byte-order-mark")]


@pytest.mark.parametrize("file", ["haraka/wildduck.yaml", "rspamd/local.d/rbl.conf"])
def test_a_byte_order_mark_that_its_server_passes_over_is_none(root: Path, file: str) -> None:
    (root / file).write_bytes(b"\xef\xbb\xbf" + (root / file).read_bytes())
    assert told(root) == []


def test_a_file_that_is_not_utf_8_is_told_with_its_line_and_nothing_is_concluded_from_it(root: Path) -> None:
    path = root / "wildduck/api.toml"
    path.write_bytes(b"enabled = true\n# Gr\xfc\xdfe\n")  # without a token, if it were read
    assert told(root) == [("wildduck/api.toml", 2, "not-utf-8")]


def test_what_may_stand_in_a_file_that_cannot_be_read_is_neither_missing_nor_unequal(root: Path) -> None:
    (root / "wildduck/sender.toml").write_bytes(b"# \xff\n")
    controller = root / "rspamd/local.d/worker-controller.inc"
    controller.write_text("".join(each for each in controller.open() if not each.startswith("enable_password")))
    (root / "rspamd/override.d/worker-controller.inc").write_bytes(b"# \xff\n")

    assert told(root) == [
        ("rspamd/override.d/worker-controller.inc", 1, "not-utf-8"),
        ("wildduck/sender.toml", 1, "not-utf-8"),
    ]


def test_half_a_character_in_a_json_escape_breaks_nothing(root: Path) -> None:
    line = spoiled(root, "wildduck/roles.json", '"authentication"', '"\\ud800 __ROLE__"')
    assert told(root) == [("wildduck/roles.json", line, "leftover-placeholder")]
    assert str(found(root)[0]).encode()


def test_a_name_that_is_no_text_is_told_in_escapes(root: Path) -> None:
    (root / os.fsdecode(b"haraka/x\xff.ini")).write_text("a = __X__\n")
    (finding,) = found(root)
    assert (finding.file, finding.rule) == ("haraka/x\\xff.ini", "leftover-placeholder")
    assert finding.identity


def test_a_nul_is_told(root: Path) -> None:
    (root / "haraka/me").write_bytes(b"mail.postbox.test\n\0\n")
    assert told(root) == [("haraka/me", 2, "syntax")]


def test_a_file_of_50_mb_is_told_and_not_read(root: Path) -> None:
    with (root / "rspamd/local.d/rbl.conf").open("r+b") as file:
        file.truncate(50 << 20)
    started = time.process_time()

    assert told(root) == [("rspamd/local.d/rbl.conf", 1, "file-too-large")]
    assert time.process_time() - started < 10


def test_links_in_a_circle_are_told_once_and_not_followed(root: Path) -> None:
    (root / "haraka/a.ini").symlink_to("b.ini")
    (root / "haraka/b.ini").symlink_to("a.ini")
    (root / "haraka/again").symlink_to("..")

    findings = found(root)

    assert [(each.file, each.rule) for each in findings] == [
        ("haraka/a.ini", "file-unreadable"),
        ("haraka/b.ini", "file-unreadable"),
    ]
    assert "leads back to itself" in findings[0].message


def test_a_link_that_leads_out_of_the_root_is_told_and_not_followed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.ini").write_text("this is no INI, and would be told\n")
    (root / "haraka/x.ini").symlink_to(tmp_path / "secret.ini")

    (finding,) = found(root)

    assert (finding.file, finding.rule) == ("haraka/x.ini", "file-unreadable")


def test_a_link_within_the_root_is_read(root: Path) -> None:
    (root / "haraka/tls.ini").rename(root / "haraka/real.ini")
    (root / "haraka/tls.ini").symlink_to("real.ini")
    assert told(root) == []


def test_a_link_that_leads_nowhere_is_told(root: Path) -> None:
    (root / "haraka/x.ini").symlink_to("gone.ini")
    assert told(root) == [("haraka/x.ini", 1, "file-unreadable")]


def test_a_pipe_in_the_place_of_a_file_makes_nobody_wait(root: Path) -> None:
    os.mkfifo(root / "haraka/x.ini")
    assert told(root) == [("haraka/x.ini", 1, "file-unreadable")]


@as_root
def test_a_file_that_may_not_be_read_is_told_and_nothing_is_concluded_from_it(root: Path) -> None:
    (root / "wildduck/api.toml").chmod(0o600)
    for parent in [root, *root.parents][:-2]:
        parent.chmod(0o755)
    program = (
        "import os, sys; from pathlib import Path; from lab.confcheck import told\n"
        "os.setuid(10001); print(told(Path(sys.argv[1])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(root)],
        env={"PYTHONPATH": ":".join(sys.path), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[('wildduck/api.toml', 1, 'file-unreadable')]"


def test_a_referred_file_behind_a_link_out_of_the_root_is_not_called_missing(root: Path) -> None:
    for path in (root / "zone-mta/keys").iterdir():
        path.unlink()
    (root / "zone-mta/keys").rmdir()
    (root / "zone-mta/keys").symlink_to("/nowhere/that/the/container/sees")
    assert told(root) == []


def test_hidden_files_are_nobodys_settings(root: Path) -> None:
    (root / "haraka/.tls.ini").write_text("key=__X__\n")
    assert told(root) == []


def test_a_root_without_any_of_the_folders_cannot_be_checked(tmp_path: Path) -> None:
    with pytest.raises(NotCheckable):
        found(tmp_path)
    with pytest.raises(NotCheckable):
        found(tmp_path / "absent")


def test_one_folder_alone_is_checked_without_the_others(tmp_path: Path) -> None:
    root = copied(tmp_path)
    alone = tmp_path / "alone"
    alone.mkdir()
    (root / "haraka").rename(alone / "haraka")
    assert told(alone) == []


TOKENS_THAT_ARE_NONE = [
    "__init__",
    "a__NAME__",
    "__NAME__b",
    "___NAME___",
    "__",
    "____",
    "__name__",
    "_NAME_",
    "__A__B__C__x",
]


@pytest.mark.parametrize("text", TOKENS_THAT_ARE_NONE)
def test_what_only_looks_like_a_placeholder_is_left_alone(root: Path, text: str) -> None:
    spoiled(root, "wildduck-webmail/default.toml", "Wild Duck Mail", text)
    assert told(root) == []


@pytest.mark.parametrize(
    "name", ["myexample.com", "example.company", "example-com.test", "notyourdomains.com", "tusker.example"]
)
def test_a_name_that_only_resembles_an_example_is_left_alone(root: Path, name: str) -> None:
    spoiled(root, "zone-mta/pools.toml", "mail.postbox.test", name)
    assert told(root) == []


def test_rspamds_own_variables_are_left_alone_there_and_told_elsewhere(root: Path) -> None:
    spoiled(root, "rspamd/override.d/redis.conf", '"redis"', '"$CONFDIR/${WWWDIR}${RUNDIR}"')
    assert told(root) == []
    line = spoiled(root, "haraka/rspamd.ini", "host = rspamd", "host = ${WWWDIR_HOST}")
    assert told(root) == [("haraka/rspamd.ini", line, "leftover-variable")]


def test_every_placeholder_of_a_text_of_several_lines_is_told_with_its_line(root: Path) -> None:
    line = spoiled(
        root, "wildduck-webmail/default.toml", 'title="wildduck-www"', 'title="""\n__A__\nb\n__C__ and __D__\n"""'
    )
    assert told(root) == [
        ("wildduck-webmail/default.toml", line + 1, "leftover-placeholder"),
        ("wildduck-webmail/default.toml", line + 3, "leftover-placeholder"),
        ("wildduck-webmail/default.toml", line + 3, "leftover-placeholder"),
    ]
