"""Everything that asks the engine and may take long, done by a crew beside the loop; results come as messages."""

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from logban import cursor
from sidecarkit.crew import Crew
from sidecarkit.errors import EngineError

OPENERS = 4  # an engine that catches up on several long logs at once does nothing else

ALL: dict[str, str | int] = {"stdout": 1, "stderr": 1, "timestamps": 1}
# With its last line, which shows whether it begins where the past ends. Not with more: an engine (20.10) whose log is
# rotated while it sends the tail of one that it follows goes on with the file after the next, and says nothing.
LIVE: dict[str, str | int] = {**ALL, "follow": 1, "tail": 1}


class Engine(Protocol):
    """What logban needs of Docker, and no more."""

    def containers(self) -> list[dict[str, Any]]: ...
    def inspect(self, container: str) -> dict[str, Any]: ...
    def bare_stream(self, operation: str, path: str, query: dict[str, str | int]) -> tuple[socket.socket, bytes]: ...


@dataclass(frozen=True, slots=True)
class Listed:
    """The answer to `look`; *documents* None: the engine did not answer, *error* says why."""

    asked_at: float
    documents: list[dict[str, Any]] | None
    error: EngineError | None = None


@dataclass(frozen=True, slots=True)
class Anatomy:
    """What a container's log looks like. *file*: where the engine keeps it, if in JSON."""

    running: bool
    terminal: bool
    file: Path | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the engine sends of a log; *first* came together with the answer's head."""

    sock: socket.socket
    first: bytes = b""


@dataclass(frozen=True, slots=True)
class Opened:
    """A log is open: what it holds, and what it is going to say. Both None: it is read from its file instead."""

    container: str
    order: "Order"
    anatomy: Anatomy
    past: Answer | None
    live: Answer | None


@dataclass(frozen=True, slots=True)
class NotOpened:
    container: str
    order: "Order"
    error: EngineError


@dataclass(frozen=True, slots=True)
class Order:
    """How a log is to be opened: its last *tail* lines, or all since *since*; with *live* also what follows.

    *number* tells orders apart; *since* is a time as the engine writes it.
    """

    number: int
    container: str
    tail: int | None
    since: bytes
    live: bool = True
    from_file: bool = False


class Hands:
    """Does not wait: each method returns at once and its result is put into the inbox."""

    def __init__(self, engine: Engine, put: Callable[[Any], None]) -> None:
        self._engine, self._put = engine, put
        self._lookers = Crew("look", 1)
        self._openers = Crew("open", OPENERS)

    def look(self) -> None:
        """List all containers."""
        self._lookers.do(self._list)

    def open(self, order: Order) -> None:
        self._openers.do(lambda: self._open(order))

    def _list(self) -> None:
        asked_at = time.time()
        try:
            self._put(Listed(asked_at, self._engine.containers()))
        except EngineError as error:
            self._put(Listed(asked_at, None, error))

    def _open(self, order: Order) -> None:
        try:
            anatomy = anatomy_of(self._engine.inspect(order.container))
            if order.from_file:
                self._put(Opened(order.container, order, anatomy, None, None))
                return
            # What is going to be said comes first: then nothing is lost between the two.
            live = self._ask(order.container, LIVE) if order.live else None
            try:
                past = self._ask(order.container, past_query(order))
            except EngineError:
                if live is not None:
                    live.sock.close()
                raise
        except EngineError as error:
            self._put(NotOpened(order.container, order, error))
        else:
            self._put(Opened(order.container, order, anatomy, past, live))

    def _ask(self, container: str, query: dict[str, str | int]) -> Answer:
        sock, first = self._engine.bare_stream("logs", f"/containers/{quote(container, safe='')}/logs", query)
        sock.setblocking(False)  # noqa: FBT003 - socket's own
        return Answer(sock, first)


def past_query(order: Order) -> dict[str, str | int]:
    """Write what the engine is asked. Never `since` beside `tail`: what is older tells whether the tail was enough."""
    if order.tail is not None:
        return {**ALL, "tail": order.tail}
    return {**ALL, "since": f"{cursor.seconds(order.since):.6f}"} if order.since else ALL


def anatomy_of(document: dict[str, Any]) -> Anatomy:
    """Read an inspection."""
    file = document.get("LogPath")
    return Anatomy(
        running=bool(document["State"].get("Running")),
        terminal=bool(document["Config"].get("Tty")),
        file=Path(file) if file else None,
    )
