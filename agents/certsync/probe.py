"""Looks at what a server really serves: STARTTLS for SMTP, IMAP and POP3, or TLS from the first byte."""

import contextlib
import socket
import ssl
import time
from dataclasses import dataclass
from enum import StrEnum

from certsync import certificate
from certsync.certificate import Certificate
from certsync.refusal import RefusalError
from certsync.target import Endpoint

TIMEOUT_SECONDS = 10.0
_LONGEST_REPLY = 16384


class Trouble(StrEnum):
    """Why nothing was seen."""

    ABSENT = "absent"  # nobody has the name: a container that does not run
    BROKEN = "broken"  # somebody should be there, but there is no connection, no STARTTLS or no handshake


class ProbeError(Exception):
    """Nothing was seen. The text is for the operator."""

    def __init__(self, trouble: Trouble, detail: str) -> None:
        super().__init__(detail)
        self.trouble = trouble


@dataclass(frozen=True, slots=True)
class Served:
    """What a server showed."""

    certificate: Certificate
    chain: tuple[bytes, ...]  # DER, as sent


def look(endpoint: Endpoint, server_name: str, timeout_seconds: float = TIMEOUT_SECONDS) -> Served:
    """Shake hands with *endpoint* as a client that asks for *server_name*. Raises `ProbeError`."""
    deadline = time.monotonic() + timeout_seconds
    where = f"{endpoint.host}:{endpoint.port}"
    try:
        with socket.create_connection((endpoint.host, endpoint.port), timeout_seconds) as connection:
            _Dialogue(connection, deadline).start_tls(endpoint.starttls)
            chain = _handshake(connection, server_name, deadline)
        return Served(certificate.describe(chain), chain)
    except socket.gaierror:
        raise ProbeError(Trouble.ABSENT, f"{endpoint.host} is not a known name") from None
    except TimeoutError:
        raise ProbeError(Trouble.BROKEN, f"{where} did not answer within {timeout_seconds:g} s") from None
    except ssl.SSLError as error:
        raise ProbeError(Trouble.BROKEN, f"{where}: the handshake failed ({error.reason or 'cut off'})") from None
    except (OSError, EOFError, RefusalError) as error:
        raise ProbeError(Trouble.BROKEN, f"{where}: {getattr(error, 'strerror', None) or error}") from None


def difference(served: Served, expected: tuple[bytes, ...]) -> str | None:
    """Say how what is served differs from the *expected* chain, None when it does not. A root may be sent along."""
    if served.chain[0] != expected[0]:
        return f"serves serial {served.certificate.serial_hex}, not what was delivered"
    if served.chain[: len(expected)] != expected:
        return f"serves {len(served.chain)} certificates of a chain of {len(expected)}, or in another order"
    return None


def _handshake(connection: socket.socket, server_name: str, deadline: float) -> tuple[bytes, ...]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # what is served is compared with what was delivered, whoever issued it
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # a server that clients refuse should be seen, not merely fail
    connection.settimeout(max(0.1, deadline - time.monotonic()))
    with context.wrap_socket(connection, server_hostname=server_name.removeprefix("*.")) as secure:
        # Public from Python 3.13 on, there since 3.10. As sent; verified chains do not exist without a verification.
        sent = secure._sslobj.get_unverified_chain()  # type: ignore[attr-defined] # noqa: SLF001
        chain = tuple(ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in sent or ())
        with contextlib.suppress(OSError):
            secure.unwrap()  # a polite end: some servers log a cut connection as an error
    if not chain:
        raise EOFError("no certificate was sent")
    return chain


class _Dialogue:
    """The few lines of a mail protocol that come before TLS."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection, self._deadline = connection, deadline
        self._received = b""

    def start_tls(self, protocol: str) -> None:
        if protocol == "smtp":
            self._smtp()
        elif protocol == "imap":
            self._expect(b"* OK", "the greeting")
            self._connection.sendall(b"a STARTTLS\r\n")
            while not (line := self._line()).startswith(b"a "):
                pass
            self._check(line, b"a OK", "STARTTLS")
        elif protocol == "pop3":
            self._expect(b"+OK", "the greeting")
            self._connection.sendall(b"STLS\r\n")
            self._expect(b"+OK", "STLS")
        if self._received:
            raise EOFError("it sent something between STARTTLS and the handshake")

    def _smtp(self) -> None:
        self._smtp_reply(b"220", "the greeting")
        self._connection.sendall(b"EHLO certsync.localdomain\r\n")
        self._smtp_reply(b"250", "EHLO")
        self._connection.sendall(b"STARTTLS\r\n")
        self._smtp_reply(b"220", "STARTTLS")

    def _smtp_reply(self, code: bytes, what: str) -> None:
        while (line := self._line())[3:4] == b"-":
            self._check(line, code, what)
        self._check(line, code, what)

    def _expect(self, start: bytes, what: str) -> None:
        self._check(self._line(), start, what)

    def _check(self, line: bytes, start: bytes, what: str) -> None:
        if not line.upper().startswith(start.upper()):
            shown = line[:60].decode("ascii", "replace")
            raise EOFError(f"unexpected answer to {what}: {shown!r}")

    def _line(self) -> bytes:
        while b"\n" not in self._received:
            remaining = self._deadline - time.monotonic()
            if remaining <= 0:
                raise TimeoutError
            self._connection.settimeout(remaining)
            part = self._connection.recv(4096)
            if not part or len(self._received) > _LONGEST_REPLY:
                raise EOFError("the connection was closed before TLS" if not part else "the answer never ends")
            self._received += part
        line, _, self._received = self._received.partition(b"\n")
        return line.rstrip(b"\r")
