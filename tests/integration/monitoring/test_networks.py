"""The network that the compose file gives to Prometheus: it leads nowhere, and to logban on the host."""

import json
import os
import secrets
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import compose
from lab.agent import AgentProcess
from lab.containers import Containers
from lab.engine import GivenEngine, PrivateEngine
from lab.wire import demand

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def model() -> dict[str, Any]:
    """Give what Compose makes of the file."""
    command = [compose.PROGRAM, "--file", ROOT / "compose.sidecars.yml", "--profile", "monitoring", "config"]
    environ = {"PATH": os.environ.get("PATH", os.defpath), "HOME": "/nonexistent"}
    done = subprocess.run([*command, "--format", "json"], env=environ, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


@pytest.fixture
def network(engine: GivenEngine, model: dict[str, Any]) -> Iterator[str]:
    """Make the network as Compose would."""
    (told,) = model["networks"]["monitoring"]["ipam"]["config"]
    pool = {"Subnet": told["subnet"], "Gateway": told["gateway"], "IPRange": told["ip_range"]}
    name = f"monitoring-{secrets.token_hex(4)}"
    internal = bool(model["networks"]["monitoring"]["internal"])
    body = {"Name": name, "Driver": "bridge", "Internal": internal, "IPAM": {"Config": [pool]}}
    demand(engine.url, "POST", "/networks/create", body=body)
    yield name
    demand(engine.url, "DELETE", f"/networks/{name}")


@pytest.mark.engine
def test_from_there_logban_is_reached_on_the_host(
    engine: GivenEngine, network: str, containers: Containers, agent: Callable[..., AgentProcess], model: dict[str, Any]
) -> None:
    if not isinstance(engine, PrivateEngine):
        pytest.skip("needs a private engine, on whose host the agent may be")
    (host,) = model["services"]["prometheus"]["extra_hosts"]
    name, _, address = host.partition("=")
    settings = {"LOGBAN_BACKEND": "none", "LOGBAN_HTTP": f"{address}:9182"}
    agent("logban", docker_host=engine.url, env=settings, prefix=engine.inside()).wait_for("http_listening")
    asking = containers.run("asking", network_mode=network, host={"ExtraHosts": [f"{name}:{address}"]})

    status, figures = asking.run("wget", "-q", "-O", "-", f"http://{name}:9182/metrics")

    assert (status, "logban_build_info" in figures) == (0, True), figures
