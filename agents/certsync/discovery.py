"""Lists the engine's containers now and then, in a thread of its own, and tells the loop.

By listing and not by events: certsync then needs nothing of a socket proxy but what a listing and a reload need.
"""

import os
import socket
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from certsync.labels import Consumer, is_consumer
from certsync.mounts import Mount
from certsync.reload import Engine
from sidecarkit import identity
from sidecarkit.containers import row
from sidecarkit.errors import EngineError


@dataclass(frozen=True, slots=True)
class Listed:
    """The containers that ask for a certificate, and certsync's own mounts (None: it runs in no container)."""

    consumers: tuple[Consumer, ...]
    ours: tuple[Mount, ...] | None


@dataclass(frozen=True, slots=True)
class NotListed:
    """The engine did not answer."""

    reason: str


def look(engine: Engine) -> Listed | NotListed:
    """List once."""
    try:
        documents = engine.containers()
    except EngineError as error:
        return NotListed(str(error))
    asking = [(found, document) for document in documents if is_consumer(found := row(document))]
    homes = {(found.service, found.project) for found, _ in asking}
    twice = Counter(service for service, _ in homes)
    consumers = tuple(Consumer(found, _mounts(document), twice[found.service] > 1) for found, document in asking)
    own = next((document for document in documents if _is_own(document)), None)
    return Listed(consumers, _mounts(own) if own else None)


class Discovery:
    """Looks at once, then every *seconds*, and sooner when asked."""

    def __init__(self, engine: Engine, put: Callable[[Listed | NotListed], None], seconds: float) -> None:
        self._engine, self._put, self._seconds = engine, put, seconds
        self._asked, self._closed = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="discovery", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """Stop looking."""
        self._closed.set()
        self._asked.set()

    def _run(self) -> None:
        while not self._closed.is_set():
            found = look(self._engine)
            self._put(found)
            away = isinstance(found, NotListed)
            self._asked.wait(min(self._seconds, 5.0) if away else self._seconds)
            self._asked.clear()


def _mounts(document: dict[str, Any]) -> tuple[Mount, ...]:
    return tuple(Mount.read(one) for one in document.get("Mounts") or [])


def _is_own(document: dict[str, Any]) -> bool:
    known = identity.own_ids()
    if known:
        return document["Id"] in known
    # Where the mount table tells nothing (cgroup v2 with a private namespace), the host name is the short id.
    return os.path.exists("/.dockerenv") and document["Id"].startswith(socket.gethostname())  # noqa: PTH110
