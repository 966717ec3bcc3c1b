"""What autoheal remembers: every decision as one record, budgets, maintenance, and what `status` shows.

The loop writes; commands read beside it, and write only what they ask for (pause, resume).
"""

import json
import math
import sqlite3
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoheal.policy import Attempt, Past
from sidecarkit import logs, state

FILE = "autoheal.db"
KEPT_RECORDS = 2000
KEPT_STANDING_SECONDS = 7 * 86400.0  # of a container that is gone
EVERYTHING = "*"

SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  container_id TEXT NOT NULL, container TEXT NOT NULL, project TEXT, service TEXT,
  decision TEXT NOT NULL,   -- heal, notify, give_up, hold, skip, wait
  reason TEXT NOT NULL,     -- unhealthy, exited, stale, follows; why it was skipped or waits
  detail TEXT,
  action TEXT, attempt INTEGER, dry_run INTEGER NOT NULL DEFAULT 0,
  sick_at REAL, decided_at REAL NOT NULL, called_at REAL, answered_at REAL, http_status INTEGER,
  outcome TEXT, outcome_at REAL, seconds_to_healthy REAL,
  failing_streak INTEGER, exit_code INTEGER, oom_killed INTEGER,
  probes TEXT, log_lines TEXT
);
CREATE INDEX IF NOT EXISTS records_by_container ON records (container_id, id);
CREATE INDEX IF NOT EXISTS records_open ON records (id) WHERE called_at IS NOT NULL AND outcome IS NULL;
CREATE TABLE IF NOT EXISTS standings (
  container_id TEXT PRIMARY KEY, container TEXT NOT NULL, service TEXT,
  cleared_at REAL NOT NULL DEFAULT 0, given_up_at REAL
);
CREATE TABLE IF NOT EXISTS pauses (name TEXT PRIMARY KEY, since REAL NOT NULL, until REAL);
CREATE TABLE IF NOT EXISTS views (container_id TEXT PRIMARY KEY, document TEXT NOT NULL);
"""

JSON_FIELDS = ("probes", "log_lines")
TRUTHS = ("dry_run", "oom_killed")  # SQLite has numbers for them


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a record is about."""

    container_id: str
    container: str
    project: str | None
    service: str | None

    def answers_to(self, name: str) -> bool:
        """Say whether an operator may mean it: its name, its service, or a prefix of its id."""
        return name in {self.container, self.service} or (len(name) >= 4 and self.container_id.startswith(name))


@dataclass(frozen=True, slots=True)
class Pause:
    """Maintenance for one name or for everything; *until* None: until resumed."""

    name: str
    until: float | None


