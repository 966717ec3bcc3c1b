"""What an operator may ask: check, status, hash."""

import argparse
import getpass
import json
import os
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from sidecarkit import logs, settings
from sidecarkit.command import DONE, PROBLEM, print_json, print_table, printable
from sidecarkit.crew import Crew
from sidecarkit.engine import Engine
from sidecarkit.errors import SettingsError
from stats import access, assembly, password, policy, report, wording
from stats.config import Config
from stats.facts import Reading
from stats.loop import Looked, look
from stats.metrics import Metrics
from stats.snapshot import Snapshot

FILE = "status.json"
PATIENCE_SECONDS = 10.0


def check(config: Config, _: argparse.Namespace) -> int:
    """Look at the variables' names, ask every source once, and print all that is wrong."""
    access.verifier(config)
    sources = assembly.sources(config, Engine(config.engine_endpoint(), timeout_seconds=assembly.TIMEOUT_SECONDS))
    problems = list(settings.unknown(Config, os.environ, "STATS_"))
    for looked in _looks(sources):
        note = looked.answer.note if isinstance(looked.answer, Reading) else None
        if wrong := looked.failure or note:
            problems.append(f"{looked.source}: {wrong}")
    sys.stdout.writelines(f"{printable(one)}\n" for one in problems or ["all is well"])
    return PROBLEM if problems else DONE


def _looks(sources: list[Any]) -> list[Looked]:
    """Ask them all, side by side."""
    answers: SimpleQueue[Looked] = SimpleQueue()
    crew = Crew("look", len(sources))
    for source in sources:
        crew.do(lambda source=source: answers.put(look(source, 0)))  # type: ignore[misc]
    found: dict[str, Looked] = {}
    until = time.monotonic() + PATIENCE_SECONDS
    try:
        while len(found) < len(sources):
            looked = answers.get(timeout=max(0.0, until - time.monotonic()))
            found[looked.source] = looked
    except Empty:
        pass
    return [
        found.get(source.name) or Looked(source.name, 0, PATIENCE_SECONDS, failure="no answer") for source in sources
    ]


def publisher(config: Config, metrics: Metrics, log: logs.Log) -> Callable[[Snapshot], None]:
    """Write what `status` prints, once a cycle, for nobody but ourselves."""
    file = config.state / FILE
    failing = False

    def publish(snapshot: Snapshot) -> None:
        nonlocal failing
        document = report.document(snapshot, snapshot.at, config.queue_limit)
        try:
            _write(file, json.dumps(document))
            failing = False
        except OSError as error:
            metrics.errors.labels("publish").inc()
            if not failing:
                log.warning("status_not_written", reason=error.strerror)
            failing = True

    return publish


def _write(file: Path, text: str) -> None:
    staged = file.with_suffix(".new")
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
    staged.replace(file)


def status(config: Config, arguments: argparse.Namespace) -> int:
    """Print what the running stats last knew; exit 0 only when all is known to be well."""
    file = config.state / FILE
    try:
        document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise SettingsError((f"{file}: expected the status of a stats that runs",)) from None
    age = time.time() - datetime.fromisoformat(document["generated_at"]).timestamp()
    is_old = age > policy.stale_after(config.interval_seconds)
    if is_old:
        sys.stderr.write(f"stats: this is {wording.span(age)} old; no stats seems to run\n")
    if arguments.json:
        print_json(document)
    else:
        _print(document)
    return DONE if document["ok"] and not is_old else PROBLEM


def _print(document: dict[str, Any]) -> None:
    sys.stdout.write(f"{printable(document['verdict'])}\n\n")
    rows = [
        (
            one["name"],
            one["state"],
            _health(one),
            wording.span(one["uptime_seconds"]) if one["uptime_seconds"] is not None else "",
            _blank(one["restarts_by_policy"]),
            _blank(one["heals_24h"]),
            "" if one["cpu_percent"] is None else f"{one['cpu_percent']:.1f} %",
            "" if one["memory_bytes"] is None else wording.size(one["memory_bytes"]),
        )
        for one in document["containers"]
    ]
    print_table(("CONTAINER", "STATE", "HEALTH", "UP", "RESTARTS", "HEALS 24H", "CPU", "MEMORY"), rows)
    sys.stdout.write("\n")
    print_table(
        ("SOURCE", "STATE", "LATENCY", "AGE", "REMARK"),
        [
            (
                name,
                one["state"],
                "" if one.get("latency_seconds") is None else wording.latency(one["latency_seconds"]),
                "" if one["age_seconds"] is None else wording.span(one["age_seconds"]),
                one["reason"] or "",
            )
            for name, one in {**document["sources"], **document["services"]}.items()
        ],
    )


def _health(one: dict[str, Any]) -> str:
    streak = f" ({one['failing_streak']} failed)" if one["failing_streak"] else ""
    return f"{one['health'] or ''}{streak}"


def _blank(value: object) -> str:
    return "" if value is None else str(value)


def hash_(_: Config, __: argparse.Namespace) -> int:
    """Read a password without showing it, and print its hash."""
    given = getpass.getpass("password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    try:
        good = password.chosen(given)
    except ValueError as error:
        raise SettingsError((f"password: expected {error}",)) from None
    sys.stdout.write(f"{password.make_hash(good)}\n")
    return DONE
