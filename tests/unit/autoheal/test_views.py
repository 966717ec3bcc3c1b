"""What `autoheal status` says of each container, at each turn of its story."""

from typing import Any

import pytest

from autoheal import views
from lab.stage import CYCLE_SECONDS, Stage, container_id


def view(stage: Stage, name: str = "haraka") -> dict[str, Any]:
    return views.view(stage.ward, stage.world, stage.world.containers[container_id(name)], stage.now)


def with_haraka(stage: Stage, **labels: str) -> Stage:
    stage.enter("haraka", labels=labels)
    stage.look()
    return stage


def test_a_container_that_is_well(stage: Stage) -> None:
    assert view(with_haraka(stage)) == {
        "container_id": container_id("haraka"),
        "container": "haraka",
        "project": "mail",
        "service": "haraka",
        "state": "running",
        "health": "healthy",
        "standing": "ok",
        "waiting_for": [],
        "restarts_spent": 0,
        "max_restarts": 5,
        "heals_in_a_row": 0,
        "next_heal_at": None,
        "backoff_until": None,
        "given_up": False,
        "paused": False,
        "needs_recreation": False,
        "donor": None,
        "wrong_labels": [],
    }


@pytest.mark.parametrize(
    ("facts", "standing"),
    [
        ({}, "ok"),
        ({"health": None, "healthcheck": None}, "ok"),
        ({"health": "starting"}, "starting"),
        ({"state": "exited"}, "exited"),
        ({"state": "paused"}, "paused"),
    ],
)
def test_without_a_story_the_standing_is_the_health_or_the_state(
    stage: Stage, facts: dict[str, Any], standing: str
) -> None:
    stage.enter("haraka", **facts)
    stage.look()

    assert view(stage)["standing"] == standing


def test_a_heal_is_healing_then_verifying_then_over(stage: Stage) -> None:
    with_haraka(stage).fail("haraka")
    assert view(stage)["standing"] == "healing"
    stage.perform("haraka")
    assert view(stage)["standing"] == "verifying"
    stage.recover("haraka")
    assert (view(stage)["standing"], view(stage)["restarts_spent"], view(stage)["heals_in_a_row"]) == ("ok", 0, 1)


def test_the_backoff_shows_when_the_next_heal_is_due(stage: Stage) -> None:
    with_haraka(stage).fail("haraka")
    stage.heal_in_vain("haraka")

    shown = view(stage)
    assert (shown["standing"], shown["restarts_spent"]) == ("backoff", 1)
    assert shown["backoff_until"] == shown["next_heal_at"] == pytest.approx(stage.now + 10)


def test_a_hold_shows_its_end_but_is_no_backoff(stage: Stage) -> None:
    with_haraka(stage, **{"autoheal.hold": "30s"}).fail("haraka")

    shown = view(stage)
    assert (shown["standing"], shown["next_heal_at"], shown["backoff_until"]) == ("hold", stage.now + 30, None)


def test_one_that_waits_says_for_whom(stage: Stage) -> None:
    stage.enter("mongo")
    stage.enter("haraka", labels={"com.docker.compose.depends_on": "mongo:service_healthy:false"})
    stage.look()
    stage.fail_at_once("mongo", "haraka")

    assert (view(stage)["standing"], view(stage)["waiting_for"]) == ("dependency", ["mongo"])


def test_given_up(stage: Stage) -> None:
    with_haraka(stage, **{"autoheal.max-restarts": "1"}).fail("haraka")
    stage.heal_in_vain("haraka")

    shown = view(stage)
    assert (shown["standing"], shown["given_up"], shown["restarts_spent"], shown["max_restarts"]) == (
        "given_up",
        True,
        1,
        1,
    )


def test_in_maintenance(stage: Stage) -> None:
    with_haraka(stage).pause("haraka")
    assert (view(stage)["standing"], view(stage)["paused"]) == ("paused", True)
    stage.resume("haraka")
    assert view(stage)["paused"] is False


def test_needing_recreation_and_for_whose_sake(stage: Stage) -> None:
    stage.enter("vpn")
    stage.enter("haraka", network_mode=f"container:{container_id('vpn')}")
    stage.look()
    stage.remove("vpn")
    stage.later(6)

    shown = view(stage)
    assert (shown["standing"], shown["needs_recreation"]) == ("needs_recreation", True)
    assert shown["donor"] == shown["waiting_for"][0] == container_id("vpn")[:12]


def test_owed_a_restart(stage: Stage) -> None:
    stage.enter("mongo")
    stage.enter("haraka", labels={"com.docker.compose.depends_on": "mongo:service_healthy:true"})
    stage.look()
    stage.restart_by_hand("mongo")

    assert (view(stage)["standing"], view(stage)["waiting_for"]) == ("restart_owed", ["mongo"])


def test_probes_that_stopped(stage: Stage) -> None:
    with_haraka(stage)
    stage.ward.subscribed(stage.now)
    stage.later(CYCLE_SECONDS * 4)

    assert view(stage)["standing"] == "probes_stopped"


def test_wrong_labels_are_named(stage: Stage) -> None:
    (complaint,) = view(with_haraka(stage, **{"autoheal.hold": "soon"}))["wrong_labels"]

    assert complaint.startswith("autoheal.hold='soon': expected a duration")


# Figures


def test_of_a_services_replicas_the_worst_health_counts(stage: Stage) -> None:
    stage.enter("haraka-1", service="haraka")
    stage.enter("haraka-2", service="haraka", health="unhealthy")
    stage.enter("mongo", health="starting")
    stage.enter("cron", health=None, healthcheck=None)
    stage.enter("down", state="exited")
    stage.enter("unlabelled", labels={"autoheal": "no"}, health="unhealthy")
    stage.look()

    assert views.healths(stage.world) == {
        "haraka": "unhealthy",
        "mongo": "starting",
        "cron": "none",
        "down": "none",
    }
