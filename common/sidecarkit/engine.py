"""All talk with the Docker Engine: one HTTP connection for each request, over a Unix socket, TCP or TLS.

Written on the standard library's http.client and not on the Docker SDK: the SDK with requests costs 20 MB of
memory in each agent of a budget of 45, is the slowest part of reading logs, and hides which endpoints are used,
which is what a socket proxy's allow-list must know. Here they are: each method below is one endpoint.
"""

import dataclasses
import http.client
import json
import re
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from sidecarkit.errors import ContainerGone, EngineError, EngineTimeout, EngineUnavailable, Refused

NEWEST_API = (1, 52)  # the newest version whose answers were read against this code
LOG_REACH = 64
DEFAULT_SOCKET = "/var/run/docker.sock"
Query = Mapping[str, str | int | Mapping[str, list[str]]]
Observer = Callable[[str, float, str | None], None]  # operation, seconds, reason of failure or None


@dataclasses.dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the engine, or the proxy before it, listens. *tls* is the context to use, if any."""

    url: str
    tls: ssl.SSLContext | None = None

    @property
    def host(self) -> str | None:
        """The host of a TCP endpoint, None for a Unix socket."""
        return urlsplit(self.url).hostname if "://" in self.url and not self.url.startswith("unix:") else None

    def connect(self, timeout_seconds: float | None) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        if parts.scheme == "unix":
            return _UnixConnection(parts.path, timeout_seconds)
        host, port = parts.hostname or "localhost", parts.port or (2376 if self.tls else 2375)
        if self.tls:
            return http.client.HTTPSConnection(host, port, timeout=timeout_seconds, context=self.tls)
        return http.client.HTTPConnection(host, port, timeout=timeout_seconds)


def address(value: str) -> str:
    """Read where an engine is: unix:///path, tcp://host:port, or the bare path of a socket."""
    url = f"unix://{value}" if value.startswith("/") else value
    try:
        _ = urlsplit(url).port
    except ValueError:
        url = ""
    if not re.match(r"unix:///.|(tcp|tcps|http|https)://[^/]", url):
        raise ValueError("unix:///path/to/docker.sock or tcp://host:port")
    return url


def endpoint(docker_host: str | None, tls_verify: bool, cert_path: Path | None) -> Endpoint:  # noqa: FBT001
    """Read DOCKER_HOST, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH as the docker command does.

    Accepts unix:// and tcp:// addresses and a bare socket path. With *tls_verify* or a *cert_path* the connection is
    TLS, with ca.pem, cert.pem and key.pem of *cert_path* (default ~/.docker). Raises ValueError: what is accepted.
    """
    url = address(docker_host or DEFAULT_SOCKET)
    secure = not url.startswith("unix:") and (
        tls_verify or cert_path is not None or url.startswith(("tcps:", "https:"))
    )
    return Endpoint(url, tls_context(cert_path or Path.home() / ".docker", verify=tls_verify) if secure else None)


def tls_context(
    folder: Path, *, verify: bool, names: tuple[str, str, str] = ("ca.pem", "cert.pem", "key.pem")
) -> ssl.SSLContext:
    """Make the client's TLS context from a folder. Raises ValueError when a file is missing or unusable."""
    ca, certificate, key = (folder / name for name in names)
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    try:
        if ca.exists() or verify:
            context.load_verify_locations(ca)
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"{', '.join(names)} in {folder} ({error.strerror or error})") from None
    return context


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_seconds: float | None) -> None:
        super().__init__("docker", timeout=timeout_seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Stream:
    """An answer that does not end by itself. Iterating yields its lines as bytes; `close` may come from any thread."""

    def __init__(self, answer: "_Answer") -> None:
        self.response = answer.response
        self._sock = answer.sock

    def __iter__(self) -> Iterator[bytes]:
        with translated("stream"):
            while line := self.response.readline():
                yield line

    def close(self) -> None:
        """End it; a reader in another thread wakes up and sees its end, or EngineUnavailable.

        Closing a socket does not wake a thread that reads from it; shutting it down does. It is done beneath TLS,
        and the response is left alone, since both lose parts that such a reader is about to use.
        """
        with suppress(OSError):  # it is closed already
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)
        self._sock.close()


