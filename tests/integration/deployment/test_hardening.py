"""What the engine says of the sidecars that the compose files start: nothing more than each needs."""

from typing import Any

import pytest

from lab.deployment import AGENTS, PROXIES, SIDECARS, Deployment

pytestmark = pytest.mark.engine

ROOT_BECAUSE = {
    "certsync": "upstream's Traefik is root, and acme.json is for its eyes only",
    "logban": "only root keeps NET_ADMIN",
    **dict.fromkeys(PROXIES, "root owns the engine's socket"),
}
CAPABILITIES = {"certsync": {"CHOWN", "DAC_OVERRIDE"}, "logban": {"NET_ADMIN", "NET_RAW"}}


def named(capabilities: list[str] | None) -> set[str]:
    return {capability.removeprefix("CAP_") for capability in capabilities or []}


@pytest.mark.parametrize("name", SIDECARS)
def test_a_sidecar_has_nothing_that_it_does_not_need(deployment: Deployment, name: str) -> None:
    document = deployment.container(name).inspect()
    host: dict[str, Any] = document["HostConfig"]

    assert host["ReadonlyRootfs"]
    assert named(host["CapDrop"]) == {"ALL"}
    assert named(host["CapAdd"]) == CAPABILITIES.get(name, set())
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert not host["Privileged"]
    assert (document["Config"]["User"] != "10001:10001") == (name in ROOT_BECAUSE)
    assert 0 < host["Memory"] <= 384 << 20
    assert 0 < host["PidsLimit"] <= 64
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert document["Config"]["Healthcheck"]["Test"]
    assert document["State"]["Health"]["Status"] == "healthy"
    assert not host["PortBindings"]


@pytest.mark.parametrize("name", SIDECARS)
def test_its_process_is_what_the_engine_was_told(deployment: Deployment, name: str) -> None:
    """Read in the container itself: user, capabilities in force, and that it may not gain any."""
    status = dict(line.split(":\t", 1) for line in deployment.run(name, "cat", "/proc/1/status").stdout.splitlines())

    assert status["Uid"].split()[1] == ("0" if name in ROOT_BECAUSE else "10001")
    assert status["NoNewPrivs"] == "1"
    bits = {"CHOWN": 0, "DAC_OVERRIDE": 1, "NET_ADMIN": 12, "NET_RAW": 13}
    expected = sum(1 << bits[capability] for capability in CAPABILITIES.get(name, ()))
    assert int(status["CapBnd"], 16) == expected
    assert int(status["CapEff"], 16) == expected


def test_only_the_proxies_hold_the_socket_of_the_engine_and_they_have_no_network(deployment: Deployment) -> None:
    socket = str(deployment.engine.socket)
    holders = {
        name
        for name in SIDECARS
        for mount in deployment.container(name).inspect()["Mounts"]
        if mount["Source"] == socket or mount["Destination"].endswith("docker.sock")
    }

    assert holders == set(PROXIES)
    assert {deployment.container(name).inspect()["HostConfig"]["NetworkMode"] for name in PROXIES} == {"none"}


@pytest.mark.parametrize("name", AGENTS)
def test_an_agent_finds_nothing_wrong_with_its_settings_and_its_way_to_the_engine(
    deployment: Deployment, name: str
) -> None:
    done = deployment.run(name, name, "check")

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", SIDECARS)
def test_an_image_has_neither_a_compiler_nor_a_pip_nor_tests(deployment: Deployment, name: str) -> None:
    """Nor what an installation leaves: caches, wheels and packages that were copied in."""
    search = (
        "command -v gcc cc make pip pip3; find / -xdev '(' -name '*.whl' -o -name '*.deb' -o -name ensurepip "
        "-o -path '*/.cache/*' -o -path '/opt/sidecars/*/tests' -o -path '/var/cache/apt/archives/*.deb' ')' "
        "-not -path '/proc/*' 2>/dev/null"
    )
    assert deployment.run(name, "sh", "-c", search).stdout == ""