class Ledger(state.Memory):
    """The database, as sentences. One writer: the loop's thread."""

    def __init__(self, folder: Path, log: logs.Log, *, beside: bool = False) -> None:
        super().__init__(folder / FILE, SCHEMA, log, beside=beside)

    # Records

    def record(self, subject: Subject, decision: str, reason: str, **facts: Any) -> int:
        """Write a new record, on disk when this returns; *facts* are columns. Returns its id."""
        row = {
            "container_id": subject.container_id,
            "container": subject.container,
            "project": subject.project,
            "service": subject.service,
            "decision": decision,
            "reason": reason,
            "decided_at": time.time(),
            **_encoded(facts),
        }
        columns, holes = ", ".join(row), ", ".join(f":{column}" for column in row)
        cursor = self._database.execute(f"INSERT INTO records ({columns}) VALUES ({holes})", row)  # noqa: S608
        return int(cursor.lastrowid or 0)

    def amend(self, record: int, **facts: Any) -> None:
        """Add *facts* to a record."""
        row = _encoded(facts)
        changes = ", ".join(f"{column} = :{column}" for column in row)
        self._database.execute(f"UPDATE records SET {changes} WHERE id = :record", {**row, "record": record})  # noqa: S608

    def open_heals(self) -> list[dict[str, Any]]:
        """List the heals that were intended and have no outcome, oldest first."""
        query = "SELECT * FROM records WHERE called_at IS NOT NULL AND outcome IS NULL AND dry_run = 0 ORDER BY id"
        return [_decoded(row) for row in self._database.execute(query)]

    def prune(self, present: Iterable[str], now: float) -> None:
        """Forget the oldest records beyond KEPT_RECORDS, and how those stood that are long gone."""
        self._database.execute(
            """DELETE FROM records WHERE id <= (SELECT max(id) FROM records) - ?
               AND NOT (called_at IS NOT NULL AND outcome IS NULL)""",
            (KEPT_RECORDS,),
        )
        self._database.execute(
            """DELETE FROM standings WHERE max(cleared_at, coalesce(given_up_at, 0)) < ?
               AND container_id NOT IN (SELECT value FROM json_each(?))""",
            (now - KEPT_STANDING_SECONDS, json.dumps(list(present))),
        )

    # Budgets

    def pasts(self) -> dict[str, Past]:
        """Read what was done for each container."""
        attempts: dict[str, list[Attempt]] = {}
        query = """SELECT container_id, attempt, sick_at, called_at, outcome_at, outcome FROM records
                   WHERE called_at IS NOT NULL AND dry_run = 0 AND reason != 'follows' ORDER BY id"""
        for row in self._database.execute(query):
            number, sick_at = row["attempt"] or 1, row["sick_at"] or row["called_at"]
            attempt = Attempt(number, sick_at, row["called_at"], row["outcome_at"], row["outcome"])
            attempts.setdefault(row["container_id"], []).append(attempt)
        pasts = {container: Past(tuple(made)) for container, made in attempts.items()}
        for row in self._database.execute("SELECT * FROM standings"):
            made = tuple(attempts.get(row["container_id"], ()))
            pasts[row["container_id"]] = Past(made, row["cleared_at"], row["given_up_at"])
        return pasts

    def stop_seconds(self) -> dict[str, float]:
        """Read how long the last action on each container took."""
        query = """SELECT container_id, answered_at - called_at FROM records
                   WHERE answered_at IS NOT NULL AND http_status BETWEEN 200 AND 299 ORDER BY id"""
        return {row[0]: row[1] for row in self._database.execute(query)}

    def acted_until(self) -> dict[str, float]:
        """Read when the last action on each container ended, Unix time; infinity where the end is not known."""
        query = """SELECT container_id, coalesce(answered_at, outcome_at) FROM records
                   WHERE called_at IS NOT NULL AND dry_run = 0 ORDER BY id"""
        return {row[0]: math.inf if row[1] is None else row[1] for row in self._database.execute(query)}

    def stand(self, subject: Subject, past: Past) -> None:
        """Remember that a container was given up, or that its past is forgiven."""
        self._database.execute(
            "INSERT OR REPLACE INTO standings VALUES (?, ?, ?, ?, ?)",
            (subject.container_id, subject.container, subject.service, past.cleared_at, past.given_up_at),
        )

    # Maintenance

    def pause(self, name: str, until: float | None) -> None:
        self._database.execute("INSERT OR REPLACE INTO pauses VALUES (?, ?, ?)", (name, time.time(), until))

    def resume(self, name: str, known: Iterable[Subject]) -> list[str]:
        """End maintenance of *name* and give up no longer what answers to it; returns what was changed."""
        changed = []
        everything = name == EVERYTHING
        ended = self._database.execute("DELETE FROM pauses WHERE name = ? OR ?", (name, everything)).rowcount
        if ended:
            changed.append("maintenance ended")
        for subject in known:
            if everything or subject.answers_to(name):
                self.stand(subject, Past(cleared_at=time.time()))
                changed.append(f"{subject.container}: budget is whole again")
        return changed

    def pauses(self, now: float) -> tuple[Pause, ...]:
        """List the maintenance that is not over."""
        query = "SELECT name, until FROM pauses WHERE until IS NULL OR until > ?"
        return tuple(Pause(row["name"], row["until"]) for row in self._database.execute(query, (now,)))

    # What `status` shows

    def show(self, views: Mapping[str, Mapping[str, Any] | None]) -> None:
        """Replace the views of some containers; None removes one."""
        for container, document in views.items():
            if document is None:
                self._database.execute("DELETE FROM views WHERE container_id = ?", (container,))
            else:
                self._database.execute("INSERT OR REPLACE INTO views VALUES (?, ?)", (container, json.dumps(document)))

    def forget_views(self) -> None:
        self._database.execute("DELETE FROM views")


def _encoded(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: json.dumps(value) if key in JSON_FIELDS and value is not None else value for key, value in facts.items()
    }


def _decoded(row: sqlite3.Row) -> dict[str, Any]:
    facts = dict(row)
    facts.update({key: json.loads(facts[key]) for key in JSON_FIELDS if facts[key]})
    facts.update({key: bool(facts[key]) for key in TRUTHS if facts[key] is not None})
    return facts


def read_records(database: sqlite3.Connection, *, container: str | None, limit: int) -> list[dict[str, Any]]:
    """Read the newest *limit* records, newest first, of one container's name, service or id prefix, or of all."""
    query = """SELECT * FROM records
               WHERE :name IS NULL OR container = :name OR service = :name
                 OR (length(:name) >= 4 AND substr(container_id, 1, length(:name)) = :name)
               ORDER BY id DESC LIMIT :limit"""
    return [_decoded(row) for row in database.execute(query, {"name": container, "limit": limit})]


def read_record(database: sqlite3.Connection, record: int) -> dict[str, Any] | None:
    row = database.execute("SELECT * FROM records WHERE id = ?", (record,)).fetchone()
    return None if row is None else _decoded(row)


def read_views(database: sqlite3.Connection) -> list[dict[str, Any]]:
    rows = database.execute("SELECT document FROM views")
    return sorted((json.loads(row["document"]) for row in rows), key=lambda view: str(view["container"]))
