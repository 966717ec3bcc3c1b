"""What TOML and JSON share: strings, lists, tables in braces, and bare words, each with its place in the text.

It reads leniently, so that a template whose `domains=__WEBMAIL_DOMAINS__` is no TOML yet can be read too. Whether the
text is right is for the strict parser to say; wherever that agrees, this finds the same values.
"""

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from confcheck.document import Entry, Key, NotReadable, Place, Role
from confcheck.placeholder import TOKEN

_SPACE = re.compile(r"(?:[\s\ufeff]|#[^\n]*)*")
_PLAIN_SPACE = re.compile(r"[\s\ufeff]*")
_BASIC = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_LITERAL = re.compile(r"'[^'\n]*'")
_BASIC_BLOCK = re.compile(r'"""(?:[^\\]|\\.)*?"""(?:""?(?!"))?', re.DOTALL)
_LITERAL_BLOCK = re.compile(r"'''.*?'''(?:''?(?!'))?", re.DOTALL)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BARE = re.compile(r"[^,\]}#\n\r]+")
_DEEPEST = 100


@dataclass(slots=True)
class Cursor(Place):
    """A place in a text, moving on. *json*: colons after names, no comments, JSON's escapes."""

    json: bool = False
    kinds: dict[Key, set[str]] = field(default_factory=dict)  # of the members of each list

    def skip(self) -> None:
        """Pass white space, line ends and comments."""
        found = (_PLAIN_SPACE if self.json else _SPACE).match(self.text, self.at)
        self.at = found.end() if found else self.at

    def expect(self, mark: str) -> None:
        if not self.text.startswith(mark, self.at):
            raise NotReadable(self.line, f"expected {mark}")
        self.at += len(mark)

    def take(self, pattern: re.Pattern[str], what: str) -> str:
        found = pattern.match(self.text, self.at)
        if not found:
            raise NotReadable(self.line, f"expected {what}")
        self.at = found.end()
        return found[0]


def value(cursor: Cursor, key: Key, depth: int = 0) -> Iterator[Entry]:
    """Read the value at the cursor, which stands at *key*. Raises NotReadable."""
    if depth > _DEEPEST:
        raise NotReadable(cursor.line, "nested too deeply")
    match cursor.next:
        case "[":
            yield from _list(cursor, key, depth)
        case "{":
            yield from _table(cursor, key, depth)
        case '"' | "'":
            yield string(cursor, key)
        case _:
            start, line = cursor.at, cursor.line
            text = cursor.take(_BARE, "a value").rstrip()
            yield Entry(key, text, (start, start + len(text)), line)


def string(cursor: Cursor, key: Key, role: Role = Role.VALUE) -> Entry:
    """Read a quoted string."""
    start, line = cursor.at, cursor.line
    for quote, pattern in (('"""', _BASIC_BLOCK), ("'''", _LITERAL_BLOCK), ('"', _BASIC), ("'", _LITERAL)):
        if cursor.text.startswith(quote, start) and not (cursor.json and quote != '"'):
            raw = cursor.take(pattern, "the end of a string")
            return Entry(key, _decoded(raw, line, json_text=cursor.json), (start, cursor.at), line, quote, role)
    raise NotReadable(line, "expected a string")


def name(cursor: Cursor, above: Key) -> Iterator[Entry]:
    """Read a name, with dots in TOML: one entry for each part, the last with the whole key."""
    while True:
        start, line = cursor.at, cursor.line
        if cursor.next in {'"', "'"}:
            part = string(cursor, above, Role.NAME)
        else:
            text = cursor.take(_BARE_KEY, "a name")
            part = Entry(above, text, (start, cursor.at), line, role=Role.NAME)
        above = (*above, part.text)
        yield replace(part, key=above)
        here = cursor.at
        while cursor.next in {" ", "\t"}:
            cursor.at += 1
        if cursor.json or cursor.next != ".":
            cursor.at = here
            return
        cursor.at += 1
        while cursor.next in {" ", "\t"}:
            cursor.at += 1


def _decoded(raw: str, line: int, *, json_text: bool) -> str:
    try:
        found = json.loads(raw) if json_text else tomllib.loads(f"v={raw}")["v"]
    except (ValueError, RecursionError):
        raise NotReadable(line, "a string with an escape or a character that is not allowed") from None
    return str(found)


def _list(cursor: Cursor, key: Key, depth: int) -> Iterator[Entry]:
    cursor.expect("[")
    kinds = cursor.kinds.setdefault(key, set())
    number = 0
    while True:
        cursor.skip()
        if cursor.next == "]":
            cursor.at += 1
            return
        kinds.add(_kind(cursor))
        for entry in value(cursor, (*key, str(number)), depth + 1):
            yield replace(entry, listed=True) if len(entry.key) == len(key) + 1 else entry
        number += 1
        cursor.skip()
        if cursor.next == ",":
            cursor.at += 1
        elif cursor.next != "]":
            raise NotReadable(cursor.line, "expected , or ]")


def _table(cursor: Cursor, key: Key, depth: int) -> Iterator[Entry]:
    cursor.expect("{")
    while True:
        cursor.skip()
        if cursor.next == "}":
            cursor.at += 1
            return
        parts = list(name(cursor, key))
        yield from parts
        cursor.skip()
        cursor.expect(":" if cursor.json else "=")
        cursor.skip()
        yield from value(cursor, parts[-1].key, depth + 1)
        cursor.skip()
        if cursor.next == ",":
            cursor.at += 1
        elif cursor.next != "}":
            raise NotReadable(cursor.line, "expected , or }")


def _kind(cursor: Cursor) -> str:
    """Tell the kind of the value ahead as TOML 0.4 tells them apart."""
    if cursor.next in {'"', "'"}:
        return "string"
    if cursor.next in {"[", "{"}:
        return cursor.next
    word = _BARE.match(cursor.text, cursor.at)
    text = word[0].strip() if word else ""
    if TOKEN.fullmatch(text):
        return "string"
    if text in {"true", "false"}:
        return "boolean"
    return "float" if "." in text or "e" in text.lower() else "integer"
