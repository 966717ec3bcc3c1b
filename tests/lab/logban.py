"""A logban at work in a private engine's network namespace, containers that say what a test wants, and an attacker."""

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.agent import AgentProcess
from lab.containers import Container, Containers
from lab.engine import PrivateEngine
from lab.mailhost import HOST, connect
from lab.network import Namespace, NewNamespace, reaches
from lab.wire import wait_for

# Both pipes are opened for reading and writing, so that `cat` never sees an end.
SPEAKING = ("sh", "-c", "trap 'exit 0' TERM; cat <>/lab/errors >&2 & cat <>/lab/words & wait")
WATCHED = {"logban": "true", "logban.filters": "haraka"}
PORT = 2525
PROBES = 5  # as many as the shipped jail bans for
REASON = "tls_early_post_process_client_hello:unsupported protocol:../deps/openssl/statem.c:1"


@dataclass
class Site:
    """A mail host with an engine of its own, and the internet before it."""

    engine: PrivateEngine
    internet: Namespace
    host: Namespace

    @classmethod
    @contextmanager
    def built(cls) -> Iterator["Site"]:
        """Hand it out until the block ends."""
        with ExitStack() as stack:
            engine = stack.enter_context(PrivateEngine())
            internet = stack.enter_context(NewNamespace("internet"))
            host = Namespace(Path("/run/netns") / engine.namespace)
            connect(host, internet)
            yield cls(engine, internet, host)

    def serves(self, source: str, kind: str = "tcp", port: int = PORT) -> bool:
        """Whether a new client at *source* is answered on a published port."""
        return reaches(self.internet, source, HOST[6 if ":" in source else 4], port, kind)

    def rules(self) -> str:
        """Every rule in the kernel, without counters."""
        lines = self.host.run("nft", "--stateless", "list", "ruleset")
        lines += self.host.run("ipset", "list", "-name")
        for tool in ("iptables-legacy-save", "ip6tables-legacy-save"):
            lines += "\n".join(line for line in self.host.run(tool).splitlines() if line.startswith("-A"))
        return lines


class Speaker:
    """A container that prints what it is told to, as a Haraka would."""

    def __init__(self, container: Container) -> None:
        self.container = container
        self.name = container.name
        self._connections = 0

    def say(self, text: str | bytes, *, stream: str = "words") -> None:
        """Have it print this, as it is."""
        data = text.encode() if isinstance(text, str) else text

        def opened() -> int:
            with suppress(OSError):  # nobody reads yet
                return os.open(self.container.folder / stream, os.O_WRONLY | os.O_NONBLOCK)
            return 0

        pipe = wait_for(opened, f"{self.name} listens")
        os.set_blocking(pipe, True)
        with os.fdopen(pipe, "wb") as file:
            file.write(data)

    def probe(self, address: str, count: int = 1, *, stream: str = "words") -> None:
        """Have it tell of *count* connections of this address that offered an old TLS."""
        self.say("".join(self.probes(address, count)), stream=stream)

    def probes(self, address: str, count: int) -> Iterator[str]:
        for _ in range(count):
            self._connections += 1
            identity = f"AAAAAAAA-0000-0000-0000-{self._connections:012X}"
            yield f"[NOTICE] [{identity}] [core] connect ip={address} port=4711 local_ip=172.17.0.2 local_port=25\n"
            yield (
                f"[INFO] [{identity}] [core] client connection error: Error: 40:error:0A000102:SSL routines:{REASON}:"
                f" ip={address}\n"
            )


def speaker(containers: Containers, name: str = "haraka", **further: Any) -> Speaker:
    """Start one that publishes PORT, unless it is told otherwise."""
    defaults: dict[str, Any] = {
        "labels": WATCHED,
        "command": SPEAKING,
        "network_mode": "bridge",
        "host": {"PortBindings": {"25/tcp": [{"HostPort": str(PORT)}], "25/udp": [{"HostPort": str(PORT)}]}},
        "config": {"ExposedPorts": {"25/tcp": {}, "25/udp": {}}},
    }
    container = containers.create(name, **{**defaults, **further})
    for pipe in ("words", "errors"):
        os.mkfifo(container.folder / pipe)
    container.start()
    return Speaker(container)


class Logban:
    """The agent and the questions tests ask of it."""

    def __init__(self, process: AgentProcess) -> None:
        self.process = process

    def wait_reading(self, *speakers: Speaker, deadline: float = 30.0) -> None:
        """Wait until it reads these logs, as `status` shows."""
        for each in speakers:
            wait_for(
                lambda each=each: self.status(each.name).get("reading") in {"api", "file"},  # type: ignore[misc]
                f"logban reads {each.name}",
                deadline=deadline,
                pause=0.1,
            )

    def status(self, container: str) -> dict[str, Any]:
        """Read what `status` says of a container; empty until it says anything."""
        with suppress(sqlite3.Error, TypeError):
            document = self.fact("status")
            return next((view for view in document["containers"] if view["container"] == container), {})
        return {}

    def lines(self, container: Container) -> int:
        """How many lines of a container it has on record, together with what they led to."""
        rows = self.rows("SELECT lines FROM readings WHERE container = ?", container.id)
        return int(rows[0]["lines"]) if rows else 0

    def wait_lines(self, container: Container, count: int, deadline: float = 30.0) -> None:
        wait_for(lambda: self.lines(container) >= count, f"{count} lines are on record", deadline=deadline)
        assert self.lines(container) == count

    def fact(self, name: str) -> Any:
        row = self.rows("SELECT document FROM facts WHERE name = ?", name)
        return json.loads(row[0]["document"]) if row else None

    def rows(self, query: str, *arguments: Any) -> list[Mapping[str, Any]]:
        """Ask its database."""
        file = Path(self.process.state) / "logban.db"
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute(query, arguments)]

    def bans(self) -> dict[str, dict[str, Any]]:
        done = self.process.command("bans", "--json")
        assert done.returncode == 0, done.stderr
        return {ban["source"]: ban for ban in json.loads(done.stdout)}

    def wait_banned(self, *sources: str, deadline: float = 15.0) -> None:
        wait_for(lambda: set(sources) <= self.bans().keys(), f"bans of {sources}", deadline=deadline, pause=0.1)
