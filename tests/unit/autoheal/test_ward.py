"""Histories replayed before the ward: news in, orders out. Who is healed, and who is left alone."""

from collections.abc import Callable
from pathlib import Path

import pytest

from autoheal.world import RECREATION_SECONDS
from lab.stage import Stage, container_id, with_haraka
from sidecarkit.identity import Kin

MakeStage = Callable[..., Stage]


# 1. What is sick is healed at once, whoever tells


def test_an_unhealthy_event_leads_to_a_restart_at_once(stage: Stage) -> None:
    with_haraka(stage).fail("haraka")

    assert stage.ordered == ["haraka"]
    order = stage.hands.orders[0]
    assert (order.action, order.stop_seconds, order.grace_seconds) == ("restart", None, 10)


def test_what_no_event_told_of_the_next_listing_finds(stage: Stage) -> None:
    with_haraka(stage).fail("haraka", heard=False)

    assert stage.ordered == []
    stage.look()
    assert stage.ordered == ["haraka"]


def test_what_was_unhealthy_before_autoheal_began_is_healed_at_the_first_look(stage: Stage) -> None:
    actor = stage.enter("haraka", health="unhealthy", streak=7)
    actor.failed_at, actor.outputs = [stage.now], ["refused"]

    stage.look()

    assert stage.ordered == ["haraka"]


def test_an_unpause_is_a_reason_to_look(stage: Stage) -> None:
    with_haraka(stage)
    stage.hear("haraka", "pause")
    stage.actors["haraka"].health, stage.actors["haraka"].streak = "unhealthy", 5

    stage.hear("haraka", "unpause")
    stage.consider()

    assert stage.ordered == ["haraka"]


def test_a_replayed_event_of_a_container_that_is_well_heals_nothing(stage: Stage) -> None:
    with_haraka(stage).hear("haraka", "health_status: unhealthy")
    stage.consider()

    assert stage.ordered == []


def test_the_same_sickness_told_twice_is_one_restart(stage: Stage) -> None:
    with_haraka(stage).fail("haraka")
    stage.hear("haraka", "health_status: unhealthy")
    stage.look()

    assert stage.ordered == ["haraka"]


# 2. Never wrong


@pytest.mark.parametrize(
    ("state", "health", "streak"),
    [
        ("paused", "unhealthy", 9),
        ("exited", "unhealthy", 0),
        ("created", "unhealthy", 0),
        ("restarting", "unhealthy", 0),
        ("removing", "unhealthy", 9),
        ("dead", "unhealthy", 9),
        ("running", "starting", 2),
        ("running", "unhealthy", 2),
        ("running", "healthy", 0),
    ],
)
def test_nothing_is_done_for_a_container_in_another_state(stage: Stage, state: str, health: str, streak: int) -> None:
    with_haraka(stage)
    actor = stage.actors["haraka"]
    actor.state, actor.health, actor.streak = state, health, streak

    stage.hear("haraka", "health_status: unhealthy")
    stage.consider()
    stage.later(30)

    assert stage.ordered == []


@pytest.mark.parametrize("value", ["false", "False", "no", "0", "maybe", ""])
def test_a_container_that_did_not_opt_in_is_not_touched(stage: Stage, value: str) -> None:
    stage.enter("haraka", labels={"autoheal": value})
    stage.look()
    stage.fail("haraka")

    assert stage.ordered == []


@pytest.mark.parametrize("value", ["true", "True", "TRUE", "1", "yes"])
def test_a_label_is_true_in_any_case(stage: Stage, value: str) -> None:
    stage.enter("haraka", labels={"autoheal": value})
    stage.look()
    stage.fail("haraka")

    assert stage.ordered == ["haraka"]


def test_under_all_everyone_with_a_healthcheck_is_watched_except_who_opted_out(make_stage: MakeStage) -> None:
    stage = make_stage(container_label="all")
    stage.enter("unlabelled", labels={"autoheal": ""})
    stage.enter("out", labels={"autoheal": "no"})
    stage.look()
    stage.fail("unlabelled")
    stage.fail("out")

    assert stage.ordered == ["unlabelled"]


def test_another_label_may_opt_in_and_ours_still_opts_out(make_stage: MakeStage) -> None:
    stage = make_stage(container_label="heal.me")
    stage.enter("in", labels={"heal.me": "true", "autoheal": ""})
    stage.enter("ours", labels={"autoheal": "true"})
    stage.enter("out", labels={"heal.me": "true", "autoheal": "false"})
    stage.look()
    for name in ("in", "ours", "out"):
        stage.fail(name)

    assert stage.ordered == ["in"]


