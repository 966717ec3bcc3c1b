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
    """Turn SIGTERM and SIGINT into a Stop message; a second one ends the process at once.

    Until then a thread that ends by an error that nobody expected ends the process, too, with 1: it would go on with
    half its work, deaf to events or without its notices, and look well. Docker starts it again.
    """
    asked: list[int] = []

    def handle(number: int, _: FrameType | None) -> None:
        if asked:
            os._exit(128 + number)
        asked.append(number)
        inbox.put(Stop(number))

    def fall(error: threading.ExceptHookArgs) -> None:
        threading.__excepthook__(error)
        if not asked:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(1)  # sys.exit() would end this thread, which is at its end already

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
    threading.excepthook = fall
