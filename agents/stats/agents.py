"""The agents beside this one: what autoheal healed, certsync delivered, confcheck found, and whom logban banned.

Their figures name no address, so the last bans come with one only from logban's own state, where that is mounted.
"""

import json
import sqlite3
import time
from collections import deque
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from sidecarkit import state
from stats import exposition
from stats.exposition import Exposition
from stats.facts import Ban, Bans, Certificate, Configuration, Heals
from stats.source import SourceDown

DAY_SECONDS = 86400.0
LAST_BANS = 10
SILENT_SECONDS = 60.0  # logban writes its heartbeat every few seconds


@dataclass(slots=True)
class HealTally:
    """Counts heals of the last 24 hours from a total that only grows, until autoheal starts anew."""

    began: float = 0.0  # of the autoheal that was asked last
    since: float | None = None
    totals: dict[str, float] = field(default_factory=dict)
    heals: deque[tuple[float, str, int]] = field(default_factory=deque)

    def add(self, now: float, began: float, totals: Mapping[str, float], last: Mapping[str, float]) -> None:
        """Take *totals* by container, of an autoheal that started at *began*; *last*: when each was healed last."""
        if self.since is None:  # what it counted before we looked is of the last day only if it is that young itself
            self.since = began if now - began < DAY_SECONDS else now
            self.totals = {} if now - began < DAY_SECONDS else dict(totals)
        elif began != self.began:
            self.totals = {}
        for name, total in totals.items():
            more = int(total - self.totals.get(name, 0.0))
            if more > 0:
                self.heals.append((last.get(name, now), name, more))
        self.began, self.totals = began, dict(totals)
        while self.heals and self.heals[0][0] < now - DAY_SECONDS:
            self.heals.popleft()

    def counts(self, now: float) -> dict[str, int]:
        found: dict[str, int] = {}
        for at, name, count in self.heals:
            if at >= now - DAY_SECONDS:
                found[name] = found.get(name, 0) + count
        return found


class Autoheal:
    """autoheal's /metrics."""

    name = "autoheal"

    def __init__(self, url: str, timeout_seconds: float) -> None:
        self._url, self._timeout_seconds = url, timeout_seconds
        self._tally = HealTally()

    def look(self) -> Heals:
        return heals(exposition.scrape(self._url, self._timeout_seconds), self._tally, time.time())


def heals(found: Exposition, tally: HealTally, now: float) -> Heals:
    """Read autoheal's figures; what it skipped was no heal."""
    began = found.total("autoheal_start_time_seconds")
    if began is None:
        raise SourceDown("answers, but not with autoheal's figures")
    totals: dict[str, float] = {}
    for labels, count in found.each("autoheal_heals_total"):
        if labels.get("result") in {"ok", "failed"}:
            totals[labels["container"]] = totals.get(labels["container"], 0.0) + count
    last = {labels["container"]: at for labels, at in found.each("autoheal_last_heal_timestamp_seconds")}
    tally.add(now, began, totals, last)
    given_up = frozenset(labels["container"] for labels, value in found.each("autoheal_given_up") if value)
    since = max(tally.since or now, now - DAY_SECONDS)
    return Heals(tally.counts(now), since, given_up, found.total("autoheal_docker_up") != 0.0)


@dataclass(frozen=True, slots=True)
class Certsync:
    """certsync's /metrics."""

    url: str
    timeout_seconds: float

    @property
    def name(self) -> str:
        return "certsync"

    def look(self) -> tuple[Certificate, ...]:
        return certificates(exposition.scrape(self.url, self.timeout_seconds))


def certificates(found: Exposition) -> tuple[Certificate, ...]:
    """Read certsync's figures. What ends first counts: the certificate that is served, else the one on disk."""
    if "certsync_build_info" not in found.samples:
        raise SourceDown("answers, but not with certsync's figures")
    reasons = {labels["target"]: labels["reason"] for labels, value in found.each("certsync_target_refused") if value}
    rows = []
    for labels, in_sync in found.each("certsync_target_in_sync"):
        domain, target = labels["domain"], labels["target"]
        ends = {
            place["where"]: at for place, at in found.each("certsync_cert_not_after_timestamp_seconds", domain=domain)
        }
        served = found.total("certsync_served_in_sync", domain=domain, target=target)
        rows.append(
            Certificate(
                target=target,
                domain=domain,
                # another target of this domain may be looked at, and this one not
                not_after=ends.get("target") if served is None else ends.get("served", ends.get("target")),
                in_sync=bool(in_sync),
                served=None if served is None else bool(served),
                reason=reasons.get(target),
            )
        )
    return tuple(sorted(rows, key=lambda one: (one.not_after or 0.0, one.target)))


