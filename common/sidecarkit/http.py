"""/metrics and /healthz, read-only."""

import json
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET6, SHUT_RDWR

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from sidecarkit import logs
from sidecarkit.settings import Address

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
RETRY_SECONDS = 30.0


class HttpServer:
    """Serves in a thread. An address in use is said in the log and tried again: it must not keep an agent from work."""

    def __init__(
        self,
        address: Address,
        registry: CollectorRegistry,
        reasons: Callable[[], list[str]],
        log: logs.Log,
        *,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self._address, self._log, self._retry_seconds = address, log, retry_seconds
        self._answers: dict[str, Callable[[], tuple[int, str, bytes]]] = {
            "/metrics": lambda: (200, CONTENT_TYPE, generate_latest(registry)),
            "/healthz": lambda: _healthz(reasons()),
        }
        self._closed = threading.Event()
        self._server: ThreadingHTTPServer | None = None
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        if self._server:
            with suppress(OSError):  # wakes the thread that waits for a connection, and costs nothing until then
                self._server.socket.shutdown(SHUT_RDWR)

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                server = self._bind()
            except OSError as error:
                self._log.error("http_not_listening", address=str(self._address), reason=error.strerror)
                self._closed.wait(self._retry_seconds)
                continue
            self._server = server
            self._log.info("http_listening", address=str(self._address))
            with server:
                while not self._closed.is_set():
                    server.handle_request()

    def _bind(self) -> ThreadingHTTPServer:
        answers, log = self._answers, self._log

        class Handler(BaseHTTPRequestHandler):
            server_version, sys_version = "sidecars", ""
            timeout = 10

            def do_GET(self) -> None:
                answer = answers.get(self.path.partition("?")[0])
                status, kind, body = answer() if answer else (404, "text/plain", b"/metrics and /healthz\n")
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Cache-Control", "no-store")
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_HEAD = do_GET  # noqa: N815 - the name http.server looks for

            def log_message(self, *_: object) -> None:
                """Stay silent: a scrape every 15 s is no news."""

        class Server(ThreadingHTTPServer):
            address_family = AF_INET6 if ":" in self._address.host else ThreadingHTTPServer.address_family
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """Log what went wrong, unless whoever asked hung up before the answer: that is no news either."""
                if not isinstance(sys.exception(), OSError):
                    log.exception("http_answer_failed")  # noqa: LOG004 - socketserver calls this in its handler

        return Server((self._address.host, self._address.port), Handler)


def _healthz(reasons: list[str]) -> tuple[int, str, bytes]:
    body = json.dumps({"healthy": not reasons, "reasons": reasons}).encode()
    return (503 if reasons else 200), "application/json", body + b"\n"