def test_a_stop_by_somebody_else_is_not_undone(stage: Stage) -> None:
    with_haraka(stage).hear("haraka", "kill", signal="15")
    stage.fail("haraka")
    stage.later(8)

    assert stage.ordered == []
    assert stage.decisions() == [("skip", "being_stopped")]


def test_after_a_new_start_the_stop_is_forgotten(stage: Stage) -> None:
    with_haraka(stage).restart_by_hand("haraka")
    stage.now += 5
    stage.fail("haraka")

    assert stage.ordered == ["haraka"]


def test_a_reload_signal_is_no_stop(stage: Stage) -> None:
    with_haraka(stage).hear("haraka", "kill", signal="1")
    stage.fail("haraka")

    assert stage.ordered == ["haraka"]


def test_a_container_that_compose_is_replacing_is_left_alone(stage: Stage) -> None:
    with_haraka(stage)
    stage.enter("1234_haraka", state="created", health=None, labels={"com.docker.compose.replace": "haraka"})
    stage.hear("1234_haraka", "create")
    stage.fail("haraka")
    stage.later(5)

    assert stage.ordered == []
    assert ("skip", "being_replaced") in stage.decisions("haraka")


def test_a_replacement_found_only_in_the_listing_counts_too(stage: Stage) -> None:
    stage.enter("1234_haraka", state="created", health=None, labels={"com.docker.compose.replace": "haraka"})
    stage.enter("haraka", health="unhealthy", streak=5)

    stage.look()

    assert stage.ordered == []


def test_when_the_replacement_is_removed_again_the_old_one_is_healed(stage: Stage) -> None:
    with_haraka(stage)
    stage.enter("1234_haraka", state="created", health=None, labels={"com.docker.compose.replace": "haraka"})
    stage.hear("1234_haraka", "create")
    stage.fail("haraka")

    stage.remove("1234_haraka")

    assert stage.ordered == ["haraka"]


def test_when_compose_was_interrupted_and_left_the_replacement_behind_the_old_one_is_healed(stage: Stage) -> None:
    with_haraka(stage)
    stage.enter("1234_haraka", state="created", health=None, labels={"com.docker.compose.replace": "haraka"})
    stage.hear("1234_haraka", "create")
    stage.fail("haraka")
    assert stage.ordered == []

    stage.later(RECREATION_SECONDS + 60)

    assert stage.ordered == ["haraka"]


def test_of_a_container_that_is_gone_nothing_is_kept_in_memory(stage: Stage) -> None:
    with_haraka(stage).fail("haraka")
    stage.heal("haraka")
    care = stage.ward.care
    assert care.pasts and care.action_seconds and care._acted_until

    stage.remove("haraka")

    assert not (care.pasts or care.action_seconds or care._acted_until)


def test_a_one_off_container_is_not_touched(stage: Stage) -> None:
    stage.enter("haraka-run-1", service="haraka", labels={"com.docker.compose.oneoff": "True"})
    stage.look()
    stage.fail("haraka-run-1")

    assert stage.ordered == []


def test_what_somebody_else_just_restarted_counts_as_restarted(stage: Stage) -> None:
    with_haraka(stage)
    stage.actors["haraka"].health, stage.actors["haraka"].streak = "unhealthy", 3
    stage.hear("haraka", "health_status: unhealthy")  # heard, and before it was considered:
    stage.restart_by_hand("haraka")

    assert stage.ordered == []


def test_autoheal_never_acts_on_itself_or_its_proxy(tmp_path: Path) -> None:
    kin = Kin(frozenset({container_id("autoheal")}), "socket-proxy", frozenset({"172.18.0.2"}))
    stage = Stage(tmp_path, kin)
    stage.enter("autoheal")
    stage.enter("mail-socket-proxy-1", service="socket-proxy")
    stage.look()
    stage.fail("autoheal")
    stage.fail("mail-socket-proxy-1")

    assert stage.ordered == []


def test_with_scope_project_only_the_own_project_is_watched(make_stage: MakeStage) -> None:
    stage = make_stage(scope="project")
    stage.world.own_project = "mail"
    stage.enter("haraka")
    stage.enter("shop", labels={"com.docker.compose.project": "shop"})
    stage.look()
    stage.fail("haraka")
    stage.fail("shop")

    assert stage.ordered == ["haraka"]


# Hold


def test_a_container_may_ask_to_be_left_until_it_was_sick_for_a_while(stage: Stage) -> None:
    stage.enter("haraka", labels={"autoheal.hold": "30s"})
    stage.look()
    stage.fail("haraka")
    stage.wait(29)
    assert stage.ordered == []
    stage.wait(1)
    assert stage.ordered == ["haraka"]


