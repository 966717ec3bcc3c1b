import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from certsync import certificate, probe
from certsync.probe import ProbeError, Trouble
from certsync.target import Endpoint
from lab.authority import Authority, Issued, pem

TALK = {
    "smtp": [
        (b"220-hello\r\n220 ready\r\n", b"EHLO"),
        (b"250-me\r\n250-SIZE 1\r\n250 STARTTLS\r\n", b"STARTTLS"),
        (b"220 go\r\n", b""),
    ],
    "imap": [(b"* OK ready\r\n", b"a STARTTLS"), (b"* CAPABILITY IMAP4\r\na OK begin\r\n", b"")],
    "pop3": [(b"+OK ready\r\n", b"STLS"), (b"+OK begin\r\n", b"")],
    "": [],
}


def talk(connection: socket.socket, protocol: str) -> None:
    for say, expect in TALK[protocol]:
        connection.sendall(say)
        if expect:
            assert connection.recv(1000).startswith(expect)


@contextlib.contextmanager
def serving(handle: Callable[[socket.socket], None]) -> Iterator[int]:
    """Run a server on a free port that handles each connection in turn."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, contextlib.suppress(OSError, AssertionError):
                        handle(connection)

        threading.Thread(target=run, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def issued(authority: Authority) -> Issued:
    return authority.issue("mail.example.com", kind="rsa2048")


def tls(folder: Path, issued: Issued, chain: bytes | None = None) -> ssl.SSLContext:
    (folder / "pair.pem").write_bytes(issued.key_pem() + (chain or issued.chain_pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "pair.pem")
    return context


@pytest.mark.parametrize("protocol", ["", "smtp", "imap", "pop3"])
def test_what_a_server_serves_is_seen_through_every_protocol(tmp_path: Path, issued: Issued, protocol: str) -> None:
    context = tls(tmp_path, issued)
    names: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: names.append(name)

    def handle(connection: socket.socket) -> None:
        talk(connection, protocol)
        context.wrap_socket(connection, server_side=True).close()

    with serving(handle) as port:
        served = probe.look(Endpoint("127.0.0.1", port, protocol), "*.mail.example.com")
    expected = tuple(certificate.certificates(issued.chain_pem))
    assert served.certificate.serial == issued.serial
    assert served.chain == expected
    assert names == ["mail.example.com"]
    assert probe.difference(served, expected) is None


def test_a_leaf_without_its_chain_and_another_leaf_are_told_apart(
    tmp_path: Path, issued: Issued, authority: Authority
) -> None:
    context = tls(tmp_path, issued, pem(issued.leaf))
    with serving(lambda connection: context.wrap_socket(connection, server_side=True).close()) as port:
        served = probe.look(Endpoint("127.0.0.1", port), "mail.example.com")
    expected = tuple(certificate.certificates(issued.chain_pem))
    other = tuple(certificate.certificates(authority.issue("mail.example.com").chain_pem))
    assert probe.difference(served, expected[:1]) is None
    assert "1 certificates of a chain of 2" in str(probe.difference(served, expected))
    assert "not what was delivered" in str(probe.difference(served, other))


def test_a_root_that_is_sent_along_does_no_harm(tmp_path: Path, issued: Issued) -> None:
    context = tls(tmp_path, issued, pem(issued.leaf, issued.intermediate, issued.root))
    with serving(lambda connection: context.wrap_socket(connection, server_side=True).close()) as port:
        served = probe.look(Endpoint("127.0.0.1", port), "mail.example.com")
    assert probe.difference(served, tuple(certificate.certificates(issued.chain_pem))) is None


def trouble_of(port: int, protocol: str = "", seconds: float = 5.0) -> ProbeError:
    with pytest.raises(ProbeError) as caught:
        probe.look(Endpoint("127.0.0.1", port, protocol), "mail.example.com", seconds)
    assert caught.value.trouble is Trouble.BROKEN
    return caught.value


@pytest.mark.parametrize(
    "answer",
    [b"", b"554 go away\r\n", b"220 ok\r\n", b"220 x\r\n250 no tls\r\n502 what\r\n", b"x" * 100_000,
     b"220 a\r\n250 b\r\n220 go\r\ninjected\r\n", b"\xff\xfe\r\n"],
)  # fmt: skip
def test_a_server_that_does_not_get_to_tls_is_broken_and_soon_told(answer: bytes) -> None:
    with serving(lambda connection: connection.sendall(answer)) as port:
        trouble_of(port, "smtp")


def test_what_is_sent_between_starttls_and_the_handshake_is_not_passed_over(tmp_path: Path, issued: Issued) -> None:
    context = tls(tmp_path, issued)

    def handle(connection: socket.socket) -> None:
        connection.sendall(b"+OK ready\r\n")
        connection.recv(100)
        connection.sendall(b"+OK begin\r\n+OK injected\r\n")
        context.wrap_socket(connection, server_side=True).close()

    with serving(handle) as port:
        assert "between STARTTLS and the handshake" in str(trouble_of(port, "pop3"))


def test_a_server_that_never_answers_is_left_after_the_time_allowed() -> None:
    hold = threading.Event()
    with serving(lambda _connection: hold.wait(20)) as port:  # type: ignore[arg-type, return-value]
        assert "did not answer" in str(trouble_of(port, "smtp", 0.3))
        hold.set()


def test_an_answer_without_end_is_left_before_it_fills_the_memory() -> None:
    def pour(connection: socket.socket) -> None:
        while True:
            connection.sendall(b"2" * 4096)

    with serving(pour) as port:
        assert "never ends" in str(trouble_of(port, "smtp"))


def test_a_server_that_answers_one_letter_at_a_time_is_left_too() -> None:
    stop = threading.Event()

    def drip(connection: socket.socket) -> None:
        while not stop.wait(0.05):
            connection.sendall(b"2")

    with serving(drip) as port:
        assert "did not answer" in str(trouble_of(port, "smtp", 0.5))
        stop.set()


def test_a_handshake_that_fails_and_a_closed_port_are_broken(tmp_path: Path, issued: Issued) -> None:
    with serving(lambda connection: connection.sendall(b"not tls at all")) as port:
        assert "handshake failed" in str(trouble_of(port))
    assert "refused" in str(trouble_of(port)).lower()


def test_a_name_that_nobody_has_is_absent() -> None:
    with pytest.raises(ProbeError) as caught:
        probe.look(Endpoint("nobody.invalid", 25, "smtp"), "mail.example.com", 5.0)
    assert caught.value.trouble is Trouble.ABSENT
