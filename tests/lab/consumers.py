"""Real servers that serve what certsync delivers: Haraka, and ZoneMTA with or without the plugin."""

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
from lab.authority import Issued, acme_json, entry
from lab.certsync import served_serial, server, write_as_traefik_does
from lab.containers import Container, Containers
from lab.wire import wait_for

PLUGIN = Path(__file__).parents[2] / "contrib" / "zonemta-certsync" / "index.js"


@dataclass
class Consumer:
    """A server with a port that offers STARTTLS, the folder of its pair, and Traefik's store beside it."""

    name: str
    port: int
    folder: Path
    acme: Path
    reload: str

    def renew(self, *issued: Issued) -> None:
        """Store as Traefik does."""
        write_as_traefik_does(self.acme, acme_json(le=[entry(one) for one in issued]))

    def serves(self, issued: Issued) -> bool:
        return served_serial(self.port) == issued.serial

    def document(self, domain: str) -> str:
        """Write the certsync.yml that keeps it in sync."""
        return f"""
sources:
  traefik: {{acme_json: {self.acme}}}
targets:
  {self.name}:
    domains: [{domain}]
    certificate: {self.folder}/tls_cert.pem
    key: {self.folder}/tls_key.pem
    reload: {self.reload}
    verify: {{address: "127.0.0.1:{self.port}", starttls: smtp}}
"""


@dataclass
class Server(Consumer):
    """One that is a process beside the test."""

    process: "subprocess.Popen[bytes]"


@dataclass
class Contained(Consumer):
    """One in a container of the engine."""

    container: Container


@contextlib.contextmanager
def haraka(folder: Path, version: str, name: str) -> Iterator[Server]:
    """Run a Haraka that has neither a pair nor a tls.ini yet, nor openssl on its path."""
    package = npm.install(version) / "node_modules" / "Haraka"
    config, port = folder / "haraka" / "config", free_port()
    config.mkdir(parents=True)
    (folder / "haraka" / "queue").mkdir()
    shutil.copy(package / "config" / "connection.ini", config)
    (config / "smtp.ini").write_text(f"listen=127.0.0.1:{port}\nnodes=0\n")
    (config / "plugins").write_text("tls\n")
    (config / "me").write_text(f"{name}\n")
    (config / "loglevel").write_text("WARN\n")
    (folder / "acme.json").touch()
    node = shutil.which("node")
    assert node is not None
    command = [node, str(package / "bin" / "haraka"), "-c", str(folder / "haraka")]
    with server(command, folder, port, {"PATH": "/nowhere"}) as process:
        yield Server("haraka", port, config, folder / "acme.json", f"{{touch: {config}/tls.ini}}", process)


@contextlib.contextmanager
def zonemta(folder: Path, first: Issued, *, plugin: bool) -> Iterator[Server]:
    """Run a ZoneMTA that serves *first* on a submission port."""
    with _configured_zonemta(folder, first, plugin=plugin) as port:
        environ = {"NODE_CONFIG_PATH": str(folder / "zonemta.json")}
        with server(["node", str(install_zonemta() / "app.js")], folder, port, environ) as process:
            wait_for(lambda: _is_ready(port), "a receiver takes connections", deadline=60.0)
            yield Server("zonemta", port, folder / "keys", folder / "acme.json", "none", process)


@contextlib.contextmanager
def contained_zonemta(folder: Path, first: Issued, containers: Containers) -> Iterator[Contained]:
    """Run a ZoneMTA without the plugin in a container on the engine's own network, where the caller has to be too."""
    package = install_zonemta()
    node, lent = npm.lent_node(package)
    with _configured_zonemta(folder, first, plugin=False) as port:
        container = containers.run(
            "zonemta",
            command=(node, str(package / "app.js")),
            env={"NODE_CONFIG_PATH": str(folder / "zonemta.json")},
            network_mode="host",
            binds=(f"{folder}:{folder}", *lent),
            config={"WorkingDir": str(folder)},
        )
        wait_for(lambda: _is_ready(port), "a receiver takes connections", deadline=60.0)
        reload = f"{{restart: {container.name}}}"
        yield Contained("zonemta", port, folder / "keys", folder / "acme.json", reload, container)
        container.remove()  # before what it stores in


def install_zonemta() -> Path:
    """Fetch it and its databases where they are not here yet; returns its folder."""
    databases.install()
    return npm.install("zonemta") / "node_modules" / "zone-mta"


@contextlib.contextmanager
def _configured_zonemta(folder: Path, first: Issued, *, plugin: bool) -> Iterator[int]:
    """Write the configuration of a ZoneMTA that serves *first*, and run its databases; lends its port."""
    port, keys, plugins = free_port(), folder / "keys", folder / "plugins"
    keys.mkdir()
    plugins.mkdir()
    (keys / "tls_cert.pem").write_bytes(first.chain_pem)
    (keys / "tls_key.pem").write_bytes(first.key_pem())
    (folder / "acme.json").touch()
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
            "plugins": {"certsync": {"enabled": ["receiver"]}} if plugin else {},
            "smtpInterfaces": {"feeder": feeder},
        }
        (folder / "zonemta.json").write_text(json.dumps(configuration))
        yield port


def _is_ready(port: int) -> bool:
    """Whether a receiver has started; until then the port answers 421."""
    with contextlib.suppress(OSError, smtplib.SMTPException):
        return served_serial(port) > 0
    return False
