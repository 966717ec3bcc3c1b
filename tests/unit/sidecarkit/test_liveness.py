"""Liveness: what is wrong, since when, and what Docker's healthcheck makes of it."""

import json
import os
import time
from pathlib import Path

import pytest

from sidecarkit.liveness import (
    BEAT_SECONDS,
    STALLED_SECONDS,
    Liveness,
    healthcheck,
    run_healthcheck,
    write_heartbeat,
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "heartbeat.json"


def checked(file: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    status = healthcheck(file)
    return status, capsys.readouterr().out


def test_all_is_well_until_something_is_wrong_and_again_when_it_is_right(clock: Clock) -> None:
    liveness = Liveness(clock=clock)
    assert liveness.reasons() == []

    liveness.wrong("engine", "the engine is away")
    liveness.wrong("disk", "no space")
    assert liveness.reasons() == ["the engine is away", "no space"]

    liveness.right("engine")
    liveness.right("never said")
    assert liveness.reasons() == ["no space"]


def test_what_is_wrong_counts_when_its_grace_is_over_and_repeating_it_gives_no_more(clock: Clock) -> None:
    liveness = Liveness(clock=clock)
    liveness.wrong("engine", "away", grace_seconds=15.0)
    clock.now += 14.9
    liveness.wrong("engine", "still away", grace_seconds=15.0)
    assert liveness.reasons() == []

    clock.now += 0.1

    assert liveness.reasons() == ["still away"]


def test_what_was_right_meanwhile_has_its_grace_anew(clock: Clock) -> None:
    liveness = Liveness(clock=clock)
    liveness.wrong("engine", "away", grace_seconds=15.0)
    liveness.right("engine")
    clock.now += 10.0
    liveness.wrong("engine", "away", grace_seconds=15.0)
    clock.now += 9.0

    assert liveness.reasons() == []


def test_a_loop_that_does_not_turn_is_a_reason(clock: Clock) -> None:
    liveness = Liveness(clock=clock)
    clock.now += STALLED_SECONDS
    assert liveness.reasons() == []

    clock.now += 1.0
    assert liveness.reasons() == ["the loop has not turned for 21 s"]

    liveness.beat()
    assert liveness.reasons() == []


def test_a_beat_reaches_the_disk_now_and_then_and_at_once_when_the_reasons_change(clock: Clock, file: Path) -> None:
    liveness = Liveness(file, clock)
    liveness.beat()
    first = file.stat().st_mtime_ns
    clock.now += BEAT_SECONDS - 0.1
    liveness.beat()
    assert file.stat().st_mtime_ns == first

    liveness.wrong("engine", "away")
    liveness.beat()
    assert json.loads(file.read_text())["reasons"] == ["away"]

    file.unlink()
    clock.now += BEAT_SECONDS
    liveness.beat()
    beat = json.loads(file.read_text())
    assert beat["pid"] == os.getpid()
    assert beat["at"] == pytest.approx(time.time(), abs=5.0)


def test_without_a_file_a_beat_is_only_remembered() -> None:
    Liveness(None).beat()


def test_a_folder_that_is_gone_does_not_stop_the_loop(tmp_path: Path) -> None:
    Liveness(tmp_path / "gone" / "heartbeat.json").beat()


def test_a_beating_agent_is_healthy(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Liveness(file).beat()

    assert checked(file, capsys) == (0, "healthy\n")


def test_an_agent_with_reasons_says_them_all(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_heartbeat(file, ["the engine is away", "no space"])

    assert checked(file, capsys) == (1, "the engine is away\nno space\n")


@pytest.mark.parametrize("age", [STALLED_SECONDS + 10.0, -STALLED_SECONDS - 10.0])
def test_a_heartbeat_of_another_time_is_no_sign_of_life(
    file: Path, capsys: pytest.CaptureFixture[str], age: float
) -> None:
    file.write_text(json.dumps({"at": time.time() - age, "reasons": []}))

    assert checked(file, capsys) == (1, f"the last heartbeat is {age:.0f} s old\n")


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"at": "x", "reasons": []}', '{"at": 1}', '{"at": null}'])
def test_without_a_readable_heartbeat_the_agent_is_not_healthy(
    file: Path, capsys: pytest.CaptureFixture[str], content: str | None
) -> None:
    if content is not None:
        file.write_text(content)

    assert checked(file, capsys) == (1, f"no heartbeat at {file}\n")


def test_the_heartbeat_is_where_the_agents_variable_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Liveness(tmp_path / "heartbeat.json").beat()
    monkeypatch.setenv("DEMO_STATE", str(tmp_path))
    assert run_healthcheck("demo") == 0

    monkeypatch.delenv("DEMO_STATE")

    assert run_healthcheck("demo") == 1
    assert capsys.readouterr().out == "healthy\nno heartbeat at /var/lib/demo/heartbeat.json\n"
