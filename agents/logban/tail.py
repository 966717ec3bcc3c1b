"""Containers' logs as lines: all of them followed by one thread, each line once.

The engine's own reader for `docker logs` is asked over HTTP and its answers are read from bare sockets: never `attach`,
where a reader that hangs would hang the container. A log is opened twice: to hear what is going to be said, and for
what it holds. The latter is its last thousand lines, or as many more as it takes, by what those tell, to reach back to
what is known already: `since` alone makes the engine decode the whole log, seconds for a long one, and whoever is
killed again before that would never get to the news. What is said meanwhile is held back until the past is read.
"""

import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from selectors import EVENT_READ, BaseSelector, DefaultSelector
from socket import socket
from typing import Protocol

from logban.cursor import Cursor
from logban.frames import STAMP, Frames, Line, NotFramed, Terminal
from logban.hands import Anatomy, Answer, NotOpened, Opened, Order
from logban.jsonlog import JsonLog
from logban.seam import FIRST_TAIL, Seam, longer_tail
from sidecarkit.backoff import doubling
from sidecarkit.errors import ContainerGone

READ_BYTES = 262_144
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.1, 5.0
POLL_SECONDS = 0.02  # of logs that are read from their files


class Reader(Protocol):
    """Lines out of what a stream gives."""

    @property
    def torn(self) -> bool: ...
    def feed(self, data: bytes) -> list[Line]: ...
    def end(self) -> list[Line]: ...


@dataclass(frozen=True, slots=True)
class Batch:
    """Lines of one container. Those *known* are no news; they tell a reader who just began what went before."""

    container: str
    known: list[bytes]
    new: list[bytes]


@dataclass(slots=True, eq=False)
class Channel:
    """One answer of the engine, as it comes."""

    follower: "Follower"
    sock: socket
    reader: Reader


@dataclass(slots=True)
class Follower:
    """One log and how far it is read."""

    container: str
    cursor: Cursor
    from_file: bool
    running: bool = True
    complaint: str = ""  # why it cannot be read at the moment
    lost_at: float | None = field(default_factory=time.monotonic)  # since when it is not read
    open_at: float = 0.0  # when to open it next
    order: Order | None = None  # which opening is under way
    tail: int | None = FIRST_TAIL  # how many lines of the past to ask for; None: all
    drained: bool = False  # the container does not run, and its log is read to the end
    past: Channel | None = None
    reached: bool = False  # the past that is being read reaches back to what is known
    live: Channel | None = None
    ended: bool = False  # `live` is over already; what it said is held
    seam: Seam = field(default_factory=Seam)
    file: JsonLog | None = None
    waits: Iterator[float] = field(default_factory=lambda: doubling(FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS))

    @property
    def reading(self) -> bool:
        return self.live is not None or self.past is not None or self.file is not None

    @property
    def wants_opening(self) -> bool:
        if self.order or self.past or self.file or (self.drained and not self.running):
            return False
        return self.live is None or not self.seam.caught_up


