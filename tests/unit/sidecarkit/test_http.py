"""The agent's own HTTP server: two pages, nothing to change, never in the way."""

import http.client
import json
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress

import pytest
from prometheus_client import CollectorRegistry, Counter, Metric

from lab.agent import free_port
from lab.wire import wait_for
from sidecarkit import http as kit
from sidecarkit import logs
from sidecarkit.settings import Address

Serve = Callable[..., Address]


@pytest.fixture
def reasons() -> list[str]:
    return []


@pytest.fixture
def serve(reasons: list[str]) -> Iterator[Serve]:
    """Start servers that say *reasons*; they end with the test."""
    servers: list[kit.HttpServer] = []

    def start(host: str = "127.0.0.1", registry: CollectorRegistry | None = None, port: int | None = None) -> Address:
        address = Address(host, port or free_port())
        servers.append(
            kit.HttpServer(
                address, registry or CollectorRegistry(), lambda: reasons, logs.get("demo"), retry_seconds=0.05
            )
        )
        servers[-1].start()
        return address

    yield start
    for server in servers:
        server.close()
        server._thread.join(5.0)
        assert not server._thread.is_alive()


def ask(address: Address, path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    """Ask as soon as somebody listens."""

    def answer() -> tuple[int, dict[str, str], bytes] | None:
        with suppress(ConnectionRefusedError), closing(http.client.HTTPConnection(address.host, address.port)) as asked:
            asked.request(method, path)
            response = asked.getresponse()
            return response.status, dict(response.headers), response.read()
        return None

    found = wait_for(answer, f"an answer from {address}")
    assert found
    return found


def test_the_metrics_are_in_the_form_that_prometheus_reads(serve: Serve) -> None:
    registry = CollectorRegistry()
    Counter("demo_heals", "Heals.", ["outcome"], registry=registry).labels("recovered").inc()

    status, headers, body = ask(serve(registry=registry), "/metrics?name=x")

    assert (status, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert b'demo_heals_total{outcome="recovered"} 1.0\n' in body


def test_an_agent_with_nothing_wrong_is_healthy(serve: Serve) -> None:
    status, headers, body = ask(serve(), "/healthz")

    assert (status, headers["Content-Type"], headers["Cache-Control"]) == (200, "application/json", "no-store")
    assert json.loads(body) == {"healthy": True, "reasons": []}


def test_an_agent_with_something_wrong_says_what_it_is(serve: Serve, reasons: list[str]) -> None:
    reasons.append("the engine is away")

    status, _, body = ask(serve(), "/healthz")

    assert status == 503
    assert json.loads(body) == {"healthy": False, "reasons": ["the engine is away"]}


def test_head_answers_as_get_without_the_body(serve: Serve) -> None:
    address = serve()
    length = len(ask(address, "/healthz")[2])

    with socket.create_connection((address.host, address.port)) as client:
        client.sendall(b"HEAD /healthz HTTP/1.0\r\n\r\n")
        answer = client.makefile("rb").read()

    assert answer.startswith(b"HTTP/1.0 200 OK\r\n")
    assert f"Content-Length: {length}\r\n".encode() in answer
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("path", ["/", "/metrics/", "/../etc/passwd", "/healthz.json"])
def test_there_is_nothing_else_to_see(serve: Serve, path: str) -> None:
    status, _, body = ask(serve(), path)

    assert (status, body) == (404, b"/metrics and /healthz\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_changed(serve: Serve, method: str) -> None:
    assert ask(serve(), "/metrics", method)[0] == 501


def test_it_listens_on_ipv6_too(serve: Serve) -> None:
    assert ask(serve("::1"), "/healthz")[0] == 200


def test_a_client_that_stays_silent_keeps_nobody_waiting(serve: Serve) -> None:
    address = serve()
    ask(address, "/healthz")

    with socket.create_connection((address.host, address.port)):
        started = time.monotonic()
        assert ask(address, "/healthz")[0] == 200
        assert time.monotonic() - started < 8.0  # a connection that says nothing is dropped after 10 s


def test_a_client_that_hangs_up_leaves_no_trace_on_the_terminal(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    registry = CollectorRegistry()
    for number in range(500):
        Counter(f"demo_{number}", "x" * 1000, registry=registry)
    address = serve(registry=registry)
    ask(address, "/healthz")

    for _ in range(5):
        with socket.create_connection((address.host, address.port)) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # hang up by a reset
            client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
    ask(address, "/metrics")

    printed = "".join(capsys.readouterr())  # other tests' threads may print as well
    assert not [name for name in ("ConnectionReset", "BrokenPipe", "Exception occurred") if name in printed]


def test_an_answer_that_fails_is_logged_and_the_next_one_comes(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def collect(self) -> list[Metric]:
            return [] if "http_answer_failed" in caplog.text else [Metric("demo", "Demo.", "nonsense")]

    registry = CollectorRegistry()
    registry.register(Broken())
    address = serve(registry=registry)
    ask(address, "/healthz")

    with pytest.raises(http.client.RemoteDisconnected):
        ask(address, "/metrics")

    wait_for(lambda: "http_answer_failed" in caplog.text, "the failure is said")
    assert ask(address, "/metrics")[0] == 200


def test_an_address_in_use_is_tried_again(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as occupied:
        address = serve(port=occupied.getsockname()[1])
        wait_for(lambda: "http_not_listening" in caplog.text, "the failure is said")
        (record,) = {(record.levelname, str(getattr(record, "facts", None))) for record in caplog.records}
    assert record == ("ERROR", f"{{'address': '{address}', 'reason': 'Address already in use'}}")

    assert ask(address, "/healthz")[0] == 200


def test_it_is_closed_at_any_moment() -> None:
    for _ in range(20):
        address = Address("127.0.0.1", free_port())
        server = kit.HttpServer(address, CollectorRegistry(), list, logs.get("demo"))
        server.start()
        server.close()
        server._thread.join(5.0)

        assert not server._thread.is_alive()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((address.host, address.port), timeout=1.0)
