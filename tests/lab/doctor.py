"""Stand-ins for a deployment, with the names and labels of the real one, and the doctor that looks at it."""

import json
import secrets
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.containers import Container, Containers, Health
from lab.engine import IMAGE, GivenEngine, PrivateEngine
from lab.wire import demand

_ROOT = Path(__file__).parents[2]
_IDLE = ("sleep", "86400")
_TITLE = "org.opencontainers.image.title"
_QUIET = Health(interval=3600.0, start_period=3600.0)

# What agents say when all is well; the stand-ins print it as their `status --json`.
CONTENT: Mapping[str, Any] = {
    "autoheal": [],
    "certsync": {"sources": [{"name": "acme", "reason": None, "detail": None}], "targets": []},
    "logban": {"backend": "nftables", "hidden_clients": [], "containers": []},
}


@dataclass(frozen=True)
class Report:
    """What a doctor said."""

    status: int
    printed: str
    complaints: str

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.printed)
        return found

    @property
    def ids(self) -> list[str]:
        """The ids of all findings, each once."""
        return sorted({one["id"] for one in self.document["findings"]})

    def of(self, finding: str) -> dict[str, Any]:
        """Give the only finding of an id."""
        (found,) = (one for one in self.document["findings"] if one["id"] == finding)
        return dict(found)


@dataclass
class Deployment:
    """One Compose project of stand-ins on a real engine."""

    engine: GivenEngine
    containers: Containers
    project: str = field(default_factory=lambda: f"mail-{secrets.token_hex(3)}")

    def service(self, name: str, **further: Any) -> Container:
        """Run a service that does nothing. Its image has its name, as upstream's have."""
        service = self.create(name, **further)
        service.start()
        return service

    def create(self, name: str, *, labels: Mapping[str, str] | None = None, **further: Any) -> Container:
        """Make a service as `service` does, and do not start it."""
        image = f"lab/{name}"
        demand(self.engine.url, "POST", f"/images/{IMAGE}/tag", {"repo": image, "tag": "latest"})
        config = {"Image": image, **(further.pop("config", None) or {})}
        marks = {"com.docker.compose.project": self.project, "com.docker.compose.service": name}
        health = further.pop("health", _QUIET)
        return self.containers.create(
            name, labels={**marks, **(labels or {})}, health=health, command=_IDLE, config=config, **further
        )

    def agent(self, name: str, *, says: Any = None, **further: Any) -> Container:
        """Run a stand-in of an agent, which answers *says* when it is asked for its status."""
        env = {"PATH": "/lab:/bin", **(further.pop("env", None) or {})}
        if name == "certsync":
            env.setdefault("ACME_PATH", "/lab/acme.json")
        labels = {_TITLE: f"wildduck-sidecars {name}", **(further.pop("labels", None) or {})}
        network = further.pop("network_mode", "host" if name == "logban" else "none")
        config = {"Entrypoint": [name], "Cmd": ["run"], **(further.pop("config", None) or {})}
        agent = self.create(name, labels=labels, env=env, network_mode=network, config=config, **further)
        answer = json.dumps(CONTENT[name] if says is None else says)
        agent.folder.chmod(0o755)  # it may be anybody
        (agent.folder / "acme.json").write_text("{}")
        program(agent, name, f"[ $1 = run ] && exec sleep 86400\ncat <<'END'\n{answer}\nEND")
        agent.start()
        return agent

    def agents(self) -> None:
        """Run all three, well."""
        for name in CONTENT:
            self.agent(name)

    def haraka(self, **labels: str) -> Container:
        """Run a service that asks for all three agents and lacks nothing."""
        asks = {
            "autoheal": "true",
            "logban": "true",
            "certsync": "true",
            "certsync.domains": "mail.example.com",
            "certsync.reload": "http://haraka:8080/certs",
        }
        return self.service("haraka", labels={**asks, **labels})

    def doctor(self, *words: str, env: Mapping[str, str] | None = None) -> Report:
        """Run `sidecars doctor --json` on this project."""
        words = ("doctor", "--json", "--project", self.project, *words)
        return run(*words, url=self.engine.url, env=env, prefix=inside(self.engine))


def inside(engine: GivenEngine) -> tuple[str, ...]:
    """Give the prefix of a command that shall run where the engine's networks are: on its host."""
    return engine.inside() if isinstance(engine, PrivateEngine) else ()


def program(container: Container, name: str, script: str) -> None:
    """Put a program into the container's own folder, which an agent has in its PATH."""
    made = container.folder / f"{name}.new"
    made.write_text(f"#!/bin/sh\n{script}\n")
    made.chmod(0o755)
    made.replace(container.folder / name)  # the one before it may just be started, and is busy then


def run(*words: str, url: str, env: Mapping[str, str] | None = None, prefix: tuple[str, ...] = ()) -> Report:
    """Run `sidecars` with its own environment."""
    environment = {"PYTHONPATH": f"{_ROOT / 'agents'}:{_ROOT / 'common'}", "DOCKER_HOST": url, **(env or {})}
    command = (*prefix, sys.executable, "-m", "sidecars", *words)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    return Report(done.returncode, done.stdout, done.stderr)
