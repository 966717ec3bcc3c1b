"""What confcheck remembers between its lives: what it has told, and what the last look saw."""

import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from confcheck.policy import News
from sidecarkit import logs, state
from sidecarkit.errors import SidecarError
from sidecarkit.state import Memory

FILE = "confcheck.db"
SCHEMA = """
CREATE TABLE IF NOT EXISTS told (identity TEXT PRIMARY KEY) STRICT;
CREATE TABLE IF NOT EXISTS status (one INTEGER PRIMARY KEY CHECK (one = 1), document TEXT NOT NULL) STRICT;
"""


class Ledger(Memory):
    """The database of the running agent."""

    def __init__(self, folder: Path, log: logs.Log) -> None:
        super().__init__(folder / FILE, SCHEMA, log)

    def told(self) -> frozenset[str]:
        """Give the identities of the findings that people were told of."""
        return frozenset(row["identity"] for row in self._database.execute("SELECT identity FROM told"))

    def remember(self, news: News, document: dict[str, Any]) -> None:
        """Store what was told and what the look saw."""
        with self.together():
            self._change("INSERT OR IGNORE INTO told VALUES (?)", (each.identity for each in news.told))
            self._change("DELETE FROM told WHERE identity = ?", news.over)
            self._database.execute("INSERT OR REPLACE INTO status VALUES (1, ?)", (json.dumps(document),))

    def _change(self, statement: str, identities: Iterable[str]) -> None:
        self._database.executemany(statement, ((each,) for each in identities))


def read_status(folder: Path) -> dict[str, Any]:
    """Read what the running agent saw last. Raises SidecarError when it never ran with this folder."""
    try:
        database = state.open_read_only(folder / FILE)
        row = database.execute("SELECT document FROM status").fetchone()
    except sqlite3.Error as error:
        raise SidecarError(f"{folder / FILE}: confcheck has not run with this state folder ({error})") from None
    if row is None:
        raise SidecarError(f"{folder / FILE}: confcheck has not looked yet")
    document: dict[str, Any] = json.loads(row["document"])
    return document
