"""`confcheck render`: the whole tree is filled in memory, and then written whole or not at all."""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from confcheck import template, tree
from confcheck.placeholder import Values
from confcheck.template import NotFilled
from confcheck.values import NotRendered
from sidecarkit import store
from sidecarkit.store import NotStored, Owner, Placement, Store

_BLOCKING = {"syntax", "not-utf-8", "file-unreadable", "file-too-large"}
_JOURNAL = "render"


@dataclass(frozen=True, slots=True)
class Rendered:
    """A file with its new content."""

    path: str
    old: bytes
    new: bytes
    count: int  # of placeholders


def plan(root: Path, values: Values) -> list[Rendered]:
    """Render everything in memory. Raises NotRendered with all complaints, or NotCheckable."""
    found = tree.read(root)
    blocking = [(path, problem) for path, problem in found.problems if problem.rule in _BLOCKING]
    complaints = [f"{path}:{problem.line} {problem.message}" for path, problem in blocking]
    rendered = []
    for document in found.documents:
        try:
            filled = template.fill(document, values)
        except NotFilled as error:
            complaints += [f"{document.path}:{line} {reason}" for line, reason in error.complaints]
            continue
        if filled is None:
            continue
        if (root / document.path).is_symlink():
            complaints.append(f"{document.path}:1 is a link: put a file there, or leave out its placeholders")
        rendered.append(Rendered(document.path, document.text.encode(), filled.text.encode(), filled.count))
    if complaints:
        raise NotRendered(sorted(complaints))
    return rendered


def write(root: Path, rendered: list[Rendered]) -> None:
    """Put all of *rendered* in place, or raise NotRendered with everything as it was."""
    if not rendered:
        return
    with _journal(root) as journals:
        try:
            placements = [_placement(root, each) for each in rendered]
            Store(journals).deliver(_JOURNAL, placements)
        except NotStored as error:
            raise NotRendered([str(error)]) from None
        except OSError as error:
            raise NotRendered([f"{error.filename}: {error.strerror}"]) from None


def recover(root: Path) -> bool:
    """Finish what a kill interrupted, and tell whether there was anything. Raises NotRendered when that fails."""
    if not (root / tree.JOURNAL).is_dir():
        return False
    with _journal(root) as journals:
        try:
            finished = Store(journals).recover()
        except (OSError, ValueError, TypeError) as error:
            raise NotRendered([f"{journals}: the render before cannot be finished ({error})"]) from None
        store.sweep(str(root / document.path) for document in tree.read(root).documents)
    return bool(finished)


def _placement(root: Path, rendered: Rendered) -> Placement:
    path = root / rendered.path
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode) or path.read_bytes() != rendered.old:
        raise NotRendered([f"{rendered.path}:1 was changed by somebody else meanwhile"])
    owner = Owner(status.st_uid, status.st_gid)
    return Placement(str(path), rendered.new, stat.S_IMODE(status.st_mode), owner, str(root))


@contextmanager
def _journal(root: Path) -> Iterator[Path]:
    """Lend a folder for the journal in the root; while it is there, a render is at work or was interrupted."""
    folder = root / tree.JOURNAL
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise NotRendered([f"{folder}: {error.strerror}"]) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise NotRendered([f"{folder}: another render is at work"]) from None
    try:
        yield folder
    finally:
        if not any(folder.glob("*.json")):
            (folder / "lock").unlink(missing_ok=True)
            with suppress(OSError):
                folder.rmdir()
        os.close(descriptor)
