"""POST_RESTART_SCRIPT: what it is told, and that neither it nor what it starts stays for ever."""

from pathlib import Path
from typing import Any

import pytest

from autoheal.health import Container, examine
from autoheal.script import PostRestartScript
from lab.wire import wait_for
from sidecarkit import logs

ID = "0123456789abcdef" * 4


def haraka(**config: Any) -> Container:
    return examine({"Id": ID, "Name": "/haraka", "Config": config, "State": {"Status": "running"}}, at=0.0).container


def script(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "after"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return file


def line(caplog: pytest.LogCaptureFixture, event: str) -> dict[str, Any]:
    """Wait for the log line of *event*; returns its facts and level."""

    def found() -> list[dict[str, Any]]:
        return [
            {"level": record.levelname, **getattr(record, "facts", {})}
            for record in list(caplog.records)
            if record.getMessage() == event
        ]

    return wait_for(found, event)[0]


@pytest.fixture(autouse=True)
def _all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")


@pytest.mark.parametrize(("stop_seconds", "said"), [(7, "7"), (None, "30")])
def test_it_is_told_name_short_id_state_and_stop_timeout(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, stop_seconds: int | None, said: str
) -> None:
    runs = PostRestartScript(script(tmp_path, f'echo "$*" >{tmp_path}/said'), logs.get("autoheal"))

    runs.run(haraka(StopTimeout=30), stop_seconds)

    line(caplog, "post_restart_script_ended")
    assert (tmp_path / "said").read_text() == f"haraka 0123456789ab running {said}\n"


def test_a_script_that_fails_is_an_error_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    PostRestartScript(script(tmp_path, "exit 3"), logs.get("autoheal")).run(haraka(), None)

    assert line(caplog, "post_restart_script_ended") == {"level": "ERROR", "container": "haraka", "exit_code": 3}


def test_a_script_that_is_gone_is_an_error_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    PostRestartScript(tmp_path / "gone", logs.get("autoheal")).run(haraka(), None)

    assert line(caplog, "post_restart_script_failed")["reason"] == "No such file or directory"


def test_a_script_that_hangs_is_ended_with_all_that_it_started(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hanging = script(tmp_path, f"sleep 600 & echo $! >{tmp_path}/child; wait")

    PostRestartScript(hanging, logs.get("autoheal"), longest_seconds=0.5).run(haraka(), None)

    assert line(caplog, "post_restart_script_stopped")["after_seconds"] == 0.5
    child = int((tmp_path / "child").read_text())
    wait_for(lambda: ended(child), "the script's child ends")


def ended(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return True
    return status.rpartition(")")[2].split()[0] == "Z"  # where process 1 is slow to bury the dead


def test_what_it_prints_goes_to_stderr_and_not_into_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    PostRestartScript(script(tmp_path, "echo told the pager"), logs.get("autoheal")).run(haraka(), None)

    line(caplog, "post_restart_script_ended")
    assert capfd.readouterr() == ("", "told the pager\n")


def test_without_a_script_nothing_is_run(caplog: pytest.LogCaptureFixture) -> None:
    PostRestartScript(None, logs.get("autoheal")).run(haraka(), None)

    assert caplog.records == []
