"""The commands, beside a loop that runs and beside none."""

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from autoheal.ledger import EVERYTHING, FILE, Ledger, Pause, Subject
from autoheal.policy import Past
from autoheal.program import AUTOHEAL
from lab.stage import NOON
from sidecarkit import command, logs, state

LOG = logs.get("autoheal")
HARAKA = Subject("4f" * 32, "mail-haraka-1", "mail", "haraka")
Autoheal = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def autoheal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Autoheal:
    """Run a command line with the state folder of this test: (exit status, stdout, stderr)."""

    def run(*words: str, **environ: str) -> tuple[int, str, str]:
        try:
            status = command.main(AUTOHEAL, words, {"AUTOHEAL_STATE": str(tmp_path), **environ})
        except SystemExit as ended:  # argparse
            status = int(ended.code or 0)
        out, err = capsys.readouterr()
        return status, out, err

    return run


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Ledger]:
    """Open the ledger as the loop does."""
    opened = Ledger(tmp_path, LOG)
    yield opened
    opened.close()


def view(container: str, **facts: Any) -> dict[str, Any]:
    usual = {
        "container_id": "4f" * 32,
        "container": container,
        "project": "mail",
        "service": "haraka",
        "state": "running",
        "health": "healthy",
        "standing": "ok",
        "waiting_for": [],
        "restarts_spent": 0,
        "max_restarts": 5,
        "next_heal_at": None,
        "given_up": False,
        "paused": False,
        "needs_recreation": False,
        "wrong_labels": [],
    }
    return {**usual, **facts}


def some_history(book: Ledger) -> None:
    healed = book.record(
        HARAKA,
        "heal",
        "unhealthy",
        decided_at=NOON,
        called_at=NOON,
        attempt=2,
        failing_streak=3,
        probes=[{"start": NOON - 1, "end": NOON, "exit_code": 1, "output": "refused\x1b[2J\n"}],
    )
    book.amend(healed, outcome="recovered", outcome_at=NOON + 4, seconds_to_healthy=4.25, log_lines=["last\x07 words"])
    book.record(HARAKA, "skip", "paused", decided_at=NOON + 60)
    book.record(HARAKA, "heal", "unhealthy", decided_at=NOON + 90, called_at=NOON + 90)
    other = Subject("a0" * 32, "mail-mongo-1", "mail", "mongo")
    book.record(other, "notify", "unhealthy", decided_at=NOON + 99, dry_run=1)


# Before autoheal ever ran


@pytest.mark.parametrize("words", [("status",), ("history",), ("show", "1"), ("resume",)])
def test_without_a_history_it_says_so(autoheal: Autoheal, tmp_path: Path, words: tuple[str, ...]) -> None:
    status, out, err = autoheal(*words)

    assert (status, out) == (1, "")
    assert err.startswith(f"autoheal: {tmp_path / FILE}: no history yet")


def test_looking_makes_no_file(autoheal: Autoheal, tmp_path: Path) -> None:
    autoheal("status")

    assert list(tmp_path.iterdir()) == []


# history


def test_history_lists_the_newest_decision_first(autoheal: Autoheal, book: Ledger) -> None:
    some_history(book)
    status, out, _ = autoheal("history")

    heading, *lines = out.splitlines()
    assert status == 0
    assert heading.split() == [
        "id",
        "time",
        "container",
        "decision",
        "reason",
        "attempt",
        "outcome",
        "healthy",
        "after",
    ]
    assert [line.split()[0] for line in lines] == ["4", "3", "2", "1"]
    assert "notify (dry run)" in lines[0]
    assert lines[1].endswith("open")
    assert lines[3].split()[-5:] == ["unhealthy", "2", "recovered", "4.2", "s"]


@pytest.mark.parametrize("name", ["mail-haraka-1", "haraka", "4f4f"])
def test_history_of_one_container(autoheal: Autoheal, book: Ledger, name: str) -> None:
    some_history(book)
    _, out, _ = autoheal("history", "--json", "--container", name)

    assert [record["id"] for record in json.loads(out)] == [3, 2, 1]


def test_history_may_be_cut_short(autoheal: Autoheal, book: Ledger) -> None:
    some_history(book)

    assert [record["id"] for record in json.loads(autoheal("history", "--json", "--limit", "1")[1])] == [4]


@pytest.mark.parametrize("limit", ["0", "-1", "many", "99999999999999999999999"])
def test_a_wrong_limit_is_a_misuse(autoheal: Autoheal, book: Ledger, limit: str) -> None:
    status, _, err = autoheal("history", "--limit", limit)

    assert status == 2
    assert "expected a whole number, 1 or more" in err


# show


def test_show_prints_the_evidence_and_nothing_that_steers_a_terminal(autoheal: Autoheal, book: Ledger) -> None:
    some_history(book)
    status, out, _ = autoheal("show", "1")

    assert status == 0
    assert "\x1b" not in out and "\x07" not in out
    assert "exit 1: refused\\x1b[2J" in out
    assert out.endswith("last log lines before\n  last\\x07 words\n")
    assert "outcome              recovered\n" in out
    assert f"called at            {datetime.fromtimestamp(NOON).astimezone().isoformat(sep=' ')}\n" in out


