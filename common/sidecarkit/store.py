"""Writes the files of one delivery: all of them or none, with their owner and mode from the first byte.

Each file is staged beside its place, read back, and only then are all renamed. What was there before stays linked under
a second name until the last rename, so a failure in between is undone. A journal, written before the first rename, lets
the next start finish what a kill interrupted: everything it lists was complete on disk before it was written.
"""

import contextlib
import errno
import json
import os
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import NoReturn

from sidecarkit import files, mountpoints
from sidecarkit.errors import SidecarError

_MARK = ".sidecars-"


class Cause(StrEnum):
    """What kept files from being stored."""

    MISSING = "missing"  # there is no such folder
    READ_ONLY = "read_only"
    NO_SPACE = "no_space"
    NOT_REPLACEABLE = "not_replaceable"


class NotStored(SidecarError):
    """Nothing was changed. The text says which file is to blame, and never what was to be in it."""

    def __init__(self, cause: Cause, message: str) -> None:
        super().__init__(message)
        self.cause = cause


_CAUSES = {
    errno.ENOENT: Cause.MISSING,
    errno.ENOTDIR: Cause.MISSING,
    errno.EROFS: Cause.READ_ONLY,
    errno.EACCES: Cause.READ_ONLY,
    errno.EPERM: Cause.READ_ONLY,
    errno.ENOSPC: Cause.NO_SPACE,
    errno.EDQUOT: Cause.NO_SPACE,
}


