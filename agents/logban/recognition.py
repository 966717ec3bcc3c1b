"""Recognition: blocks of a container's log in, facts about clients out.

One path for all: the live reader hands over one line or a thousand, `logban test` a megabyte at a time. Nothing here
knows a file, a clock or a socket. Text that a client chose never gives an address, a connection or a kind: every
pattern starts at the start of the line and takes what it takes by position.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from logban.address import parse
from logban.connections import Connection, Connections
from logban.gate import Gate
from logban.offence import Event, Offence, Proxy, Success, evidence
from logban.rules import Block, Filter, Rule, spoken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import re2

    from logban.address import Address

_ESCAPE = re.compile(rb"\x1b\[[0-9;:?]*[ -/]*[@-~]")
_MOST_BLOCK_BYTES = 65_536
_MOST_ECHOES = 4_096
_REASON_CHARACTERS = 160
_NO_ADDRESS = "the log never tells the address of this connection"


@dataclass(slots=True)
class Unattributed:
    """Offences that nobody can be blamed for: how many, why, and what would help."""

    kind: str
    filter: str
    advice: str
    count: int = 0


@dataclass(slots=True)
class _Server:
    """What one filter remembers of one log."""

    connections: Connections = field(default_factory=Connections)
    # Behind PROXY headers: what the socket's other end is, is a balancer.
    proxied: bool = False
    # What named patterns told and echoes may repeat: surplus of tellings per echo rule, reason and address.
    echoes: Counter[tuple[int, str, Address | None]] = field(default_factory=Counter)


class Recogniser:
    """Compiled filters, shared by all logs that are read with them."""

    def __init__(self, filters: Iterable[Filter]) -> None:
        self.filters = tuple(filters)
        rules: list[Rule | Block] = [block for each in self.filters for block in each.blocks]
        rules += [rule for each in self.filters for rule in each.rules]
        literals = ((rule.begin if isinstance(rule, Block) else rule.pattern).literal for rule in rules)
        self.gate = Gate(zip(literals, rules, strict=True))
        every = [rule for each in self.filters for rule in _all_rules(each)]
        self.echoed_by = {
            id(told): tuple(echo for echo in every if echo.filter == told.filter and told.name in echo.echo_of)
            for told in every
            if told.name
        }


def _all_rules(each: Filter) -> Sequence[Rule]:
    return (*each.rules, *(rule for block in each.blocks for rule in block.rules))


class Log:
    """One container's log, read from its first line to its last."""

    def __init__(self, recogniser: Recogniser, *, stamped: bool = False) -> None:
        """*stamped*: each line starts with the engine's RFC 3339 time and a blank."""
        self._recogniser = recogniser
        self._stamped = stamped
        self._servers = {each.name: _Server() for each in recogniser.filters}
        self._block: Block | None = None
        self._block_lines: list[bytes] = []
        self._line = 0
        self._counted = 0
        self._data = b""
        self._alone = 0
        self._surplus: dict[tuple[str, str, str], Unattributed] = {}
        self._orphans: dict[tuple[str, str], Unattributed] = {}
        self._events: list[Event] = []
        self._roles: dict[str, Callable[[Rule, re2._Match, bytes, int, bytes], None]] = {
            "opens": self._open,
            "renames": self._rename,
            "closes": self._close,
            "proxied": self._proxied,
            "success": self._success,
            "offence": self._offence,
        }

    @property
    def lines(self) -> int:
        """Lines read so far."""
        return self._line

    @property
    def connections(self) -> int:
        """Connections seen so far: those with an id, and offences that stand for a connection of their own."""
        return self._alone + sum(server.connections.seen for server in self._servers.values())

    def feed(self, data: bytes) -> list[Event]:
        """What *data*, whole lines each ended by LF, tells; in the order of the lines."""
        if b"\x1b" in data:
            data = _ESCAPE.sub(b"", data)
        self._data, self._counted = data, 0
        position = 0
        while position < len(data):
            position = self._in_block(position) if self._block is not None else self._scan(position)
        self._line += data.count(b"\n", self._counted)
        self._data = b""
        events, self._events = self._events, []
        return events

    def unattributed(self) -> list[Unattributed]:
        """The offences so far that nobody can be blamed for, those that still wait for an address included."""
        self._gather_forgotten()
        found = {key: Unattributed(each.kind, each.filter, each.advice, each.count) for key, each in self._orphans.items()}
        for (kind, name, _), each in self._surplus.items():
            _add(found, kind, name, each.advice, max(0, each.count))
        for server in self._servers.values():
            for connection in server.connections.waiting():
                if connection.waiting is not None:
                    rule, kind = connection.waiting[:2]
                    _add(found, kind, rule.filter, rule.advice, 1)
        return [each for each in found.values() if each.count]

    def _scan(self, position: int) -> int:
        """Read from *position* to the end of the data, or to the end of a line that begins a block."""
        data = self._data
        for start, end, rules in self._recogniser.gate.lines(data, position):
            stamp, line = self._split(data, start, end)
            for rule in rules:
                if isinstance(rule, Block):
                    if rule.begin.regex.search(line) is not None:
                        self._block, self._block_lines = rule, [line]
                        return end + 1
                else:
                    self._try(rule, line, start, stamp)
        return len(data)

    def _in_block(self, position: int) -> int:
        """Read one line while a block is open: a line of the block, or of something else in between."""
        block = self._block
        assert block is not None  # noqa: S101 -- the caller looked
        end = self._data.find(b"\n", position)
        end = len(self._data) if end < 0 else end
        stamp, line = self._split(self._data, position, end)
        if block.end.regex.search(line) is not None:
            self._block = None
            text = b"\n".join([*self._block_lines, self._without_start(block, line)])
            for rule in block.rules:
                self._try(rule, text, position, stamp)
            return end + 1
        self._block_lines.append(self._without_start(block, line))
        if len(self._block_lines) >= block.most_lines or sum(map(len, self._block_lines)) > _MOST_BLOCK_BYTES:
            self._block = None
        # A line in between is something else's, and a block's own lines hold nothing that these patterns take.
        for _, _, rules in self._recogniser.gate.lines(line):
            for rule in rules:
                if isinstance(rule, Rule):
                    self._try(rule, line, position, stamp)
                elif rule is not block and rule.begin.regex.search(line) is not None:
                    self._block, self._block_lines = rule, [line]
        return end + 1

    @staticmethod
    def _without_start(block: Block, line: bytes) -> bytes:
        if block.line is None:
            return line
        start = block.line.regex.search(line)
        return line[start.end() :] if start is not None else b""

    def _split(self, data: bytes, start: int, end: int) -> tuple[bytes, bytes]:
        """The engine's time and the server's own text of one line."""
        line = data[start : end - 1] if data[end - 1 : end] == b"\r" else data[start:end]
        if not self._stamped:
            return b"", line
        stamp, _, line = line.partition(b" ")
        return stamp, line

    def _try(self, rule: Rule, line: bytes, start: int, stamp: bytes) -> None:
        match = rule.pattern.regex.search(line)
        if match is not None:
            self._roles[rule.role](rule, match, line, start, stamp)

    def _open(self, rule: Rule, match: re2._Match, _line: bytes, _start: int, _stamp: bytes) -> None:
        address = parse(match[rule.pattern.addr])
        if address is not None:
            self._servers[rule.filter].connections.open(match[rule.pattern.id], address)

    def _rename(self, rule: Rule, match: re2._Match, _line: bytes, start: int, stamp: bytes) -> None:
        address = parse(match[rule.pattern.addr])
        if address is None:
            return
        connections = self._servers[rule.filter].connections
        connection = connections.get(match[rule.pattern.id])
        if connection is None:
            connection = connections.open(match[rule.pattern.id], address)
        self._name(connection, address, rule, start, stamp)
        connection.renamed = True

    def _name(self, connection: Connection, address: Address, rule: Rule, start: int, stamp: bytes) -> None:
        """Give *connection* its true address; the one it had belongs to whoever sent the PROXY header."""
        if connection.address is not None and connection.address != address and not connection.renamed:
            self._events.append(Proxy(connection.address, rule.filter, self._number(start), _seconds(stamp)))
        connection.address = address
        if connection.waiting is not None:
            blamed, kind, reason, line, at, text = connection.waiting
            connection.waiting = None
            self._events.append(Offence(address, kind, reason, blamed.filter, line, at, text))

    def _close(self, rule: Rule, match: re2._Match, _line: bytes, start: int, stamp: bytes) -> None:
        identity = match[rule.pattern.id]
        connections = self._servers[rule.filter].connections
        connection = connections.get(identity)
        if connection is None:
            return
        address = parse(match[rule.pattern.addr]) if rule.pattern.addr else None
        if address is not None:
            self._name(connection, address, rule, start, stamp)
        elif connection.waiting is not None:
            self._orphan(rule, connection.waiting[1])
        connections.close(identity)

    def _proxied(self, rule: Rule, _match: re2._Match, _line: bytes, _start: int, _stamp: bytes) -> None:
        self._servers[rule.filter].proxied = True

    def _success(self, rule: Rule, match: re2._Match, _line: bytes, start: int, stamp: bytes) -> None:
        connection, address = self._who(rule, match, create=False)
        if address is None or (connection is not None and connection.succeeded):
            return
        if connection is not None:
            connection.succeeded = True
        self._events.append(Success(address, rule.filter, self._number(start), _seconds(stamp)))

    def _offence(self, rule: Rule, match: re2._Match, line: bytes, start: int, stamp: bytes) -> None:
        reason = spoken(match[rule.pattern.reason].decode("utf-8", "replace").strip()) if rule.pattern.reason else rule.reason
        kind = rule.vocabulary.kind(reason) if rule.vocabulary is not None else rule.kind
        if kind is None:
            return
        connection, address = self._who(rule, match, create=True)
        if address is not None and rule.peer and self._servers[rule.filter].proxied:
            self._events.append(Proxy(address, rule.filter, self._number(start), _seconds(stamp)))
            self._told(rule, kind, reason, address)
            self._orphan(rule, kind)
            return
        if connection is None and address is None:
            self._repeat_or_orphan(rule, kind, reason)
            return
        self._told(rule, kind, reason, address)
        if (connection is not None and connection.offended) or self._is_echo(rule, reason, address):
            return
        number, at, text = self._number(start), _seconds(stamp), evidence(line)
        short = reason[:_REASON_CHARACTERS]
        if connection is None:
            self._alone += 1
        else:
            connection.offended = True
            if address is None:
                connection.waiting = (rule, kind, short, number, at, text)
                return
        if address is not None:
            self._events.append(Offence(address, kind, short, rule.filter, number, at, text))

    def _who(self, rule: Rule, match: re2._Match, *, create: bool) -> tuple[Connection | None, Address | None]:
        """The connection and the address that a match speaks of; the line's own address comes before the remembered."""
        identity = match[rule.pattern.id] if rule.pattern.id else None
        address = parse(match[rule.pattern.addr]) if rule.pattern.addr else None
        if rule.pattern.addr and address is None:
            return None, None
        if identity is None:
            return None, address
        connections = self._servers[rule.filter].connections
        connection = connections.get(identity)
        if connection is None:
            return (connections.open(identity, address) if create else None), address
        if address is None:
            return connection, connection.address
        if connection.address is None:
            connection.address = address
            connection.waiting = None
            connection.offended = False
        elif connection.address != address and not rule.peer:
            connection = connections.open(identity, address)
        return connection, address

    def _told(self, rule: Rule, kind: str, reason: str, address: Address | None) -> None:
        """Note what an echo of this line may repeat."""
        for echo in self._recogniser.echoed_by.get(id(rule), ()):
            if echo.pattern.addr:
                echoes = self._servers[rule.filter].echoes
                if len(echoes) >= _MOST_ECHOES:
                    echoes.clear()
                echoes[id(echo), reason, address] += 1
            else:
                self._count_surplus(echo, kind, reason, -1)

    def _is_echo(self, rule: Rule, reason: str, address: Address | None) -> bool:
        echoes = self._servers[rule.filter].echoes
        key = (id(rule), reason, address)
        if not rule.echo_of or echoes[key] <= 0:
            return False
        echoes[key] -= 1
        return True

    def _repeat_or_orphan(self, rule: Rule, kind: str, reason: str) -> None:
        if rule.pattern.addr or rule.pattern.id:
            return  # what stands in the address's place is no address: nothing is guessed, nothing is known
        if rule.echo_of:
            self._count_surplus(rule, kind, reason, 1)
        else:
            self._alone += 1
            self._orphan(rule, kind)

    def _count_surplus(self, rule: Rule, kind: str, reason: str, by: int) -> None:
        """Lines without address less the lines with one that they repeat, whichever comes first."""
        each = self._surplus.setdefault((kind, rule.filter, reason), Unattributed(kind, rule.filter, rule.advice))
        each.count += by

    def _orphan(self, rule: Rule, kind: str) -> None:
        _add(self._orphans, kind, rule.filter, rule.advice, 1)

    def _gather_forgotten(self) -> None:
        for server in self._servers.values():
            for connection in server.connections.forgotten:
                if connection.waiting is not None:
                    self._orphan(*connection.waiting[:2])
            server.connections.forgotten.clear()

    def _number(self, start: int) -> int:
        """The number of the line that starts at *start*, the first being 1."""
        self._line += self._data.count(b"\n", self._counted, start)
        self._counted = start
        return self._line + 1


def _add(found: dict[tuple[str, str], Unattributed], kind: str, name: str, advice: str, count: int) -> None:
    each = found.setdefault((kind, name), Unattributed(kind, name, advice or _NO_ADDRESS))
    each.count += count


def _seconds(stamp: bytes) -> float | None:
    """Seconds since 1970 of an RFC 3339 time; None without one."""
    try:
        return datetime.fromisoformat(stamp.decode("ascii")).timestamp() if stamp else None
    except ValueError:
        return None
