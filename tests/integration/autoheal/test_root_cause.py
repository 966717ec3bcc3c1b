"""Root cause first, along the labels that Compose really writes, and what must follow a restart."""

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.autoheal import CURABLE, Autoheal
from lab.compose import Compose
from lab.containers import Container, Containers, Health
from lab.engine import IMAGE, GivenEngine
from lab.wire import wait_for

Start = Callable[..., Autoheal]
Up = Callable[[Mapping[str, Mapping[str, Any]]], Mapping[str, Container]]


@pytest.fixture
def up(engine: GivenEngine, tmp_path: Path) -> Iterator[Up]:
    """Bring up a Compose project: service names to what differs from a labelled, healthy, curable service."""
    projects: list[Compose] = []

    def start(services: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Container]:
        for name in services:
            (tmp_path / name).mkdir()
        document = {"services": {name: service(tmp_path / name, further) for name, further in services.items()}}
        compose = Compose(engine.url, tmp_path / "project", yaml.safe_dump(document))
        projects.append(compose)
        compose.up()
        made = {}
        for name, row in compose.containers().items():
            identity = Container(engine.url, row["ID"], row["Name"], tmp_path / name).inspect()["Id"]
            made[name] = Container(engine.url, identity, row["Name"], tmp_path / name)
            if "healthcheck" not in services[name]:
                made[name].wait_for(health="healthy")
        return made

    yield start
    for compose in projects:
        compose.__exit__()


def service(folder: Path, further: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "image": IMAGE,
        "command": ["sh", "-c", 'rm -f /lab/sick; trap "exit 0" TERM; while :; do sleep 0.1; done'],
        "labels": {"autoheal": "true"},
        "volumes": [f"{folder}:/lab"],
        "healthcheck": {"test": "test ! -e /lab/sick", "interval": "500ms", "retries": 1},
        **({} if "network_mode" in further else {"network_mode": "none"}),
        **further,
    }


def needs(*services: str, restart: bool = False, condition: str = "service_healthy") -> dict[str, Any]:
    return {"depends_on": {name: {"condition": condition, "restart": restart} for name in services}}


def restarted(healer: Autoheal, stack: Mapping[str, Container]) -> list[str]:
    """List the services in the order in which the agent restarted them."""
    names = {container.id: name for name, container in stack.items()}
    return [names[request.path.split("/")[2]] for request in healer.restarts()]


def all_sick(stack: Mapping[str, Container], *names: str) -> None:
    for name in names or stack:
        stack[name].make_sick()


def test_a_chain_of_three_is_healed_from_the_cause_up(up: Up, autoheal: Start) -> None:
    stack = up({"db": {}, "api": needs("db"), "web": needs("api")})
    healer = autoheal(AUTOHEAL_START_PERIOD="3s")  # all three are sick before the first decision
    all_sick(stack)
    healer.wait_healed(*stack.values())
    assert restarted(healer, stack) == ["db", "api", "web"]


def test_those_that_recover_once_the_cause_is_healed_are_not_restarted(up: Up, autoheal: Start) -> None:
    slow = {"healthcheck": {"test": "test ! -e /lab/sick", "interval": "2s", "retries": 1}}
    stack = up({"db": {}, "api": needs("db") | slow, "web": needs("api") | slow})
    for each in stack.values():
        each.wait_for(health="healthy")
    healer = autoheal(AUTOHEAL_START_PERIOD="4s")
    all_sick(stack)
    healer.process.wait_for("heal_begun", container=stack["db"].name)
    stack["api"].make_well()
    stack["web"].make_well()
    for each in stack.values():
        each.wait_for(health="healthy")
    healer.has_looked()
    assert restarted(healer, stack) == ["db"]
    assert healer.records(stack["web"])[0]["reason"] in {"dependency", "recovering_alone"}


