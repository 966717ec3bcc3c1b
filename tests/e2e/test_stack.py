"""A whole deployment by its compose files: real Traefik, ACME server, Haraka and Redis, the three agents in containers.

A renewal, an attack and a hang come at the same time. Each is handled, and none disturbs the other.
"""

import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from os import kill
from pathlib import Path
from typing import Any

import pytest

from lab import haraka, npm, traefik
from lab.certsync import Clients, served_serial
from lab.compose import Compose
from lab.deployment import AGENTS, SIDECARS, Deployment
from lab.engine import PrivateEngine
from lab.mailhost import EVIL, GOOD, HOST, connect, lacking
from lab.network import Namespace, NewNamespace, knowing_no_name
from lab.traefik import Traefik
from lab.wire import wait_for

pytestmark = pytest.mark.engine


@dataclass
class Site:
    """A mail host with its deployment and its Traefik, and the internet before it."""

    deployment: Deployment
    traefik: Traefik
    host: Namespace
    internet: Namespace

    def serial(self, source: str) -> int:
        """Ask Haraka's published port from an address of the internet for the certificate it serves."""
        with self.internet.entered():
            return served_serial(25, 5.0, host=HOST[4], source=source)

    def probe(self, source: str) -> None:
        """Offer TLS 1.0 after STARTTLS, as scanners do."""
        with self.internet.entered():
            haraka.offer(haraka.client_hello((3, 1)), HOST[4], 25, source)

    def is_shut_out(self, source: str) -> bool:
        with self.internet.entered():
            try:
                socket.create_connection((HOST[4], 25), 1.0, (source, 0)).close()
            except TimeoutError:
                return True
        return False

    def target(self, name: str) -> dict[str, Any]:
        document = self.deployment.ask("certsync", "status")
        return next((one for one in document["targets"] if one["name"] == name), {})


def real_services(folder: Path) -> dict[str, Any]:
    """Put a real Haraka and a real Redis in the place of the stand-ins, from this machine's programs."""
    package = npm.install("haraka-3.1.6") / "node_modules" / "Haraka"
    haraka.configure(package, folder / "stack/config-generated/haraka")
    (folder / "programs").mkdir()
    node, lent = npm.lent_node(package)
    lent_to_redis: set[str] = set()
    for name in ("redis-server", "redis-cli"):
        program, files = npm.borrowed(name)
        (folder / "programs" / name).symlink_to(program)
        lent_to_redis.update(f"{path}:{path}:ro" for path in files)
    (folder / "programs" / "node").symlink_to(node)
    programs = f"{folder}/programs:/usr/local/bin:ro"
    return {
        "haraka": {
            "command": ["node", str(package / "bin/haraka"), "-c", "/app"],
            "dns": [HOST[4]],
            "volumes": [programs, f"{folder}/queue:/app/queue", *lent],
        },
        "redis": {
            "command": ["redis-server", "--save", ""],
            "volumes": [programs, *sorted(lent_to_redis)],
            "healthcheck": {"interval": "1s", "retries": 2, "start_period": "0s"},
        },
        "zonemta": {"labels": {"certsync.verify": "none"}},
        "certsync": {"environment": {"CERTSYNC_EXPIRY": "1d", "RESYNC": "5s"}},
    }


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if lacking() or not shutil.which("redis-server"):
        pytest.skip(f"needs {lacking() or 'redis-server'}")
    folder = tmp_path_factory.mktemp("site")
    store = folder / "traefik"
    store.mkdir()
    with ExitStack() as stack:
        engine = stack.enter_context(PrivateEngine())
        internet = stack.enter_context(NewNamespace("internet"))
        host = Namespace(Path("/run/netns") / engine.namespace)
        connect(host, internet)
        stack.enter_context(knowing_no_name(host, HOST[4]))  # Haraka asks for each client's name, and waits long
        with host.entered():
            directory, root = stack.enter_context(traefik.acme(folder / "acme"))
        deployment = Deployment(
            engine,
            folder / "stack",
            variables={"TRAEFIK_VOLUME": str(store), "CERT_DOMAIN": haraka.NAME},
            further={"services": real_services(folder)},
        )
        stack.enter_context(deployment)
        deployment.up()
        yield Site(deployment, Traefik("3.7.15", store, directory, root, (haraka.NAME,)), host, internet)


