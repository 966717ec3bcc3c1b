"""A real Haraka in a container, and its clients: honest ones, and such as offer what is refused."""

import smtplib
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from certsync.dhparams import FFDHE2048
from lab import npm
from lab.authority import Authority
from lab.containers import Container, Containers

NAME = "mail.example.com"
PATIENCE_SECONDS, IMPATIENCE_SECONDS = 20.0, 1.5
CONFIGURATION = {
    "smtp.ini": "listen=0.0.0.0:25\nnodes=0\n",
    "plugins": "tls\n",
    "me": f"{NAME}\n",
    "loglevel": "INFO\n",
    "tls.ini": "minVersion=TLSv1.2\n",
}
_CIPHERS = bytes.fromhex("c014c00a00390035002f000a")
_SSL2_CIPHERS = bytes.fromhex("010080020080030080060040")


def contained(containers: Containers, version: str, port: int, labels: Mapping[str, str]) -> Container:
    """Run one that publishes its port 25 as *port*, offers STARTTLS and refuses what is older than TLS 1.2."""
    package = npm.install(version) / "node_modules" / "Haraka"
    node, lent = npm.lent_node(package)
    container = containers.create(
        "haraka",
        labels=labels,
        command=(node, str(package / "bin" / "haraka"), "-c", "/lab/haraka"),
        network_mode="bridge",
        binds=lent,
        # Names are asked for at each connection; that nobody answers is to be known at once.
        host={"PortBindings": {"25/tcp": [{"HostPort": str(port)}]}, "Dns": ["127.0.0.1"]},
        config={"ExposedPorts": {"25/tcp": {}}},
    )
    config, issued = container.folder / "haraka" / "config", Authority().issue(NAME)
    configure(package, config)
    (container.folder / "haraka" / "queue").mkdir()
    (config / "tls_cert.pem").write_bytes(issued.chain_pem)
    (config / "tls_key.pem").write_bytes(issued.key_pem())
    (config / "dhparams.pem").write_bytes(FFDHE2048)  # else it has openssl make one
    container.start()
    return container


def configure(package: Path, config: Path) -> None:
    """Write its configuration, but for certificate and key."""
    config.mkdir(parents=True)
    for name, text in CONFIGURATION.items():
        (config / name).write_text(text)
    (config / "connection.ini").write_text((package / "config" / "connection.ini").read_text())


def converse(address: str, port: int, source: str, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> None:
    """Come as an honest client with at most this TLS *version*. Raises OSError or SMTPException if it is not served."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode, context.maximum_version = False, ssl.CERT_NONE, version
    with smtplib.SMTP(address, port, timeout=PATIENCE_SECONDS, source_address=(source, 0)) as client:
        client.starttls(context=context)
        client.ehlo()
        code, answer = client.noop()
        if code != 250:
            raise smtplib.SMTPResponseException(code, answer)


def offer(hello: bytes, address: str, port: int, source: str) -> None:
    """Ask for TLS and send *hello*; whatever comes of it, a ban too, is fine."""
    with suppress(OSError), socket.create_connection((address, port), IMPATIENCE_SECONDS, (source, 0)) as client:
        client.recv(4096)
        for command in (b"EHLO probe.example\r\n", b"STARTTLS\r\n"):
            client.sendall(command)
            client.recv(4096)
        client.sendall(hello)
        while client.recv(4096):
            pass


def client_hello(version: tuple[int, int]) -> bytes:
    """Write the ClientHello of SSL 3.0, (3, 0), of TLS 1.0, (3, 1), or of TLS 1.1, (3, 2)."""
    body = bytes(version) + bytes(range(32)) + b"\0" + _sized(_CIPHERS) + b"\1\0"
    message = b"\1" + len(body).to_bytes(3, "big") + body
    return b"\x16" + bytes(version) + _sized(message)


def ssl2_hello() -> bytes:
    """Write the ClientHello of SSL 2."""
    body = b"\1\0\2" + len(_SSL2_CIPHERS).to_bytes(2, "big") + b"\0\0\0\x10" + _SSL2_CIPHERS + bytes(range(16))
    return (0x8000 | len(body)).to_bytes(2, "big") + body


def _sized(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data