def test_show_as_json_is_the_whole_record(autoheal: Autoheal, book: Ledger) -> None:
    some_history(book)
    record = json.loads(autoheal("show", "1", "--json")[1])

    assert (record["outcome"], record["probes"][0]["output"]) == ("recovered", "refused\x1b[2J\n")
    assert record["log_lines"] == ["last\x07 words"]
    assert (record["dry_run"], record["oom_killed"]) == (False, None)
    assert json.loads(autoheal("show", "4", "--json")[1])["dry_run"] is True


def test_a_record_that_does_not_exist_is_said_to(autoheal: Autoheal, book: Ledger) -> None:
    assert autoheal("show", "77") == (1, "", "autoheal: there is no record 77\n")


# status


def test_status_says_for_each_container_how_it_fares(autoheal: Autoheal, book: Ledger) -> None:
    book.show(
        {
            "1": view("mail-haraka-1", health="unhealthy", standing="dependency", waiting_for=["mongo", "redis"]),
            "2": view("mail-mongo-1", standing="backoff", restarts_spent=2, next_heal_at=time.time() + 7.9),
            "3": view("mail-redis-1", state="exited", standing="given_up", given_up=True, paused=True),
            "4": view("mail-rspamd-1", needs_recreation=True, wrong_labels=["autoheal.hold='x': expected a duration"]),
        }
    )
    status, out, _ = autoheal("status")

    heading, haraka, mongo, redis, rspamd = out.splitlines()
    assert status == 0
    assert heading.split()[0] == "container"
    assert "unhealthy  dependency: mongo, redis  0 of 5" in haraka
    assert "2 of 5" in mongo and ("in 8 s" in mongo or "in 7 s" in mongo)
    assert "exited" in redis and redis.endswith("given up; paused")
    assert rspamd.endswith("needs recreation; autoheal.hold='x': expected a duration")


def test_status_as_json_is_a_list(autoheal: Autoheal, book: Ledger) -> None:
    book.show({"1": view("mail-haraka-1")})

    assert json.loads(autoheal("status", "--json")[1]) == [view("mail-haraka-1")]


# pause, resume


def test_pause_and_resume_of_one_container(autoheal: Autoheal, book: Ledger) -> None:
    book.show({"1": view("mail-haraka-1")})
    status, out, _ = autoheal("pause", "haraka")
    assert (status, out) == (0, "maintenance of haraka until `autoheal resume haraka`\n")
    assert book.pauses(time.time()) == (Pause("haraka", None),)

    status, out, _ = autoheal("resume", "haraka")
    assert (status, out) == (0, "maintenance ended\nmail-haraka-1: budget is whole again\n")
    assert book.pauses(time.time()) == ()


def test_a_pause_says_so_when_nobody_has_that_name(autoheal: Autoheal, book: Ledger) -> None:
    book.show({"1": view("haraka")})

    assert "no container of this name" in autoheal("pause", "harka")[1]
    assert "no container of this name" not in autoheal("pause", "haraka")[1]
    assert "no container of this name" not in autoheal("pause")[1]


def test_pause_of_everything_for_a_while(autoheal: Autoheal, book: Ledger) -> None:
    before = time.time()
    status, out, _ = autoheal("pause", "--for", "30m")

    (pause,) = book.pauses(before)
    assert status == 0 and out.startswith("maintenance of everything until ")
    assert pause.name == EVERYTHING
    assert pause.until is not None and before + 1800 <= pause.until <= time.time() + 1800


def test_a_damaged_ledger_stays_where_a_running_autoheal_has_it(autoheal: Autoheal, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"rubbish" * 10_000)
    lock = state.own(tmp_path)

    status, _, complaint = autoheal("pause", "--for", "1h")

    os.close(lock)
    assert status == 1 and FILE in complaint
    assert (tmp_path / FILE).read_bytes() == b"rubbish" * 10_000


def test_pause_works_before_autoheal_ever_ran(autoheal: Autoheal, tmp_path: Path) -> None:
    assert autoheal("pause")[0] == 0
    assert Ledger(tmp_path, LOG).pauses(0.0) == (Pause(EVERYTHING, None),)


@pytest.mark.parametrize("period", ["soon", "0s", "-5m"])
def test_a_wrong_period_is_a_misuse(autoheal: Autoheal, period: str) -> None:
    status, _, err = autoheal("pause", f"--for={period}")

    assert status == 2
    assert "expected a duration" in err


def test_resume_gives_a_container_its_budget_back(autoheal: Autoheal, book: Ledger) -> None:
    book.show({"1": view("mail-haraka-1")})
    book.stand(HARAKA, Past(given_up_at=NOON))

    autoheal("resume", "mail-haraka-1")

    assert book.pasts()[HARAKA.container_id].given_up_at is None


def test_resume_of_a_name_that_nobody_has_changes_nothing_and_says_so(autoheal: Autoheal, book: Ledger) -> None:
    status, out, _ = autoheal("resume", "nobody")

    assert (status, out) == (1, "nothing to resume: no maintenance and no container named nobody\n")


