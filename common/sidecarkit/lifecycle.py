"""How an agent is told to stop."""

import os
import signal
from dataclasses import dataclass
from types import FrameType
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Stop:
    """Finish what cannot be left and end, within 10 s. *signal* is the number that asked for it."""

    signal: int


class Inbox(Protocol):
    """A SimpleQueue, because its put() is reentrant: a signal may arrive during another put()."""

    def put(self, item: Any, /) -> None: ...


def stop_on_signals(inbox: Inbox) -> None:
    """Turn SIGTERM and SIGINT into a Stop message; a second one ends the process at once."""
    asked: list[int] = []

    def handle(number: int, _: FrameType | None) -> None:
        if asked:
            os._exit(128 + number)
        asked.append(number)
        inbox.put(Stop(number))

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
