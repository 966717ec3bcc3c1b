"""Whose connection is which: the memory that ties an address on one line to an error on another."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from logban.address import parse

if TYPE_CHECKING:
    from logban.address import Address
    from logban.pattern import Pattern
    from logban.rules import Rule

# Of one log. An offence follows soon upon the first line of its connection, so the oldest can go.
MOST_OPENED = 8_192
LONGEST_OPENING = 512
MOST_KNOWN = 16_384
MOST_WAITING = 256


@dataclass(frozen=True, slots=True)
class Suspicion:
    """An offence without a culprit: its connection's address is still to come."""

    rule: Rule
    kind: str
    reason: str
    line: int
    at: float | None
    text: bytes


class Connection:
    """One client's connection that did something worth a word."""

    __slots__ = ("address", "offended", "renamed", "since", "succeeded")

    def __init__(self, address: Address | None, since: int) -> None:
        """*address* is None while only an id is known; *since* counts connections."""
        self.address = address
        self.since = since
        self.renamed = False
        self.offended = False
        self.succeeded = False


class Connections:
    """The connections of one server, by id.

    Most of them never do anything: of those only the first line is kept, unread.
    """

    __slots__ = ("_known", "_opened", "seen", "waiting")

    def __init__(self) -> None:
        self._opened: deque[tuple[int, Pattern, bytes]] = deque(maxlen=MOST_OPENED)
        self._known: dict[bytes, Connection] = {}
        # Offences whose address is still to come, by connection.
        self.waiting: dict[bytes, Suspicion] = {}
        self.seen = 0

    def open(self, pattern: Pattern, line: bytes) -> None:
        """Note that a connection begins with *line*, which *pattern* matches."""
        self.seen += 1
        self._opened.append((self.seen, pattern, line[:LONGEST_OPENING]))

    def get(self, identity: bytes) -> Connection | None:
        """Find the connection with this id, if its first line or another one of it was seen.

        An id may come again (a process id, a counter): the latest connection is meant.
        """
        known = self._known.get(identity)
        since = 0 if known is None else known.since
        for number, pattern, line in reversed(self._opened):
            if number <= since:
                break
            if identity in line:
                spans = pattern.regex.search(line)
                if spans is not None and line[slice(*spans[pattern.id])] == identity:
                    return self._know(identity, parse(line[slice(*spans[pattern.addr])]), number)
        return known

    def add(self, identity: bytes, address: Address | None) -> Connection:
        """Note a connection whose first line was not seen, or that turned out to be another than the known one."""
        self.seen += 1
        return self._know(identity, address, self.seen)

    def _know(self, identity: bytes, address: Address | None, since: int) -> Connection:
        self._known.pop(identity, None)
        connection = self._known[identity] = Connection(address, since)
        if len(self._known) > MOST_KNOWN:
            del self._known[next(iter(self._known))]
        return connection
