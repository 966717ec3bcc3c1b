"""Files inside containers, as the engine hands them out: no shell is needed there, and no file system shared."""

import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from urllib.parse import quote

from sidecarkit.engine import Engine
from sidecarkit.errors import EngineUnavailable

_SILENCE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Entry:
    """What lies at a path. *kind*: file, folder, or link."""

    kind: str
    owner: int
    mode: int


def look(engine: Engine, container: str, path: str) -> Entry:
    """Describe what lies at *path*, reading none of its content. Raises EngineError: ContainerGone for nothing."""
    with _archive(engine, container, path) as archive:
        member = _first(archive, path)
        kind = "folder" if member.isdir() else "file" if member.isreg() else "link"
        return Entry(kind, member.uid, member.mode & 0o7777)


def read(engine: Engine, container: str, path: str, limit: int) -> bytes:
    """Read the first *limit* bytes of a file. Raises EngineError; nothing of a folder or a link."""
    with _archive(engine, container, path) as archive:
        content = archive.extractfile(_first(archive, path))
        return content.read(limit) if content else b""


@contextmanager
def _archive(engine: Engine, container: str, path: str) -> Iterator[tarfile.TarFile]:
    where = f"/containers/{quote(container, safe='')}/archive"
    with closing(engine.stream("archive", where, {"path": path}, silence_seconds=_SILENCE_SECONDS)) as stream:
        try:
            # Block by block: of a file that is only looked at, such as acme.json, no more than its head is taken.
            with tarfile.open(mode="r|", fileobj=stream.response, bufsize=tarfile.BLOCKSIZE) as archive:
                yield archive
        except (OSError, tarfile.TarError) as error:
            raise EngineUnavailable(f"archive: {path}: {error}") from error


def _first(archive: tarfile.TarFile, path: str) -> tarfile.TarInfo:
    member = archive.next()
    if member is None:
        raise EngineUnavailable(f"archive: {path}: the engine sent nothing")
    return member
