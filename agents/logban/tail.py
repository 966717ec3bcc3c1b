"""Containers' logs as lines: all of them followed by one thread, each line once.

The engine's own reader for `docker logs` is asked over HTTP and its answer read from the bare socket: never `attach`,
where a reader that hangs would hang the container. A log is opened by its last thousand lines, and by more until they
reach back to what is known already: `since` alone makes the engine decode the whole log, seconds for a long one.
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
from logban.hands import NotOpened, Opened, Order
from logban.jsonlog import JsonLog
from sidecarkit.backoff import doubling
from sidecarkit.errors import ContainerGone

TAILS = (1_000, 16_000, 256_000, None)
READ_BYTES = 262_144
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.1, 5.0
POLL_SECONDS = 0.02  # of logs that are read from their files


class Reader(Protocol):
    """Lines out of what a stream gives."""

    def feed(self, data: bytes) -> list[Line]: ...
    def end(self) -> list[Line]: ...


@dataclass(frozen=True, slots=True)
class Batch:
    """Lines of one container. Those *known* are no news; they tell a reader who just began what went before."""

    container: str
    known: list[bytes]
    new: list[bytes]


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
    step: int = 0
    reached: bool = False  # the lines read reach back to what is known
    drained: bool = False  # the container does not run, and its log is read to the end
    sock: socket | None = None
    file: JsonLog | None = None
    reader: Reader = field(default_factory=Frames)
    waits: Iterator[float] = field(default_factory=lambda: doubling(FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS))

    @property
    def reading(self) -> bool:
        return self.sock is not None or self.file is not None


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
        step = len(TAILS) - 1 if entire else 0
        self.followers[container] = Follower(container, cursor, from_file, running, step=step)

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
            if follower.reading or follower.order or (follower.drained and not follower.running):
                continue
            if follower.open_at > now:
                again = min(again, follower.open_at)
                continue
            self._orders += 1
            tail = TAILS[follower.step]
            follower.order = Order(
                self._orders, follower.container, tail, follower.cursor.from_stamp, from_file=follower.from_file
            )
            self._open_log(follower.order)
        return again

    def opened(self, message: Opened) -> Batch | None:
        """Take over a log that was opened."""
        follower = self.followers.get(message.container)
        if follower is None or follower.order != message.order:
            if message.sock is not None:
                message.sock.close()
            return None
        follower.order, follower.running, follower.complaint = None, message.anatomy.running, ""
        if message.sock is None:
            self._open_file(follower, message)
            return None
        follower.reached = message.order.tail is None
        follower.lost_at = None
        follower.sock = message.sock
        follower.reader = Terminal() if message.anatomy.terminal else Frames()
        self.selector.register(message.sock, EVENT_READ, follower)
        return self._take(follower, message.first) if message.first else None

    def _open_file(self, follower: Follower, message: Opened) -> None:
        if message.anatomy.file is None:
            self._lost(follower, "the engine keeps this log in no JSON file")
            return
        try:
            follower.file = JsonLog(message.anatomy.file, follower.cursor.from_stamp)
        except OSError as error:
            self._lost(follower, f"{message.anatomy.file}: {error.strerror}")
        else:
            follower.lost_at = None

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

    def read(self, follower: Follower) -> Batch | None:
        """Read what there is of a log that the selector says can be read."""
        sock = follower.sock
        if sock is None:
            return None
        try:
            data = sock.recv(READ_BYTES)  # more than a TLS record, of which none may be left where nobody looks
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        except OSError as error:
            self._lost(follower, str(error))
            return None
        return self._take(follower, data) if data else self._ended(follower)

    def _take(self, follower: Follower, data: bytes) -> Batch | None:
        try:
            lines = follower.reader.feed(data)
        except NotFramed as error:
            self._lost(follower, str(error))
            return None
        if lines and not follower.reached and not self._reaches(follower, lines[0][1]):
            return None
        return self._sifted(follower, lines)

    def _reaches(self, follower: Follower, first: bytes) -> bool:
        """Say whether what comes begins early enough; if not, have more of it opened."""
        if first[:STAMP] <= follower.cursor.from_stamp:
            follower.reached = True
            return True
        self._close(follower)
        follower.step += 1
        follower.open_at = 0.0
        return False

    def _ended(self, follower: Follower) -> Batch | None:
        """Take the end of a stream: the container stopped, or the engine did."""
        rest = follower.reader.end()
        if rest and not follower.reached and not self._reaches(follower, rest[0][1]):
            return None
        if follower.running:
            self._lost(follower, "")
        else:
            self._close(follower)
            follower.drained = True
        return self._sifted(follower, rest)

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
        follower.step = 0
        return Batch(follower.container, known, new)

    def _lost(self, follower: Follower, complaint: str) -> None:
        self._close(follower)
        now = time.monotonic()
        follower.complaint = complaint
        follower.lost_at = follower.lost_at or now
        follower.open_at = now + next(follower.waits)

    def _close(self, follower: Follower) -> None:
        if follower.sock is not None:
            self.selector.unregister(follower.sock)
            follower.sock.close()
            follower.sock = None
        if follower.file is not None:
            follower.file.close()
            follower.file = None