def test_a_diamond_is_healed_from_the_cause_up(up: Up, autoheal: Start) -> None:
    stack = up({"db": {}, "left": needs("db"), "right": needs("db"), "top": needs("left", "right")})
    healer = autoheal(AUTOHEAL_START_PERIOD="3s")
    all_sick(stack)
    healer.wait_healed(*stack.values())
    order = restarted(healer, stack)
    assert (order[0], sorted(order[1:3]), order[3:]) == ("db", ["left", "right"], ["top"])


def test_a_cycle_ends_in_a_bounded_wait(containers: Containers, autoheal: Start) -> None:
    names = {"hen": "egg", "egg": "hen"}
    stack = {
        name: containers.run(
            name,
            labels={
                "autoheal": "true",
                "autoheal.depends-on": other,
                "com.docker.compose.project": "cycle",
                "com.docker.compose.service": name,
            },
            health=Health(),
            command=CURABLE,
        )
        for name, other in names.items()
    }
    healer = autoheal(AUTOHEAL_START_PERIOD="3s", AUTOHEAL_DEPENDENCY_WAIT="3s")
    all_sick(stack)
    healer.wait_healed(*stack.values())
    assert sorted(restarted(healer, stack)) == ["egg", "hen"]


def test_a_dependency_that_stays_sick_ends_in_a_bounded_wait(up: Up, autoheal: Start) -> None:
    stack = up({"db": {"labels": {"autoheal": "false"}}, "web": needs("db")})
    healer = autoheal(AUTOHEAL_DEPENDENCY_WAIT="4s")
    all_sick(stack)
    waiting = healer.wait_standing(stack["web"], "dependency")
    assert waiting["waiting_for"] == [stack["db"].name]
    healer.wait_healed(stack["web"])
    assert restarted(healer, stack) == ["web"]
    waited = healer.records(stack["web"])[0]
    assert waited["called_at"] - waited["sick_at"] >= 4.0


def test_a_dependency_that_is_not_running_is_waited_for(up: Up, autoheal: Start) -> None:
    stack = up({"db": {}, "web": needs("db")})
    healer = autoheal(AUTOHEAL_DEPENDENCY_WAIT="10m")
    stack["db"].stop()
    stack["web"].make_sick()
    assert healer.wait_standing(stack["web"], "dependency")["waiting_for"] == [stack["db"].name]
    stack["db"].start()
    healer.wait_healed(stack["web"])
    assert restarted(healer, stack) == ["web"]


def test_a_dependency_named_by_our_own_label_is_healed_first(up: Up, autoheal: Start) -> None:
    stack = up({"db": {}, "web": {"labels": {"autoheal": "true", "autoheal.depends-on": "db"}}})
    healer = autoheal(AUTOHEAL_START_PERIOD="3s")
    all_sick(stack)
    healer.wait_healed(*stack.values())
    assert restarted(healer, stack) == ["db", "web"]


def test_dependants_with_restart_follow_a_heal_once_each_in_topological_order(up: Up, autoheal: Start) -> None:
    stack = up(
        {
            "db": {},
            "left": needs("db", restart=True),
            "right": needs("db", restart=True),
            "top": needs("left", "right", restart=True),
            "plain": needs("db"),
        }
    )
    healer = autoheal()
    stack["db"].make_sick()
    healer.wait_healed(*(stack[name] for name in ("db", "left", "right", "top")))
    healer.has_looked(2)
    order = restarted(healer, stack)
    assert (order[0], sorted(order[1:3]), order[3:]) == ("db", ["left", "right"], ["top"])


def test_a_sick_child_of_a_sick_parent_costs_one_heal_and_one_restart(up: Up, autoheal: Start) -> None:
    stack = up({"db": {}, "web": needs("db", restart=True)})
    healer = autoheal(AUTOHEAL_START_PERIOD="3s")
    all_sick(stack)
    healer.wait_healed(*stack.values())
    healer.has_looked(2)
    assert restarted(healer, stack) == ["db", "web"]


def shared_network() -> dict[str, dict[str, Any]]:
    return {"vpn": {"network_mode": "bridge"}, "client": {"network_mode": "service:vpn"}}


