"""compose.direct.yml on top: the agents with the engine's socket itself."""

from pathlib import Path

import pytest

from lab.deployment import AGENTS, Deployment
from lab.engine import PrivateEngine

pytestmark = pytest.mark.engine

# What `check` says where the engine answers; there is no Traefik.
ANSWERED = {
    "autoheal": "all is well\n",
    "certsync": "source acme: source_missing: /traefik/acme.json does not exist\n",
    "logban": "engine: ",
}


def test_without_proxies_each_agent_reaches_the_engine_in_the_group_of_its_socket(
    host: PrivateEngine, tmp_path: Path
) -> None:
    group = str(host.socket.stat().st_gid)
    # Another deployment's logban may be at work in the same network.
    apart = {"LOGBAN_BACKEND": "none", "LOGBAN_HTTP": ""}
    overlays = ("sidecars", "wildduck", "direct")
    with Deployment(host, tmp_path / "stack", overlays, variables={"DOCKER_GID": group, **apart}) as direct:
        direct.up("--no-deps", *AGENTS)

        for name, answer in ANSWERED.items():
            direct.container(name).wait_for(health="healthy", deadline=60.0)
            assert answer in direct.run(name, name, "check").stdout
        assert set(direct.compose.containers()) == set(AGENTS)
