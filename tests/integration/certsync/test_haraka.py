"""Real Haraka: a renewal reaches its clients without a restart and without a failed handshake."""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import npm_lab
import pytest
from certificate_authority import Authority, Issued, acme_json, entry
from certsync_lab import Certsync, Clients, free_port, server, starttls_serial, wait_until, write_as_traefik_does

NAME = "mail.example.com"


@dataclass
class Stage:
    """A Haraka, its configuration folder, and Traefik's store."""

    port: int
    config: Path
    acme: Path
    process: subprocess.Popen[bytes]

    def renew(self, issued: Issued) -> None:
        write_as_traefik_does(self.acme, acme_json(le=[entry(issued)]))

    def serves(self, issued: Issued) -> bool:
        return starttls_serial(self.port) == issued.serial


@pytest.fixture(params=["haraka-3.1.6", "haraka-3.3.4"])
def haraka(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    with running_haraka(tmp_path, request.param) as stage:
        yield stage


@contextlib.contextmanager
def running_haraka(folder: Path, version: str) -> Iterator[Stage]:
    installed = npm_lab.install(version)
    config, port = folder / "haraka" / "config", free_port()
    config.mkdir(parents=True)
    (folder / "haraka" / "queue").mkdir()
    shutil.copy(installed / "node_modules" / "Haraka" / "config" / "connection.ini", config)
    (config / "smtp.ini").write_text(f"listen=127.0.0.1:{port}\nnodes=0\n")
    (config / "plugins").write_text("tls\n")
    (config / "me").write_text(f"{NAME}\n")
    (config / "loglevel").write_text("WARN\n")
    command = ["node", str(installed / "node_modules" / "Haraka" / "bin" / "haraka"), "-c", str(folder / "haraka")]
    with server(command, folder, port) as process:
        acme = folder / "acme.json"
        acme.touch()
        yield Stage(port, config, acme, process)


@pytest.fixture
def certsync(haraka: Stage, tmp_path: Path) -> Iterator[Certsync]:
    file = tmp_path / "certsync.yml"
    file.write_text(
        f"""
sources:
  traefik: {{acme_json: {haraka.acme}}}
targets:
  haraka:
    domains: [{NAME}]
    certificate: {haraka.config}/tls_cert.pem
    key: {haraka.config}/tls_key.pem
    reload: {{touch: {haraka.config}/tls.ini}}
    verify: {{address: "127.0.0.1:{haraka.port}", starttls: smtp}}
"""
    )
    running = Certsync(tmp_path, {"CERTSYNC_CONFIG": str(file)})
    running.start()
    yield running
    running.close()


def test_ten_renewals_reach_every_client_without_a_failed_handshake(
    haraka: Stage, certsync: Certsync, authority: Authority
) -> None:
    first = authority.issue(NAME, kind="ec", days=30)
    haraka.renew(first)
    wait_until(lambda: certsync.said("certificate_served"), 40, certsync.log)
    pid = haraka.process.pid
    seconds = []
    with Clients(haraka.port).at_work() as clients:
        for number in range(10):
            kind = "rsa2048" if number % 2 == 0 else "ec"
            renewed = authority.issue(NAME, kind=kind, number=number, days=31 + number)
            haraka.renew(renewed)
            wait_until(lambda: len(certsync.said("certificate_served")) == number + 2, 40, certsync.log)  # noqa: B023
            assert haraka.serves(renewed)
            seconds.append(certsync.said("certificate_served")[-1]["seconds"])
    assert clients.failures == []
    assert len(clients.serials) == 11
    assert haraka.process.poll() is None
    assert haraka.process.pid == pid
    assert max(seconds) <= 7.5, seconds  # the 5 s are Haraka's own
    assert certsync.status("haraka")["state"] == "in_sync"
