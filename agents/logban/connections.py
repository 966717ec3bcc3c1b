"""Whose connection is which: the memory that ties an address on one line to an error on another."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from logban.address import Address
    from logban.rules import Rule

# Of the connections of one container: many more than a mail server holds open, a few megabytes at most.
MOST_CONNECTIONS = 65_536


class Connection:
    """One client's connection, from its first line to its last."""

    __slots__ = ("address", "offended", "renamed", "succeeded", "waiting")

    def __init__(self, address: Address | None) -> None:
        """*address* is None while only an id is known."""
        self.address = address
        self.renamed = False
        self.offended = False
        self.succeeded = False
        # An offence whose address is still to come: rule, kind, reason, line, time and evidence.
        self.waiting: tuple[Rule, str, str, int, float | None, str] | None = None


class Connections:
    """The connections of one server, by id. The oldest is forgotten when there are too many."""

    __slots__ = ("_by_id", "_most", "forgotten", "seen")

    def __init__(self, most: int = MOST_CONNECTIONS) -> None:
        self._by_id: dict[bytes, Connection] = {}
        self._most = most
        self.seen = 0
        self.forgotten: list[Connection] = []

    def get(self, identity: bytes) -> Connection | None:
        return self._by_id.get(identity)

    def open(self, identity: bytes, address: Address | None) -> Connection:
        """A new connection; an id that is used again (a process id, a counter) starts anew."""
        earlier = self._by_id.pop(identity, None)
        if earlier is not None and earlier.waiting is not None:
            self.forgotten.append(earlier)
        connection = self._by_id[identity] = Connection(address)
        self.seen += 1
        if len(self._by_id) > self._most:
            oldest = self._by_id.pop(next(iter(self._by_id)))
            if oldest.waiting is not None:
                self.forgotten.append(oldest)
        return connection

    def close(self, identity: bytes) -> None:
        self._by_id.pop(identity, None)

    def waiting(self) -> list[Connection]:
        """The connections with an offence that nobody can be blamed for yet."""
        return [connection for connection in self._by_id.values() if connection.waiting is not None]
