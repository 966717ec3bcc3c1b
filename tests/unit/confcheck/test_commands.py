import json
from pathlib import Path

import pytest

from confcheck.program import CONFCHECK
from lab.confcheck import copied, spoiled, tree_hash
from sidecarkit import command


def run(*words: str, **environ: str) -> int:
    elsewhere = {"CONFCHECK_RULES": "/nowhere", "CONFCHECK_ALLOW": "/nowhere"}
    return command.main(CONFCHECK, words, {**elsewhere, **environ})


def test_a_clean_tree_is_0_and_prints_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", "--root", str(copied(tmp_path))) == 0
    assert capsys.readouterr().out == ""


def test_findings_are_1_and_a_line_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = copied(tmp_path)
    spoiled(root, "haraka/me", "mail.postbox.test", "__HOST__")
    assert run("check", "--root", str(root)) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith("haraka/me:1 leftover-placeholder ")
    assert captured.out.count("\n") == 1
    assert captured.err == "confcheck: 1 error in 42 files\n"


@pytest.mark.parametrize("defect", [True, False])
def test_json_is_a_list_of_findings(tmp_path: Path, capsys: pytest.CaptureFixture[str], *, defect: bool) -> None:
    root = copied(tmp_path)
    if defect:
        spoiled(root, "haraka/me", "mail.postbox.test", "__HOST__")
    assert run("check", "--json", CONFCHECK_ROOT=str(root)) == int(defect)
    document = json.loads(capsys.readouterr().out)
    assert [sorted(each) for each in document] == [["file", "line", "message", "rule", "severity"]] * defect


def test_what_could_not_be_checked_is_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.yml").write_text("allow: [{rule: syntax}]")
    assert run("check", "--root", str(tmp_path / "absent")) == 2
    assert run("check", "--root", str(tmp_path)) == 2
    assert run("check", "--root", str(copied(tmp_path)), CONFCHECK_ALLOW=str(tmp_path / "bad.yml")) == 2
    assert run("check", "--root", str(tmp_path / "config"), CONFCHECK_RULES=str(tmp_path / "bad.yml")) == 2
    assert capsys.readouterr().out == ""


def test_an_allowance_that_silences_nothing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "allow.yml").write_text("allow: [{rule: syntax, reason: once upon a time}]")
    assert run("check", "--root", str(copied(tmp_path)), CONFCHECK_ALLOW=str(tmp_path / "allow.yml")) == 0
    assert "the allow-list's syntax silences nothing" in capsys.readouterr().err


def test_render_fills_and_says_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = copied(tmp_path)
    spoiled(root, "haraka/me", "mail.postbox.test", "__HOST__")
    (tmp_path / "map.yml").write_text("HOST: canary.postbox.test\n")
    words = ("render", "--map", str(tmp_path / "map.yml"), "--root", str(root))

    assert run(*words) == 0
    assert run(*words) == 0

    captured = capsys.readouterr()
    assert captured.out == "haraka/me: 1 placeholder filled\n"
    assert captured.err == "confcheck: there is no placeholder left to fill\n"
    assert (root / "haraka/me").read_text() == "canary.postbox.test\n"


@pytest.mark.parametrize(
    ("text", "status"),
    [("OTHER: x", 1), ('HOST: ""', 1), ("HOST:", 1), ("HOST: 7", 2), ("host: x", 2), ("[", 2), (None, 2)],
)
def test_a_render_that_is_refused_changes_no_byte(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, status: int
) -> None:
    root = copied(tmp_path)
    spoiled(root, "haraka/me", "mail.postbox.test", "__HOST__")
    before = tree_hash(root)
    if text is not None:
        (tmp_path / "map.yml").write_text(text)

    assert run("render", "--map", str(tmp_path / "map.yml"), "--root", str(root)) == status

    assert tree_hash(root) == before
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err


def test_render_wants_a_map() -> None:
    with pytest.raises(SystemExit) as caught:
        run("render")
    assert caught.value.code == 2


def test_status_without_an_agent_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("status", CONFCHECK_STATE=str(tmp_path)) == 1
    assert "has not run" in capsys.readouterr().err