def test_a_renewal_an_attack_and_a_hang_at_the_same_time_are_each_handled_and_disturb_nobody(site: Site) -> None:
    sidecars = {name: site.deployment.container(name) for name in SIDECARS}
    mail, redis = site.deployment.container("haraka"), site.deployment.container("redis")
    with site.host.entered(), site.traefik.running():
        first = wait_for(lambda: serving(site), "Haraka serves what Traefik obtained", deadline=120.0)
    for sidecar in (*sidecars.values(), redis):
        sidecar.wait_for(health="healthy", deadline=60.0)
    mail_started, redis_started = mail.started_at, redis.started_at

    with Clients(partial(site.serial, GOOD[4])).at_work() as clients:
        wait_for(lambda: clients.serials[first], "clients are served")
        kill(redis.inspect()["State"]["Pid"], signal.SIGSTOP)
        with site.host.entered(), site.traefik.running():
            for _ in range(6):
                site.probe(EVIL[4])
            wait_for(lambda: site.is_shut_out(EVIL[4]), "the attacker is shut out")
            renewed = wait_for(lambda: serving(site, other_than=first), "Haraka serves the renewal", deadline=120.0)
        wait_for(lambda: redis.started_at != redis_started, "Redis is restarted", deadline=60.0)
        redis.wait_for(health="healthy")
        wait_for(lambda: clients.serials[renewed] > 20, "clients are served the renewal")

    assert clients.failures == []
    assert set(clients.serials) == {first, renewed}
    assert mail.started_at == mail_started
    healed = wait_for(lambda: [one for one in history(site) if one["outcome"]], "the heal has its outcome")
    assert [(one["service"], one["outcome"]) for one in healed] == [("redis", "recovered")]
    assert [one["source"] for one in site.deployment.ask("logban", "bans")] == [f"{EVIL[4]}/32"]
    for name, sidecar in sidecars.items():
        document = sidecar.inspect()
        assert (document["RestartCount"], document["State"]["Health"]["Status"]) == (0, "healthy"), name


def test_an_upgrade_loses_nothing_and_a_removal_leaves_what_is_documented(site: Site) -> None:
    """After the test above: what was banned, healed and delivered there is still known."""
    deployment, pair = site.deployment, site.deployment.folder / "config-generated/haraka/tls_cert.pem"
    healed, delivered = history(site), pair.read_bytes()

    deployment.up("--force-recreate", "--no-deps", *AGENTS)

    for name in AGENTS:
        deployment.container(name).wait_for(health="healthy", deadline=60.0)
    assert history(site) == healed
    wait_for(lambda: site.target("haraka").get("state") == "in_sync", "certsync looks again")
    assert [one["source"] for one in deployment.ask("logban", "bans")] == [f"{EVIL[4]}/32"]
    assert site.is_shut_out(EVIL[4])

    deployment.compose.run("stop", "logban")
    assert site.is_shut_out(EVIL[4])
    deployment.compose.run("run", "--rm", "--no-deps", "--no-TTY", "logban", "uninstall")
    assert not site.is_shut_out(EVIL[4])

    stack = Compose(deployment.engine.url, deployment.folder, files=deployment.compose.files[:1])
    stack.project = deployment.compose.project
    try:
        stack.up("--remove-orphans")
    except subprocess.TimeoutExpired:
        # Seen once: engine 20.10 let go of a container no more, and `down` hung as well. What is tested is what comes
        # of the removal, so the engine is begun anew.
        deployment.engine.kill()
        deployment.engine.start()
        stack.up("--remove-orphans")
    services = stack.containers()
    assert set(SIDECARS).isdisjoint(services) and "mongo" in services
    assert "autoheal" not in services["mongo"]["Labels"]
    assert pair.read_bytes() == delivered


def serving(site: Site, other_than: int = 0) -> int:
    """Tell the serial that Haraka serves, once certsync has seen it, or 0."""
    target = site.target("haraka")
    if target.get("state") != "in_sync":
        return 0
    serial = site.serial(GOOD[4])
    return serial if serial != other_than else 0


def history(site: Site) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = site.deployment.ask("autoheal", "history")
    return [one for one in records if one["decision"] == "heal"]
