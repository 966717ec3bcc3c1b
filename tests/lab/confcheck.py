"""The stack's configuration folder as it should be, and ways to spoil a copy of it."""

import hashlib
import shutil
from pathlib import Path

from confcheck.finding import Finding
from confcheck.look import Book, book, look

SOUND = Path(__file__).parents[1] / "data" / "confcheck"
SHIPPED: Book = book(Path("/nowhere/rules.yml"), Path("/nowhere/allow.yml"))


def copied(folder: Path) -> Path:
    """Copy the sound tree into *folder*; returns the root."""
    return Path(shutil.copytree(SOUND, folder / "config"))


def spoiled(root: Path, file: str, old: str, new: str) -> int:
    """Put *new* where *old* stands once in *file*; returns the line where it begins."""
    path = root / file
    text = path.read_bytes().decode()
    assert text.count(old) == 1, f"{file} holds {old!r} {text.count(old)} times"
    path.write_bytes(text.replace(old, new).encode())
    return text.count("\n", 0, text.index(old)) + 1


def found(root: Path, by: Book = SHIPPED) -> list[Finding]:
    return list(look(root, by, "production").findings)


def told(root: Path, by: Book = SHIPPED) -> list[tuple[str, int, str]]:
    """List file, line and rule of every finding."""
    return [(each.file, each.line, each.rule) for each in found(root, by)]


def tree_hash(root: Path) -> dict[str, tuple[str, int, int, int]]:
    """Everything below *root*: what each file holds, its mode and owner."""
    hashes = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        hashes[str(path.relative_to(root))] = (content, status.st_mode, status.st_uid, status.st_gid)
    return hashes
