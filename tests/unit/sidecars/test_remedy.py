"""The lines that mend a finding."""

from pathlib import Path

import yaml

from lab.deployed import agent, container, examine
from sidecars import remedy

SHIPPED = yaml.safe_load((Path(__file__).parents[3] / "compose.wildduck.yml").read_text())["services"]


def test_a_healthcheck_that_is_proposed_is_the_one_that_is_shipped() -> None:
    shipped = {
        container(name).kind: SHIPPED[name]["healthcheck"]
        for name in SHIPPED
        if "healthcheck" in SHIPPED[name] and container(name).kind
    }

    proposed = {
        kind: yaml.safe_load(remedy.healthcheck(container(kind)))["services"][kind]["healthcheck"] for kind in shipped
    }

    assert set(shipped) == set(remedy.HEALTHCHECKS)
    assert proposed == shipped


def test_of_an_unknown_service_the_form_of_a_healthcheck_is_given() -> None:
    lines = yaml.safe_load(remedy.healthcheck(container("other")))

    assert lines["services"]["other"]["healthcheck"]["test"][0] == "CMD-SHELL"


EVERYWHERE = ("0.0.0.0", "::")


def published(*hosts: str, port: int) -> list[dict[str, str]]:
    return [{"HostIp": host, "HostPort": str(port)} for host in hosts]


def test_a_port_that_is_closed_leaves_the_others_published_as_they_are() -> None:
    wildduck = container(
        "wildduck",
        ports={
            "8080/tcp": published(*EVERYWHERE, port=8080),
            "143/tcp": published(*EVERYWHERE, port=143),
            "110/tcp": published("198.51.100.7", port=110),
            "443/udp": published("fd00::7", port=8443),
        },
        networks={"mail": {"GlobalIPv6Address": "fd00::2"}},
    )

    (found,) = examine(wildduck, agent("autoheal", env=["AUTOHEAL_CONTAINER_LABEL=all"]))

    assert found.id == "port_open"
    assert found.remedy.splitlines()[-1] == (
        '    ports: !override ["127.0.0.1:8080:8080", "143:143", "198.51.100.7:110:110", "[fd00::7]:8443:443/udp"]'
    )


def test_clients_that_are_shown_by_ipv4_alone_leave_the_private_ports_private() -> None:
    haraka = container(
        "haraka",
        labels={"logban": "true"},
        ports={"25/tcp": published(*EVERYWHERE, port=25), "8080/tcp": published("127.0.0.1", port=8080)},
        networks={"mail": {}},
    )

    (found,) = examine(haraka, agent("logban"), public_ipv6=True)

    assert found.id == "clients_hidden"
    assert found.remedy.splitlines()[-1] == '    ports: !override ["0.0.0.0:25:25", "127.0.0.1:8080:8080"]'
