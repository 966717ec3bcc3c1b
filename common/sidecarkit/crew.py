"""A few threads that do what may take long, so that the loop never waits."""

import threading
from collections.abc import Callable
from queue import SimpleQueue


class Crew:
    """Daemon threads, started as needed: unlike those of an executor they do not keep a process from ending."""

    def __init__(self, name: str, size: int) -> None:
        self._name, self._size = name, size
        self._jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._idle = 0

    def do(self, job: Callable[[], None]) -> None:
        """Have *job* done by the next free thread. It must not raise: what goes wrong is part of its result."""
        with self._lock:
            start = self._idle == 0 and self._threads < self._size
            if start:
                self._threads += 1
            else:
                self._idle = max(0, self._idle - 1)
        self._jobs.put(job)
        if start:
            threading.Thread(target=self._work, name=f"{self._name}-{self._threads}", daemon=True).start()

    def _work(self) -> None:
        while True:
            self._jobs.get()()
            with self._lock:
                self._idle += 1