def test_one_that_gets_well_during_its_hold_is_not_touched(stage: Stage) -> None:
    stage.enter("haraka", labels={"autoheal.hold": "30s"})
    stage.look()
    stage.fail("haraka")
    stage.now += 10
    stage.recover("haraka")
    stage.wait(30)

    assert stage.ordered == []


# Exited


def test_an_exited_container_is_healed_only_where_its_label_asks(stage: Stage) -> None:
    stage.enter("asks", labels={"autoheal.exited": "true"})
    stage.enter("does-not")
    stage.look()
    stage.die("asks", 1)
    stage.die("does-not", 1)
    stage.later(30)

    assert stage.ordered == ["asks"]


@pytest.mark.parametrize(
    ("exit_code", "oom_killed", "ordered"), [(0, False, []), (1, False, ["cron"]), (137, True, ["cron"])]
)
def test_it_is_healed_when_it_failed(stage: Stage, exit_code: int, oom_killed: bool, ordered: list[str]) -> None:
    stage.enter("cron", labels={"autoheal.exited": "true"}, oom_killed=oom_killed)
    stage.look()
    stage.die("cron", exit_code)

    assert stage.ordered == ordered


def test_one_that_was_stopped_by_hand_stays_stopped(stage: Stage) -> None:
    stage.enter("cron", labels={"autoheal.exited": "true"})
    stage.look()
    stage.stop("cron", 143)
    stage.later(30)

    assert stage.ordered == []


@pytest.mark.parametrize(("exit_code", "ordered"), [(1, ["cron"]), (137, []), (143, []), (130, [])])
def test_one_found_exited_is_healed_unless_it_may_have_been_stopped_by_hand(
    stage: Stage, exit_code: int, ordered: list[str]
) -> None:
    stage.enter("cron", labels={"autoheal.exited": "true"}, state="exited", exit_code=exit_code, died_at=stage.now - 60)
    stage.look()

    assert stage.ordered == ordered


def test_an_exited_container_that_exits_again_is_sick_again(stage: Stage) -> None:
    stage.enter("cron", labels={"autoheal.exited": "true"})
    stage.look()
    stage.die("cron", 1)
    stage.perform("cron")
    stage.now += 1
    stage.die("cron", 1)

    assert stage.outcomes() == ["still_failing"]
    stage.wait(10)
    assert stage.ordered == ["cron", "cron"]


# While the engine is away


def test_an_inspection_that_fails_is_not_repeated_until_the_next_listing(stage: Stage) -> None:
    with_haraka(stage).hear("haraka", "health_status: unhealthy")
    stage.ward.consider(stage.now)
    assert stage.hands.to_examine == [container_id("haraka")]

    stage.hands.to_examine.clear()
    stage.fail_inspections()
    stage.ward.consider(stage.now)
    assert stage.hands.to_examine == []

    stage.fail("haraka", heard=False)
    stage.later(30)
    assert stage.ordered == ["haraka"]


def test_a_verdict_that_is_due_is_not_asked_for_in_a_busy_loop(stage: Stage) -> None:
    with_haraka(stage).fail("haraka")
    stage.perform("haraka")
    stage.now += 120
    stage.ward.consider(stage.now)
    asked = len(stage.hands.to_examine)

    for _ in range(50):
        stage.fail_inspections()
        stage.ward.consider(stage.now)

    assert asked == 1
    assert len(stage.hands.to_examine) == asked


# 8. Maintenance


def test_in_maintenance_nothing_is_done_and_afterwards_it_is(stage: Stage) -> None:
    with_haraka(stage)
    stage.pause("haraka")
    stage.fail("haraka")
    stage.later(30)
    assert stage.ordered == []
    assert stage.decisions() == [("skip", "paused")]

    stage.resume("haraka")
    assert stage.ordered == ["haraka"]


@pytest.mark.parametrize("name", ["mail-haraka-1", "haraka", container_id("mail-haraka-1")[:12], "*"])
def test_maintenance_is_asked_for_by_name_service_id_or_for_all(stage: Stage, name: str) -> None:
    stage.enter("mail-haraka-1", service="haraka")
    stage.enter("mongo")
    stage.look()
    stage.pause(name)
    stage.fail("mail-haraka-1")
    stage.fail("mongo")

    assert stage.ordered == ([] if name == "*" else ["mongo"])


def test_maintenance_ends_by_itself_when_its_time_is_over(stage: Stage) -> None:
    with_haraka(stage)
    stage.pause("haraka", seconds=60)
    stage.fail("haraka")
    stage.now += 61
    stage.recall_pauses()
    stage.look()

    assert stage.ordered == ["haraka"]
