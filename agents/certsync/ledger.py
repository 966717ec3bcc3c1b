"""What certsync remembers between its lives: the progress of each target, and the pair that each had before."""

import base64
import dataclasses
import json
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from certsync.progress import Progress, Seen, Trial
from certsync.store import Owner, Placement, write_own

SCHEMA = "CREATE TABLE IF NOT EXISTS progress (target TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT"
_FIELDS = {field.name for field in dataclasses.fields(Progress)}


class Ledger:
    """Progress in SQLite; a step is on disk before the next one begins.

    With a disk that is full the work goes on from memory: *stored* is told so, and an empty text when it is over.
    """

    def __init__(self, database: sqlite3.Connection, stored: Callable[[str], None] = lambda _: None) -> None:
        self._database, self._stored = database, stored
        self._recalled: dict[str, Progress] = {}  # the state folder has one writer: this process

    def load(self, target: str) -> Progress:
        """Recall what is known of *target*, a blank page for a new one."""
        if target not in self._recalled:
            row = self._database.execute("SELECT document FROM progress WHERE target = ?", (target,)).fetchone()
            self._recalled[target] = _progress(target, json.loads(row["document"])) if row else Progress(target=target)
        return self._recalled[target]

    def save(self, progress: Progress) -> None:
        """Remember; on disk when this returns, as long as the disk takes it."""
        document = json.dumps(dataclasses.asdict(progress))
        self._recalled[progress.target] = progress
        try:
            self._database.execute("INSERT OR REPLACE INTO progress VALUES (?, ?)", (progress.target, document))
        except sqlite3.Error as error:
            self._stored(str(error))
        else:
            self._stored("")


def _progress(target: str, document: dict[str, Any]) -> Progress:
    known = {key: value for key, value in document.items() if key in _FIELDS}
    seen = known.get("seen")
    known |= {"target": target, "trial": Trial(known.get("trial", "")), "seen": Seen(seen) if seen else None}
    return Progress(**known)


@dataclasses.dataclass(frozen=True, slots=True)
class Attic:
    """Keeps the pair that a target had, from its replacement until the new one is served. It holds keys: mode 0600."""

    folder: Path

    def keep(self, target: str, files: Iterable[Placement]) -> None:
        """Keep *files* as what *target* had."""
        kept = [
            {
                "path": one.path,
                "mode": one.mode,
                "owner": dataclasses.astuple(one.owner) if one.owner else None,
                "root": one.root,
                "content": base64.b64encode(one.content).decode(),
            }
            for one in files
        ]
        write_own(self._file(target), json.dumps(kept).encode())

    def has(self, target: str) -> bool:
        """Whether something is kept for *target*."""
        return self._file(target).exists()

    def take(self, target: str) -> list[Placement]:
        """Give what is kept, which stays until `forget`."""
        return [
            Placement(
                one["path"],
                base64.b64decode(one["content"]),
                one["mode"],
                Owner(*one["owner"]) if one["owner"] else None,
                one["root"],
            )
            for one in json.loads(self._file(target).read_bytes())
        ]

    def forget(self, target: str) -> None:
        """Drop what is kept: it is not needed any more."""
        self._file(target).unlink(missing_ok=True)

    def _file(self, target: str) -> Path:
        return self.folder / f"{target}.json"
