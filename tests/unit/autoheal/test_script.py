"""POST_RESTART_SCRIPT: what it is given, and that nothing it does is in the way."""

import logging
from pathlib import Path

import pytest

from autoheal.script import PostRestartScript
from lab.stage import NOON, Actor, container_id
from lab.wire import wait_for
from sidecarkit import logs

HARAKA = Actor("haraka", stop_timeout=40).examination(NOON).container


def script(folder: Path, body: str) -> Path:
    file = folder / "after.sh"
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)
    return file


@pytest.mark.parametrize(("stop_seconds", "shown"), [(7, "7"), (None, "40"), (0, "0")])
def test_it_is_given_name_short_id_state_and_stop_timeout(tmp_path: Path, stop_seconds: int | None, shown: str) -> None:
    out = tmp_path / "out"
    file = script(tmp_path, f'echo "$# $*" > {out}.new && mv {out}.new {out}')

    PostRestartScript(file, logs.get("autoheal")).run(HARAKA, stop_seconds)

    wait_for(out.exists, "the script has run")
    assert out.read_text() == f"4 haraka {container_id('haraka')[:12]} running {shown}\n"


@pytest.mark.parametrize(
    ("body", "event", "level"),
    [("exit 0", "post_restart_script_ended", "INFO"), ("exit 3", "post_restart_script_ended", "ERROR")],
)
def test_how_it_ended_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, body: str, event: str, level: str
) -> None:
    with caplog.at_level(logging.INFO):
        PostRestartScript(script(tmp_path, body), logs.get("autoheal")).run(HARAKA, None)
        wait_for(lambda: bool(caplog.records), "the end of the script is logged")

    assert [(each.getMessage(), each.levelname) for each in caplog.records] == [(event, level)]


def test_a_script_that_cannot_be_run_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    PostRestartScript(tmp_path / "missing", logs.get("autoheal")).run(HARAKA, None)
    wait_for(lambda: bool(caplog.records), "the failure is logged")

    assert caplog.records[0].getMessage() == "post_restart_script_failed"


def test_without_a_script_nothing_is_run(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    PostRestartScript(None, logs.get("autoheal")).run(HARAKA, None)

    assert caplog.records == []
