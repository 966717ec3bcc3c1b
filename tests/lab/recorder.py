"""A proxy before an engine's socket that writes down every request, and can refuse, hold, cut and be away.

One request for each connection: what is passed on asks the engine to close after its answer, so that the end of an
answer is the end of the stream, whatever its form. Upgraded connections (exec, attach) are passed through as they are.
"""

import itertools
import re
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from lab.wire import wait_for, without_version

_LONGEST_HEAD = 65536
_CHUNK = 65536


@dataclass(frozen=True, slots=True)
class Request:
    """One request. Times are Unix times.

    *status* and *answered* are None until the answer begins, *ended* until all of it is passed: the client may have
    gone on a moment before that.
    *path* has no API version. A request that was cut or that the client left keeps what it had reached.
    """

    method: str
    path: str
    query: dict[str, str]
    started: float
    status: int | None = None
    answered: float | None = None
    ended: float | None = None

    def __str__(self) -> str:
        return f"{self.started:.3f} {self.method} {self.path} {self.query or ''} -> {self.status}"


@dataclass(frozen=True, slots=True)
class _Rule:
    """Which requests are meant: of a method (or `*`), with a pattern found in the path."""

    method: str
    path: str
    status: int = 0  # what to refuse them with

    def fits(self, request: Request) -> bool:
        return self.method in {"*", request.method} and re.search(self.path, request.path) is not None


class Recorder:
    """Listens at `url` and passes everything on to the engine at *upstream* (a unix:// address)."""

    def __init__(self, upstream: str) -> None:
        self._upstream = urlsplit(upstream).path
        self._folder = Path(tempfile.mkdtemp(prefix="sidecars-recorder-"))
        self.socket = self._folder / "docker.sock"
        self.url = f"unix://{self.socket}"
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._requests: dict[int, Request] = {}
        self._open: dict[int, _Exchange] = {}
        self._refused: list[_Rule] = []
        self._held: list[_Rule] = []
        self._resumed = threading.Condition(self._lock)
        self._listener: socket.socket | None = None
        self.come_back()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # What was asked

    def requests(self, method: str = "*", path: str = "") -> list[Request]:
        """List what was asked so far, in order: those of *method* whose path matches the pattern *path*."""
        rule = _Rule(method, path)
        with self._lock:
            return [request for request in self._requests.values() if rule.fits(request)]

    def wait_for(self, method: str = "*", path: str = "", *, count: int = 1, deadline: float = 30.0) -> list[Request]:
        """Wait until *count* such requests have come, answered or not."""

        def enough() -> list[Request]:
            found = self.requests(method, path)
            return found if len(found) >= count else []

        return wait_for(enough, f"{count} x {method} {path} at the recorder", deadline=deadline)

    def forget(self) -> None:
        """Begin the list anew."""
        with self._lock:
            self._requests.clear()

    # What goes wrong

    def refuse(self, method: str = "*", path: str = "", status: int = 403) -> None:
        """Answer such requests with an error, as an allow-list proxy does, until `obey`."""
        with self._lock:
            self._refused.append(_Rule(method, path, status))

    def hold(self, method: str = "*", path: str = "") -> None:
        """Accept such requests and neither pass them on nor answer, until `obey`: they go on then."""
        with self._lock:
            self._held.append(_Rule(method, path))

    def obey(self) -> None:
        """End what `refuse` and `hold` began."""
        with self._lock:
            self._refused.clear()
            self._held.clear()
            self._resumed.notify_all()

    def cut(self, path: str = "") -> int:
        """Break the open connections whose path matches the pattern; returns how many there were."""
        with self._lock:
            cut = [number for number, exchange in self._open.items() if re.search(path, exchange.path)]
            exchanges = [self._open.pop(number) for number in cut]
            self._resumed.notify_all()
        for exchange in exchanges:
            exchange.hang_up()
        return len(exchanges)

    def go_away(self) -> None:
        """Vanish as an engine that is stopped: the socket is gone and all connections break."""
        listener, self._listener = self._listener, None
        if listener:
            self.socket.unlink(missing_ok=True)
            _hang_up(listener)
        self.cut()

    def come_back(self) -> None:
        """Listen again."""
        if self._listener is None:
            self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._listener.bind(str(self.socket))
            self._listener.listen(256)
            _in_thread(self._accept, self._listener)

    def close(self) -> None:
        self.go_away()
        shutil.rmtree(self._folder, ignore_errors=True)

    # The proxy

    def _accept(self, listener: socket.socket) -> None:
        with listener, suppress(OSError):  # go_away has hung it up
            while True:
                client, _ = listener.accept()
                _in_thread(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):  # either side may leave at any time
            head = _read_head(client)
            if not head:
                return
            number = self._begin(head, client)
            try:
                self._answer(number, head)
            finally:
                self._end(number)
                # Closing alone would not reach the client while the thread that pumps its words still reads from it.
                _hang_up(client)

    def _begin(self, head: "_Head", client: socket.socket) -> int:
        parts = urlsplit(head.target)
        path, query = without_version(parts.path), dict(parse_qsl(parts.query, keep_blank_values=True))
        with self._lock:
            number = next(self._numbers)
            self._requests[number] = Request(head.method, path, query, time.time())
            self._open[number] = _Exchange(path, client)
        return number

    def _end(self, number: int) -> None:
        with self._lock:
            self._open.pop(number, None)
        self._note(number, ended=time.time())

    def _note(self, number: int, **news: Any) -> None:
        with self._lock:
            if number in self._requests:
                self._requests[number] = replace(self._requests[number], **news)

    def _answer(self, number: int, head: "_Head") -> None:
        with self._lock:
            request, exchange = self._requests[number], self._open.get(number)
            self._resumed.wait_for(lambda: number not in self._open or not _first(self._held, request))
            refusal = _first(self._refused, request)
            if exchange is None or number not in self._open:
                return  # it was cut
        if refusal:
            self._note(number, status=refusal.status, answered=time.time())
            exchange.client.sendall(_refusal(refusal.status))
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as engine:
            exchange.engine = engine
            engine.connect(self._upstream)
            engine.sendall(head.passed_on())
            _in_thread(_pump, exchange.client, engine)
            beginning = engine.recv(_CHUNK)
            if beginning:
                self._note(number, status=int(beginning.split(b" ", 2)[1]), answered=time.time())
            exchange.client.sendall(beginning)
            _pump(engine, exchange.client)


