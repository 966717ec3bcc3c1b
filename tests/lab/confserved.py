"""The real servers on the sound configuration tree: nothing of it is changed but addresses and keys.

Their plugins for WildDuck are on no registry; stand-ins say what the server read for them out of the tree.
"""

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from certsync.dhparams import FFDHE2048
from lab import consumers, databases, npm
from lab.agent import free_port
from lab.authority import Issued
from lab.certsync import server

ZONEMTA_STAND_IN = """
module.exports.title = 'stand-in';
module.exports.init = (app, done) => {
    const file = process.env.SEEN + '/' + require('path').basename(__dirname);
    require('fs').writeFileSync(file, JSON.stringify(app.config));
    done();
};
"""
HARAKA_STAND_IN = """
exports.register = function () {
    require('fs').writeFileSync(process.env.SEEN + '/' + this.name, JSON.stringify(this.config.get(this.name + '.%s')));
};
"""


@dataclass(frozen=True)
class Place:
    """A tree, a folder beside it for what servers write, and the databases."""

    root: Path
    folder: Path
    mongo: int
    redis: int

    def seen(self, plugin: str) -> dict[str, Any]:
        """Give what the server handed to the stand-in for *plugin*."""
        document: dict[str, Any] = json.loads((self.folder / "seen" / plugin).read_text())
        return document

    def change(self, file: str, **ports: int) -> None:
        """Put ports of this machine in the place of those in *file*: `port_143=...`."""
        path = self.root / file
        text = path.read_text()
        for name, port in ports.items():
            text, count = re.subn(rf"\b{name.removeprefix('port_')}\b", str(port), text)
            assert count, f"{file} holds no {name}"
        path.write_text(text)


@contextlib.contextmanager
def place(root: Path, issued: Issued) -> Iterator[Place]:
    """Run the databases, and have the tree at *root* name them, loopback addresses, and a real pair."""
    folder = root.parent / "servers"
    (folder / "seen").mkdir(parents=True)
    for key in root.rglob("*key.pem"):
        key.write_bytes(issued.key_pem())
        (key.parent / key.name.replace("key", "cert")).write_bytes(issued.chain_pem)
    (root / "haraka/dhparams.pem").write_bytes(FFDHE2048)
    with databases.redis(folder) as redis, databases.mongo(folder) as mongo:
        for path in root.rglob("*"):
            if path.suffix in {".toml", ".yaml", ".inc", ".conf"}:
                text = path.read_text().replace("mongo:27017", f"127.0.0.1:{mongo}")
                text = re.sub(r'(host(:| =) )"redis"', r'\1"127.0.0.1"', text).replace(
                    "redis:6379", f"127.0.0.1:{redis}"
                )
                text = re.sub(r"\b6379\b", str(redis), text).replace('"0.0.0.0', '"127.0.0.1')
                text = text.replace('servers = "redis"', f'servers = "127.0.0.1:{redis}"')
                path.write_text(text.replace('"/wildduck/config/', f'"{root}/wildduck/'))
        yield Place(root, folder, mongo, redis)


@contextlib.contextmanager
def wildduck(at: Place) -> Iterator[tuple[int, int]]:
    """Run WildDuck; lends the ports of its API and of IMAP."""
    package = npm.install("wildduck") / "node_modules" / "@zone-eu" / "wildduck"
    api, imap = free_port(), free_port()
    at.change("wildduck/api.toml", port_8080=api)
    at.change("wildduck/imap.toml", port_143=imap)
    at.change("wildduck/pop3.toml", port_110=free_port())
    environ = {"NODE_CONFIG_DIR": str(at.root / "wildduck"), "NODE_ENV": "production"}
    with server(["node", str(package / "server.js")], at.folder, imap, environ):
        yield api, imap


@contextlib.contextmanager
def zonemta(at: Place) -> Iterator[int]:
    """Run ZoneMTA; lends the port of its submission."""
    package = consumers.install_zonemta()
    port, api = free_port(), free_port()
    at.change("zone-mta/interfaces/feeder.toml", port_587=port)
    at.change("zone-mta/zonemta.toml", port_12080=api)
    with (at.root / "zone-mta/zonemta.toml").open("a") as file:
        file.write(f"\n[queueServer]\nport = {free_port()}\n")
    (at.folder / "config").symlink_to(at.root / "zone-mta")
    for name in ("@zone-eu/zonemta-wildduck", "zonemta-loop-breaker"):
        (at.folder / "modules" / name).mkdir(parents=True)
        (at.folder / "modules" / name / "index.js").write_text(ZONEMTA_STAND_IN)
    environ = {
        "NODE_CONFIG_PATH": str(at.root / "zone-mta/zonemta.toml"),
        "NODE_PATH": str(at.folder / "modules"),
        "NODE_ENV": "production",
        "SEEN": str(at.folder / "seen"),
    }
    with server(["node", str(package / "app.js")], at.folder, port, environ):
        yield port


@contextlib.contextmanager
def haraka(at: Place) -> Iterator[int]:
    """Run Haraka; lends its port."""
    package = npm.install("haraka-3.1.6") / "node_modules" / "Haraka"
    port, home = free_port(), at.folder / "haraka"
    (home / "queue").mkdir(parents=True)
    (home / "plugins").mkdir()
    for name, suffix in (("wildduck", "yaml"), ("rspamd", "ini")):
        (home / "plugins" / f"{name}.js").write_text(HARAKA_STAND_IN % suffix)
    (home / "config").symlink_to(at.root / "haraka")
    (at.root / "haraka/smtp.ini").write_text(f"listen=127.0.0.1:{port}\nnodes=0\n")
    command = ["node", str(package / "bin" / "haraka"), "-c", str(home)]
    with server(command, at.folder, port, {"SEEN": str(at.folder / "seen"), "NODE_ENV": "production"}):
        yield port


@contextlib.contextmanager
def rspamd(at: Place) -> Iterator[int]:
    """Run Rspamd; lends the port of its controller."""
    port = free_port()
    at.change("rspamd/local.d/worker-controller.inc", port_11334=port)
    extra = at.root / "rspamd/override.d"
    for worker in ("normal", "proxy"):
        (extra / f"worker-{worker}.inc").write_text(f'bind_socket = "127.0.0.1:{free_port()}";\n')
    # Else whoever asks from this machine needs no password.
    (extra / "worker-controller.inc").write_text('secure_ip = "192.0.2.1";\n')
    (extra / "options.inc").write_text("disable_hyperscan = true;\n")  # compiling it takes a quarter of a minute
    (extra / "logging.inc").write_text('type = "console";\n')
    var = at.folder / "rspamd"
    var.mkdir()
    names = [f"--var={name}={var}" for name in ("DBDIR", "RUNDIR", "LOGDIR")]
    command = ["rspamd", "-f", "-i", "-c", "/etc/rspamd/rspamd.conf", f"--var=LOCAL_CONFDIR={at.root}/rspamd", *names]
    with server(command, at.folder, port):
        yield port