@dataclass(frozen=True, slots=True)
class Confcheck:
    """confcheck's /metrics."""

    url: str
    timeout_seconds: float

    @property
    def name(self) -> str:
        return "confcheck"

    def look(self) -> Configuration:
        return configuration(exposition.scrape(self.url, self.timeout_seconds))


def configuration(found: Exposition) -> Configuration:
    """Read confcheck's figures."""
    if "confcheck_build_info" not in found.samples:
        raise SourceDown("answers, but not with confcheck's figures")
    if not found.total("confcheck_last_cycle_timestamp_seconds"):
        raise SourceDown("has not looked yet")
    findings = {labels["severity"]: int(count) for labels, count in found.each("confcheck_findings")}
    return Configuration(findings, int(found.total("confcheck_silenced") or 0))


class LogbanFigures:
    """logban's /metrics: how many, by jail, and when one was added while we looked."""

    name = "logban"

    def __init__(self, url: str, timeout_seconds: float) -> None:
        self._url, self._timeout_seconds = url, timeout_seconds
        self._began: float | None = None
        self._totals: dict[str, float] = {}
        self._last: deque[Ban] = deque(maxlen=LAST_BANS)

    def look(self) -> Bans:
        found = exposition.scrape(self._url, self._timeout_seconds)
        began = found.total("logban_start_time_seconds")
        if began is None:
            raise SourceDown("answers, but not with logban's figures")
        totals = {labels["jail"]: count for labels, count in found.each("logban_bans_total")}
        known = self._totals if began == self._began else {} if self._began else totals
        for jail, total in totals.items():
            self._last.extendleft(
                Ban(jail, time.time()) for _ in range(min(LAST_BANS, int(total - known.get(jail, 0))))
            )
        self._began, self._totals = began, totals
        works = firewall_works(found)
        troubles = ("the firewall did not do what was asked",) if works is False else ()
        return Bans(active_bans(found), tuple(self._last), troubles, firewall(found), works)


def active_bans(found: Exposition) -> dict[str, int]:
    active: dict[str, int] = {}
    for labels, count in found.each("logban_active_bans"):
        active[labels["jail"]] = active.get(labels["jail"], 0) + int(count)
    return active


def firewall(found: Exposition) -> str | None:
    return next((labels["backend"] for labels, _ in found.each("logban_backend_bans")), None)


def firewall_works(found: Exposition) -> bool | None:
    """Whether it did what was asked; None before anything was."""
    told = [value for _, value in found.each("logban_backend_up")]
    return all(told) if told else None


@dataclass(frozen=True, slots=True)
class LogbanState:
    """logban's state folder, mounted read-only: bans with their addresses, and its own heartbeat."""

    folder: Path
    timeout_seconds: float

    @property
    def name(self) -> str:
        return "logban"

    def look(self) -> Bans:
        troubles = self._heartbeat()
        now = time.time()
        try:
            with closing(state.open_read_only(self.folder / "logban.db")) as database:
                active = database.execute(
                    "SELECT jail, count(*) AS count FROM bans"
                    " WHERE ended_at IS NULL AND until > ? AND NOT dry_run GROUP BY jail",
                    (now,),
                ).fetchall()
                last = database.execute(
                    "SELECT source, jail, at, until, ended FROM bans WHERE NOT dry_run ORDER BY id DESC LIMIT ?",
                    (LAST_BANS,),
                ).fetchall()
                status = database.execute("SELECT document FROM facts WHERE name = 'status'").fetchone()
        except sqlite3.Error as error:
            raise SourceDown(f"its state cannot be read ({error.sqlite_errorname})") from None
        backend = (json.loads(status["document"]) or {}).get("backend") if status else None
        return Bans(
            {row["jail"]: row["count"] for row in active},
            tuple(Ban(row["jail"], row["at"], _named(row["source"]), row["until"], row["ended"]) for row in last),
            troubles,
            backend,
            # logban writes it before what it says of its firewall; all other troubles are of the engine and of logs
            not any(trouble.startswith(f"{backend}: ") for trouble in troubles) if backend else None,
        )

    def _heartbeat(self) -> tuple[str, ...]:
        """Read what logban says of itself. Raises SourceDown when it has been silent."""
        try:
            beat = json.loads((self.folder / "heartbeat.json").read_text(encoding="utf-8"))
            age, reasons = time.time() - float(beat["at"]), tuple(str(reason) for reason in beat["reasons"])
        except (OSError, ValueError, KeyError, TypeError):
            raise SourceDown("its heartbeat cannot be read") from None
        if age > SILENT_SECONDS:
            raise SourceDown("its heart has not beaten for a minute: it does not run")
        return reasons


def _named(source: str) -> str:
    """Name one address by itself, and a network as such."""
    return source.removesuffix("/32").removesuffix("/128")
