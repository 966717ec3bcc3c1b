"""Containers as the engine tells of them, reduced to what a finding may show."""

import pytest

from lab.deployed import agent, container
from sidecarkit.masking import Mask
from sidecars import facts


def test_of_an_environment_only_the_judged_settings_are_kept_and_of_the_rest_the_names() -> None:
    one = container(
        "wildduck", env=["LOG_LEVEL=debug", "APPCONF_api_accessToken=c4nary", "DOCKER_HOST=tcp://u:c4nary@p"]
    )

    assert one.details
    assert one.details.settings == {"LOG_LEVEL": "debug", "DOCKER_HOST": "tcp://u:***@p"}
    assert one.details.variables == {"LOG_LEVEL", "APPCONF_api_accessToken", "DOCKER_HOST"}
    assert "c4nary" not in repr(one)


def test_of_a_command_line_only_the_judged_arguments_are_kept() -> None:
    one = container("traefik", config={"Cmd": ["--log.level=INFO", "--api.token=c4nary", "--providers.docker"]})

    assert one.details
    assert one.details.arguments == ("--log.level=INFO",)


@pytest.mark.parametrize(
    ("name", "image", "kind"),
    [
        ("mta-out", "ghcr.io/zone-eu/zonemta-wildduck:1.3", "zonemta"),
        ("api", "nodemailer/wildduck:1.50@sha256:abc", "wildduck"),
        ("wildduck-webmail", "nodemailer/wildduck-webmail", "webmail"),
        ("wildduck-tasks", "nodemailer/wildduck", "tasks"),
        ("mail", "wildduck-dockerized-haraka", "haraka"),
        ("db", "mongo:8", "mongo"),
        ("cache", "redis:8-alpine", "redis"),
        ("watch", "percona/mongodb_exporter", "exporter"),
        ("haraka-cert-sync", "wildduck-dockerized-haraka-cert-sync", "haraka-cert-sync"),
        ("heal", "willfarrell/autoheal:1.2.0", "other-healer"),
        ("other", "example/other", ""),
    ],
)
def test_a_service_of_the_stack_is_known_by_its_name_or_its_image(name: str, image: str, kind: str) -> None:
    assert container(name, image=image).kind == kind


@pytest.mark.parametrize(
    "image",
    ["wildduck-sidecars/certsync", "ghcr.io/x/wildduck-sidecars-certsync:1.0", "x/wildduck-sidecars/certsync@sha256:1"],
)
def test_an_agent_is_known_by_its_image_or_by_its_title(image: str) -> None:
    assert container("certs", image=image, config={"Entrypoint": ["certsync"]}).agent == "certsync"
    assert agent("logban", image="sha256:123").agent == "logban"
    assert not container("certsync", config={"Entrypoint": ["certsync"]}).agent


@pytest.mark.parametrize(
    ("config", "known"),
    [
        ({"Entrypoint": ["certsync"], "Cmd": None}, "certsync"),
        ({"Entrypoint": ["/opt/sidecars/bin/certsync"], "Cmd": ["run"]}, "certsync"),
        ({"Entrypoint": None, "Cmd": ["sh", "-c", "exec certsync run"]}, "certsync"),
        ({"Entrypoint": ["python3", "-m", "certsync"]}, "certsync"),
        ({"Entrypoint": ["python3", "/srv/certsync-server.py"]}, ""),
        ({"Entrypoint": ["sleep", "60"]}, ""),
    ],
)
def test_an_agents_image_that_runs_something_else_is_no_agent(config: dict[str, object], known: str) -> None:
    one = container("mailserver", image="wildduck-sidecars/certsync", config=config)

    assert (one.agent, one.kind) == (known, "")


def test_one_run_of_an_agents_command_is_no_agent() -> None:
    assert not agent("certsync", labels={"com.docker.compose.oneoff": "True"}).agent


@pytest.mark.parametrize(
    ("address", "world"),
    [("", True), ("0.0.0.0", True), ("::", True), ("9.9.9.9", True), ("127.0.0.1", False), ("10.0.0.1", False)],
)
def test_a_port_is_open_to_the_world_unless_it_is_bound_to_a_private_address(address: str, world: bool) -> None:
    assert facts.Port(27017, "tcp", address, 27017).to_the_world is world


def test_ports_of_a_stopped_container_are_those_that_it_would_publish() -> None:
    one = container(
        "mongo", state="exited", host={"PortBindings": {"27017/tcp": [{"HostIp": "", "HostPort": "27017"}]}}
    )

    assert [(port.private, port.public) for port in one.ports] == [(27017, 27017)]


def test_a_container_without_an_inspection_has_what_the_list_tells() -> None:
    row = {
        "Id": "1",
        "Ports": [{"PrivatePort": 6379, "PublicPort": 6379, "IP": "0.0.0.0", "Type": "tcp"}, {"PrivatePort": 1}],
    }

    one = facts.container(row, None, Mask())

    assert one.details is None
    assert [(port.private, port.to_the_world) for port in one.ports] == [(6379, True)]
    assert one.setting("LOG_LEVEL", "info") == "info"


@pytest.mark.parametrize(
    ("mount", "holds"),
    [
        ({"Source": "/var/run/docker.sock", "Destination": "/var/run/docker.sock"}, True),
        ({"Source": "/run/user/1000/docker.sock", "Destination": "/sock", "RW": False}, True),
        ({"Source": "/run", "Destination": "/host/run"}, True),
        (
            {
                "Type": "volume",
                "Name": "engine",
                "Source": "/var/lib/docker/volumes/engine/_data",
                "Destination": "/run",
            },
            False,
        ),
        ({"Source": "/etc/docker", "Destination": "/etc/docker"}, False),
    ],
)
def test_the_engines_socket_is_known_where_it_or_its_folder_is_mounted(mount: dict[str, object], holds: bool) -> None:
    assert container("one", mounts=[mount]).holds_socket is holds
