"""The command line that all agents share."""

import argparse
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sidecarkit import command, logs, settings
from sidecarkit.agent import CommonSettings
from sidecarkit.command import Agent, Command
from sidecarkit.errors import EngineUnavailable, SettingsError
from sidecarkit.liveness import Liveness
from sidecarkit.settings import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(CommonSettings):
    retries: int = setting("DEMO_RETRIES", settings.whole_number(minimum=1), default="3", help="tries")


def _run(config: Config, _: argparse.Namespace) -> int:
    sys.stdout.write(f"running with {config.retries}\n")
    return command.DONE


def _fail(config: Config, chosen: argparse.Namespace) -> int:
    raise {
        "engine": EngineUnavailable("ping: no such file"),
        "setting": SettingsError(("one", "two")),
        "by_hand": KeyboardInterrupt(),
    }[chosen.how]


def _how(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("how")


def _show(config: Config, chosen: argparse.Namespace) -> int:
    command.print_json({"path": Path("/x"), "text": "é\x1b"})
    return command.PROBLEM


DEMO = Agent(
    name="demo",
    summary="Shows how it is done.",
    schema=Config,
    commands=(
        Command("run", "run until told to stop", _run),
        Command("fail", "go wrong", _fail, _how),
        Command("show", "print something", _show),
    ),
)


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_command_that_is_stopped_by_hand_ends_without_a_complaint(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(DEMO, ["fail", "by_hand"], {}) == 0
    assert capsys.readouterr().err == ""


def test_without_a_word_the_agent_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(DEMO, [], {}) == 0
    assert command.main(DEMO, ["run"], {"DEMO_RETRIES": "5"}) == 0
    assert capsys.readouterr().out == "running with 3\nrunning with 5\n"


def test_wrong_settings_end_with_2_and_all_complaints(capsys: pytest.CaptureFixture[str]) -> None:
    environ = {"DEMO_RETRIES": "many", "LOG_LEVEL": "loud", "WEBHOOK_URL": "secret-token", "DOCKER_CERT_PATH": "x"}

    assert command.main(DEMO, [], environ) == 2

    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "demo: DOCKER_CERT_PATH='x': expected an absolute path",
        "demo: LOG_LEVEL='loud': expected one of debug, info, warning, error",
        "demo: WEBHOOK_URL=(not shown): expected an http:// or https:// address",
        "demo: DEMO_RETRIES='many': expected a whole number, 1 or more",
    ]


def test_a_command_that_finds_settings_wrong_ends_with_2_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(DEMO, ["fail", "setting"], {}) == 2
    assert capsys.readouterr().err == "demo: one\ndemo: two\n"


def test_a_problem_ends_with_1_and_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(DEMO, ["fail", "engine"], {}) == 1
    assert capsys.readouterr().err == "demo: ping: no such file\n"


def test_a_command_logs_as_the_settings_say(capsys: pytest.CaptureFixture[str]) -> None:
    command.main(DEMO, ["show"], {"LOG_LEVEL": "error", "LOG_FORMAT": "console"})
    capsys.readouterr()

    logs.get("demo").warning("fact_unseen")
    logs.get("demo").error("fact_seen")

    assert capsys.readouterr().out.endswith("error   fact_seen\n")


def test_the_status_of_a_command_is_the_status_of_the_process() -> None:
    assert command.main(DEMO, ["show"], {}) == 1


@pytest.mark.parametrize("arguments", [["fly"], ["--fast"], ["run", "away"], ["fail"], ["--vers"]])
def test_wrong_arguments_end_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(DEMO, arguments, {})

    assert ended.value.code == 2
    assert "usage: demo" in capsys.readouterr().err


def test_the_table_of_settings_is_printed_even_when_they_are_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(DEMO, ["settings"], {"DEMO_RETRIES": "many"}) == 0
    assert "| `DEMO_RETRIES` | `3` | tries |" in capsys.readouterr().out


def test_the_healthcheck_asks_for_the_heartbeat_and_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DEMO_STATE", str(tmp_path))
    assert command.main(DEMO, ["healthcheck"], {"DEMO_RETRIES": "many"}) == 1
    Liveness(tmp_path / "heartbeat.json").beat()

    assert command.main(DEMO, ["healthcheck"], {}) == 0

    assert capsys.readouterr().out == f"no heartbeat at {tmp_path}/heartbeat.json\nhealthy\n"


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_version_and_help_are_told(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(DEMO, [option], {})

    assert ended.value.code == 0
    assert "demo" in capsys.readouterr().out


def test_the_engines_address_is_a_setting_and_said_when_it_is_wrong() -> None:
    with pytest.raises(SettingsError) as caught:
        settings.read(Config, {"DOCKER_HOST": "ssh://host", "LOG_LEVEL": "loud"})

    host, level = caught.value.complaints
    assert host.startswith("DOCKER_HOST='ssh://host': expected unix://")
    assert level.startswith("LOG_LEVEL='loud': expected ")
    assert settings.read(Config, {"DOCKER_HOST": "tcp://proxy:2375"}).engine_endpoint().host == "proxy"


# Output


@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_reader_that_has_seen_enough_is_no_problem(lines: int) -> None:
    script = f"""
import sys
from dataclasses import dataclass
from sidecarkit import command
from sidecarkit.agent import CommonSettings
def run(config, chosen):
    for _ in range({lines}):
        print("a line")
    return 0
agent = command.Agent("demo", "", CommonSettings, (command.Command("run", "", run),))
sys.stdin.readline()
sys.exit(command.main(agent, [], {{}}))
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": os.pathsep.join(sys.path)},  # and no PYTHONUNBUFFERED: the last write is at the end
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout
    process.stdout.close()

    _, complaints = process.communicate(b"\n", timeout=30.0)

    assert (process.returncode, complaints) == (0, b"")


def test_json_is_printed_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    command.print_json({"path": Path("/x"), "text": "é\x1b"})

    output = capsys.readouterr().out
    assert output.isascii()
    assert json.loads(output) == {"path": "/x", "text": "é\x1b"}


def test_a_table_has_columns_and_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    command.print_table(("NAME", "N"), [("haraka", 1), ("evil\x1b[2J\n\u202e", 12)])

    assert capsys.readouterr().out.splitlines() == [
        "NAME                 N",
        "haraka               1",
        r"evil\x1b[2J\n\u202e  12",
    ]