def interfaces(container: Container) -> str:
    return container.run("ip", "addr")[1]


def test_children_of_a_network_are_restarted_once_and_have_it_back(up: Up, autoheal: Start) -> None:
    stack = up(shared_network())
    assert "eth0" in interfaces(stack["client"])
    healer = autoheal()
    stack["vpn"].make_sick()
    healer.wait_healed(*stack.values())
    healer.has_looked(2)
    assert restarted(healer, stack) == ["vpn", "client"]
    assert "eth0" in interfaces(stack["client"])


def test_children_follow_a_restart_by_somebody_else_as_well(up: Up, autoheal: Start) -> None:
    stack = up(shared_network())
    healer = autoheal()
    healer.process.wait_for("container_watched", container=stack["client"].name)
    stack["vpn"].restart()
    healer.wait_healed(stack["client"])
    healer.has_looked(2)
    assert restarted(healer, stack) == ["client"]
    assert "eth0" in interfaces(stack["client"])


def test_children_stranded_while_the_agent_was_down_are_brought_back(up: Up, autoheal: Start) -> None:
    stack = up(shared_network())
    stack["vpn"].restart()
    assert "eth0" not in interfaces(stack["client"])
    healer = autoheal()
    healer.wait_healed(stack["client"])
    assert restarted(healer, stack) == ["client"]
    assert "eth0" in interfaces(stack["client"])


def test_a_child_of_a_pid_namespace_is_brought_back_after_its_donor(containers: Containers, autoheal: Start) -> None:
    donor = containers.run("donor", labels={"autoheal": "true"}, health=Health(), command=CURABLE)
    child = containers.run("child", labels={"autoheal": "true"}, host={"PidMode": f"container:{donor.id}"})
    donor.wait_for(health="healthy")
    healer = autoheal()
    healer.process.wait_for("container_watched", container=child.name)
    donor.make_sick()
    healer.wait_healed(donor)
    wait_for(lambda: healer.restarts(child), "the child is restarted")
    child.wait_for(state="running")
    healer.has_looked(2)
    assert len(healer.restarts(child)) == 1


@pytest.mark.parametrize("fate", ["stopped", "recreated"])
def test_a_child_whose_donor_is_lost_is_not_touched_but_reported(
    containers: Containers, autoheal: Start, fate: str
) -> None:
    labels = {"autoheal": "true"}
    donor = containers.run("donor", network_mode="bridge")
    mode = f"container:{donor.id}"
    child = containers.run("child", labels=labels, health=Health(), network_mode=mode, command=CURABLE)
    child.wait_for(health="healthy")
    healer = autoheal()
    if fate == "stopped":
        donor.stop()
    else:
        donor.remove()
        containers.run("donor", network_mode="bridge")
    child.make_sick()
    healer.process.wait_for("needs_recreation", container=child.name, deadline=30.0)
    child.wait_for(health="unhealthy")
    healer.has_looked(2)
    assert not healer.actions(child)
    assert child.state == "running"
    assert healer.status(child)["needs_recreation"]
    assert [record for record in healer.records(child) if record["reason"] == "needs_recreation"]


def test_a_restart_by_compose_itself_is_not_repeated(
    engine: GivenEngine, tmp_path: Path, autoheal: Start, up: Up
) -> None:
    stack = up({"db": {}, "web": needs("db", restart=True)})
    healer = autoheal()
    healer.process.wait_for("container_watched", container=stack["web"].name)
    compose = Compose(engine.url, tmp_path / "project", (tmp_path / "project/compose.yml").read_text())
    compose.project = stack["web"].inspect()["Config"]["Labels"]["com.docker.compose.project"]
    compose.run("restart", "db")
    settled = time.time() + 4.0
    wait_for(lambda: time.time() > settled, "the time in which the agent leaves it to others is over")
    healer.has_looked()
    assert not healer.restarts()
