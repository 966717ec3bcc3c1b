"""The image as it is documented: without rights, read-only, with the socket, and the folders that it shares."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from lab import sidecars
from lab.authority import Authority, acme_json, entry
from lab.certsync import write_as_traefik_does
from lab.containers import Container, Containers
from lab.engine import GivenEngine
from lab.wire import wait_for

NAME = "mail.example.com"
USER = 10001  # of the image


@pytest.fixture
def shared(containers: Containers, tmp_path: Path) -> Iterator[Path]:
    """Make Traefik's folder and one that a consumer has too, both the user's of the image."""
    for name in ("traefik", "consumer"):
        (tmp_path / name).mkdir()
        os.chown(tmp_path / name, USER, USER)
    yield tmp_path
    containers.remove_all()  # before their folders


def renew(folder: Path, authority: Authority, days: float) -> bytes:
    issued = authority.issue(NAME, days=days)
    write_as_traefik_does(folder / "traefik" / "acme.json", acme_json(le=[entry(issued)]))
    os.chown(folder / "traefik" / "acme.json", USER, USER)
    return issued.chain_pem


def test_it_finds_the_mount_that_it_shares_with_a_container_that_asks_and_follows_renewals(
    engine: GivenEngine, containers: Containers, shared: Path, authority: Authority
) -> None:
    first = renew(shared, authority, 20)
    labels = {"certsync": "true", "certsync.domains": NAME, "certsync.combined": "/tls/all.pem"}
    binds = {"Binds": [f"{shared}/consumer:/tls"]}
    labels["certsync.reload"] = "restart"
    obedient = ("sh", "-c", "trap 'exit 0' TERM; sleep 86400 & wait")
    consumer = containers.run("consumer", labels=labels, host=binds, command=obedient)
    started = consumer.started_at
    ours = run_certsync(engine, containers, f"{shared}/traefik:/traefik:ro")
    assert "undeliverable" in _waited(ours, "undeliverable")
    assert f"`- {shared}/consumer:/targets/{consumer.name}`" in ours.run("certsync", "status", "--json")[1]
    ours.remove()

    ours = run_certsync(engine, containers, f"{shared}/traefik:/traefik:ro", f"{shared}/consumer:/targets/consumer")
    assert "in_sync" in _waited(ours, "in_sync")
    combined = shared / "consumer" / "all.pem"
    assert combined.read_bytes().endswith(first)
    assert (combined.stat().st_uid, combined.stat().st_mode & 0o777) == (USER, 0o600)
    wait_for(lambda: consumer.started_at != started, "the consumer was restarted")

    second = renew(shared, authority, 30)
    wait_for(lambda: combined.read_bytes().endswith(second), "the renewal arrived", deadline=10)
    assert ours.run("id", "-u")[1].strip() == str(USER)
    wait_for(lambda: ours.health == "healthy", "it is healthy", deadline=60)
    ours.stop(10)
    assert ours.inspect()["State"]["ExitCode"] == 0


def run_certsync(engine: GivenEngine, containers: Containers, *binds: str) -> Container:
    """Run the image with the engine's socket, in the group of that socket, and with these folders."""
    socket = Path(urlsplit(engine.url).path)
    host = {"Binds": [f"{socket}:/var/run/docker.sock", *binds], "GroupAdd": [str(socket.stat().st_gid)]}
    config = {"Healthcheck": {"Interval": 500_000_000}}
    env = {"RESYNC": "1s"}
    return sidecars.agent(engine, containers, "certsync", host=host, network_mode="none", env=env, config=config)


def _waited(ours: Container, word: str) -> str:
    """Wait until its status says *word*."""
    deadline, output = time.monotonic() + 60, ""
    while word not in output:
        assert time.monotonic() < deadline, output
        output = ours.run("certsync", "status")[1]
    return output
