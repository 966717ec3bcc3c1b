"""The sidecars as a person deploys them: by the compose files of this project, over a stand-in for upstream's stack."""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from lab.authority import Issued, acme_json, entry
from lab.compose import Compose
from lab.containers import Container
from lab.engine import PrivateEngine
from lab.images import agent_image
from lab.wire import demand

ROOT = Path(__file__).parents[2]
STACK = ROOT / "tests/data/stack"
AGENTS = ("autoheal", "certsync", "logban")
PROXIES = tuple(f"{agent}-proxy" for agent in AGENTS)
SIDECARS = (*AGENTS, *PROXIES)


class Deployment:
    """A stack with its sidecars on a private engine, taken down on exit.

    *folder* becomes the folder of the stack, *overlays* are compose files of this project by their names, *further* is
    the document of one that comes last, *variables* what would stand in .env.
    """

    def __init__(
        self,
        engine: PrivateEngine,
        folder: Path,
        overlays: Sequence[str] = ("sidecars", "wildduck"),
        *,
        variables: Mapping[str, str] | None = None,
        further: Mapping[str, Any] | None = None,
    ) -> None:
        self.engine, self.folder = engine, folder
        for image in (*AGENTS, "confcheck", "socket_proxy"):
            agent_image(engine, image)
        shutil.copytree(STACK, folder, symlinks=True, dirs_exist_ok=True)
        (folder / "further.yml").write_text(json.dumps(further or {}))
        files = [folder / "docker-compose.yml", *(ROOT / f"compose.{overlay}.yml" for overlay in overlays)]
        self.compose = Compose(
            engine.url,
            folder,
            name="mail",
            files=[*files, folder / "hasty.yml", folder / "further.yml"],
            variables={"DOCKER_SOCKET": str(engine.socket), "HOSTNAMES": "mail.example.com", **(variables or {})},
        )

    def __enter__(self) -> Self:
        self.compose.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.compose.__exit__(*error)

    def up(self, *services: str) -> None:
        """Start these services, or all, and what they depend on."""
        self.compose.up("--pull", "never", *services)

    def container(self, service: str) -> Container:
        identity = self.compose.run("ps", "--all", "--quiet", service).stdout.strip()
        assert identity, f"{service} has no container"
        return Container(self.engine.url, identity, service, self.folder)

    def run(self, service: str, *command: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        """Run *command* in the container of *service*."""
        return self.compose.run("exec", "--no-TTY", service, *command, check=False, stdin=stdin)

    def store(self, *issued: Issued) -> None:
        """Store certificates as Traefik does, for the eyes of root alone."""
        text = acme_json(letsencrypt=[entry(one) for one in issued])
        done = self.run("traefik", "sh", "-c", 'umask 077; printf %s "$1" >/data/acme.json', "-", text)
        assert done.returncode == 0, done.stderr

    def ask(self, agent: str, command: str) -> Any:
        """Have an agent's command answer in JSON."""
        return json.loads(self.run(agent, agent, command, "--json").stdout)

    def log(self, service: str) -> str:
        container = self.container(service)
        query = {"stdout": 1, "stderr": 1}
        return str(demand(self.engine.url, "GET", f"/containers/{container.id}/logs", query, decoded=False))
