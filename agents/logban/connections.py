"""Whose connection is which: the memory that ties an address on one line to an error on another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from logban.address import parse
from logban.bounded import drop_oldest

if TYPE_CHECKING:
    from logban.address import Address
    from logban.rules import Rule

# Of one log. An offence follows soon upon the first line of its connection, so the oldest can go.
MOST_OPENED = 16_384
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

    __slots__ = ("address", "offended", "renamed")

    def __init__(self, address: Address | None) -> None:
        """*address* is None while only an id is known."""
        self.address = address
        self.renamed = False
        self.offended = False


class Connections:
    """The connections of one server, by id.

    Most of them never do anything: of those only the two texts of their first line are kept, unread.
    """

    __slots__ = ("_known", "_opened", "_reused", "seen", "waiting")

    def __init__(self, *, reused: bool) -> None:
        """*reused*: an id (a process id, a counter) comes again and then means a new connection.

        Else the first line with an id is the server's own, printed before the client said a word; a later one that
        claims to open the same connection was slipped into the log by the client.
        """
        self._reused = reused
        self._opened: dict[bytes, bytes] = {}
        self._known: dict[bytes, Connection] = {}
        # Offences whose address is still to come, by connection.
        self.waiting: dict[bytes, Suspicion] = {}
        self.seen = 0

    def open(self, identity: bytes, address: bytes) -> None:
        """Note that a connection begins; *address* is its text, empty when the line has a name in its place."""
        opened = self._opened
        if self._reused:
            self._known.pop(identity, None)
        elif identity in opened or identity in self._known:
            return
        self.seen += 1
        opened[identity] = address
        if len(opened) > MOST_OPENED:
            drop_oldest(opened, MOST_OPENED)

    def get(self, identity: bytes) -> Connection | None:
        """Find the connection with this id, if its first line or another one of it was seen."""
        known = self._known.get(identity)
        if known is not None:
            return known
        address = self._opened.get(identity)
        return None if address is None else self._know(identity, parse(address))

    def address_text(self, identity: bytes) -> bytes:
        """Give the address of the connection with this id as text, empty when it is not known."""
        known = self._known.get(identity)
        if known is None:
            return self._opened.get(identity, b"")
        return b"" if known.address is None else str(known.address).encode()

    def add(self, identity: bytes, address: Address | None) -> Connection:
        """Note a connection whose first line was not seen, or that turned out to be another than the known one."""
        self.seen += 1
        return self._know(identity, address)

    def _know(self, identity: bytes, address: Address | None) -> Connection:
        self._known.pop(identity, None)
        connection = self._known[identity] = Connection(address)
        drop_oldest(self._known, MOST_KNOWN)
        return connection
