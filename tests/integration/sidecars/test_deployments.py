"""One deliberately broken deployment for each finding about the stack, beside three agents that are well."""

from collections.abc import Iterator
from typing import Any

import pytest

from lab.containers import Containers
from lab.doctor import Deployment, run
from lab.engine import GivenEngine

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def suite(engine: GivenEngine) -> Iterator[Deployment]:
    """Three agents that are well; they are the same for all tests of the module."""
    with Containers(engine) as containers:
        suite = Deployment(engine, containers)
        suite.agents()
        yield suite


@pytest.fixture
def stack(suite: Deployment, engine: GivenEngine, containers: Containers) -> Deployment:
    """Run a stack with a Haraka that asks for all three and lacks nothing."""
    stack = Deployment(engine, containers)
    stack.haraka()
    return stack


def test_a_good_deployment_has_no_finding(stack: Deployment) -> None:
    stack.service("mongo")
    stack.service(
        "traefik",
        labels={"logban": "true", "autoheal": "true"},
        config={"Cmd": ["sleep", "86400", "--log.level=DEBUG"], "Entrypoint": ["sh", "-c", "sleep 86400"]},
    )

    report = stack.doctor()

    assert report.document["findings"] == []
    assert (report.status, report.document["well"]) == (0, True)
    assert report.document["not_looked_at"] == []
    assert report.document["looked_at"] == {
        "containers": 6,
        "projects": sorted({stack.project, *report.document["looked_at"]["projects"]}),
        "agents": ["autoheal", "certsync", "logban"],
    }


BROKEN: dict[str, tuple[str, dict[str, Any]]] = {
    "no_healthcheck": ("redis", {"labels": {"autoheal": "true"}, "health": None}),
    "healthcheck_of_others": ("wildduck", {"config": {"Healthcheck": {"Test": ["CMD-SHELL", "wget :8080/health"]}}}),
    "log_unreadable": ("zonemta", {"labels": {"logban": "true"}, "host": {"LogConfig": {"Type": "none"}}}),
    "log_level": ("traefik", {"labels": {"logban": "true"}}),
    "filter_not_guessed": ("mta", {"labels": {"logban": "true"}}),
    "label_unreadable": ("zonemta", {"labels": {"logban": "true", "logban.filters": "zonemtaa"}}),
    "certificate_undeliverable": (
        "zonemta",
        {"labels": {"certsync": "true", "certsync.domains": "mail.example.com", "certsync.preset": "zonemta"}},
    ),
    "two_writers": ("haraka-cert-sync", {}),
    "other_healer": ("autoheal", {}),
    "port_open": (
        "mongo",
        {"network_mode": "bridge", "host": {"PortBindings": {"27017/tcp": [{"HostIp": "0.0.0.0", "HostPort": ""}]}}},
    ),
    "clients_may_hide": (
        "zonemta",
        {
            "labels": {"logban": "true"},
            "network_mode": "bridge",
            "host": {"PortBindings": {"25/tcp": [{"HostIp": "::", "HostPort": ""}]}},
        },
    ),
}


@pytest.mark.parametrize("finding", BROKEN)
def test_a_broken_service_is_found(stack: Deployment, finding: str) -> None:
    name, how = BROKEN[finding]
    broken = stack.service(name, **how)

    report = stack.doctor()

    assert report.ids == [finding]
    assert (report.of(finding)["container"], report.of(finding)["service"]) == (broken.name, name)
    assert report.of(finding)["project"] == stack.project
    assert report.of(finding)["remedy"]
    assert report.status == (0 if finding == "clients_may_hide" else 1)


def test_a_log_level_is_read_from_the_servers_own_file(stack: Deployment) -> None:
    zonemta = stack.service("zonemta", labels={"logban": "true"}, env={"NODE_ENV": "production"})
    status, _ = zonemta.run("sh", "-c", "mkdir -p /app/config && echo 'level = \"warn\"' >/app/config/log.toml")
    assert status == 0

    report = stack.doctor()

    assert report.ids == ["log_level"]
    assert report.of("log_level")["evidence"].startswith("/app/config/log.toml says level warn: ")


def test_a_container_whose_network_was_that_of_one_that_is_gone_is_found(stack: Deployment) -> None:
    donor = stack.service("vpn")
    stack.service("child", network_mode=f"container:{donor.id}")
    donor.remove()

    assert stack.doctor().ids == ["namespace_lost"]


def test_without_a_project_those_are_looked_at_in_which_something_asks(stack: Deployment, engine: GivenEngine) -> None:
    other = Deployment(engine, stack.containers)
    other.service("redis", labels={"autoheal": "true"}, health=None)
    stranger = Deployment(engine, stack.containers)
    stranger.service("mongo", network_mode="bridge", host=BROKEN["port_open"][1]["host"])

    document = run("doctor", "--json", url=engine.url).document

    assert {stack.project, other.project} <= set(document["looked_at"]["projects"])
    assert stranger.project not in document["looked_at"]["projects"]
    assert other.project in {one["project"] for one in document["findings"] if one["id"] == "no_healthcheck"}


def test_the_text_for_people_has_the_lines_to_add(stack: Deployment, engine: GivenEngine) -> None:
    broken = stack.service("redis", labels={"autoheal": "true"}, health=None)

    report = run("doctor", "--project", stack.project, url=engine.url)

    assert report.status == 1
    assert f"error: {broken.name}: autoheal=true, and neither the image nor" in report.printed
    assert '      test: ["CMD-SHELL", "timeout 4 redis-cli -e ping | grep -q PONG"]\n' in report.printed
    assert "something is wrong (1 error): 5 containers looked at" in report.printed


def test_no_secret_of_a_container_is_printed(stack: Deployment) -> None:
    canary = "c4nary-0f-the-mine"
    stack.service(
        "wildduck",
        labels={"autoheal": "true", "logban": "true"},
        env={"APPCONF_api_accessToken": canary, "DOCKER_HOST": f"tcp://user:{canary}@proxy:2375"},
        config={
            "Cmd": ["sleep", "86400", f"--token={canary}"],
            "Entrypoint": ["sh", "-c", "sleep 86400"],
            "Healthcheck": {"Test": ["CMD-SHELL", f"wget --header 'X-Access-Token: {canary}' :8080/health"]},
        },
    )

    report = stack.doctor()

    assert report.ids == ["healthcheck_of_others"]
    assert canary not in report.printed + report.complaints
    assert "/health" in report.of("healthcheck_of_others")["evidence"]


def test_an_engine_that_is_not_there_cannot_be_looked_at() -> None:
    report = run("doctor", url="unix:///nowhere/docker.sock")

    assert (report.status, report.printed) == (2, "")
    assert "the engine cannot be looked at" in report.complaints


def test_a_project_that_does_not_exist_is_a_mistake(stack: Deployment, engine: GivenEngine) -> None:
    report = run("doctor", "--project", "nope", url=engine.url)

    assert report.status == 2
    assert "--project nope: there is no such project; there are" in report.complaints
    assert stack.project in report.complaints