class Engine:
    """The engine's endpoints that the agents use. Safe to share between threads: it keeps no connection."""

    def __init__(
        self, endpoint: Endpoint, *, timeout_seconds: float = 30.0, observe: Observer = lambda *_: None
    ) -> None:
        self.endpoint = endpoint
        self.timeout_seconds = timeout_seconds
        self._observe = observe
        self._prefix: str | None = None

    def ping(self) -> float:
        """Ask whether the engine answers, agree on an API version, and return its clock (Unix time, whole seconds)."""
        with self._exchange(_Request("ping", "GET", "/_ping", self.timeout_seconds)) as response:
            response.read()
            self._prefix = agreed_prefix(response.headers.get("Api-Version"))
            date = response.headers.get("Date")
        with suppress(ValueError):  # a proxy may write what it likes
            return parsedate_to_datetime(date).timestamp() if date else time.time()
        return time.time()

    def version(self) -> dict[str, Any]:
        document: dict[str, Any] = self.get_json("version", "/version")
        return document

    def containers(self, filters: Mapping[str, list[str]] | None = None) -> list[dict[str, Any]]:
        """List all containers, running or not: the rows of GET /containers/json?all=1."""
        query: dict[str, Any] = {"all": 1}
        if filters:
            query["filters"] = filters
        rows: list[dict[str, Any]] = self.get_json("list", "/containers/json", query)
        return rows

    def inspect(self, container: str) -> dict[str, Any]:
        document: dict[str, Any] = self.get_json("inspect", f"/containers/{_segment(container)}/json")
        return document

    def stats(self, container: str) -> dict[str, Any]:
        """Read what a container uses at this moment. Without one-shot the engine takes 2 s, with it some take 1 s.

        It knows no earlier moment then, so shares of the processor are a matter of two such readings.
        """
        query = {"stream": "false", "one-shot": "true"}
        document: dict[str, Any] = self.get_json("stats", f"/containers/{_segment(container)}/stats", query)
        return document

    def restart(self, container: str, stop_seconds: int | None, patience_seconds: float) -> int:
        """Stop and start; returns the HTTP status. None leaves the grace period to the container's own.

        *patience_seconds*: the longest the stop may take. The answer is waited for that long and the usual time
        more: a client that hangs up earlier can leave the container stopped (engine 24.0.0 to 24.0.6).
        """
        return self._act("restart", container, stop_seconds, patience_seconds)

    def stop(self, container: str, stop_seconds: int | None, patience_seconds: float) -> int:
        """Stop as `restart` does. An already stopped container answers 304."""
        return self._act("stop", container, stop_seconds, patience_seconds)

    def _act(self, action: str, container: str, stop_seconds: int | None, patience_seconds: float) -> int:
        query = {} if stop_seconds is None else {"t": stop_seconds}
        return self.post(
            action, f"/containers/{_segment(container)}/{action}", query, patience_seconds=patience_seconds
        )

    def kill(self, container: str, signal: str = "SIGKILL") -> int:
        return self.post("kill", f"/containers/{_segment(container)}/kill", {"signal": signal})

    def logs(self, container: str, *, tail: int, until: float, tty: bool) -> list[bytes]:
        """Fetch the last *tail* lines printed before *until* (Unix time), both streams, without line ends.

        The engine counts them from the end of the log and drops those printed since only then. So more are asked
        for when too few are left, and after LOG_REACH times as many what is left has to do.
        """
        for asked in (tail, tail * 8, tail * LOG_REACH):
            lines = self._log_lines(container, asked, until, tty=tty)
            if len(lines) >= tail:
                break
        return lines[-tail:]

    def _log_lines(self, container: str, tail: int, until: float, *, tty: bool) -> list[bytes]:
        query: Query = {"stdout": 1, "stderr": 1, "tail": tail, "until": f"{until:.9f}"}
        target = self._target(f"/containers/{_segment(container)}/logs", query)
        with self._exchange(_Request("logs", "GET", target, self.timeout_seconds)) as response:
            body = response.read()
        return (body if tty else b"".join(payload for _, payload in frames(body))).splitlines()

    def events(self, since: str, filters: Mapping[str, list[str]]) -> Stream:
        """Open the stream of events from *since* (`seconds.nanoseconds`, inclusive) on."""
        return self.stream("events", "/events", {"since": since, "filters": filters}, silence_seconds=600.0)

    def stream(self, operation: str, path: str, query: Query, *, silence_seconds: float | None) -> Stream:
        """Open an endless answer. A silence of *silence_seconds* ends it with EngineTimeout."""
        request = _Request(operation, "GET", self._target(path, query), self.timeout_seconds)
        with self._observed(operation):
            answer = self._open(request)
        answer.sock.settimeout(silence_seconds)
        return Stream(answer)

    def bare_stream(self, operation: str, path: str, query: Query) -> tuple[socket.socket, bytes]:
        """Open an endless answer as its bare socket: (socket, what came of it together with the head).

        Asked in HTTP/1.0, the engine sends no chunks: what follows is the answer itself, and needs no parsing.
        """
        target = self._target(path, query)
        with self._observed(operation), translated(operation):
            connection = self.endpoint.connect(self.timeout_seconds)
            connection.connect()
            sock: socket.socket = connection.sock
            try:
                body = _ask_bare(sock, operation, target)
            except BaseException:
                sock.close()
                raise
        return sock, body

    def post(
        self, operation: str, path: str, query: Query | None = None, *, body: Any = None, patience_seconds: float = 0.0
    ) -> int:
        """Post and return the HTTP status, which is below 400."""
        timeout = self.timeout_seconds + patience_seconds
        request = _Request(operation, "POST", self._target(path, query or {}), timeout, body)
        with self._exchange(request) as response:
            response.read()
            return response.status

    def execute(self, container: str, command: Sequence[str]) -> tuple[int, bytes]:
        """Run *command* inside a running container and wait for it: (exit status, what it printed on stdout)."""
        asked = {"Cmd": list(command), "AttachStdout": True, "AttachStderr": True}
        made = self.post_json("exec_create", f"/containers/{_segment(container)}/exec", asked)["Id"]
        how = {"Detach": False, "Tty": False}
        request = _Request("exec_start", "POST", self._target(f"/exec/{made}/start", {}), self.timeout_seconds, how)
        with self._exchange(request) as response:
            printed = b"".join(payload for stream, payload in frames(response.read()) if stream == 1)
        return int(self.get_json("exec_inspect", f"/exec/{made}/json")["ExitCode"]), printed

    def post_json(self, operation: str, path: str, body: Any) -> Any:
        """Post a JSON document and return the decoded answer."""
        request = _Request(operation, "POST", self._target(path, {}), self.timeout_seconds, body)
        with self._exchange(request) as response:
            return json.loads(response.read() or b"null")

    def get_json(self, operation: str, path: str, query: Query | None = None) -> Any:
        request = _Request(operation, "GET", self._target(path, query or {}), self.timeout_seconds)
        with self._exchange(request) as response:
            return json.loads(response.read())

    def _target(self, path: str, query: Query) -> str:
        if self._prefix is None:
            self.ping()
        encoded = {key: json.dumps(value) if isinstance(value, Mapping) else value for key, value in query.items()}
        return f"{self._prefix or ''}{path}" + (f"?{urlencode(encoded)}" if encoded else "")

    @contextmanager
    def _exchange(self, request: "_Request") -> Iterator[http.client.HTTPResponse]:
        """Send one request and lend its answer, whose status is below 400."""
        with self._observed(request.operation):
            answer = self._open(request)
            with closing(answer.connection), translated(request.operation):
                yield answer.response

    def _open(self, request: "_Request") -> "_Answer":
        connection = self.endpoint.connect(request.timeout_seconds)
        try:
            with translated(request.operation):
                content, headers = request.payload()
                connection.request(request.method, request.target, content, headers)
                sock = connection.sock  # an answer that announces its end takes it from the connection
                response = connection.getresponse()
                _check(request.operation, response)
        except BaseException:
            connection.close()
            raise
        return _Answer(connection, sock, response)

    @contextmanager
    def _observed(self, operation: str) -> Iterator[None]:
        started = time.monotonic()
        reason: str | None = None
        try:
            yield
        except EngineError as error:
            reason = type(error).__name__
            if isinstance(error, EngineUnavailable):
                self._prefix = None  # the engine that comes back may be another version
            raise
        finally:
            self._observe(operation, time.monotonic() - started, reason)