def test_a_state_folder_that_cannot_be_written_is_a_wrong_setting(autoheal: Autoheal, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    status, _, err = autoheal("pause", AUTOHEAL_STATE=str(file))

    assert status == 2
    assert err.startswith(f"autoheal: AUTOHEAL_STATE='{file}': expected a folder that can be written")


# check


class Docker:
    """A Unix socket that answers /_ping, /version and the list with what it is given."""

    def __init__(self, file: Path, rows: list[dict[str, Any]]) -> None:
        self.url = f"unix://{file}"
        self._rows = rows
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(file))
        self._socket.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                path = connection.recv(65536).split(b" ")[1].decode()
                answer = {"/_ping": "OK", "/version": {"Version": "20.10.24"}}.get(
                    path.removeprefix("/v1.41").split("?")[0], self._rows
                )
                body = json.dumps(answer).encode()
                head = (
                    f"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
                )
                connection.sendall(head.encode() + body)


def listed(name: str, status: str = "Up 1 second (healthy)", **labels: str) -> dict[str, Any]:
    fitting = {key.replace("_", "."): value for key, value in labels.items()}
    return {"Id": name * 8, "Names": [f"/{name}"], "State": "running", "Status": status, "Labels": fitting}


@pytest.fixture
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """Start an engine that lists the given rows; returns its address."""
    made: list[Docker] = []

    def start(*rows: dict[str, Any]) -> str:
        made.append(Docker(tmp_path_factory.mktemp("run") / "docker.sock", list(rows)))
        return made[-1].url

    yield start
    for each in made:
        each.close()


def test_check_of_what_is_well(autoheal: Autoheal, docker: Callable[..., str]) -> None:
    url = docker(listed("haraka", autoheal="true"), listed("other"))
    status, out, _ = autoheal("check", DOCKER_HOST=url)

    assert status == 0
    assert out == f"engine 20.10.24 at {url}, 2 containers\nwatched by the label 'autoheal': 1\nall is well\n"


def test_check_names_wrong_labels_and_labelled_containers_without_a_healthcheck(
    autoheal: Autoheal, docker: Callable[..., str]
) -> None:
    url = docker(
        listed("haraka", autoheal="true", autoheal_hold="soon"), listed("cron", status="Up 1 second", autoheal="True")
    )
    status, out, _ = autoheal("check", DOCKER_HOST=url)

    assert status == 1
    assert "problem: haraka: autoheal.hold='soon': expected a duration" in out
    assert "problem: cron: is labelled, but has no healthcheck" in out


def test_check_of_an_engine_that_does_not_answer(autoheal: Autoheal, tmp_path: Path) -> None:
    status, out, _ = autoheal("check", DOCKER_HOST=f"unix://{tmp_path}/none.sock")

    assert status == 1
    assert f"problem: unix://{tmp_path}/none.sock: the engine does not answer" in out


def test_check_prints_all_that_is_wrong_with_the_settings_at_once(autoheal: Autoheal, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    status, out, _ = autoheal(
        "check",
        POST_RESTART_SCRIPT="/no/such/script",
        DOCKER_HOST="tcp://x",
        DOCKER_CERT_PATH=str(tmp_path),
        AUTOHEAL_STATE=str(tmp_path / "file"),
    )

    assert status == 2
    assert [line.split("=")[0] for line in out.splitlines()] == [
        "problem: POST_RESTART_SCRIPT",
        "problem: DOCKER_HOST",
        "problem: AUTOHEAL_STATE",
    ]


# The command line


def test_run_with_settings_that_cannot_be_worked_with_names_them_all_and_ends_with_2(
    autoheal: Autoheal, tmp_path: Path
) -> None:
    engine = {"DOCKER_HOST": "tcp://x", "DOCKER_CERT_PATH": str(tmp_path)}
    status, out, err = autoheal("run", POST_RESTART_SCRIPT="/no/such/script", **engine)

    assert (status, out) == (2, "")
    assert [line.split("=")[0] for line in err.splitlines()] == [
        "autoheal: POST_RESTART_SCRIPT",
        "autoheal: DOCKER_HOST",
    ]
    assert list(tmp_path.glob("*.db")) == []


def test_two_autoheals_do_not_share_a_state_folder(autoheal: Autoheal, tmp_path: Path) -> None:
    first = state.own(tmp_path)
    status, _, err = autoheal("run")

    assert status == 1
    assert "another agent works with this state folder" in err
    assert first


def test_settings_prints_the_table_of_every_variable(autoheal: Autoheal) -> None:
    status, out, _ = autoheal("settings")

    assert status == 0
    assert "| `AUTOHEAL_MAX_RESTARTS` | `5` |" in out


@pytest.mark.parametrize(
    "word", ["run", "check", "status", "settings", "healthcheck", "history", "show", "pause", "resume"]
)
def test_every_command_has_its_help(autoheal: Autoheal, word: str) -> None:
    status, out, _ = autoheal(word, "--help")

    assert status == 0
    assert out.startswith(f"usage: autoheal {word}")
