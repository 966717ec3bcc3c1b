"""Recognition: blocks of a container's log in, facts about clients out.

One path for all: the live reader hands over one line or a thousand, `logban test` a quarter of a megabyte. Nothing here
knows a file, a clock or a socket. Text that a client chose never gives an address, a connection or a kind: every
pattern starts at the start of the line and takes what it takes by position.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from logban.address import parse
from logban.bounded import drop_oldest
from logban.connections import MOST_WAITING, Connection, Connections, Suspicion
from logban.gate import Gate
from logban.offence import EVIDENCE_BYTES, Event, Offence, Proxy, Success
from logban.rules import Block, Filter, Rule, spoken
from logban.unattributed import Account, Unattributed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from logban.address import Address
    from logban.onepass import Match

_ESCAPE = re.compile(rb"\x1b\[[0-9;:?]*[ -/]*[@-~]")
_MOST_BLOCK_BYTES = 65_536
_MOST_ECHOES = 4_096
_MOST_RECENT_SUCCESSES = 4_096
_REASON_CHARACTERS = 160
# Of the engine's time, up to the minute.
_MINUTE = len("2026-11-22T08:36")
_CR = 13  # a terminal ends lines with CR LF


@dataclass(slots=True)
class _Server:
    """What one filter remembers of one log."""

    connections: Connections
    # Behind PROXY headers: what the socket's other end is, is a balancer.
    proxied: bool = False
    # What named patterns told and echoes may repeat: surplus of tellings per echo rule, reason and address.
    echoes: Counter[tuple[int, str, Address | None]] = field(default_factory=Counter)
    # Addresses whose success was told, and in which minute: a busy client's next one tells nothing new.
    successes: dict[bytes, bytes] = field(default_factory=dict)


class _Line(NamedTuple):
    """One line, or one block of lines, and the spans of what a rule found in it."""

    text: bytes
    start: int
    stamp: bytes
    spans: list[tuple[int, int]]

    def group(self, number: int) -> bytes | None:
        """Give the text of group *number*; None for group 0, which no rule has, and for one that took no part."""
        begin, end = self.spans[number]
        return self.text[begin:end] if number and begin >= 0 else None


@dataclass(frozen=True, slots=True, eq=False)
class _Frequent:
    """A rule for the lines that make up nearly all that pass the gate, with what its match needs at hand."""

    rule: Rule
    filter: str
    opens: bool
    match: Match
    addr: int
    id: int

    @classmethod
    def of(cls, rule: Rule) -> _Frequent | None:
        """Give it for a rule that is one."""
        pattern = rule.pattern
        if pattern.quick is None or rule.role not in {"opens", "success"}:
            return None
        return cls(rule, rule.filter, rule.role == "opens", pattern.quick, pattern.addr, pattern.id)


_Candidate = Rule | Block | _Frequent


class Recogniser:
    """Compiled filters, shared by all logs that are read with them."""

    def __init__(self, filters: Iterable[Filter]) -> None:
        self.filters = tuple(filters)
        items: list[Rule | Block] = [block for each in self.filters for block in each.blocks]
        items += [rule for each in self.filters for rule in each.rules]
        # The ends of connections are of interest only while an offence waits for its address.
        self.gate = _gate(item for item in items if isinstance(item, Block) or item.role != "closes")
        self.full_gate = _gate(items)
        every = [rule for each in self.filters for rule in _all_rules(each)]
        self.echoed_by = {
            id(told): tuple(echo for echo in every if echo.filter == told.filter and told.name in echo.echo_of)
            for told in every
            if told.name
        }


def _gate(items: Iterable[Rule | Block]) -> Gate[_Candidate]:
    return Gate(
        [
            (item.begin.literals, item)
            if isinstance(item, Block)
            else (item.pattern.literals, _Frequent.of(item) or item)
            for item in items
        ]
    )


def _all_rules(each: Filter) -> Sequence[Rule]:
    return (*each.rules, *(rule for block in each.blocks for rule in block.rules))


class Log:
    """One container's log, read from its first line to its last."""

    def __init__(self, recogniser: Recogniser, *, stamped: bool = False) -> None:
        """*stamped*: each line starts with the engine's RFC 3339 time and a blank."""
        self._recogniser = recogniser
        self._stamped = stamped
        self._servers = {each.name: _Server(Connections(reused=each.reuses_ids)) for each in recogniser.filters}
        self._waiting = 0
        self._block: Block | None = None
        self._block_lines: list[bytes] = []
        self._line = 0
        self._counted = 0
        self._data = b""
        self._alone = 0
        self._account = Account()
        self._events: list[Event] = []
        self._roles: dict[str, Callable[[Rule, _Line], None]] = {
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
        """Read *data*, whole lines each ended by LF, and return what they tell, in the order of the lines."""
        if b"\x1b" in data:
            data = _ESCAPE.sub(b"", data)
        self._data, self._counted = data, 0
        position = 0
        while position < len(data):
            position = self._in_block(self._block, position) if self._block is not None else self._scan(position)
        self._line += data.count(b"\n", self._counted)
        self._data = b""
        events, self._events = self._events, []
        return events

    def unattributed(self) -> list[Unattributed]:
        """Sum up the offences so far that nobody can be blamed for, those that still wait for an address included."""
        waiting = (each for server in self._servers.values() for each in server.connections.waiting.values())
        return self._account.total((suspicion.rule, suspicion.kind) for suspicion in waiting)

    def _scan(self, position: int) -> int:
        """Read from *position* to the end of the data, or to a line behind which another way of reading begins."""
        data, stamped, servers = self._data, self._stamped, self._servers
        waiting = self._waiting > 0
        gate = self._recogniser.full_gate if waiting else self._recogniser.gate
        for start, end, items in gate.lines(data, position):
            last = end - 1 if data[end - 1] == _CR else end
            begin = (data.find(b" ", start, last) + 1 or last) if stamped else start
            text: bytes | None = None
            for item in items:
                if type(item) is _Frequent:
                    found = item.match(data, begin, last)
                    if found is None:
                        continue
                    if item.opens:
                        identity, address = found.group(item.id, item.addr)
                        servers[item.filter].connections.open(identity, address or b"")
                        continue
                    if not self._is_news(item, found, data[start : start + _MINUTE]):
                        continue
                if text is None:
                    text = data[begin:last]
                self._take((item,), text, start, data[start : max(start, begin - 1)])
            if self._block is not None or waiting != (self._waiting > 0):
                return end + 1
        return len(data)

    def _is_news(self, item: _Frequent, found: re.Match[bytes], minute: bytes) -> bool:
        """Whether a success was not told of in this minute."""
        server = self._servers[item.filter]
        address = found[item.addr] if item.addr else server.connections.address_text(found[item.id])
        return server.successes.get(address) != (minute if self._stamped else b"")

    def _in_block(self, block: Block, position: int) -> int:
        """Read one line while *block* is open: a line of the block, or of something else in between."""
        end = self._data.find(b"\n", position)
        end = len(self._data) if end < 0 else end
        text = self._data[position:end].removesuffix(b"\r")
        stamp = b""
        if self._stamped:
            stamp, _, text = text.partition(b" ")
        self._block_lines.append(_without_start(block, text))
        if block.end.regex.matches(text):
            self._block = None
            self._take(block.rules, b"\n".join(self._block_lines), position, stamp)
            return end + 1
        if len(self._block_lines) >= block.most_lines or sum(map(len, self._block_lines)) > _MOST_BLOCK_BYTES:
            self._block = None
        # Lines in between are something else's; a block's own hold nothing that these patterns take.
        for _, _, items in self._recogniser.full_gate.lines(text):
            self._take(items, text, position, stamp)
        return end + 1

    def _take(self, items: Iterable[_Candidate], text: bytes, start: int, stamp: bytes) -> None:
        """Try *items* on one line, or on one block of lines, that started at *start*."""
        for item in items:
            if isinstance(item, Block):
                if item is not self._block and item.begin.regex.matches(text):
                    self._block, self._block_lines = item, [text]
                continue
            rule = item.rule if isinstance(item, _Frequent) else item
            spans = rule.pattern.regex.search(text)
            if spans is not None:
                self._roles[rule.role](rule, _Line(text, start, stamp, spans))

    def _open(self, rule: Rule, line: _Line) -> None:
        connections = self._servers[rule.filter].connections
        connections.open(line.group(rule.pattern.id) or b"", line.group(rule.pattern.addr) or b"")

    def _rename(self, rule: Rule, line: _Line) -> None:
        identity, address = line.group(rule.pattern.id), parse(line.group(rule.pattern.addr) or b"")
        if identity is None or address is None:
            return
        server = self._servers[rule.filter]
        server.proxied = True
        connection = server.connections.get(identity) or server.connections.add(identity, address)
        self._name(connection, identity, address, rule, line)
        connection.renamed = True

    def _name(self, connection: Connection, identity: bytes, address: Address, rule: Rule, line: _Line) -> None:
        """Give *connection* its true address; the one it had belongs to whoever sent the PROXY header."""
        if connection.address is not None and connection.address != address and not connection.renamed:
            self._events.append(Proxy(connection.address, rule.filter, self._number(line), _seconds(line.stamp)))
        connection.address = address
        suspicion = self._servers[rule.filter].connections.waiting.pop(identity, None)
        if suspicion is not None:
            self._waiting -= 1
            kind, reason = suspicion.kind, suspicion.reason
            self._blame(Offence(address, kind, reason, rule.filter, suspicion.line, suspicion.at, suspicion.text))

    def _close(self, rule: Rule, line: _Line) -> None:
        identity = line.group(rule.pattern.id) or b""
        connections = self._servers[rule.filter].connections
        connection = connections.get(identity)
        if connection is None or identity not in connections.waiting:
            return
        address = parse(line.group(rule.pattern.addr) or b"")
        if address is not None:
            self._name(connection, identity, address, rule, line)
        else:
            self._give_up(connections, identity)

    def _proxied(self, rule: Rule, _line: _Line) -> None:
        self._servers[rule.filter].proxied = True

    def _success(self, rule: Rule, line: _Line) -> None:
        server = self._servers[rule.filter]
        text = line.group(rule.pattern.addr)
        if text is None:
            text = server.connections.address_text(line.group(rule.pattern.id) or b"")
        minute = line.stamp[:_MINUTE]
        if server.successes.get(text) == minute:
            return
        address = parse(text)
        if address is None:
            return
        drop_oldest(server.successes, _MOST_RECENT_SUCCESSES)
        server.successes[text] = minute
        self._events.append(Success(address, rule.filter, self._number(line), _seconds(line.stamp)))

    def _offence(self, rule: Rule, line: _Line) -> None:
        text = line.group(rule.pattern.reason)
        reason = rule.reason if text is None else spoken(text.decode("utf-8", "replace").strip())[:_REASON_CHARACTERS]
        kind = rule.vocabulary.kind(reason) if rule.vocabulary is not None else rule.kind
        if kind is None:
            return
        if not (rule.pattern.addr or rule.pattern.id):
            self._repeat_or_orphan(rule, kind, reason)
            return
        identity, address, connection = self._who(rule, line)
        if identity is None and address is None:
            return  # what stands in the address's place is no address: nothing is guessed
        self._told(rule, kind, reason, address)
        if identity is None and rule.peer and self._servers[rule.filter].proxied:
            self._account.orphan(rule, kind)
            return
        if (connection is not None and connection.offended) or self._is_echo(rule, reason, address):
            return
        found = Suspicion(rule, kind, reason, self._number(line), _seconds(line.stamp), line.text[:EVIDENCE_BYTES])
        if connection is None:
            self._alone += 1
        else:
            connection.offended = True
        if address is not None:
            self._blame(Offence(address, kind, reason, rule.filter, found.line, found.at, found.text))
        elif identity is not None:
            self._wait(self._servers[rule.filter].connections, identity, found)

    def _who(self, rule: Rule, line: _Line) -> tuple[bytes | None, Address | None, Connection | None]:
        """Id, address and connection that a line speaks of.

        Its own address comes before the remembered one, unless it is that of the socket's other end.
        """
        identity, text = line.group(rule.pattern.id), line.group(rule.pattern.addr)
        address = None if text is None else parse(text)
        if identity is None or (text is not None and address is None):
            return None, address, None
        server = self._servers[rule.filter]
        connections, connection = server.connections, server.connections.get(identity)
        if rule.peer and (server.proxied or (connection is not None and connection.address is not None)):
            address = None
        if connection is None:
            return identity, address, connections.add(identity, address)
        if address is None:
            return identity, connection.address, connection
        if connection.address is None:
            self._name(connection, identity, address, rule, line)
        elif connection.address != address:
            connection = connections.add(identity, address)
        return identity, address, connection

    def _blame(self, offence: Offence) -> None:
        self._events.append(offence)
        successes = self._servers[offence.filter].successes
        if successes:  # its next success is news again
            text = str(offence.address).encode()
            for each in (text, b"::ffff:" + text):
                successes.pop(each, None)

    def _wait(self, connections: Connections, identity: bytes, suspicion: Suspicion) -> None:
        connections.waiting[identity] = suspicion
        self._waiting += 1
        if len(connections.waiting) > MOST_WAITING:
            self._give_up(connections, next(iter(connections.waiting)))

    def _give_up(self, connections: Connections, identity: bytes) -> None:
        suspicion = connections.waiting.pop(identity)
        self._waiting -= 1
        self._account.orphan(suspicion.rule, suspicion.kind)

    def _told(self, rule: Rule, kind: str, reason: str, address: Address | None) -> None:
        """Note what an echo of this line may repeat."""
        for echo in self._recogniser.echoed_by.get(id(rule), ()):
            if echo.pattern.addr:
                echoes = self._servers[rule.filter].echoes
                drop_oldest(echoes, _MOST_ECHOES)
                echoes[id(echo), reason, address] += 1
            else:
                self._account.repeat(echo, kind, reason, -1)

    def _is_echo(self, rule: Rule, reason: str, address: Address | None) -> bool:
        echoes = self._servers[rule.filter].echoes
        key = (id(rule), reason, address)
        if not rule.echo_of or echoes[key] <= 0:
            return False
        echoes[key] -= 1
        return True

    def _repeat_or_orphan(self, rule: Rule, kind: str, reason: str) -> None:
        if rule.echo_of:
            self._account.repeat(rule, kind, reason, 1)
        else:
            self._alone += 1
            self._account.orphan(rule, kind)

    def _number(self, line: _Line) -> int:
        """Count up to *line* in the log, the first being 1."""
        self._line += self._data.count(b"\n", self._counted, line.start)
        self._counted = line.start
        return self._line + 1


def _without_start(block: Block, text: bytes) -> bytes:
    if block.line is None:
        return text
    start = block.line.regex.search(text)
    return b"" if start is None else text[start[0][1] :]


def _seconds(stamp: bytes) -> float | None:
    """Seconds since 1970 of an RFC 3339 time; None without one."""
    try:
        return datetime.fromisoformat(stamp.decode("ascii")).timestamp() if stamp else None
    except ValueError:
        return None