@dataclasses.dataclass(frozen=True, slots=True)
class _Answer:
    connection: http.client.HTTPConnection
    sock: socket.socket
    response: http.client.HTTPResponse


@dataclasses.dataclass(frozen=True, slots=True)
class _Request:
    operation: str
    method: str
    target: str
    timeout_seconds: float
    body: Any = None

    def payload(self) -> tuple[str | None, dict[str, str]]:
        if self.body is None:
            return None, {}
        return json.dumps(self.body), {"Content-Type": "application/json"}


def agreed_prefix(server_version: str | None) -> str:
    """Choose the API version both sides know, as the path prefix. No header (a proxy ate it) means no prefix."""
    if not server_version or not re.fullmatch(r"\d+\.\d+", server_version):
        return ""
    major, minor = (int(part) for part in server_version.split("."))
    agreed = min((major, minor), NEWEST_API)
    return f"/v{agreed[0]}.{agreed[1]}"


def frames(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Split the multiplexed stream of a container without tty: (1 stdout or 2 stderr, payload)."""
    at = 0
    while at + 8 <= len(body):
        stream, length = struct.unpack(">B3xL", body[at : at + 8])
        yield stream, body[at + 8 : at + 8 + length]
        at += 8 + length


@contextmanager
def translated(operation: str) -> Iterator[None]:
    """Turn whatever the transport raises into our errors."""
    try:
        yield
    except TimeoutError as error:
        raise EngineTimeout(f"{operation}: the engine did not answer in time") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        # ValueError: an answer that is not JSON, or a file closed under a reader by Stream.close.
        raise EngineUnavailable(f"{operation}: {error or type(error).__name__}") from error


def _check(operation: str, response: http.client.HTTPResponse) -> None:
    if response.status >= 400:
        raise _failure(operation, response.status, response.read(65536))


def _failure(operation: str, status: int, body: bytes) -> EngineError:
    try:
        message = str(json.loads(body)["message"])
    except (ValueError, TypeError, KeyError):
        message = http.client.responses.get(status, "error")
    message = f"{operation}: {message} ({status})"
    if status == 404:
        return ContainerGone(message, status)
    if status in {401, 403}:
        return Refused(message, status)
    if status in {502, 503, 504}:
        return EngineUnavailable(message, status)
    return EngineError(message, status)


def _ask_bare(sock: socket.socket, operation: str, target: str) -> bytes:
    """Ask in HTTP/1.0 and read the head of the answer; returns what came together with it."""
    sock.sendall(f"GET {target} HTTP/1.0\r\nHost: docker\r\n\r\n".encode("ascii"))
    head = b""
    while b"\r\n\r\n" not in head:
        more = sock.recv(65536)
        if not more or len(head) > 65536:
            raise EngineUnavailable(f"{operation}: the engine hung up before its answer")
        head += more
    head, _, body = head.partition(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    if status >= 400:
        raise _failure(operation, status, body + _read_rest(sock))
    if b"chunked" in head.lower():
        raise EngineError(f"{operation}: the proxy before the engine answers HTTP/1.0 with chunks")
    return body


def _read_rest(sock: socket.socket) -> bytes:
    rest = b""
    while len(rest) < 65536 and (more := sock.recv(65536)):
        rest += more
    return rest


def _segment(container: str) -> str:
    return quote(container, safe="")
