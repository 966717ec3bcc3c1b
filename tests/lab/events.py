"""An engine's events as they come, all of them: its own ring holds only the last 256."""

import json
import threading
import time
from dataclasses import dataclass
from typing import Any, Self

from lab.containers import Container
from lab.wire import wait_for
from sidecarkit.engine import Endpoint, Engine, Stream
from sidecarkit.errors import EngineError

ACTIONS = ("create", "start", "die", "kill", "restart", "pause", "unpause", "destroy", "health_status")


@dataclass(frozen=True, slots=True)
class Happened:
    """One event; *at* is the engine's clock in Unix seconds."""

    action: str
    id: str
    at: float
    attributes: dict[str, Any]


class EventLog:
    """Writes down what happens to containers, until closed or until the engine goes away."""

    def __init__(self, url: str) -> None:
        filters = {"type": ["container"], "event": list(ACTIONS)}
        self._stream: Stream = Engine(Endpoint(url)).events(f"{time.time():.9f}", filters)
        self._lock = threading.Lock()
        self._all: list[Happened] = []
        self._thread = threading.Thread(target=self._read, name="event-log", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._thread.join(5.0)

    def of(self, container: Container | None = None, *actions: str) -> list[Happened]:
        """List what happened so far, in order: to *container*, or to any; those of *actions*, or all."""
        with self._lock:
            return [
                each
                for each in self._all
                if (container is None or each.id == container.id) and (not actions or each.action in actions)
            ]

    def wait_for(self, container: Container, *actions: str, count: int = 1, deadline: float = 30.0) -> list[Happened]:
        """Wait until *count* of *actions* happened to *container*."""

        def enough() -> list[Happened]:
            found = self.of(container, *actions)
            return found if len(found) >= count else []

        return wait_for(enough, f"{count} x {actions} of {container.name}", deadline=deadline)

    def _read(self) -> None:
        try:
            for line in self._stream:
                document = json.loads(line)
                actor = document["Actor"]
                happened = Happened(
                    document["Action"], actor["ID"], document["timeNano"] / 1e9, actor.get("Attributes") or {}
                )
                with self._lock:
                    self._all.append(happened)
        except EngineError:
            return  # closed
