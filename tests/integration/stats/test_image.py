"""The image as it is documented: with nothing but a proxy before the engine, as a user without rights."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import sidecars
from lab.containers import Container, Containers
from lab.engine import GivenEngine
from lab.stats import PASSWORD
from lab.wire import wait_for

pytestmark = pytest.mark.engine

PROBED_OFTEN = {"Healthcheck": {"Interval": 500_000_000}}  # with the image's own test
# Asked from within: the network leads nowhere. Prints the status, and the end of what came.
ASK = """
import sys, urllib.request, urllib.error
request = urllib.request.Request("http://127.0.0.1:8080" + sys.argv[1])
opener = urllib.request.build_opener()
if len(sys.argv) > 2:
    import base64
    request.add_header("Authorization", "Basic " + base64.b64encode(sys.argv[2].encode()).decode())
try:
    answer = opener.open(request)
except urllib.error.HTTPError as error:
    answer = error
print(answer.status, answer.read().decode()[-20:].strip())
"""


@pytest.fixture
def network(engine: GivenEngine) -> Iterator[str]:
    with sidecars.network(engine) as name:
        yield name


@pytest.fixture
def containers(engine: GivenEngine, network: str) -> Iterator[Containers]:
    """Remove them before their network."""
    with Containers(engine) as made:
        yield made


def test_behind_its_proxy_it_serves_the_page_as_a_user_without_rights(
    engine: GivenEngine, containers: Containers, network: str, tmp_path: Path
) -> None:
    sidecars.proxy(engine, containers, network, sidecars.ALLOW_LISTS / "stats.cfg")
    secret = tmp_path / "password"
    secret.write_text(f"{PASSWORD}\n")
    secret.chmod(0o644)
    address = {
        "DOCKER_HOST": f"tcp://{sidecars.PROXY}:2375",
        "STATS_LISTEN": "0.0.0.0:8080",
        "STATS_INTERVAL": "1s",
        "STATS_PASSWORD_FILE": "/run/secrets/stats_password",
    }
    stats = sidecars.agent(
        engine, containers, "stats", network_mode=network, env=address, config=PROBED_OFTEN,
        files={secret: "/run/secrets/stats_password"},
    )  # fmt: skip
    stats.wait_for(health="healthy")

    assert stats.run("id", "-u") == (0, "10001\r\n")
    wait_for(lambda: stats.name in names(stats), "it sees itself", pause=0.3)
    assert ask(stats, "/stats").startswith("401")
    assert ask(stats, "/stats", f"admin:{PASSWORD}").endswith("</body>\n</html>")
    assert ask(stats, "/healthz") == "200 ok"
    stats.stop(10)
    assert stats.inspect()["State"]["ExitCode"] == 0


def test_without_a_password_it_does_not_start(engine: GivenEngine, containers: Containers) -> None:
    stats = sidecars.agent(engine, containers, "stats", network_mode="none")
    stats.wait_for(state="exited")
    assert stats.inspect()["State"]["ExitCode"] == 2


def names(stats: Container) -> list[str]:
    status, output = stats.run("stats", "status", "--json")
    return [one["container"] for one in json.loads(output)["containers"]] if status in {0, 1} else []


def ask(stats: Container, *arguments: str) -> str:
    return stats.run("python3", "-c", ASK, *arguments)[1].replace("\r\n", "\n").strip()
