"""A configuration file as confcheck sees it: what is written at which key, on which line, in which spelling."""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

Key = tuple[str, ...]  # ("api", "accessToken"); members of lists by their number


class Role(Enum):
    """What a piece of text is in its file."""

    VALUE = "value"
    NAME = "name"  # a key, or a section's name


@dataclass(frozen=True, slots=True)
class Entry:
    """One value or name. *text* is what its server reads; *span* is where it stands in the file, quotes included."""

    key: Key
    text: str = field(repr=False)
    span: tuple[int, int]
    line: int
    quote: str = ""  # how it is written: '"', "'", '\"\"\"', '|', ... ; empty: bare
    role: Role = Role.VALUE
    listed: bool = False  # a member of a list


@dataclass(frozen=True, slots=True)
class Include:
    """A request to read other files here, in the words of the file."""

    key: Key
    pattern: str
    line: int
    needed: bool = True


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a file cannot be read, or not by its server. *rule* is the finding that it makes."""

    rule: str
    line: int
    message: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What a format's reader found."""

    entries: tuple[Entry, ...] = ()
    includes: tuple[Include, ...] = ()
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """A file that was read. *path* is relative to the root, *format* names its reader."""

    path: str
    format: str
    text: str = field(repr=False)
    reading: Reading


class NotReadable(Exception):
    """The text is not of its format. Holds the line, and a reason without any value in it."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line, self.reason = line, reason


class Lines:
    """Turns offsets of a text into line numbers, from 1."""

    def __init__(self, text: str) -> None:
        self._ends = [found.start() for found in re.finditer("\n", text)]

    def at(self, offset: int) -> int:
        return bisect_right(self._ends, offset - 1) + 1


@dataclass(slots=True)
class Place:
    """Where a reader of a text is."""

    text: str = field(repr=False)  # it may hold secrets
    at: int = 0
    lines: Lines = field(init=False)

    def __post_init__(self) -> None:
        self.lines = Lines(self.text)

    @property
    def line(self) -> int:
        return self.lines.at(self.at)

    @property
    def next(self) -> str:
        """The next character; empty at the end."""
        return self.text[self.at : self.at + 1]


def masked(value: str) -> str:
    """Show a value by its first two characters and its length: enough to recognise, too little to use."""
    return f"{value[:2]}…({len(value)})" if len(value) > 4 else f"…({len(value)})"


def without_values(reason: str) -> str:
    """Take out what a parser quotes of the text: it may be a secret."""
    return " ".join(re.sub(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", "'…'", reason).split())


def dotted(key: Sequence[str]) -> str:
    """Write a key for people."""
    return ".".join(key)
