"""Wrong settings, files and arguments: all of them are named at once, with what is accepted, and nothing starts."""

import subprocess
from pathlib import Path

import pytest

from autoheal.config import Config
from lab.agent import AgentProcess
from sidecarkit import settings

COMMANDS = ("run", "check")
WRONG = {
    "DOCKER_HOST": "ssh://engine",
    "DOCKER_SOCK": "ftp://engine",
    "NOTIFY_URLS": "s3cret",
    "DOCKER_CERT_PATH": "certs",
    "LOG_LEVEL": "loud",
    "LOG_FORMAT": "xml",
    "WEBHOOK_URL": "hooks.example/s3cret",
    "AUTOHEAL_SCOPE": "host",
    "AUTOHEAL_INTERVAL": "0",
    "AUTOHEAL_START_PERIOD": "soon",
    "AUTOHEAL_ACTION": "reboot",
    "AUTOHEAL_DEFAULT_STOP_TIMEOUT": "-1",
    "AUTOHEAL_HOLD": "1 minute",
    "AUTOHEAL_MAX_RESTARTS": "0",
    "AUTOHEAL_WINDOW": "0s",
    "AUTOHEAL_BACKOFF": "10x",
    "AUTOHEAL_EXITED": "perhaps",
    "AUTOHEAL_DEPENDENCY_WAIT": "-2m",
    "AUTOHEAL_MAX_PARALLEL": "1000",
    "AUTOHEAL_STORM_GUARD": "2",
    "AUTOHEAL_STALE": "kill",
    "AUTOHEAL_DRY_RUN": "dry",
    "AUTOHEAL_EVIDENCE_LINES": "1e3",
    "AUTOHEAL_HTTP": "9180",
    "AUTOHEAL_STATE": "state",
    "AUTOHEAL_ONLY_MONITOR_RUNNING": "y",
    "CURL_TIMEOUT": "\u0663",  # a digit, but not one of ours
    "APPRISE_URL": "ftp://apprise/s3cret",
    "POST_RESTART_SCRIPT": "after.sh --now",
}
ANYTHING_GOES = {  # as text, at first
    "DOCKER_TLS_VERIFY", "WEBHOOK_JSON_KEY", "AUTOHEAL_CONTAINER_LABEL", "AUTOHEAL_DEPENDS_ON",
}  # fmt: skip


def autoheal(folder: Path, *words: str, **env: str) -> "subprocess.CompletedProcess[str]":
    return AgentProcess("autoheal", folder, env=env).command(*words)


def test_no_variable_is_forgotten_here() -> None:
    assert {variable.name for _, variable in settings.variables(Config)} == WRONG.keys() | ANYTHING_GOES


@pytest.mark.parametrize("command", COMMANDS)
def test_every_wrong_variable_is_named_with_its_value_and_what_is_accepted(tmp_path: Path, command: str) -> None:
    done = autoheal(tmp_path, command, **WRONG)

    assert (done.returncode, done.stdout) == (2, "")
    lines = dict(line.removeprefix("autoheal: ").split("=", 1) for line in done.stderr.splitlines())
    assert lines.keys() == WRONG.keys()
    for name, value in WRONG.items():
        shown = "(not shown)" if "s3cret" in value else repr(value)
        assert lines[name].startswith(f"{shown}: expected "), name
    assert "s3cret" not in done.stderr
    assert not list(tmp_path.iterdir())  # nothing was changed


@pytest.mark.parametrize("command", COMMANDS)
def test_settings_that_cannot_be_worked_with_are_named_together(tmp_path: Path, command: str) -> None:
    (tmp_path / "file").write_text("")
    wrong = {
        "DOCKER_CERT_PATH": str(tmp_path),
        "AUTOHEAL_STATE": f"{tmp_path}/file/state",
        "POST_RESTART_SCRIPT": f"{tmp_path}/file",
    }

    done = autoheal(tmp_path, command, DOCKER_HOST="tcp://engine", **wrong)

    assert done.returncode == 2
    for name, value in wrong.items():
        assert f"{name}='{value}': expected " in done.stdout + done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_value_in_a_file_is_blamed_on_the_variable_that_names_the_file(tmp_path: Path, command: str) -> None:
    (tmp_path / "hold").write_text("for ever\n")

    done = autoheal(tmp_path, command, AUTOHEAL_HOLD_FILE=f"{tmp_path}/hold", AUTOHEAL_WINDOW_FILE=f"{tmp_path}/none")

    assert done.returncode == 2
    assert "autoheal: AUTOHEAL_HOLD_FILE='for ever': expected a duration" in done.stderr
    assert f"autoheal: AUTOHEAL_WINDOW_FILE='{tmp_path}/none': expected a readable file" in done.stderr


def test_certificates_that_are_not_there_are_named(tmp_path: Path) -> None:
    engine = {"DOCKER_HOST": "tcp://127.0.0.1:1", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tmp_path)}

    done = autoheal(tmp_path, "run", **engine)

    assert done.returncode == 2
    assert f"DOCKER_CERT_PATH='{tmp_path}': expected ca.pem, cert.pem, key.pem" in done.stderr


def test_a_variable_that_does_not_exist_is_a_problem_with_a_suggestion(tmp_path: Path) -> None:
    done = autoheal(tmp_path, "check", AUTOHEAL_RESTARTS="3")

    assert done.returncode == 1
    assert "AUTOHEAL_RESTARTS is not a setting; did you mean AUTOHEAL_MAX_RESTARTS?" in done.stdout


def test_an_engine_that_does_not_answer_is_a_problem_and_no_wrong_setting(tmp_path: Path) -> None:
    done = autoheal(tmp_path, "check", DOCKER_HOST=f"unix://{tmp_path}/none.sock")

    assert done.returncode == 1
    assert f"unix://{tmp_path}/none.sock: the engine does not answer" in done.stdout


@pytest.mark.parametrize(
    "words",
    [("heal",), ("run", "--fast"), ("history", "--limit", "0"), ("show",), ("show", "one"), ("pause", "--for", "long")],
    ids=" ".join,
)
def test_wrong_arguments_end_with_2_and_the_usage(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = autoheal(tmp_path, *words)

    assert done.returncode == 2
    assert "usage: autoheal" in done.stderr


def test_commands_that_look_back_say_so_where_there_is_nothing_yet(tmp_path: Path) -> None:
    done = autoheal(tmp_path, "history")

    assert (done.returncode, done.stdout) == (1, "")
    assert "autoheal has not run with this state folder" in done.stderr
