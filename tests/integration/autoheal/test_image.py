"""The image as it is documented: with nothing but the socket, or nothing but the proxy before it."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import certificates, sidecars
from lab.autoheal import CURABLE, OPTED_IN
from lab.containers import Container, Containers, Health
from lab.engine import GivenEngine
from lab.wire import wait_for

ALLOW_LIST = sidecars.ALLOW_LISTS / "autoheal.cfg"
PULSE = Health(interval=0.5)
PROBED_OFTEN = {"Healthcheck": {"Interval": 500_000_000}}  # with the image's own test
FAILING = {"Healthcheck": {"Test": ["CMD-SHELL", "exit 1"], "Interval": 500_000_000, "Retries": 1}}


@pytest.fixture
def network(engine: GivenEngine) -> Iterator[str]:
    with sidecars.network(engine) as name:
        yield name


@pytest.fixture
def containers(engine: GivenEngine, network: str) -> Iterator[Containers]:
    """Remove them before their network."""
    with Containers(engine) as made:
        yield made


def heal(containers: Containers, healer: Container, **labels: str) -> Container:
    """Let a container turn sick, and wait until *healer* has recorded that it healed it."""
    box = containers.run("patient", labels={**OPTED_IN, **labels}, health=PULSE, command=CURABLE)
    box.wait_for(health="healthy")
    box.make_sick("no answer on port 25")
    wait_for(lambda: outcomes(healer, box) == ["recovered"], f"{box.name} is healed", pause=0.3)
    return box


def outcomes(healer: Container, box: Container) -> list[str | None]:
    status, output = healer.run("autoheal", "history", "--json", "--container", box.name)
    return [record["outcome"] for record in json.loads(output)] if status == 0 else []


def test_with_only_the_socket_it_heals_as_a_user_without_rights(engine: GivenEngine, containers: Containers) -> None:
    healer = sidecars.agent_with_socket(engine, containers, "autoheal")

    box = heal(containers, healer)

    assert healer.run("id", "-u") == (0, "10001\r\n")
    assert "no answer on port 25" in healer.run("autoheal", "show", "1")[1]
    assert box.health == "healthy"


def test_it_turns_healthy_and_ends_within_ten_seconds_when_it_is_told_to(
    engine: GivenEngine, containers: Containers
) -> None:
    healer = sidecars.agent_with_socket(engine, containers, "autoheal", config=PROBED_OFTEN)
    healer.wait_for(health="healthy")

    began = time.monotonic()
    healer.stop(30)

    assert time.monotonic() - began < 10.0
    assert healer.inspect()["State"]["ExitCode"] == 0


def test_with_only_the_proxy_it_heals(engine: GivenEngine, containers: Containers, network: str) -> None:
    sidecars.proxy(engine, containers, network, ALLOW_LIST)
    address = {"DOCKER_HOST": f"tcp://{sidecars.PROXY}:2375"}
    healer = sidecars.agent(engine, containers, "autoheal", network_mode=network, env=address)

    heal(containers, healer)


def test_docker_sock_may_ask_for_tls_with_certificates_in_certs(
    engine: GivenEngine, containers: Containers, network: str, tmp_path: Path
) -> None:
    pairs = certificates.make(tmp_path, sidecars.PROXY)
    (tmp_path / "pair.pem").write_bytes((pairs / "server.pem").read_bytes() + (pairs / "server-key.pem").read_bytes())
    (pairs / "key.pem").chmod(0o644)  # the image's user is not root
    (tmp_path / "pair.pem").chmod(0o644)
    tls = "bind :2376 ssl crt /etc/pair.pem ca-file /etc/ca.pem verify required"
    configuration = tmp_path / "tls.cfg"
    configuration.write_text(ALLOW_LIST.read_text().replace('bind "${LISTEN-:2375}"', tls))
    theirs = {tmp_path / "pair.pem": "/etc/pair.pem", pairs / "ca.pem": "/etc/ca.pem"}
    sidecars.proxy(engine, containers, network, configuration, files=theirs)
    ours = {pairs / "ca.pem": "ca.pem", pairs / "cert.pem": "client-cert.pem", pairs / "key.pem": "client-key.pem"}
    healer = sidecars.agent(
        engine, containers, "autoheal", network_mode=network,
        env={"DOCKER_SOCK": f"tcps://{sidecars.PROXY}:2376"},
        files={file: f"/certs/{name}" for file, name in ours.items()},
    )  # fmt: skip

    heal(containers, healer)


def test_it_never_acts_on_itself_or_on_its_proxy(engine: GivenEngine, containers: Containers, network: str) -> None:
    project = {"com.docker.compose.project": containers.mark}
    asked = {
        "DOCKER_HOST": f"tcp://{sidecars.PROXY}:2375",
        "AUTOHEAL_CONTAINER_LABEL": "all",
        "AUTOHEAL_SCOPE": "project",  # the engine may have other people's containers
    }
    proxy = sidecars.proxy(engine, containers, network, ALLOW_LIST, config=FAILING, labels=project)
    healer = sidecars.agent(
        engine, containers, "autoheal", network_mode=network, env=asked, config=FAILING, labels=project
    )
    before = [each.started_at for each in (proxy, healer)]
    for each in (proxy, healer):
        each.wait_for(health="unhealthy")

    heal(containers, healer, **project)  # the witness: it turned sick later than those two, and was healed

    assert [each.started_at for each in (proxy, healer)] == before
