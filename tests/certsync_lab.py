"""certsync as a process of its own, servers beside it, and clients that keep shaking hands."""

import contextlib
import json
import os
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cryptography import x509

ROOT = Path(__file__).parent.parent


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def wait_until(claim: Callable[[], Any], seconds: float = 30.0, why: Callable[[], str] = lambda: "") -> Any:
    """Wait for *claim* to be true and return what it said."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := claim():
            return answer
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds:g} s. {why()}")


def write_as_traefik_does(path: Path, text: str) -> None:
    """Truncate, write, close: in place, the same inode."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


class Certsync:
    """A running certsync."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self.environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{ROOT / 'agents'}:{ROOT / 'common'}",
            "CERTSYNC_STATE": str(folder / "state"),
            "CERTSYNC_HTTP": "",
            "CERTSYNC_LABELS": "false",
            "CERTSYNC_SETTLE": "0",
            "LOG_FORMAT": "json",
            **environ,
        }
        self._log = folder / "certsync.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "certsync"], env=self.environ, stdout=log, stderr=log, start_new_session=True
            )
        wait_until(lambda: self.said("started") or self.process.poll() is not None, why=self.log)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=15)

    def close(self) -> None:
        if self._process and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def said(self, event: str) -> list[dict[str, Any]]:
        """Read the log lines of that event."""
        lines = []
        for line in self.log().splitlines():
            with contextlib.suppress(ValueError):
                document = json.loads(line)
                if document.get("event") == event:
                    lines.append(document)
        return lines

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "certsync", *words],
            env=self.environ, capture_output=True, text=True, check=False, timeout=200,
        )  # fmt: skip

    def status(self, target: str) -> dict[str, Any]:
        document = json.loads(self.command("status", "--json").stdout)
        return next(one for one in document["targets"] if one["name"] == target)


def starttls_serial(port: int, timeout: float = 10.0) -> int:
    """Read the serial that an SMTP server on this machine serves after STARTTLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with smtplib.SMTP("127.0.0.1", port, "client.example.net", timeout=timeout) as client:
        client.starttls(context=context)
        der = client.sock.getpeercert(binary_form=True)  # type: ignore[union-attr]
    return x509.load_der_x509_certificate(der).serial_number


class Clients:
    """So many clients that shake hands over and over; what they saw and what failed."""

    def __init__(self, port: int, count: int = 6) -> None:
        self.serials: Counter[int] = Counter()
        self.failures: list[str] = []
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(port,), daemon=True) for _ in range(count)]

    def _run(self, port: int) -> None:
        while not self._stopping.wait(0.02):
            try:
                self.serials[starttls_serial(port)] += 1
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
    command: list[str], cwd: Path, port: int, environ: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server process that listens on *port* of this machine, until the block ends."""
    log = cwd / "server.log"
    with log.open("ab") as file:
        process = subprocess.Popen(
            command, cwd=cwd, stdout=file, stderr=file, env={**os.environ, **(environ or {})}, start_new_session=True
        )
    try:
        wait_until(lambda: listens(port) or process.poll() is not None, why=log.read_text)
        assert process.poll() is None, log.read_text()[-3000:]
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5):
        return True
    return False
