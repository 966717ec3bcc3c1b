"""How an agent ends: told to, or by an error that nobody expected."""

import os
import signal
import sys
import threading
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


def end_with_threads() -> None:
    """Let the process end with 1 when a thread ends by an error that nobody expected.

    It would go on with half its work, deaf to events or without its notices, and look well. Docker starts it again.
    """

    def end(error: threading.ExceptHookArgs) -> None:
        threading.__excepthook__(error)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)  # sys.exit() would end this thread, which is at its end already

    threading.excepthook = end
