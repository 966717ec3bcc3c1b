"""Real ZoneMTA: with the plugin it serves a renewal by itself; without it a restart is needed, and said to be."""

import contextlib
import json
import shutil
import smtplib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lab import databases, npm
from lab.agent import free_port
from lab.authority import Authority, Issued, acme_json, entry
from lab.certsync import Certsync, Clients, served_serial, server, write_as_traefik_does
from lab.wire import wait_for

NAME = "smtp.example.com"
PLUGIN = Path(__file__).parents[3] / "contrib" / "zonemta-certsync" / "index.js"


@dataclass
class Stage:
    """A ZoneMTA with its submission port, its folder of keys, and Traefik's store."""

    port: int
    keys: Path
    acme: Path
    process: "subprocess.Popen[bytes]"

    def renew(self, issued: Issued) -> None:
        write_as_traefik_does(self.acme, acme_json(le=[entry(issued)]))

    def document(self, reload: str) -> str:
        return f"""
sources:
  traefik: {{acme_json: {self.acme}}}
targets:
  zonemta:
    domains: [{NAME}]
    certificate: {self.keys}/tls_cert.pem
    key: {self.keys}/tls_key.pem
    reload: {reload}
    verify: {{address: "127.0.0.1:{self.port}", starttls: smtp}}
"""


@contextlib.contextmanager
def running(folder: Path, first: Issued, *, plugin: bool) -> Iterator[Stage]:
    """Run ZoneMTA with a submission port that offers STARTTLS, its queue switched off."""
    package = npm.install("zonemta") / "node_modules" / "zone-mta"
    port, keys, plugins = free_port(), folder / "keys", folder / "plugins"
    keys.mkdir()
    plugins.mkdir()
    (keys / "tls_cert.pem").write_bytes(first.chain_pem)
    (keys / "tls_key.pem").write_bytes(first.key_pem())
    (folder / "acme.json").touch()
    enabled = {"certsync": {"enabled": ["receiver"]}} if plugin else {}
    if plugin:
        shutil.copy(PLUGIN, plugins / "certsync.js")
    feeder = {
        "enabled": True,
        "port": port,
        "host": "127.0.0.1",
        "processes": 1,
        "starttls": True,
        "key": str(keys / "tls_key.pem"),
        "cert": str(keys / "tls_cert.pem"),
    }
    with databases.redis(folder) as redis, databases.mongo(folder) as mongo:
        configuration = {
            "dbs": {"mongo": f"mongodb://127.0.0.1:{mongo}/zonemta", "redis": f"redis://127.0.0.1:{redis}/1"},
            "queueServer": {"port": free_port()},
            "api": {"port": free_port()},
            "pluginsPath": str(plugins),
            "plugins": enabled,
            "smtpInterfaces": {"feeder": feeder},
        }
        (folder / "zonemta.json").write_text(json.dumps(configuration))
        command = ["node", str(package / "app.js")]
        with server(command, folder, port, {"NODE_CONFIG_PATH": str(folder / "zonemta.json")}) as process:
            wait_for(lambda: _is_ready(port), "a receiver takes connections", deadline=60.0)
            yield Stage(port, keys, folder / "acme.json", process)


def _is_ready(port: int) -> bool:
    """Whether a receiver has started; until then the port answers 421."""
    with contextlib.suppress(OSError, smtplib.SMTPException):
        return served_serial(port) > 0
    return False


def test_with_the_plugin_every_renewal_is_served_within_two_seconds_and_nobody_is_dropped(
    tmp_path: Path, authority: Authority
) -> None:
    first = authority.issue(NAME, days=10)
    with running(tmp_path, first, plugin=True) as stage, Certsync(tmp_path, stage.document("none")) as certsync:
        assert served_serial(stage.port) == first.serial
        seconds = []
        with Clients(stage.port).at_work() as clients:
            for number in range(6):
                renewed = authority.issue(NAME, days=20 + number, number=number, kind="rsa2048" if number % 2 else "ec")
                stage.renew(renewed)
                seconds.append(certsync.wait_served(number + 1, "zonemta")["seconds"])
                assert served_serial(stage.port) == renewed.serial
        assert clients.failures == []
        assert sum(clients.serials.values()) >= 100
        assert max(seconds) <= 2.0, seconds
        assert stage.process.poll() is None


def test_without_the_plugin_the_old_certificate_stays_and_that_is_said(tmp_path: Path, authority: Authority) -> None:
    first = authority.issue(NAME, days=10)
    with running(tmp_path, first, plugin=False) as stage, Certsync(tmp_path, stage.document("none")) as certsync:
        stage.renew(authority.issue(NAME, days=20))
        certsync.wait_for("certificate_not_served", target="zonemta", reason="verify_failed", deadline=40.0)
        assert served_serial(stage.port) == first.serial
        status = certsync.status("zonemta")
        assert (status["state"], status["served_in_sync"]) == ("failing", False)


def test_the_plugins_own_tests_pass() -> None:
    done = subprocess.run(
        ["node", "--test"], cwd=PLUGIN.parent, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]
