"""stats as a process of its own, and whoever looks at its page."""

import http.client
import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Self

from lab.agent import AgentProcess, free_port
from lab.wire import wait_for

USER, PASSWORD = "admin", "kestrel over the marsh"
AUTHORIZATION = {"Authorization": "Basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode()}


class Stats(AgentProcess):
    """A stats that looks every second, and serves its page at `page` (host and port)."""

    def __init__(self, folder: Path, *, env: Mapping[str, str] | None = None, **further: Any) -> None:
        self.port = free_port()
        secret = folder / "stats-password"
        secret.write_text(f"{PASSWORD}\n")
        environ = {
            "STATS_LISTEN": f"127.0.0.1:{self.port}",
            "STATS_PASSWORD_FILE": str(secret),
            "STATS_INTERVAL": "1s",
            **(env or {}),
        }
        super().__init__("stats", folder, env=environ, **further)

    def start(self) -> Self:
        """Start it, and wait until its page can be asked for."""
        super().start()
        self.wait_for("page_listening")
        return self

    def get(self, path: str = "/stats", headers: Mapping[str, str] | None = None) -> tuple[int, str]:
        """Ask for a page, with the right password unless told other headers; returns status and text."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request("GET", path, headers=dict(AUTHORIZATION if headers is None else headers))
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def document(self) -> dict[str, Any]:
        status, text = self.get("/stats.json")
        assert status == 200, text
        document: dict[str, Any] = json.loads(text)
        return document

    def wait_until(
        self, holds: Callable[[dict[str, Any]], Any], what: str, *, deadline: float = 30.0
    ) -> dict[str, Any]:
        """Wait until what it knows is so; returns all that it knows then."""

        def look() -> dict[str, Any]:
            document = self.document()
            return document if holds(document) else {}

        try:
            return wait_for(look, what, deadline=deadline, pause=0.2)
        except AssertionError as error:
            error.add_note(f"the page says: {self.document()['problems']}\n{self.report()}")
            raise
