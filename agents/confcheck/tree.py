"""The folder of configuration folders: which files it holds, and what is in them. It only reads."""

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from confcheck import formats
from confcheck.document import Document, NotReadable, Problem, Reading
from sidecarkit import files
from sidecarkit.errors import SidecarError

SERVICES = ("wildduck", "zone-mta", "haraka", "rspamd", "wildduck-webmail")
LARGEST_BYTES = 1 << 20  # twenty times what a configuration needs; one of that size takes some 100 MB to read
JOURNAL = ".confcheck"  # the folder in the root in which an unfinished `render` is noted


class NotCheckable(SidecarError):
    """There is nothing to check at the root."""


@dataclass(frozen=True, slots=True)
class Tree:
    """All that was read. *problems* are those of whole files, by path."""

    root: Path
    documents: tuple[Document, ...]
    problems: tuple[tuple[str, Problem], ...]


def read(root: Path) -> Tree:
    """Read every configuration file below the services' folders. Raises NotCheckable when there are none."""
    try:
        present = [name for name in SERVICES if (root / name).is_dir()]
        names = os.listdir(root)  # noqa: PTH208 - its error is what is asked for
    except OSError as error:
        raise NotCheckable(f"{root}: cannot be read ({error.strerror})") from None
    if not present:
        raise NotCheckable(f"{root}: holds none of the folders {', '.join(SERVICES)}")
    documents: list[Document] = []
    problems: list[tuple[str, Problem]] = []
    if JOURNAL in names:
        problems.append((JOURNAL, Problem("render-interrupted", 1, "a `confcheck render` did not finish")))
    for name in present:
        for found in _below(root, PurePosixPath(name)):
            if isinstance(found, tuple):
                problems.append(found)
                continue
            kind = formats.of(found)
            if kind is None:
                continue
            read_one = _document(root, found, kind)
            if isinstance(read_one, Document):
                documents.append(read_one)
                problems += [(read_one.path, problem) for problem in read_one.reading.problems]
            else:
                problems.append((str(found), read_one))
    return Tree(root, tuple(documents), tuple(problems))


def _below(root: Path, folder: PurePosixPath) -> Iterator[PurePosixPath | tuple[str, Problem]]:
    """Yield files in order of their names. Links to folders are not followed, hidden files are nobody's settings."""
    try:
        with os.scandir(root / folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        yield str(folder), Problem("file-unreadable", 1, f"the folder cannot be listed ({error.strerror})")
        return
    for entry in entries:
        path = folder / entry.name
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _below(root, path)
        elif not (entry.is_symlink() and (root / path).is_dir()):
            yield path


def _document(root: Path, path: PurePosixPath, kind: str) -> Document | Problem:
    try:
        content = _content(root, root / path)
    except _Refused as refused:
        return refused.problem
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return Problem("not-utf-8", line, "a byte that is not UTF-8")
    if "\0" in text:
        return Problem("syntax", text.count("\n", 0, text.index("\0")) + 1, "a NUL character")
    try:
        reading = formats.READERS[kind](text)
    except NotReadable as error:
        return Problem("syntax", min(error.line, text.rstrip().count("\n") + 1), error.reason)
    if text.startswith("\ufeff") and kind in formats.MARK_IS_TEXT:
        mark = Problem("byte-order-mark", 1, "begins with a byte order mark")
        reading = Reading(reading.entries, reading.includes, (mark, *reading.problems))
    return Document(str(path), kind, text, reading)


class _Refused(Exception):
    def __init__(self, rule: str, reason: str) -> None:
        super().__init__(reason)
        self.problem = Problem(rule, 1, reason)


def _content(root: Path, path: Path) -> bytes:
    try:
        real = path.resolve(strict=True)
        if not real.is_relative_to(root.resolve()):
            raise _Refused("file-unreadable", "is a link that leads out of the root, and is not followed")
        with files.open_regular(real) as file:
            if os.fstat(file.fileno()).st_size > LARGEST_BYTES:
                raise _Refused("file-too-large", f"is larger than {LARGEST_BYTES >> 20} MiB")
            content = file.readall()
    except files.NotRegular:
        raise _Refused("file-unreadable", "is not a file") from None
    except (OSError, RuntimeError) as error:  # the latter for links in a circle, before Python 3.13
        raise _Refused("file-unreadable", _why(error)) from None
    if len(content) > LARGEST_BYTES:  # it grew, or is one of those that tell no size
        raise _Refused("file-too-large", f"is larger than {LARGEST_BYTES >> 20} MiB")
    return content


def _why(error: Exception) -> str:
    number = error.errno if isinstance(error, OSError) else errno.ELOOP
    return {
        errno.ELOOP: "is a link that leads back to itself",
        errno.ENOENT: "is a link that leads nowhere",
        errno.EACCES: f"may not be read by confcheck (uid {os.geteuid()})",
    }.get(number or 0, os.strerror(number or 0))


def is_missing(root: Path, inside: PurePosixPath) -> bool:
    """Tell whether there is surely nothing at *inside*; no where a link leads out of the root, beyond what we see."""
    here = root
    for part in inside.parts:
        here /= part
        try:
            status = here.lstat()
        except PermissionError:
            return False
        except OSError:
            return True
        if stat.S_ISLNK(status.st_mode):
            target = os.path.realpath(here)
            if not Path(target).is_relative_to(os.path.realpath(root)):
                return False
            if not os.path.exists(target):  # noqa: PTH110
                return True
    return False