@dataclass(slots=True)
class _Exchange:
    """An open connection and, once it is passed on, its other half."""

    path: str
    client: socket.socket
    engine: socket.socket | None = None

    def hang_up(self) -> None:
        for end in (self.client, self.engine):
            if end:
                _hang_up(end)


@dataclass(frozen=True, slots=True)
class _Head:
    """The head of a request as it came, and what came of its body in the same packets."""

    lines: list[bytes]
    rest: bytes

    @property
    def method(self) -> str:
        return self.lines[0].split(b" ")[0].decode()

    @property
    def target(self) -> str:
        return self.lines[0].split(b" ")[1].decode()

    def passed_on(self) -> bytes:
        """Ask the engine to close after its answer, unless the connection is to be upgraded."""
        lines = self.lines
        if not any(line.lower().startswith(b"upgrade:") for line in lines):
            lines = [line for line in lines if not line.lower().startswith(b"connection:")] + [b"Connection: close"]
        return b"\r\n".join(lines) + b"\r\n\r\n" + self.rest


def most_at_once(requests: Iterable[Request]) -> int:
    """Count how many of *requests* were in flight at the fullest instant, from their start to their answer."""
    asked = list(requests)
    changes = [(request.started, 1) for request in asked]
    changes += [(request.answered, -1) for request in asked if request.answered is not None]
    return max(itertools.accumulate(change for _, change in sorted(changes)), default=0)


def _read_head(client: socket.socket) -> _Head | None:
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = client.recv(_CHUNK)
        if not chunk or len(received) > _LONGEST_HEAD:
            return None
        received += chunk
    head, _, rest = received.partition(b"\r\n\r\n")
    return _Head(head.split(b"\r\n"), rest)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    """Pass on all that comes, as it comes, and then that nothing more comes."""
    with suppress(OSError):
        while chunk := source.recv(_CHUNK):
            sink.sendall(chunk)
        sink.shutdown(socket.SHUT_WR)


def _hang_up(end: socket.socket) -> None:
    """End a connection, waking the threads that read it: closing it would not."""
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


def _first(rules: list[_Rule], request: Request) -> _Rule | None:
    return next((rule for rule in rules if rule.fits(request)), None)


def _refusal(status: int) -> bytes:
    body = b'{"message": "refused by the recorder"}'
    return (
        f"HTTP/1.1 {status} Refused\r\nContent-Type: application/json\r\nConnection: close\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def _in_thread(work: Callable[..., None], *arguments: socket.socket) -> None:
    threading.Thread(target=work, args=arguments, name="recorder", daemon=True).start()
