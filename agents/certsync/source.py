"""Where certificates come from: Traefik's acme.json, or a pair of PEM files."""

import hashlib
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from certsync import acme, certificate
from certsync.refusal import Reason, RefusalError
from sidecarkit import files


@dataclass(frozen=True, slots=True)
class AcmeJson:
    """A store that Traefik rewrites in place: truncate, write, close."""

    name: str
    path: Path
    resolver: str | None = None  # consider no other

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files to watch."""
        return (self.path,)


@dataclass(frozen=True, slots=True)
class PemPair:
    """A certificate (with its chain) and a key in two files, or in one that holds both."""

    name: str
    certificate: Path
    key: Path

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files to watch."""
        return (self.certificate, self.key)


Source = AcmeJson | PemPair


def read(source: Source, names: Collection[str] | None) -> acme.Contents:
    """All that *source* offers for *names* (None: everything it holds). Raises `RefusalError` with a `source_` code."""
    if isinstance(source, AcmeJson):
        contents = acme.read(_text(source.path), names)
        if source.resolver is None:
            return contents
        return acme.Contents(
            tuple(one for one in contents.offers if one.resolver == source.resolver),
            contents.entries,
            tuple(entry for entry in contents.damaged if entry.startswith(f"{source.resolver}: ")),
        )
    return _pair(source)


def warning(source: Source, mount_points: frozenset[str]) -> str | None:
    """Say what will keep *source* from being noticed when it is replaced."""
    single = [str(path) for path in source.paths if str(path) in mount_points]
    if not single:
        return None
    hint = "which keeps showing the old one when it is replaced: mount its directory"
    return f"{', '.join(single)} is mounted as a single file, {hint}"


def digest(source: Source) -> str:
    """Fingerprint the files as they are, readable or not: while it stays the same, so does the source."""
    seen = hashlib.sha256()
    for path in source.paths:
        try:
            with files.open_regular(path) as file:
                seen.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            seen.update(f"{error.errno} {error.strerror}".encode())
    return seen.hexdigest()


def _pair(source: PemPair) -> acme.Contents:
    chain, key = _text(source.certificate).encode(), _text(source.key).encode()
    try:
        ders = certificate.certificates(chain)
    except ValueError as error:
        raise RefusalError(Reason.SOURCE_TORN, f"{source.certificate}: {error}") from None
    if not ders or b"PRIVATE KEY-----" not in key:
        which = source.key if ders else source.certificate
        raise RefusalError(Reason.SOURCE_TORN, f"{which} holds no whole PEM block yet")
    return acme.Contents((certificate.read("", ders, key),), entries=1, damaged=())


def _text(path: Path) -> str:
    """Read a file that others rewrite in place; `source_torn` when it changed while being read.

    The bytes are let go before the caller parses the text: of a store of 70 MB only one copy stays.
    """
    try:
        with files.open_regular(path) as file:
            before = os.fstat(file.fileno())
            data = file.read()
            after = os.fstat(file.fileno())
    except FileNotFoundError:
        raise RefusalError(Reason.SOURCE_MISSING, f"{path} does not exist") from None
    except OSError as error:
        directory = isinstance(error, IsADirectoryError)
        hint = "; Docker makes a directory where the file of a bind mount is missing" if directory else ""
        raise RefusalError(Reason.SOURCE_UNREADABLE, f"{path}: {error.strerror}{hint}") from None
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or len(data) != after.st_size:
        raise RefusalError(Reason.SOURCE_TORN, f"{path} was being written")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise RefusalError(Reason.SOURCE_TORN, f"{path} is not text") from None
