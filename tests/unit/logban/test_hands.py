"""What is asked of the engine when a log is opened, and in which order."""

import socket
from queue import SimpleQueue
from typing import Any

from logban.cursor import stamp_at
from logban.hands import Hands, NotOpened, Opened, Order
from sidecarkit.errors import EngineUnavailable

DOCUMENT = {"LogPath": "/log", "State": {"Running": True}, "Config": {"Tty": False}}
WAIT_SECONDS = 10.0


class Engine:
    """Answers every question for a log with a socket, but for the *refused*-th."""

    def __init__(self, refused: int = -1) -> None:
        self.asked: list[dict[str, str | int]] = []
        self.given: list[socket.socket] = []
        self._refused = refused

    def containers(self) -> list[dict[str, Any]]:
        return []

    def inspect(self, container: str) -> dict[str, Any]:
        return DOCUMENT

    def bare_stream(self, operation: str, path: str, query: dict[str, str | int]) -> tuple[socket.socket, bytes]:
        self.asked.append(query)
        if len(self.asked) - 1 == self._refused:
            raise EngineUnavailable("away")
        ours, theirs = socket.socketpair()
        self.given += [ours, theirs]
        return ours, b"first"


def opened(engine: Engine, order: Order) -> Any:
    answers: SimpleQueue[Any] = SimpleQueue()
    Hands(engine, answers.put).open(order)
    return answers.get(timeout=WAIT_SECONDS)


def test_what_a_log_is_going_to_say_is_asked_for_before_what_it_holds() -> None:
    engine = Engine()

    message = opened(engine, Order(1, "c1", 1_000, stamp_at(0.0)))

    assert isinstance(message, Opened) and message.live is not None and message.past is not None
    live, past = engine.asked
    assert live["follow"] == 1 and live["tail"] == 1
    assert "follow" not in past and past["tail"] == 1_000
    assert not message.live.sock.getblocking()
    for sock in engine.given:
        sock.close()


def test_only_the_past_is_asked_for_where_the_rest_is_heard_already() -> None:
    engine = Engine()

    message = opened(engine, Order(1, "c1", 4_000, stamp_at(0.0), live=False))

    assert isinstance(message, Opened) and message.live is None
    assert [query.get("follow") for query in engine.asked] == [None]
    for sock in engine.given:
        sock.close()


def test_a_past_that_cannot_be_had_leaves_nothing_open() -> None:
    engine = Engine(refused=1)

    message = opened(engine, Order(1, "c1", 1_000, stamp_at(0.0)))

    assert isinstance(message, NotOpened)
    live, theirs = engine.given
    assert live.fileno() == -1
    theirs.close()
