"""Follows the engine's events in a thread of its own that does nothing else.

A reader that is slow slows the whole engine: each publish waits up to 100 ms for it. So this thread only puts news
into the inbox. An event is a hint to look again, never the truth: on `Subscribed` the agent lists everything.
"""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sidecarkit.backoff import doubling
from sidecarkit.engine import Engine, Stream
from sidecarkit.errors import EngineError


@dataclass(frozen=True, slots=True)
class Event:
    """One event of the engine. `at`: its clock in nanoseconds; `action` such as `health_status: unhealthy`."""

    kind: str
    action: str
    id: str
    attributes: Mapping[str, str]
    at: int

    @property
    def seconds(self) -> float:
        return self.at / 1e9


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The stream is open: whatever happens from now on is heard. Now list."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The stream ended. What happens until the next Subscribed may go unheard."""

    reason: str


def parse(line: bytes) -> Event | None:
    """Read a line of the stream. API 1.52 and later have only Type, Action, Actor and the times."""
    try:
        document: dict[str, Any] = json.loads(line)
        actor = document["Actor"]
        return Event(
            kind=document["Type"],
            action=document["Action"],
            id=actor["ID"],
            attributes=actor.get("Attributes") or {},
            at=int(document["timeNano"]),
        )
    except (ValueError, KeyError, TypeError):
        return None


class Watch:
    """Subscribes again and again until closed, from where it was cut."""

    def __init__(
        self,
        engine: Engine,
        put: Callable[[Event | Subscribed | Lost], None],
        filters: Mapping[str, list[str]],
        *,
        lookback_seconds: float,
    ) -> None:
        """*lookback_seconds*: how far the first subscription reaches back into the engine's ring of 256 events."""
        self._engine, self._put, self._filters = engine, put, filters
        self._lookback_seconds = lookback_seconds
        self._heard = 0  # time of the newest event, nanoseconds of the engine's clock
        self._heard_then: set[tuple[str, str]] = set()  # what was heard at that very time: `since` is inclusive
        self._closed = threading.Event()
        self._stream: Stream | None = None
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        if self._stream:
            self._stream.close()

    def _run(self) -> None:
        waits = doubling(0.1, 5.0)
        while not self._closed.is_set():
            try:
                self._stream = self._engine.events(self._since(), self._filters)
                if self._closed.is_set():  # close() came while there was no stream yet
                    return
                waits = doubling(0.1, 5.0)
                self._put(Subscribed())
                self._read(self._stream)
                reason = "the engine ended the stream"
            except EngineError as error:
                reason = str(error)
            finally:
                if self._stream:
                    self._stream.close()
            if not self._closed.is_set():
                self._put(Lost(reason))
                self._closed.wait(next(waits))

    def _since(self) -> str:
        clock = int(self._engine.ping() * 1e9)  # the engine's clock, which need not be ours
        since = self._heard or clock - int(self._lookback_seconds * 1e9)
        return f"{since // 10**9}.{since % 10**9:09d}"

    def _read(self, stream: Stream) -> None:
        for line in stream:
            event = parse(line)
            if event and not self._is_repeated(event):
                self._put(event)

    def _is_repeated(self, event: Event) -> bool:
        if event.at < self._heard:  # written a little out of order
            return False
        if event.at > self._heard:
            self._heard, self._heard_then = event.at, set()
        seen = (event.id, event.action)
        repeated = seen in self._heard_then
        self._heard_then.add(seen)
        return repeated
