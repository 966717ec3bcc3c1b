"""The commands that look at a running autoheal, or tell it something through its state folder."""

import argparse
import os
import shutil
import sqlite3
import sys
import time
from contextlib import suppress
from datetime import datetime
from typing import Any

from autoheal import ledger, wishes
from autoheal.config import Config
from autoheal.ledger import EVERYTHING, Ledger, Subject
from sidecarkit import logs, settings, state
from sidecarkit.command import DONE, MISUSED, PROBLEM, print_json, print_table, printable
from sidecarkit.containers import is_true, row
from sidecarkit.engine import Endpoint, Engine
from sidecarkit.errors import EngineError, SettingsError, SidecarError, StateBusy

NO_STATE = "no history yet: autoheal has not run with this state folder"


def open_state(config: Config) -> sqlite3.Connection:
    """Open the database to look at it. Raises SidecarError when autoheal never ran here."""
    try:
        database = state.open_read_only(config.state / ledger.FILE)
        database.execute("SELECT 1 FROM records LIMIT 1")
    except sqlite3.Error as error:
        raise SidecarError(f"{config.state / ledger.FILE}: {NO_STATE} ({error})") from None
    return database


# history, show


def history_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="as a JSON list, newest first")
    parser.add_argument("--container", metavar="N", help="only this name, service or id")
    parser.add_argument("--limit", type=_positive, default=50, metavar="N", help="how many records (50)")


def history(config: Config, chosen: argparse.Namespace) -> int:
    records = ledger.read_records(open_state(config), container=chosen.container, limit=chosen.limit)
    if chosen.json:
        print_json(records)
        return DONE
    print_table(
        ("id", "time", "container", "decision", "reason", "attempt", "outcome", "healthy after"),
        [
            (
                record["id"],
                _when(record["decided_at"]),
                record["container"],
                record["decision"] + (" (dry run)" if record["dry_run"] else ""),
                record["reason"],
                record["attempt"] or "",
                record["outcome"] or ("open" if record["called_at"] else ""),
                "" if record["seconds_to_healthy"] is None else f"{record['seconds_to_healthy']:.1f} s",
            )
            for record in records
        ],
    )
    return DONE


def show_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", type=_positive, metavar="ID", help="the record's number in `autoheal history`")
    parser.add_argument("--json", action="store_true")


def show(config: Config, chosen: argparse.Namespace) -> int:
    record = ledger.read_record(open_state(config), chosen.id)
    if record is None:
        raise SidecarError(f"there is no record {chosen.id}")
    if chosen.json:
        print_json(record)
        return DONE
    for key, value in record.items():
        if key in ledger.JSON_FIELDS or value is None:
            continue
        shown = _when(value) if key.endswith("_at") else value
        sys.stdout.write(f"{key.replace('_', ' '):20} {printable(str(shown))}\n")
    sys.stdout.write("\nprobes, oldest first\n")
    for probe in record["probes"] or ():
        sys.stdout.write(f"  {_when(probe['end'])} exit {probe['exit_code']}: {printable(probe['output'].strip())}\n")
    sys.stdout.write("\nlast log lines before\n")
    for line in record["log_lines"] or ():
        sys.stdout.write(f"  {printable(line)}\n")
    return DONE


# status


def status_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="as a JSON list")


def status(config: Config, chosen: argparse.Namespace) -> int:
    views = ledger.read_views(open_state(config))
    if chosen.json:
        print_json(views)
        return DONE
    print_table(
        ("container", "health", "standing", "failed heals", "next heal", "notes"),
        [
            (
                view["container"],
                view["health"] if view["state"] == "running" and view["health"] else view["state"],
                view["standing"] + (f": {', '.join(view['waiting_for'])}" if view["waiting_for"] else ""),
                f"{view['restarts_spent']} of {view['max_restarts']}",
                "" if view["next_heal_at"] is None else f"in {max(0.0, view['next_heal_at'] - time.time()):.0f} s",
                "; ".join(_notes(view)),
            )
            for view in views
        ],
    )
    return DONE


def _notes(view: dict[str, Any]) -> list[str]:
    notes = [word.replace("_", " ") for word in ("given_up", "paused", "needs_recreation") if view[word]]
    return [*notes, *view["wrong_labels"]]


# pause, resume


def pause_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", default=EVERYTHING, metavar="NAME", help="container or service; default all")
    parser.add_argument("--for", dest="period", type=_duration, metavar="30m", help="end by itself after this long")


