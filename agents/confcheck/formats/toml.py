"""TOML as WildDuck, ZoneMTA and the webmail read it: with wild-config's `# @include`, and TOML 0.4 underneath.

Their parser (npm `toml` 3.0) takes dotted keys and lists of mixed kinds for errors, which TOML 1.0 allows.
"""

import re
import tomllib
from collections.abc import Iterator

from confcheck.document import Entry, Include, Key, NotReadable, Problem, Reading, Role, without_values
from confcheck.formats.literals import Cursor, name, value
from confcheck.placeholder import quoted_where_bare

_INCLUDE = re.compile(r'#\s*@include\s*"([^"\n]+)"', re.IGNORECASE)
_LINE = re.compile(r"at line (\d+)")
_COMMENT = re.compile(r"#[^\n]*")
_SPACE = re.compile(r"[\s\ufeff]+")
_NO_ROOM = {"", "\n", "\r", "#"}


def read(text: str) -> Reading:
    """Read *text*; a template's bare placeholders count as strings. Raises NotReadable."""
    cursor = Cursor(text)
    parts: list[Entry | Include] = []
    problem: NotReadable | None = None
    try:
        for part in _parts(cursor):
            parts.append(part)  # noqa: PERF402 - what was read before an error counts
    except NotReadable as error:
        problem = error
    entries = [each for each in parts if isinstance(each, Entry)]
    _strictly(quoted_where_bare(text, entries))
    if problem:
        raise problem
    includes = tuple(each for each in parts if isinstance(each, Include))
    return Reading(tuple(entries), includes, tuple(_dialect(cursor, entries)))


def _strictly(text: str) -> None:
    try:
        tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        found = _LINE.search(str(error))
        line = int(found[1]) if found else text.count("\n") + 1
        raise NotReadable(line, without_values(str(error).partition(" (at ")[0])) from None
    except RecursionError:
        raise NotReadable(1, "nested too deeply") from None


def _parts(cursor: Cursor) -> Iterator[Entry | Include]:
    table: Key = ()
    arrays: dict[Key, int] = {}
    while cursor.at < len(cursor.text):
        if found := _SPACE.match(cursor.text, cursor.at):
            cursor.at = found.end()
        elif cursor.next == "#":
            if include := _INCLUDE.match(cursor.text, cursor.at):
                yield Include(table, include[1], cursor.line)
            cursor.take(_COMMENT, "a comment")
        elif cursor.next == "[":
            mark = "[[" if cursor.text.startswith("[[", cursor.at) else "["
            cursor.expect(mark)
            _blanks(cursor)
            parts = list(name(cursor, ()))
            _blanks(cursor)
            cursor.expect("]" * len(mark))
            table = _numbered(parts[-1].key, arrays, new=mark == "[[")
            yield from parts
        else:
            parts = list(name(cursor, table))
            yield from parts
            _blanks(cursor)
            cursor.expect("=")
            _blanks(cursor)
            if cursor.next in _NO_ROOM:
                raise NotReadable(cursor.line, "a name without a value")
            yield from value(cursor, parts[-1].key)
            _blanks(cursor)
            if cursor.next not in _NO_ROOM:
                raise NotReadable(cursor.line, "expected the end of the line after a value")


def _blanks(cursor: Cursor) -> None:
    while cursor.next in {" ", "\t"}:
        cursor.at += 1


def _numbered(key: Key, arrays: dict[Key, int], *, new: bool) -> Key:
    """Put into a table's key the numbers of the arrays of tables that it lies in."""
    full: Key = ()
    for position, part in enumerate(key, start=1):
        full = (*full, part)
        if new and position == len(key):
            arrays[full] = arrays.get(full, -1) + 1
        if full in arrays:
            full = (*full, str(arrays[full]))
    return full


def _dialect(cursor: Cursor, entries: list[Entry]) -> Iterator[Problem]:
    for entry in entries:
        text, (start, end) = cursor.text, entry.span
        before = text[text.rfind("\n", 0, start) + 1 : start].lstrip(" \t\ufeff")
        is_header = before.startswith("[")
        if entry.role is Role.NAME and not is_header and text[end : end + 32].lstrip(" \t").startswith("."):
            yield Problem("toml-dialect", entry.line, "a dotted key: write it as a table of its own")
    for key, kinds in cursor.kinds.items():
        if len(kinds) > 1:
            line = next((each.line for each in entries if each.key[: len(key)] == key), 1)
            yield Problem("toml-dialect", line, "a list with members of several kinds: give all one kind")
