"""What an operator is told: check, status, hash."""

import io
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sidecarkit import command
from stats import commands, report
from stats.facts import Reading
from stats.password import Hashed
from stats.program import STATS
from stats.snapshot import Snapshot, Standing

Run = Callable[..., int]
GOOD = "correct horse battery"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    environ = {"STATS_STATE": str(tmp_path), "STATS_PASSWORD": GOOD, "DOCKER_HOST": "unix:///nowhere/docker.sock"}
    return lambda *words, **further: command.main(STATS, words, {**environ, **further})


def write(folder: Path, at: float, failure: str | None = None) -> None:
    standing: Standing[object] = Standing(
        used=True, answer=Reading(0.002), answered_at=at, looked_at=at, failure=failure
    )
    document = report.document(Snapshot(at, 15.0, {"redis": standing}), at, 500)
    (folder / commands.FILE).write_text(json.dumps(document))


@pytest.mark.parametrize("password", ["", "short", "changeme-changeme"])
@pytest.mark.parametrize("word", ["run", "check"])
def test_without_a_good_password_nothing_starts(
    run: Run, capsys: pytest.CaptureFixture[str], word: str, password: str
) -> None:
    assert run(word, STATS_PASSWORD=password) == 2
    assert "STATS_PASSWORD" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["run", "check"])
def test_a_missing_password_is_told_with_all_else_that_is_wrong(
    run: Run, capsys: pytest.CaptureFixture[str], word: str
) -> None:
    assert run(word, STATS_PASSWORD="", STATS_INTERVAL="often", STATS_MONGO_URL="mongodb://mongo/?tls=canary") == 2
    told = capsys.readouterr().err
    assert [line.split()[1].partition("=")[0] for line in told.splitlines()] == [
        "STATS_INTERVAL", "STATS_MONGO_URL", "STATS_PASSWORD",
    ]  # fmt: skip
    assert "canary" not in told


def test_check_names_variables_that_nobody_knows(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STATS_PASSWROD", "canary")
    assert run("check") == 1
    said = capsys.readouterr().out
    assert "STATS_PASSWROD is not a setting; did you mean STATS_PASSWORD?\n" in said
    assert "canary" not in said


def test_check_names_every_source_that_does_not_answer(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", STATS_REDIS_URL="redis://:canary@127.0.0.1:1") == 1
    said = capsys.readouterr().out
    assert said == "engine: cannot be asked (EngineUnavailable)\nredis: refuses connections\n"


def test_status_is_what_the_running_one_last_knew(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, time.time())
    assert run("status") == 0
    assert "All well" in capsys.readouterr().out
    assert run("status", "--json") == 0
    assert json.loads(capsys.readouterr().out)["services"]["redis"]["up"] is True


def test_status_is_a_problem_when_there_is_one_or_when_it_is_old(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, time.time(), failure="refuses connections")
    assert run("status") == 1
    write(tmp_path, time.time() - 600)
    assert run("status") == 1
    assert "10 min old" in capsys.readouterr().err


def test_status_without_a_stats_that_runs_says_so(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("status") == 2
    assert "a stats that runs" in capsys.readouterr().err


def test_a_hash_is_made_of_what_is_typed(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{GOOD}\n"))
    assert run("hash") == 0
    assert Hashed(capsys.readouterr().out.strip()).is_right(GOOD)
    monkeypatch.setattr(sys, "stdin", io.StringIO("short\n"))
    assert run("hash") == 2
