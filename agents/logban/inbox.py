"""The loop's inbox: a queue whose news also wake a selector."""

import os
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any


class Inbox:
    """Anyone may put, a signal handler too; one thread takes."""

    def __init__(self) -> None:
        self._messages: SimpleQueue[Any] = SimpleQueue()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def fileno(self) -> int:
        """Readable while there is something to take."""
        return self._bell

    def put(self, message: Any) -> None:
        self._messages.put(message)
        os.eventfd_write(self._bell, 1)

    def take(self) -> list[Any]:
        """Take all there is, without waiting."""
        with suppress(BlockingIOError):
            os.eventfd_read(self._bell)
        messages: list[Any] = []
        while True:
            try:
                messages.append(self._messages.get_nowait())
            except Empty:
                return messages
