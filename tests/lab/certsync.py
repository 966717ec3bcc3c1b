"""certsync as a process of its own, servers beside it, and clients that keep shaking hands."""

import contextlib
import json
import os
import signal
import smtplib
import socket
import ssl
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cryptography import x509

from lab.agent import AgentProcess
from lab.wire import wait_for


def write_as_traefik_does(path: Path, text: str) -> None:
    """Truncate, write, close: in place, the same inode."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


class Certsync(AgentProcess):
    """A certsync with *document* as its certsync.yml. Bursts do not settle and no container is asked, unless told."""

    def __init__(self, folder: Path, document: str = "", **further: Any) -> None:
        environ = {"CERTSYNC_SETTLE": "0", "CERTSYNC_LABELS": "false", **further.pop("env", {})}
        if document:
            (folder / "certsync.yml").write_text(document)
            environ["CERTSYNC_CONFIG"] = str(folder / "certsync.yml")
        super().__init__("certsync", folder, env=environ, **further)

    def status(self, target: str) -> dict[str, Any]:
        """Ask it where *target* stands."""
        document = json.loads(self.command("status", "--json").stdout)
        return next(one for one in document["targets"] if one["name"] == target)

    def wait_served(self, count: int, target: str, deadline: float = 40.0) -> dict[str, Any]:
        """Wait until a new certificate was seen at *target* for the *count*-th time."""
        return self.wait_for("certificate_served", target=target, count=count, deadline=deadline)


def served_serial(port: int, timeout: float = 10.0, *, host: str = "127.0.0.1", source: str = "") -> int:
    """Read the serial that an SMTP server serves after STARTTLS; *source* is the address to ask from."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with smtplib.SMTP(host, port, "client.example.net", timeout, (source, 0) if source else None) as client:
        client.starttls(context=context)
        assert isinstance(client.sock, ssl.SSLSocket)
        der = client.sock.getpeercert(binary_form=True)
    return x509.load_der_x509_certificate(der or b"").serial_number


class Clients:
    """So many clients that shake hands over and over, each by *look*; what they saw and what failed."""

    def __init__(self, look: Callable[[], int], count: int = 6) -> None:
        self.serials: Counter[int] = Counter()
        self.failures: list[str] = []
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(look,), daemon=True) for _ in range(count)]

    def _run(self, look: Callable[[], int]) -> None:
        while not self._stopping.wait(0.05):
            try:
                self.serials[look()] += 1
            except (OSError, smtplib.SMTPException) as error:
                self.failures.append(repr(error))

    @contextlib.contextmanager
    def at_work(self) -> Iterator["Clients"]:
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._stopping.set()
            for thread in self._threads:
                thread.join()


@contextlib.contextmanager
def server(
    command: list[str], folder: Path, port: int, environ: Mapping[str, str] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a server process that listens on *port* of this machine, until the block ends."""
    log = folder / "server.log"
    with log.open("ab") as file:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env={**os.environ, **(environ or {})},
            start_new_session=True,
        )
    try:
        wait_for(lambda: listens(port) or process.poll() is not None, f"{command[0]} listens", deadline=60.0)
        assert process.poll() is None, log.read_text(errors="replace")[-3000:]
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def listens(port: int) -> bool:
    """Whether somebody accepts connections on *port* of this machine."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5):
        return True
    return False
