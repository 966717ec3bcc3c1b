"""Real Haraka in a container, attacked from one network while honest clients of another are at work."""

import shutil
import smtplib
import ssl
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from lab import haraka
from lab.containers import Container, Containers
from lab.logban import PORT, PROBES, WATCHED, Logban, Site
from lab.mailhost import HOST
from lab.network import Client, Namespace, NewNamespace, cable
from lab.wire import wait_for

SESSIONS, AT_ONCE = 1_000, 4
VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
NEIGHBOUR, HOST_THERE = "203.0.113.77", "203.0.113.1"
HELLOS = {
    "198.51.100.110": haraka.ssl2_hello(),
    "198.51.100.111": haraka.client_hello((3, 0)),
    "198.51.100.112": haraka.client_hello((3, 1)),
    "198.51.100.113": haraka.client_hello((3, 2)),
    "198.51.100.114": b"GET / HTTP/1.1\r\nHost: mail.example.com\r\n\r\n",
    "198.51.100.115": bytes(range(200, 256)),
}
OPENSSL, SSLSCAN = "198.51.100.120", "198.51.100.121"


@pytest.fixture
def neighbour(site: Site) -> Iterator[Namespace]:
    """Another network, where nobody does any harm."""
    with NewNamespace("neighbour") as namespace:
        cable(site.host, "wan1", namespace, "eth0")
        site.host.address("wan1", f"{HOST_THERE}/24")
        namespace.address("eth0", f"{NEIGHBOUR}/24")
        yield namespace


@pytest.fixture
def attackers(site: Site) -> Iterator[Namespace]:
    """Give the internet an address for each of them."""
    for address in (*HELLOS, OPENSSL, SSLSCAN):
        site.internet.run("ip", "address", "replace", f"{address}/24", "dev", "eth0")
    yield site.internet
    site.internet.run("ip", "route", "flush", HOST[4])


@pytest.fixture(params=["haraka-3.1.6", "haraka-3.3.4"])
def server(request: pytest.FixtureRequest, containers: Containers) -> Container:
    if not shutil.which("sslscan"):
        pytest.skip("needs sslscan")
    return haraka.contained(containers, request.param, PORT, WATCHED)


def test_every_probing_client_is_banned_and_a_thousand_honest_sessions_are_served(
    server: Container, attackers: Namespace, neighbour: Namespace, logban: Callable[..., Logban]
) -> None:
    agent = logban()
    agent.process.wait_for("ports_guarded", fences={"published": [PORT]})
    wait_for(lambda: _is_served(attackers, HOST[4], OPENSSL), "Haraka is up", deadline=60.0)
    wait_for(lambda: agent.status(server.name).get("reading") == "api", "its log is read")

    with ThreadPoolExecutor(AT_ONCE) as pool:
        honest = [pool.submit(_converse, neighbour, number) for number in range(AT_ONCE)]
        for address, hello in HELLOS.items():
            with attackers.entered():
                for _ in range(PROBES):
                    haraka.offer(hello, HOST[4], PORT, address)
            agent.process.wait_for("ip_banned", ip=address)
        for _ in range(PROBES):
            _openssl(attackers)
        with _sslscan(attackers) as scan:
            agent.process.wait_for("ip_banned", ip=SSLSCAN)
            scan.kill()
        failures = [failure for each in honest for failure in each.result()]

    for address in (*HELLOS, OPENSSL, SSLSCAN):
        agent.process.wait_for("ip_banned", ip=address)
        with Client(attackers, address, HOST[4], PORT) as client:
            assert not client.connects()
    assert failures == []
    assert set(agent.bans()) == {f"{address}/32" for address in (*HELLOS, OPENSSL, SSLSCAN)}


def _converse(namespace: Namespace, number: int) -> list[str]:
    """Hold a part of the honest sessions, and tell what went wrong in them."""
    failures = []
    with namespace.entered():
        for session in range(number, SESSIONS, AT_ONCE):
            try:
                haraka.converse(HOST_THERE, PORT, NEIGHBOUR, VERSIONS[session // AT_ONCE % 2])
            except (OSError, smtplib.SMTPException) as error:
                failures.append(f"{session}: {error!r}")
    return failures


def _is_served(namespace: Namespace, address: str, source: str) -> bool:
    with suppress(OSError, smtplib.SMTPException), namespace.entered():
        haraka.converse(address, PORT, source)
        return True
    return False


def _openssl(namespace: Namespace) -> None:
    words = (
        f"openssl s_client -starttls smtp -tls1 -cipher DEFAULT@SECLEVEL=0 -connect {HOST[4]}:{PORT} -bind {OPENSSL}"
    )
    with namespace.entered():
        done = subprocess.run(words.split(), stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    assert done.returncode != 0, "an old protocol was accepted"


def _sslscan(namespace: Namespace) -> "subprocess.Popen[bytes]":
    """Start one. It cannot be told its own address, so the way to the host tells it."""
    namespace.run("ip", "route", "replace", HOST[4], "dev", "eth0", "src", SSLSCAN)
    words = ["sslscan", "--starttls-smtp", "--connect-timeout=2", "--timeout=2", f"{HOST[4]}:{PORT}"]
    with namespace.entered():
        return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