class Tail:
    """All followed logs. Belongs to one thread; *open_log* has a log opened elsewhere and is answered by `opened`."""

    def __init__(self, open_log: Callable[[Order], None], selector: BaseSelector | None = None) -> None:
        self._open_log = open_log
        self.selector = selector or DefaultSelector()
        self.followers: dict[str, Follower] = {}
        self._orders = 0

    # Whom to follow

    def follow(
        self, container: str, cursor: Cursor, *, running: bool, entire: bool = False, from_file: bool = False
    ) -> None:
        """Follow a log from where *cursor* says; *entire*: it is young, so to ask for all of it costs nothing."""
        tail = None if entire else FIRST_TAIL
        self.followers[container] = Follower(container, cursor, from_file, running, tail=tail)

    def forget(self, container: str) -> None:
        """Follow it no longer."""
        follower = self.followers.pop(container, None)
        if follower is not None:
            self._close(follower)

    def started(self, container: str) -> None:
        """Hear that a container began to run: open its log at once."""
        if follower := self.followers.get(container):
            follower.running, follower.drained = True, False
            self._hasten(follower)

    def stopped(self, container: str) -> None:
        """Hear that it does not run any more. What it still said is read to the end."""
        if follower := self.followers.get(container):
            follower.running = False

    def hasten(self) -> None:
        """Wait no longer before opening what is not open: the engine is back."""
        for follower in self.followers.values():
            self._hasten(follower)

    def _hasten(self, follower: Follower) -> None:
        follower.open_at = 0.0
        follower.waits = doubling(FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS)

    # Opening

    def open_due(self, now: float) -> float:
        """Have those logs opened that should be; returns when (monotonic time) to come again."""
        again = now + 60.0
        for follower in self.followers.values():
            if not follower.wants_opening:
                continue
            if follower.open_at > now:
                again = min(again, follower.open_at)
                continue
            self._orders += 1
            follower.order = Order(
                self._orders,
                follower.container,
                follower.tail,
                follower.cursor.from_stamp,
                live=follower.live is None and not follower.ended,
                from_file=follower.from_file,
            )
            self._open_log(follower.order)
        return again

    def opened(self, message: Opened) -> Batch | None:
        """Take over a log that was opened."""
        follower = self.followers.get(message.container)
        if follower is None or follower.order != message.order:
            for answer in (message.past, message.live):
                if answer is not None:
                    answer.sock.close()
            return None
        follower.order, follower.running, follower.complaint = None, message.anatomy.running, ""
        follower.lost_at = None
        if message.past is None:
            self._open_file(follower, message)
            return None
        follower.reached = message.order.tail is None
        if message.live is not None:
            follower.live = self._channel(follower, message.live, message.anatomy)
        past = follower.past = self._channel(follower, message.past, message.anatomy)
        if follower.live is not None and message.live is not None and message.live.first:
            self._take(follower.live, message.live.first)  # is held
        return self._take(past, message.past.first) if message.past.first and follower.past is past else None

    def _channel(self, follower: Follower, answer: Answer, anatomy: Anatomy) -> Channel:
        channel = Channel(follower, answer.sock, Terminal() if anatomy.terminal else Frames())
        self.selector.register(channel.sock, EVENT_READ, channel)
        return channel

    def _open_file(self, follower: Follower, message: Opened) -> None:
        if message.anatomy.file is None:
            self._lost(follower, "the engine keeps this log in no JSON file")
            return
        try:
            follower.file = JsonLog(message.anatomy.file, follower.cursor.from_stamp)
        except OSError as error:
            self._lost(follower, f"{message.anatomy.file}: {error.strerror}")

    def not_opened(self, message: NotOpened) -> None:
        """Hear that a log could not be opened."""
        follower = self.followers.get(message.container)
        if follower is None or follower.order != message.order:
            return
        follower.order = None
        self._lost(follower, str(message.error))
        if isinstance(message.error, ContainerGone):
            follower.running, follower.drained = False, True

    # Reading

    def read(self, channel: Channel) -> Batch | None:
        """Read what there is of a log that the selector says can be read."""
        follower = channel.follower
        if channel not in {follower.past, follower.live}:
            return None  # it was closed in this very turn
        try:
            data = channel.sock.recv(READ_BYTES)  # more than a TLS record: none may be left where nobody looks
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        except OSError as error:
            self._lost(follower, str(error))
            return None
        if data:
            return self._take(channel, data)
        return self._past_ended(follower, channel) if channel is follower.past else self._live_ended(follower, channel)

    def _take(self, channel: Channel, data: bytes) -> Batch | None:
        follower = channel.follower
        try:
            lines = channel.reader.feed(data)
        except NotFramed as error:
            self._lost(follower, str(error))
            return None
        return self._take_past(follower, lines) if channel is follower.past else self._take_live(follower, lines)

    def _take_past(self, follower: Follower, lines: list[Line]) -> Batch | None:
        if lines and not follower.reached:
            if lines[0][1][:STAMP] > follower.cursor.from_stamp:
                follower.tail = longer_tail(follower.tail, lines, follower.cursor.from_stamp)
                self._close_channel(follower.past)
                follower.past = None
                return None
            follower.reached = True
        return self._sifted(follower, lines)

    def _past_ended(self, follower: Follower, past: Channel) -> Batch | None:
        torn = past.reader.torn and follower.running
        batch = self._take_past(follower, past.reader.end())
        if follower.past is None:
            return batch  # it did not reach back
        self._close_channel(past)
        follower.past = None
        if torn:
            self._lost(follower, "")  # between two fragments nothing can be joined
            return batch
        follower.seam.caught_up, follower.tail = True, FIRST_TAIL
        said = self._sifted(follower, follower.seam.join(follower.cursor))
        if follower.ended and follower.seam.caught_up:
            self._over(follower)
        return _together(batch, said)

    def _take_live(self, follower: Follower, lines: list[Line]) -> Batch | None:
        seam = follower.seam
        if not seam.joined:
            seam.hold(lines)
            if seam.overflows and follower.live is not None:
                self._close_channel(follower.live)
                follower.live, follower.ended = None, True
            lines = seam.join(follower.cursor)
        return self._sifted(follower, lines)

    def _live_ended(self, follower: Follower, live: Channel) -> Batch | None:
        self._close_channel(live)
        follower.live, follower.ended = None, True
        batch = self._take_live(follower, live.reader.end())
        if follower.seam.caught_up:
            self._over(follower)
        return batch

    def _over(self, follower: Follower) -> None:
        """Take the end of all there was: the container stopped, or the engine did."""
        if follower.running:
            self._lost(follower, "")
        else:
            self._close(follower)
            follower.drained = True

    def poll(self) -> list[Batch]:
        """Read what there is of the logs that are read from their files."""
        batches = []
        for follower in self.followers.values():
            if follower.file is None:
                continue
            try:
                lines = follower.file.read()
            except OSError as error:
                self._lost(follower, f"{follower.file.path}: {error.strerror}")
                continue
            if not lines and not follower.running:
                lines = follower.file.end()
                self._close(follower)
                follower.drained = True
            if batch := self._sifted(follower, lines):
                batches.append(batch)
        return batches

    def _sifted(self, follower: Follower, lines: list[Line]) -> Batch | None:
        if not lines:
            return None
        known, new = follower.cursor.sift(lines)
        return Batch(follower.container, known, new)

    def _lost(self, follower: Follower, complaint: str) -> None:
        self._close(follower)
        now = time.monotonic()
        follower.complaint = complaint
        follower.lost_at = follower.lost_at or now
        follower.open_at = now + next(follower.waits)

    def _close(self, follower: Follower) -> None:
        self._close_channel(follower.past)
        self._close_channel(follower.live)
        follower.past = follower.live = None
        follower.ended, follower.seam, follower.tail = False, Seam(), FIRST_TAIL
        if follower.file is not None:
            follower.file.close()
            follower.file = None

    def _close_channel(self, channel: Channel | None) -> None:
        if channel is not None:
            self.selector.unregister(channel.sock)
            channel.sock.close()


def _together(one: Batch | None, other: Batch | None) -> Batch | None:
    if one is None or other is None:
        return one or other
    return Batch(one.container, one.known + other.known, one.new + other.new)
