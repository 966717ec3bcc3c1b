"""Every agent of this checkout at work, and what it exposes."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.request import urlopen

import pytest

from lab import expositions
from lab.agent import AgentProcess
from lab.wire import wait_for

# Without an engine: what an agent exposes does not depend on one.
SETTINGS = {
    "autoheal": {},
    "certsync": {"CERTSYNC_LABELS": "false"},
    "logban": {"LOGBAN_BACKEND": "none"},
    "stats": {"STATS_LISTEN": "127.0.0.1:0", "STATS_PASSWORD": "never-used-by-anybody"},
    "confcheck": {},
}
AGENTS = Path(__file__).parents[3] / "agents"


def present() -> list[str]:
    """Name the agents that this checkout has."""
    return [name for name in expositions.PROMISED if (AGENTS / name / "metrics.py").exists()]


def fetch(address: str) -> str:
    with urlopen(f"http://{address}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


@pytest.fixture(scope="module")
def agents(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, AgentProcess]]:
    """Start them all on loopback, once."""
    made = {}
    with ExitStack() as running:
        for name in present():
            folder = tmp_path_factory.mktemp(name)
            settings = dict(SETTINGS[name])
            if name == "certsync":
                (folder / "certsync.yml").write_text(DOCUMENT.format(folder=folder))
                settings["CERTSYNC_CONFIG"] = str(folder / "certsync.yml")
            if name == "confcheck":
                settings["CONFCHECK_ROOT"] = str(folder)
            made[name] = running.enter_context(AgentProcess(name, folder, env=settings, http=True))
        for agent in made.values():
            agent.wait_for("http_listening")
        yield made


@pytest.fixture(scope="module")
def live(agents: dict[str, AgentProcess]) -> dict[str, str]:
    """Fetch what each of them exposes."""
    return {name: wait_for(lambda agent=agent: fetch(agent.address), name) for name, agent in agents.items()}  # type: ignore[misc]


DOCUMENT = """
sources:
  traefik: {{acme_json: {folder}/acme.json}}
targets:
  haraka:
    domains: [mail.example.com]
    certificate: {folder}/tls_cert.pem
    key: {folder}/tls_key.pem
    reload: none
"""