def pause(config: Config, chosen: argparse.Namespace) -> int:
    until = None if chosen.period is None else time.time() + chosen.period
    with _writable(config) as memory:
        memory.pause(chosen.name, until)
    whom = "everything" if chosen.name == EVERYTHING else printable(chosen.name)
    ends = f"`autoheal resume{'' if chosen.name == EVERYTHING else f' {whom}'}`" if until is None else _when(until)
    sys.stdout.write(f"maintenance of {whom} until {ends}\n")
    if chosen.name != EVERYTHING and not any(each.answers_to(chosen.name) for each in _watched(config)):
        sys.stdout.write("no container of this name is watched at the moment: see `autoheal status`\n")
    return DONE


def resume_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", default=EVERYTHING, metavar="NAME", help="container or service; default all")


def resume(config: Config, chosen: argparse.Namespace) -> int:
    known = _watched(config)
    with _writable(config) as memory:
        changed = memory.resume(chosen.name, known)
    for line in changed or [f"nothing to resume: no maintenance and no container named {chosen.name}"]:
        sys.stdout.write(printable(line) + "\n")
    return DONE if changed else PROBLEM


def _watched(config: Config) -> list[Subject]:
    return [
        Subject(view["container_id"], view["container"], view["project"], view["service"])
        for view in ledger.read_views(open_state(config))
    ]


class _writable:  # noqa: N801 - a context, used like a function
    """The ledger, for one change by a command: beside the agent, or alone where none is at work."""

    def __init__(self, config: Config) -> None:
        state.prepare(config.state, "AUTOHEAL_STATE")
        self._lock: int | None = None
        with suppress(StateBusy):
            self._lock = state.own(config.state)
        self._ledger = Ledger(config.state, logs.get("autoheal"), beside=self._lock is None)

    def __enter__(self) -> Ledger:
        return self._ledger

    def __exit__(self, *_: object) -> None:
        self._ledger.close()
        if self._lock is not None:
            os.close(self._lock)


# check


def check(config: Config, _: argparse.Namespace) -> int:
    """Look at settings, state folder, engine and labels; print all that is wrong."""
    wrong = wrong_settings(config)
    problems = [*wrong, *_environment()]
    with suppress(SettingsError):  # told among the wrong settings
        problems += _engine(config, config.engine_endpoint())
    for problem in problems:
        sys.stdout.write(f"problem: {printable(problem)}\n")
    if not problems:
        sys.stdout.write("all is well\n")
    if wrong:
        return MISUSED
    return PROBLEM if problems else DONE


def _engine(config: Config, endpoint: Endpoint) -> list[str]:
    engine = Engine(endpoint, timeout_seconds=min(10.0, config.request_timeout_seconds))
    try:
        found = engine.version()
        rows = [row(document) for document in engine.containers()]
    except EngineError as error:
        return [f"{endpoint.url}: the engine does not answer ({error})"]
    sys.stdout.write(f"engine {found.get('Version')} at {endpoint.url}, {len(rows)} containers\n")
    return _containers(config, rows)


def _environment() -> list[str]:
    return list(settings.unknown(Config, os.environ, "AUTOHEAL_"))


def wrong_settings(config: Config) -> list[str]:
    """Complain about settings that read well but cannot be worked with: script, engine's address, state folder."""
    wrong = []
    script = config.post_restart_script
    if script and shutil.which(str(script)) is None:
        wrong.append(f"POST_RESTART_SCRIPT='{script}': expected a file that can be executed")
    for look in (config.engine_endpoint, lambda: state.prepare(config.state, "AUTOHEAL_STATE")):
        try:
            look()
        except SettingsError as error:
            wrong += error.complaints
    return wrong


def _containers(config: Config, rows: list[Any]) -> list[str]:
    problems = []
    watched = 0
    for each in rows:
        _, complaints = wishes.read(each.labels, config)
        problems += [f"{each.name}: {complaint}" for complaint in complaints]
        if config.label == "all" or is_true(each.labels.get(config.label)):
            watched += 1
            if config.label != "all" and each.state == "running" and each.health is None:
                problems.append(f"{each.name}: is labelled, but has no healthcheck, so nothing tells when it is sick")
    sys.stdout.write(f"watched by the label {config.label!r}: {watched}\n")
    return problems


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 2**62:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number, 1 or more")
    return int(text)


def _duration(text: str) -> float:
    try:
        return settings.positive_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: expected {error}") from None


def _when(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().isoformat(sep=" ", timespec="seconds")
