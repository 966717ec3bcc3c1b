"""A webhook's receiver, which keeps what it is told, and hangs when it is asked to."""

import json
import threading
from collections.abc import Iterator
from typing import Any, Self

from lab.server import SmallServer, reply


class Webhook:
    """Listens at `url`. With *hangs* it takes what it is sent and never answers."""

    def __init__(self, *, hangs: bool = False) -> None:
        self._closed = threading.Event()
        self._hangs = hangs
        self._server = SmallServer(self._answer, tcp=True)
        self.url = f"http://127.0.0.1:{self._server.port}/"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._closed.set()
        self._server.__exit__(*error)

    def heard(self, event: str) -> list[dict[str, Any]]:
        """List the notices of *event* that came so far."""
        documents = [json.loads(body) for body in list(self._server.bodies)]
        return [document for document in documents if document["event"] == event]

    def _answer(self, _: str) -> Iterator[bytes]:
        if self._hangs:
            self._closed.wait()
        yield reply(200)
