"""Everything that talks to the engine and may take long, done by crews beside the loop; results come as messages."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from autoheal.health import Examination, examine
from sidecarkit.containers import Row, row
from sidecarkit.crew import Crew
from sidecarkit.errors import EngineError

T = TypeVar("T")

FOREVER_SECONDS = 86400.0  # a grace period of -1 has no end


class Engine(Protocol):
    """What autoheal needs of Docker, and no more."""

    def containers(self) -> list[dict[str, Any]]: ...
    def inspect(self, container: str) -> dict[str, Any]: ...
    def restart(self, container: str, stop_seconds: int | None, patience_seconds: float) -> int: ...
    def stop(self, container: str, stop_seconds: int | None, patience_seconds: float) -> int: ...
    def kill(self, container: str) -> int: ...
    def logs(self, container: str, *, tail: int, until: float, tty: bool) -> list[bytes]: ...


@dataclass(frozen=True, slots=True)
class Listed:
    """The answer to `look`; *rows* None: the engine did not answer, *error* says why."""

    asked_at: float
    rows: tuple[Row, ...] | None
    error: EngineError | None = None


@dataclass(frozen=True, slots=True)
class Examined:
    container: str
    examination: Examination | None
    error: EngineError | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """An action to perform. *stop_seconds* None: the container's own *grace_seconds*."""

    record: int
    container: str
    action: str
    stop_seconds: int | None
    grace_seconds: int


@dataclass(frozen=True, slots=True)
class Answered:
    order: Order
    at: float
    status: int
    error: EngineError | None = None


@dataclass(frozen=True, slots=True)
class LogFetched:
    record: int
    lines: list[bytes] | None
    environment: tuple[str, ...]
    error: EngineError | None = None


Message = Listed | Examined | Answered | LogFetched


def _understood(operation: str, ask: Callable[[], T]) -> T:
    """Ask; an answer that is JSON of another shape, from who knows what proxy, is an error of the engine."""
    try:
        return ask()
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise EngineError(f"{operation}: an answer that is not understood ({type(error).__name__})") from error


class Hands:
    """Starts what was asked for and returns at once; each result is put into the inbox."""

    def __init__(self, engine: Engine, put: Callable[[Message], None], actions: int) -> None:
        self._engine, self._put = engine, put
        self._lister = Crew("list", 1)
        self._examiners = Crew("examine", 4)
        self._actors = Crew("act", actions)
        self._scribes = Crew("logs", 2)

    def look(self) -> None:
        self._lister.do(self._list)

    def examine(self, container: str) -> None:
        self._examiners.do(lambda: self._examine(container))

    def act(self, order: Order) -> None:
        self._actors.do(lambda: self._act(order))

    def fetch_log(self, record: int, examination: Examination, tail: int, until: float) -> None:
        """Fetch the last words from before *until*, Unix time, while the action is already under way."""
        self._scribes.do(lambda: self._fetch_log(record, examination, tail, until))

    def _list(self) -> None:
        asked_at = time.time()
        try:
            rows = _understood("list", lambda: tuple(row(document) for document in self._engine.containers()))
        except EngineError as error:
            self._put(Listed(asked_at, None, error))
        else:
            self._put(Listed(asked_at, rows))

    def _examine(self, container: str) -> None:
        asked_at = time.time()
        try:
            examination = _understood("inspect", lambda: examine(self._engine.inspect(container), asked_at))
        except EngineError as error:
            self._put(Examined(container, None, error))
        else:
            self._put(Examined(container, examination))

    def _act(self, order: Order) -> None:
        seconds = order.grace_seconds if order.stop_seconds is None else order.stop_seconds
        patience = float(seconds) if seconds >= 0 else FOREVER_SECONDS
        try:
            if order.action == "kill":
                status = self._engine.kill(order.container)
            elif order.action == "stop":
                status = self._engine.stop(order.container, order.stop_seconds, patience)
            else:
                status = self._engine.restart(order.container, order.stop_seconds, patience)
        except EngineError as error:
            self._put(Answered(order, time.time(), error.status, error))
        else:
            self._put(Answered(order, time.time(), status))

    def _fetch_log(self, record: int, examination: Examination, tail: int, until: float) -> None:
        container = examination.container
        try:
            lines = _understood(
                "logs", lambda: self._engine.logs(container.id, tail=tail, until=until, tty=container.tty)
            )
        except EngineError as error:
            self._put(LogFetched(record, None, (), error))
        else:
            self._put(LogFetched(record, lines, examination.environment))
