"""An agent's memory: a folder that one process owns, and an SQLite file in it that commands may read beside it."""

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sidecarkit import logs
from sidecarkit.errors import SettingsError, SidecarError, StateBusy

BUSY_SECONDS = 5.0
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def prepare(folder: Path, variable: str) -> None:
    """Make sure that *folder* exists and can be written, or raise SettingsError naming *variable*."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe.{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise SettingsError(
            (f"{variable}='{folder}': expected a folder that can be written ({error.strerror})",)
        ) from None


def own(folder: Path) -> int:
    """Become the only agent that works in *folder*, until the returned descriptor is closed. Raises StateBusy."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StateBusy(f"{folder}: another agent works with this state folder") from None
    return descriptor


class Memory:
    """A database of one writer, the agent's loop; commands write beside it only what they were asked to.

    Such a command says that it is *beside* an agent at work: then nothing is made, checked or set aside.
    """

    def __init__(self, file: Path, schema: str, log: logs.Log, *, beside: bool = False) -> None:
        self._database = open_beside(file) if beside else open_database(file, schema, log)
        self._version = -1

    def close(self) -> None:
        self._database.close()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Store everything inside or nothing of it, with one wait for the disk instead of many."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def changed_by_others(self) -> bool:
        """Say whether a command wrote something since the last time this was asked."""
        version = self._database.execute("PRAGMA data_version").fetchone()[0]
        changed, self._version = version != self._version, version
        return bool(changed)


def open_database(file: Path, schema: str, log: logs.Log, *, busy_seconds: float = BUSY_SECONDS) -> sqlite3.Connection:
    """Open *file* in WAL mode and apply *schema* (of CREATE ... IF NOT EXISTS). A damaged file is set aside.

    Commits reach the disk before they return (synchronous FULL): what was intended is known after a power cut.
    Raises SidecarError when the trouble is not the file's: a full disk is no reason to forget everything.
    """
    try:
        return _open(file, schema, busy_seconds)
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF not in _DAMAGED:
            raise SidecarError(f"{file}: {error}") from error
        aside = _set_aside(file)
        log.warning("state_set_aside", file=str(file), kept_as=str(aside), reason=str(error))
        return _open(file, schema, busy_seconds)


def _open(file: Path, schema: str, busy_seconds: float) -> sqlite3.Connection:
    database = sqlite3.connect(file, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
    try:
        database.row_factory = sqlite3.Row
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        _check(database)
        database.executescript(schema)
    except BaseException:
        database.close()
        raise
    return database


def _check(database: sqlite3.Connection) -> None:
    found = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        damaged = sqlite3.DatabaseError(found)
        damaged.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise damaged


def open_read_only(file: Path) -> sqlite3.Connection:
    """Open an existing file for a command that only looks. Raises sqlite3.OperationalError when there is none."""
    database = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS, isolation_level=None)
    database.row_factory = sqlite3.Row
    return database


def open_beside(file: Path) -> sqlite3.Connection:
    """Open the file that an agent works with, to write beside it. Raises SidecarError.

    Whatever seems to be wrong with it, it stays where it is: the agent would go on writing into a file that was moved,
    and all it learned would be lost with its end.
    """
    try:
        database = sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True, timeout=BUSY_SECONDS, isolation_level=None)
        database.row_factory = sqlite3.Row
        database.execute("SELECT 1 FROM sqlite_master LIMIT 1")
    except sqlite3.Error as error:
        raise SidecarError(f"{file}: {error}") from error
    return database


def _set_aside(file: Path) -> Path:
    aside = file.with_name(f"{file.name}.damaged-{time.strftime('%Y%m%dT%H%M%S')}")
    # The log first: one that was left beside a new database would be played into it.
    for suffix in ("-wal", "-shm", ""):
        part = file.with_name(file.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside
