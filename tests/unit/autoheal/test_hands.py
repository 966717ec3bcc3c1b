"""The hands: what is asked of the engine, and that every answer becomes a message."""

import time
from queue import SimpleQueue
from typing import Any

import pytest

from autoheal.hands import Answered, Examined, Hands, Listed, LogFetched, Order
from lab.stage import NOON, Actor
from sidecarkit.errors import ContainerGone, EngineError, EngineUnavailable

PATIENCE = 10.0


class Engine:
    """Answers from an actor, or fails with *error*, and writes down what it was asked."""

    def __init__(self, error: EngineError | None = None) -> None:
        self.error = error
        self.asked: list[tuple[Any, ...]] = []

    def _asked(self, *what: Any) -> None:
        self.asked.append(what)
        if self.error:
            raise self.error

    def containers(self) -> list[dict[str, Any]]:
        self._asked("list")
        return [{"Id": "4f" * 32, "Names": ["/haraka"], "State": "running", "Status": "Up 1 second (unhealthy)"}]

    def inspect(self, container: str) -> dict[str, Any]:
        self._asked("inspect", container)
        return Actor("haraka").document()

    def restart(self, container: str, stop_seconds: int | None, patience_seconds: float) -> int:
        self._asked("restart", container, stop_seconds, patience_seconds)
        return 204

    def stop(self, container: str, stop_seconds: int | None, patience_seconds: float) -> int:
        self._asked("stop", container, stop_seconds, patience_seconds)
        return 304

    def kill(self, container: str) -> int:
        self._asked("kill", container)
        return 204

    def logs(self, container: str, *, tail: int, until: float, tty: bool) -> list[bytes]:
        self._asked("logs", container, tail, until, tty)
        return [b"last words"]


def after(ask: Any, engine: Engine) -> Any:
    """Have hands do something, and return the message that comes of it."""
    inbox: SimpleQueue[Any] = SimpleQueue()
    ask(Hands(engine, inbox.put, 2))
    return inbox.get(timeout=PATIENCE)


def order(action: str = "restart", stop_seconds: int | None = None, grace_seconds: int = 10) -> Order:
    return Order(7, "haraka", action, stop_seconds, grace_seconds)


def test_a_look_is_a_listing_with_the_time_it_was_asked_for() -> None:
    before = time.time()

    listed = after(lambda hands: hands.look(), Engine())

    assert before <= listed.asked_at <= time.time()
    assert [(row.name, row.health) for row in listed.rows] == [("haraka", "unhealthy")]


def test_an_inspection_is_an_examination() -> None:
    engine = Engine()
    examined = after(lambda hands: hands.examine("haraka"), engine)

    assert isinstance(examined, Examined) and examined.examination is not None
    assert (examined.container, examined.examination.container.name) == ("haraka", "haraka")
    assert engine.asked == [("inspect", "haraka")]


@pytest.mark.parametrize(
    ("asked", "called", "status"),
    [
        (order(), ("restart", "haraka", None, 10.0), 204),
        (order(grace_seconds=40), ("restart", "haraka", None, 40.0), 204),
        (order(stop_seconds=240, grace_seconds=40), ("restart", "haraka", 240, 240.0), 204),
        (order(stop_seconds=0), ("restart", "haraka", 0, 0.0), 204),
        (order("stop", 5), ("stop", "haraka", 5, 5.0), 304),
        (order("kill"), ("kill", "haraka"), 204),
    ],
)
def test_an_order_is_one_call_that_is_waited_for_as_long_as_its_stop_may_take(
    asked: Order, called: tuple[Any, ...], status: int
) -> None:
    engine = Engine()
    answered = after(lambda hands: hands.act(asked), engine)

    assert engine.asked == [called]
    assert (answered.order, answered.status, answered.error) == (asked, status, None)


def test_a_stop_without_an_end_is_waited_for_without_one() -> None:
    engine = Engine()
    after(lambda hands: hands.act(order(grace_seconds=-1)), engine)

    assert engine.asked[0][3] >= 3600


def test_last_words_come_with_the_environment_they_are_masked_by() -> None:
    engine = Engine()
    examination = Actor("haraka", environment=("DB_PASSWORD=x",)).examination(NOON)
    fetched = after(lambda hands: hands.fetch_log(7, examination, 200, NOON), engine)

    assert fetched == LogFetched(7, [b"last words"], ("DB_PASSWORD=x",))
    assert engine.asked == [("logs", examination.container.id, 200, NOON, False)]


@pytest.mark.parametrize("error", [EngineUnavailable("connection refused"), ContainerGone("gone (404)", 404)])
def test_a_failure_is_a_message_too(error: EngineError) -> None:
    examination = Actor("haraka").examination(NOON)

    listed = after(lambda hands: hands.look(), Engine(error))
    examined = after(lambda hands: hands.examine("haraka"), Engine(error))
    answered = after(lambda hands: hands.act(order()), Engine(error))
    fetched = after(lambda hands: hands.fetch_log(7, examination, 200, NOON), Engine(error))

    assert (listed.rows, listed.error) == (None, error)
    assert (examined.examination, examined.error) == (None, error)
    assert isinstance(answered, Answered) and (answered.status, answered.error) == (error.status, error)
    assert (fetched.lines, fetched.error) == (None, error)


TOO_FAR = [{**Actor("haraka").document(), "Id": "haraka", "Created": 10**400}]


@pytest.mark.parametrize("answer", [None, {"message": "page not found"}, [{"no": "id"}], "text", [None], TOO_FAR])
def test_an_answer_that_is_not_understood_is_a_failure_and_ends_no_thread(answer: Any) -> None:
    class Strange(Engine):
        def containers(self) -> Any:
            return answer

        def inspect(self, container: str) -> Any:
            return answer

    inbox: SimpleQueue[Any] = SimpleQueue()
    hands = Hands(Strange(), inbox.put, 1)
    for _ in range(2):
        hands.look()
        listed = inbox.get(timeout=PATIENCE)
        assert isinstance(listed, Listed) and listed.rows is None and isinstance(listed.error, EngineError)
    for _ in range(5):
        hands.examine("haraka")
        examined = inbox.get(timeout=PATIENCE)
        assert examined.examination is None and isinstance(examined.error, EngineError)
