"""The engine's containers: how each one fares, and what it uses."""

import threading
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from sidecarkit import containers
from sidecarkit.containers import ONE_OFF, Row
from sidecarkit.crew import Crew
from sidecarkit.engine import Engine
from sidecarkit.errors import ContainerGone, EngineError, EngineTimeout, Refused
from stats.facts import Container
from stats.source import SourceDown

_ASKED_AT_ONCE = 4
_MEASURED_AT_ONCE = 8
_MEASURED_SECONDS = 120.0  # an older measurement says nothing


@dataclass(frozen=True, slots=True)
class Usage:
    """One reading of a container's use of the machine: nanoseconds of processor, its and the machine's."""

    busy: int
    machine: int
    processors: int
    memory_bytes: int | None


@dataclass(frozen=True, slots=True)
class Measured:
    """A container's use, the share of a processor since the measurement before, and when that was."""

    usage: Usage
    cpu_percent: float | None
    at: float


class Measurements:
    """What containers use, measured beside everything else: an engine may take a second for each answer."""

    def __init__(self, engine: Engine, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine, self._clock = engine, clock
        self._crew = Crew("measure", _MEASURED_AT_ONCE)
        self._lock = threading.Lock()
        self._asked: set[str] = set()
        self._last: dict[str, Measured] = {}

    def measure(self, running: Collection[str]) -> None:
        """Begin to measure these, unless somebody is at it still, and forget all others."""
        with self._lock:
            self._last = {one: known for one, known in self._last.items() if one in running}
            due = [one for one in running if one not in self._asked]
            self._asked.update(due)
        for one in due:
            self._crew.do(partial(self._measure, one))

    def of(self, container: str) -> "Measured | None":
        """Give the last measurement of a container, if it is of this time."""
        with self._lock:
            known = self._last.get(container)
        return known if known and self._clock() - known.at <= _MEASURED_SECONDS else None

    def _measure(self, container: str) -> None:
        try:
            now = usage(self._engine.stats(container))
            with self._lock:
                before = self._last.get(container)
                percent = cpu_percent(before.usage if before else None, now)
                self._last[container] = Measured(now, percent, self._clock())
        except (EngineError, AttributeError, TypeError, ValueError):
            pass  # it has ended, or the engine is away: then its last figures grow old
        finally:
            with self._lock:
                self._asked.discard(container)


class Containers:
    """Lists them and asks for each one's details, a few at a time, as far as the time allows."""

    name = "engine"

    def __init__(
        self,
        engine: Engine,
        project: str | None,
        timeout_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine, self._project, self._timeout_seconds, self._clock = engine, project, timeout_seconds, clock
        self._measurements = Measurements(engine, clock)
        self._pool = ThreadPoolExecutor(_ASKED_AT_ONCE, "engine")
        self._before: dict[str, Container] = {}  # what the last look told of each

    def look(self) -> tuple[Container, ...]:
        """List all, or those of the project, by name. Raises SourceDown when there is no list to be had."""
        until = self._clock() + self._timeout_seconds / 2
        try:
            rows = [containers.row(document) for document in self._engine.containers()]
        except EngineTimeout:
            raise SourceDown("no answer in time") from None
        except Refused:
            raise SourceDown("refuses to list containers") from None
        except EngineError as error:
            raise SourceDown(f"cannot be asked ({type(error).__name__})") from None
        rows = [row for row in rows if self._project in {None, row.project}]
        self._measurements.measure([row.id for row in rows if row.state == "running"])
        found = [one for one in self._pool.map(lambda row: self._described(row, until), rows) if one]
        self._before = {one.id: one for one in found}
        return tuple(sorted(found, key=lambda one: (one.project or "", one.shown_name)))

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _described(self, row: Row, until: float) -> Container | None:
        """Add what only an inspection tells; None for one that is gone by now."""
        known = recalled(listed(row), self._before.get(row.id))
        try:
            known = inspected(known, self._engine.inspect(row.id)) if self._clock() < until else known
        except ContainerGone:
            return None
        except EngineError:
            return known
        measured = self._measurements.of(known.id) if known.state == "running" else None
        if measured is None:
            return known
        return replace(known, cpu_percent=measured.cpu_percent, memory_bytes=measured.usage.memory_bytes)


def listed(row: Row) -> Container:
    return Container(
        id=row.id,
        name=row.name,
        service=row.service,
        project=row.project,
        image=row.image,
        state=row.state,
        health=row.health if row.state == "running" else None,
        one_off=containers.is_true(row.labels.get(ONE_OFF)),
    )


def recalled(known: Container, before: Container | None) -> Container:
    """Take from an earlier inspection what seldom changes: the time may not suffice for another one."""
    if before is None:
        return known
    return replace(known, restart_policy=before.restart_policy, memory_limit_bytes=before.memory_limit_bytes)


def inspected(known: Container, document: Mapping[str, Any]) -> Container:
    """Take what is needed out of an inspection, and nothing of its environment or command.

    Health is that of a running container: the engine keeps the last word of one that has ended.
    """
    state, host = document.get("State") or {}, document.get("HostConfig") or {}
    word = state.get("Status") or known.state
    health = (state.get("Health") or {}) if word == "running" else {}
    limit = host.get("Memory") or None
    return replace(
        known,
        state=word,
        health=health.get("Status") if health.get("Status") != "none" else None,
        failing_streak=health.get("FailingStreak"),
        exit_code=None if word == "running" else state.get("ExitCode"),
        restart_policy=(host.get("RestartPolicy") or {}).get("Name") or "no",
        restarts=document.get("RestartCount"),
        started_at=_moment(state.get("StartedAt")) if word in {"running", "paused"} else None,
        memory_limit_bytes=limit,
    )


def usage(document: Mapping[str, Any]) -> Usage:
    """Read GET /containers/{id}/stats. The page cache that can be given back at once is no memory in use."""
    cpu, memory = document.get("cpu_stats") or {}, document.get("memory_stats") or {}
    used, details = memory.get("usage"), memory.get("stats") or {}
    # cgroup v1 has the first, v2 the second
    cache = details.get("total_inactive_file", details.get("inactive_file", 0))
    return Usage(
        busy=int((cpu.get("cpu_usage") or {}).get("total_usage") or 0),
        machine=int(cpu.get("system_cpu_usage") or 0),
        processors=int(cpu.get("online_cpus") or 1),
        memory_bytes=None if used is None else max(0, used - cache),
    )


def cpu_percent(before: Usage | None, now: Usage) -> float | None:
    """How much of one processor was used between two readings, in percent; None when that cannot be known."""
    if before is None or now.machine <= before.machine or now.busy < before.busy:
        return None
    return (now.busy - before.busy) / (now.machine - before.machine) * now.processors * 100.0


def _moment(text: str | None) -> float | None:
    """Read the engine's time; year 1 means never. Nanoseconds are more than datetime can read."""
    if not text or text.startswith("0001-"):
        return None
    head, _, rest = text.partition(".")
    digits = rest.rstrip("Z0123456789+-:") if rest else ""
    try:
        at = datetime.fromisoformat(f"{head.removesuffix('Z')}+00:00").timestamp()
        return at + (float(f"0.{rest[:6].rstrip('Z')}") if rest and not digits else 0.0)
    except ValueError:
        return None