@dataclass(frozen=True, slots=True)
class Owner:
    """Numbers, because names mean something else in the container that reads the file."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Placement:
    """One file as it should be."""

    path: str
    content: bytes = field(repr=False)
    mode: int
    owner: Owner | None = None  # None: as the file it replaces, else as its directory
    root: str | None = None  # links may not lead out of it; None: out of the mount that the path lies on


@dataclass(frozen=True, slots=True)
class _Move:
    """A staged file, its place, and a second name of what stood there (None: nothing did)."""

    directory: str
    final: str
    staged: str
    backup: str | None

    def path(self, name: str) -> str:
        return os.path.join(self.directory, name)  # noqa: PTH118 - paths are strings in the journal and for os


@dataclass(frozen=True, slots=True)
class Store:
    """Delivers files. *journals* is a directory of our own."""

    journals: Path
    mount_points: Callable[[], frozenset[str]] = mountpoints.own_mount_points

    def deliver(self, target: str, placements: Iterable[Placement]) -> None:
        """Put all *placements* in their places, or raise `NotStored` with everything as it was."""
        points = self.mount_points()
        moves: list[_Move] = []
        try:
            for placement in placements:
                with _told(placement.path):
                    moves.append(_stage(placement, points))
            self._commit(target, moves)
        finally:
            _clean(moves)

    def examine(self, placements: Iterable[Placement]) -> None:
        """Raise `NotStored` for what can be seen, without writing anything, to stand in the way of `deliver`."""
        points = self.mount_points()
        for placement in placements:
            with _told(placement.path):
                directory, _, _ = _place(placement, points)
                if not os.access(directory, os.W_OK | os.X_OK):
                    read_only = os.statvfs(directory).f_flag & os.ST_RDONLY
                    raise OSError(errno.EROFS if read_only else errno.EACCES, "", directory)

    def recover(self) -> list[str]:
        """Finish what a kill interrupted and name the targets it was done for. Call once, before the first delivery."""
        repaired = []
        for journal in sorted(self.journals.glob("*.json")):
            moves = [_Move(**move) for move in json.loads(journal.read_text())]
            try:
                _rename_all([move for move in moves if os.path.lexists(move.path(move.staged))], behind=moves)
            except OSError:
                repaired.append(f"{journal.stem} (undone)")
            else:
                repaired.append(journal.stem)
            _clean(moves)
            journal.unlink()
        for unfinished in self.journals.glob("*.new"):
            unfinished.unlink()
        return repaired

    def _commit(self, target: str, moves: list[_Move]) -> None:
        journal = self.journals / f"{target}.json"
        with _told(str(journal)):
            write_own(journal, json.dumps([_as_dict(move) for move in moves]).encode())
        try:
            _rename_all(moves, behind=moves)
        except OSError as error:
            _refuse(error, moves[0].directory)
        finally:
            journal.unlink()


def write_own(path: Path, content: bytes) -> None:
    """Replace a file of our own, mode 0600, so that a power cut leaves the old or the new one."""
    staged = path.with_name(f"{path.name}.new")
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    staged.replace(path)
    _sync_directory(str(path.parent))


def sweep(paths: Iterable[str]) -> None:
    """Remove what a kill left beside *paths* before its journal was written."""
    for path in paths:
        directory, name = os.path.split(os.path.realpath(path))
        prefix = f".{name}{_MARK}"
        with contextlib.suppress(OSError), os.scandir(directory) as entries:
            for entry in entries:
                if entry.name.startswith(prefix):
                    os.unlink(entry.path)  # noqa: PTH108


def content_of(path: str) -> bytes | None:
    """Read a file of a target; None when there is none, or it cannot be read."""
    try:
        with files.open_regular(path) as file:
            return file.read(1 << 20)
    except OSError:
        return None


def stands_as(placement: Placement) -> bool:
    """Whether the file has the mode and, where one is asked for, the owner it should have."""
    try:
        status = os.stat(placement.path)  # noqa: PTH116
    except OSError:
        return False
    owner = placement.owner
    return stat.S_IMODE(status.st_mode) == placement.mode and (
        owner is None or (status.st_uid, status.st_gid) == (owner.uid, owner.gid)
    )


def _place(placement: Placement, points: frozenset[str]) -> tuple[str, str, os.stat_result | None]:
    """Find the place of a file: (its directory, its name there, what stands there)."""
    directory, final = os.path.split(_resolved(placement, points))
    place = os.path.join(directory, final)  # noqa: PTH118
    if place in points:
        raise NotStored(
            Cause.NOT_REPLACEABLE,
            f"{placement.path} is mounted as a single file, which cannot be replaced: mount its directory",
        )
    return directory, final, _existing(place)


def _stage(placement: Placement, points: frozenset[str]) -> _Move:
    """Write the file beside its place. Nothing of the target has changed after this, whether it returns or raises."""
    directory, final, existing = _place(placement, points)
    token = secrets.token_hex(4)
    move = _Move(directory, final, f".{final}{_MARK}{token}", f".{final}{_MARK}{token}-old" if existing else None)
    owner = placement.owner or _owner(existing or os.stat(directory))  # noqa: PTH116
    try:
        _write(move.path(move.staged), placement, owner)
        if move.backup is not None:
            _second_name(move.path(final), move.path(move.backup))
    except BaseException:
        _clean([move])
        raise
    return move


def _resolved(placement: Placement, points: frozenset[str]) -> str:
    """Follow links once and write beside the real file: replacing the link would cut its other users off."""
    real = os.path.realpath(placement.path)
    directory = os.path.realpath(os.path.dirname(placement.path))  # noqa: PTH120
    root = placement.root or mountpoints.mount_of(directory, points - {real})
    if os.path.commonpath([real, os.path.realpath(root)]) != os.path.realpath(root):
        raise NotStored(Cause.NOT_REPLACEABLE, f"{placement.path} is a link that leads out of {root}")
    if not os.path.isdir(os.path.dirname(real)):  # noqa: PTH112, PTH120
        raise NotStored(Cause.MISSING, f"the directory of {placement.path} does not exist")
    return real


def _existing(place: str) -> os.stat_result | None:
    try:
        status = os.lstat(place)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        hint = (
            "Docker makes a directory where the file of a bind mount is missing: remove it, mount the directory above"
        )
        raise NotStored(Cause.NOT_REPLACEABLE, f"{place} is not a file. {hint}")
    return status


def _owner(status: os.stat_result) -> Owner:
    """Whose the file should be when nobody said; a process that may not give files away keeps them."""
    return Owner(status.st_uid, status.st_gid) if os.geteuid() == 0 else Owner(os.geteuid(), os.getegid())


def _write(path: str, placement: Placement, owner: Owner) -> None:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        # The mode first: of a file that was given away it could be changed with one capability more.
        os.fchmod(descriptor, placement.mode)
        status = os.fstat(descriptor)
        if (status.st_uid, status.st_gid) != (owner.uid, owner.gid):
            _give(descriptor, placement.path, owner)
        remaining = memoryview(placement.content)
        while remaining:
            remaining = remaining[os.write(descriptor, remaining) :]
        os.fsync(descriptor)
        if os.pread(descriptor, len(placement.content) + 1, 0) != placement.content:
            raise NotStored(Cause.NO_SPACE, f"{placement.path} does not read back as it was written")
    finally:
        os.close(descriptor)


def _give(descriptor: int, path: str, owner: Owner) -> None:
    try:
        os.fchown(descriptor, owner.uid, owner.gid)
    except PermissionError:
        raise NotStored(
            Cause.NOT_REPLACEABLE,
            f"{path} cannot be given to {owner.uid}:{owner.gid} by uid {os.geteuid()}: add CHOWN, or change owner",
        ) from None


def _second_name(place: str, backup: str) -> None:
    """Keep what stands at *place* reachable: as a link, so that undoing brings back the very same file."""
    try:
        os.link(place, backup, follow_symlinks=False)
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS}:
            raise
        status = os.lstat(place)  # a file system without links, or a file of somebody else's (fs.protected_hardlinks)
        with open(place, "rb") as file:  # noqa: PTH123
            copy = Placement(place, file.read(), stat.S_IMODE(status.st_mode))
        _write(backup, copy, _owner(status))


def _rename_all(moves: list[_Move], behind: list[_Move]) -> None:
    """Rename every staged file into place; on an error bring back what stood *behind* them, and raise it."""
    try:
        for move in moves:
            os.replace(move.path(move.staged), move.path(move.final))  # noqa: PTH105
    except OSError:
        for move in behind:
            _undo(move)
        raise
    finally:
        for directory in {move.directory for move in behind}:
            _sync_directory(directory)


def _undo(move: _Move) -> None:
    with contextlib.suppress(OSError):
        if move.backup is not None:
            os.replace(move.path(move.backup), move.path(move.final))  # noqa: PTH105
        elif not os.path.lexists(move.path(move.staged)):
            os.unlink(move.path(move.final))  # noqa: PTH108


def _clean(moves: Iterable[_Move]) -> None:
    for move in moves:
        for name in filter(None, (move.staged, move.backup)):
            with contextlib.suppress(OSError):
                os.unlink(move.path(name))  # noqa: PTH108


def _sync_directory(directory: str) -> None:
    with contextlib.suppress(OSError):  # some network file systems cannot
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _told(path: str) -> Iterator[None]:
    """Translate the operating system's errors into causes."""
    try:
        yield
    except OSError as error:
        _refuse(error, path)


def _refuse(error: OSError, path: str) -> NoReturn:
    number = error.errno or 0
    raise NotStored(_CAUSES.get(number, Cause.NOT_REPLACEABLE), f"{path}: {os.strerror(number)}") from None


def _as_dict(move: _Move) -> dict[str, str | None]:
    return {"directory": move.directory, "final": move.final, "staged": move.staged, "backup": move.backup}
