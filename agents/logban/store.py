"""What logban remembers on disk. How far a log was read is stored in one transaction with what was counted in it.

The loop writes; commands read beside it, and write only what they ask for. The log is the truth: what a power cut takes
from here is read again there, so a commit need not wait for the disk.
"""

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

from logban.address import Address, source_key
from logban.cursor import Mark
from logban.firewall import Fence, Source
from logban.policy import History
from logban.policy import Mark as Count
from sidecarkit import logs, state

FILE = "logban.db"
KEPT_OFFENCES = 20_000
KEPT_BANS = 20_000  # that are over; those in force are kept whatever their number
KEPT_READINGS = 1_000

SCHEMA = """
CREATE TABLE IF NOT EXISTS readings (
  container TEXT PRIMARY KEY, marks TEXT NOT NULL, lines INTEGER NOT NULL, kinds TEXT NOT NULL, read_at REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS histories (
  jail TEXT NOT NULL, source TEXT NOT NULL, document TEXT NOT NULL, PRIMARY KEY (jail, source)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS trusted (source TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS proxies (address TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS bans (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  source TEXT NOT NULL, key TEXT NOT NULL, fence TEXT NOT NULL,
  address TEXT, jail TEXT NOT NULL,     -- jail "manual" for those of the command
  at REAL NOT NULL, until REAL NOT NULL, number INTEGER NOT NULL, kinds TEXT NOT NULL, reason TEXT,
  container TEXT, filter TEXT, evidence TEXT, dry_run INTEGER NOT NULL,
  ended_at REAL, ended TEXT             -- expired, unbanned, evicted, replaced, protected
);
CREATE INDEX IF NOT EXISTS bans_open ON bans (until) WHERE ended_at IS NULL;
CREATE INDEX IF NOT EXISTS bans_by_source ON bans (source, id);
CREATE TABLE IF NOT EXISTS offences (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  source TEXT NOT NULL, address TEXT NOT NULL, at REAL NOT NULL, kind TEXT NOT NULL, reason TEXT NOT NULL,
  filter TEXT NOT NULL, container TEXT NOT NULL, evidence TEXT NOT NULL, ignored TEXT
);
CREATE INDEX IF NOT EXISTS offences_by_source ON offences (source, id);
CREATE TABLE IF NOT EXISTS requests (id INTEGER PRIMARY KEY AUTOINCREMENT, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Reading:
    """How far one log was read, how many lines that were, and how many offences of each kind."""

    marks: Mapping[int, Mark]
    lines: int = 0
    kinds: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BanRecord:
    """One ban with its reasons. *at* and *until* are Unix times; *number*: the how manieth of this source."""

    source: Source
    fence: str
    jail: str
    at: float
    until: float
    number: int = 1
    address: Address | None = None
    kinds: Mapping[str, int] | None = None
    reason: str | None = None
    container: str | None = None
    filter: str | None = None
    evidence: str | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class OffenceRecord:
    """One offence, whether it led to a ban or not; *ignored*: why it counted for nothing."""

    source: Source
    address: Address
    at: float
    kind: str
    reason: str
    filter: str
    container: str
    evidence: str
    ignored: str | None


@dataclass(frozen=True, slots=True)
class Request:
    """What a command asks of the agent; *seconds* None: lift the ban, and *source* None: of everybody."""

    source: Source | None
    seconds: float | None
    reason: str | None
    at: float


class Store(state.Memory):
    """The database, as sentences."""

    def __init__(self, folder: Path, log: logs.Log, *, beside: bool = False) -> None:
        super().__init__(folder / FILE, SCHEMA, log, beside=beside)
        self._database.execute("PRAGMA synchronous=NORMAL")

    # How far logs were read

    def progress(self, container: str, reading: Reading) -> None:
        """Store how far a container's log was read, and what was found so far."""
        marks = {
            stream: (mark.stamp.decode("ascii", "replace"), [digest.hex() for digest in mark.digests])
            for stream, mark in reading.marks.items()
        }
        self._database.execute(
            "INSERT OR REPLACE INTO readings VALUES (?, ?, ?, ?, ?)",
            (container, json.dumps(marks), reading.lines, json.dumps(reading.kinds), time.time()),
        )

    def reading(self, container: str) -> Reading | None:
        """Read how far a container's log was read; None for one that never was."""
        query = "SELECT marks, lines, kinds FROM readings WHERE container = ?"
        row = self._database.execute(query, (container,)).fetchone()
        if row is None:
            return None
        marks = {
            int(stream): Mark(stamp.encode(), tuple(bytes.fromhex(digest) for digest in digests))
            for stream, (stamp, digests) in json.loads(row["marks"]).items()
        }
        return Reading(marks, row["lines"], json.loads(row["kinds"]))

    # What is held against whom

    def remember(self, changes: Iterable[tuple[str, int, History | None]]) -> None:
        """Replace histories; None removes one."""
        gone, kept = [], []
        for jail, source, history in changes:
            if history is None:
                gone.append((jail, str(source)))
            else:
                kept.append((jail, str(source), json.dumps(history)))
        self._database.executemany("DELETE FROM histories WHERE jail = ? AND source = ?", gone)
        self._database.executemany("INSERT OR REPLACE INTO histories VALUES (?, ?, ?)", kept)

    def histories(self) -> dict[tuple[str, int], History]:
        found = {}
        for row in self._database.execute("SELECT * FROM histories"):
            marks, bans, banned_until = json.loads(row["document"])
            history = History(tuple(Count(*mark) for mark in marks), bans, banned_until)
            found[row["jail"], int(row["source"])] = history
        return found

    def trust(self, sources: Mapping[int, float]) -> None:
        self._database.executemany(
            "INSERT OR REPLACE INTO trusted VALUES (?, ?)", [(str(source), at) for source, at in sources.items()]
        )

    def trusted(self) -> dict[int, float]:
        rows = self._database.execute("SELECT source, at FROM trusted ORDER BY at")
        return {int(row["source"]): row["at"] for row in rows}

    def add_proxy(self, address: Address) -> None:
        self._database.execute("INSERT OR IGNORE INTO proxies VALUES (?)", (str(address),))

    def proxies(self) -> list[Address]:
        return [ip_address(row["address"]) for row in self._database.execute("SELECT address FROM proxies")]

    # Offences and bans

    def note(self, offences: Iterable[OffenceRecord], *, kept: int = KEPT_OFFENCES) -> None:
        """Write offences, and forget the oldest beyond so many: a flood must not fill the disk."""
        self._database.executemany(
            "INSERT INTO offences (source, address, at, kind, reason, filter, container, evidence, ignored)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (str(o.source), str(o.address), o.at, o.kind, o.reason, o.filter, o.container, o.evidence, o.ignored)
                for o in offences
            ],
        )

        self._database.execute("DELETE FROM offences WHERE id <= (SELECT max(id) FROM offences) - ?", (kept,))

    def ban(self, ban: BanRecord) -> None:
        """Write a ban; one of the same source in the same fence ends with it."""
        self._database.execute(
            "UPDATE bans SET ended_at = ?, ended = 'replaced'"
            " WHERE ended_at IS NULL AND source = ? AND fence = ? AND dry_run = ?",
            (ban.at, str(ban.source), ban.fence, ban.dry_run),
        )
        row = {
            "source": str(ban.source),
            "key": str(source_key(ban.source.network_address)),
            "fence": ban.fence,
            "address": None if ban.address is None else str(ban.address),
            "jail": ban.jail,
            "at": ban.at,
            "until": ban.until,
            "number": ban.number,
            "kinds": json.dumps(ban.kinds or {}),
            "reason": ban.reason,
            "container": ban.container,
            "filter": ban.filter,
            "evidence": ban.evidence,
            "dry_run": ban.dry_run,
        }
        columns, holes = ", ".join(row), ", ".join(f":{column}" for column in row)
        self._database.execute(f"INSERT INTO bans ({columns}) VALUES ({holes})", row)  # noqa: S608 - our own names

    def end(self, source: Source, how: str, *, fence: str | None = None) -> int:
        """Close the bans of a source that stand, of one fence or of all. How many there were."""
        return self._database.execute(
            "UPDATE bans SET ended_at = ?, ended = ?"
            " WHERE ended_at IS NULL AND source = ? AND (? IS NULL OR fence = ?)",
            (time.time(), how, str(source), fence, fence),
        ).rowcount

    def end_all(self, how: str) -> int:
        query = "UPDATE bans SET ended_at = ?, ended = ? WHERE ended_at IS NULL"
        return self._database.execute(query, (time.time(), how)).rowcount

    def expire(self, now: float) -> list[tuple[int, str]]:
        """Close the bans that are over by their own time; returns source and fence of those that were in force."""
        query = """UPDATE bans SET ended_at = until, ended = 'expired' WHERE ended_at IS NULL AND until <= ?
                   RETURNING key, fence, dry_run"""
        rows = self._database.execute(query, (now,)).fetchall()
        return [(int(row["key"]), row["fence"]) for row in rows if not row["dry_run"]]

    def standing(self) -> Iterator[tuple[int, str, str, float]]:
        """Yield source (see `address.network`), fence, jail and end of the bans in force."""
        query = "SELECT key, fence, jail, until FROM bans WHERE ended_at IS NULL AND NOT dry_run"
        for row in self._database.execute(query):
            yield int(row["key"]), row["fence"], row["jail"], row["until"]

    # What commands ask, and what they are shown

    def requests(self) -> list[tuple[int, Request]]:
        """List what commands have asked for, oldest first."""
        rows = self._database.execute("SELECT id, document FROM requests ORDER BY id")
        return [(row["id"], _request(row["document"])) for row in rows]

    def ask(self, request: Request) -> int:
        """Ask the agent for something; returns the number of the request."""
        source = None if request.source is None else str(request.source)
        document = json.dumps({"source": source, "for": request.seconds, "reason": request.reason, "at": request.at})
        asked = self._database.execute("INSERT INTO requests (document) VALUES (?)", (document,))
        return int(asked.lastrowid or 0)

    def is_open(self, request: int) -> bool:
        """Say whether a request was not answered yet."""
        return self._database.execute("SELECT 1 FROM requests WHERE id = ?", (request,)).fetchone() is not None

    def answered(self, request: int) -> None:
        self._database.execute("DELETE FROM requests WHERE id <= ?", (request,))

    def show(self, name: str, document: Any) -> None:
        self._database.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, json.dumps(document)))

    def guarded(self, fences: Iterable[Fence]) -> None:
        """Remember which ports are guarded, for the next start and for commands."""
        self.show("fences", [[fence.name, sorted(fence.tcp), sorted(fence.udp)] for fence in fences])

    def fences(self) -> tuple[Fence, ...]:
        return read_fences(self._database)

    def prune(self, now: float, trust_seconds: float, *, bans: int = KEPT_BANS) -> None:
        """Forget what is too old or too much."""
        self._database.execute(
            "DELETE FROM bans WHERE ended_at IS NOT NULL AND id <= (SELECT max(id) FROM bans) - ?", (bans,)
        )
        self._database.execute("DELETE FROM trusted WHERE at < ?", (now - trust_seconds,))
        self._database.execute(
            "DELETE FROM readings WHERE container NOT IN"
            " (SELECT container FROM readings ORDER BY read_at DESC LIMIT ?)",
            (KEPT_READINGS,),
        )


def _request(text: str) -> Request:
    document = json.loads(text)
    source = None if document["source"] is None else ip_network(document["source"])
    return Request(source, document["for"], document["reason"], document["at"])


# For commands, which open the file to look at it.


def read_fact(database: sqlite3.Connection, name: str) -> Any:
    """Read what the agent last showed under a name; None if it never did."""
    row = database.execute("SELECT document FROM facts WHERE name = ?", (name,)).fetchone()
    return None if row is None else json.loads(row["document"])


def read_fences(database: sqlite3.Connection) -> tuple[Fence, ...]:
    return tuple(
        Fence(name, frozenset(tcp), frozenset(udp))
        for name, tcp, udp in read_fact(database, "fences") or [["", [], []]]
    )


def read_bans(database: sqlite3.Connection, now: float) -> list[dict[str, Any]]:
    """Read the bans that stand, the next to end first."""
    query = "SELECT * FROM bans WHERE ended_at IS NULL AND until > ? ORDER BY until"
    return [_shown(row) for row in database.execute(query, (now,))]


def is_banned(database: sqlite3.Connection, source: Source, now: float) -> bool:
    """Say whether a ban of a source stands, a dry one included."""
    query = "SELECT 1 FROM bans WHERE source = ? AND ended_at IS NULL AND until > ?"
    return database.execute(query, (str(source), now)).fetchone() is not None


def read_case(database: sqlite3.Connection, source: Source) -> dict[str, Any]:
    """Read all that is known about a source: bans and offences, the newest first."""
    key = (str(source),)
    histories = database.execute(
        "SELECT jail, document FROM histories WHERE source = ?", (str(source_key(source.network_address)),)
    )
    return {
        "bans": [_shown(row) for row in database.execute("SELECT * FROM bans WHERE source = ? ORDER BY id DESC", key)],
        "offences": [
            dict(row)
            for row in database.execute("SELECT * FROM offences WHERE source = ? ORDER BY id DESC LIMIT 50", key)
        ],
        "counts": {row["jail"]: json.loads(row["document"]) for row in histories},
    }


def _shown(row: sqlite3.Row) -> dict[str, Any]:
    shown = {**dict(row), "kinds": json.loads(row["kinds"]), "dry_run": bool(row["dry_run"])}
    del shown["key"]
    return shown
