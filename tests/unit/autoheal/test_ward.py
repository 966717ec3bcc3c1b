"""Histories replayed before the ward: news in, orders out."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lab.stage import CYCLE_SECONDS, Stage, container_id, with_probe
from sidecarkit.errors import ContainerGone, EngineError, EngineTimeout, EngineUnavailable, Refused
from sidecarkit.identity import Kin

MakeStage = Callable[..., Stage]


@pytest.fixture
def make_stage(tmp_path: Path) -> MakeStage:
    return lambda **environ: Stage(tmp_path, **environ)


@pytest.fixture
def stage(make_stage: MakeStage) -> Stage:
    return make_stage()


def with_haraka(stage: Stage) -> Stage:
    stage.enter("haraka")
    stage.look()
    return stage


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


# The actions and their answers


@pytest.mark.parametrize("action", ["stop", "kill"])
def test_a_container_may_ask_to_be_stopped_or_killed_instead(stage: Stage, action: str) -> None:
    stage.enter("haraka", labels={"autoheal.action": action})
    stage.look()
    stage.fail("haraka")
    stage.perform("haraka")

    assert stage.hands.orders[0].action == action
    assert stage.outcomes() == ["stopped"]
    assert stage.script.runs == []


def test_what_we_stopped_is_not_started_again_by_us(stage: Stage) -> None:
    stage.enter("haraka", labels={"autoheal.action": "stop", "autoheal.exited": "true"})
    stage.look()
    stage.fail("haraka")
    stage.perform("haraka")
    stage.later(300)

    assert stage.ordered == ["haraka"]


def test_notify_tells_once_and_touches_nothing(stage: Stage) -> None:
    stage.enter("haraka", labels={"autoheal.action": "notify"})
    stage.look()
    stage.fail("haraka", output="refused by mongo")
    stage.later(30)
    stage.later(30)

    assert stage.ordered == []
    assert stage.decisions() == [("notify", "unhealthy")]
    assert [notice.body for notice in stage.told.told] == ["refused by mongo"]


def test_a_dry_run_decides_and_records_but_touches_nothing(make_stage: MakeStage) -> None:
    stage = with_haraka(make_stage(dry_run="true"))
    stage.fail("haraka")
    stage.later(30)

    (record,) = stage.records()
    assert stage.ordered == []
    assert (record["decision"], record["dry_run"], record["action"], record["outcome"]) == (
        "notify",
        1,
        "restart",
        None,
    )
    assert stage.ward.care.past(container_id("haraka")).attempts == ()


def test_the_stop_timeout_is_the_labels_else_the_settings_else_the_containers_own(make_stage: MakeStage) -> None:
    stage = make_stage(default_stop_timeout="20", max_parallel="9", storm_guard="false")
    stage.enter("label", labels={"autoheal.stop.timeout": "240"})
    stage.enter("setting", stop_timeout=40)
    stage.look()
    stage.fail("label")
    stage.fail("setting")

    assert [(order.stop_seconds, order.grace_seconds) for order in stage.hands.orders] == [(240, 10), (20, 40)]


def test_a_container_that_vanished_is_recorded_as_such(stage: Stage) -> None:
    with_haraka(stage).fail("haraka")
    stage.answer("haraka", ContainerGone("restart: no such container (404)", 404))

    assert stage.outcomes() == ["vanished"]


def test_a_container_removed_during_its_heal_has_vanished(stage: Stage) -> None:
    with_haraka(stage).fail("haraka")
    stage.remove("haraka")

    assert stage.outcomes() == ["vanished"]


@pytest.mark.parametrize("error", [Refused("restart: forbidden (403)", 403), EngineError("restart: cannot (500)", 500)])
def test_a_refused_heal_is_recorded_and_tried_again_after_the_backoff(stage: Stage, error: EngineError) -> None:
    with_haraka(stage).fail("haraka")
    stage.answer("haraka", error)
    (first,) = [record for record in stage.records() if record["decision"] == "heal"]
    assert (first["outcome"], first["http_status"], first["detail"]) == ("refused", error.status, str(error))

    stage.wait(9.9)
    assert stage.ordered == ["haraka"]
    stage.wait(0.1)
    assert stage.ordered == ["haraka", "haraka"]


def test_an_answer_that_was_lost_is_judged_by_what_happened(stage: Stage) -> None:
    with_haraka(stage).fail("haraka")
    stage.answer("haraka", EngineTimeout("restart: no answer in time"))
    stage.now += 1
    stage.stop("haraka", 137)
    stage.start("haraka")
    stage.now += 1
    stage.recover("haraka")

    assert stage.outcomes() == ["recovered"]
    assert stage.ordered == ["haraka"]


def test_an_answer_that_was_lost_before_anything_happened_is_a_refusal_in_the_end(stage: Stage) -> None:
    with_haraka(stage).fail("haraka")
    stage.now += 1
    stage.answer("haraka", EngineUnavailable("restart: connection refused"))
    stage.wait(19.9)  # it may be at the stop still, which takes up to 10 s, and 10 s more
    assert stage.outcomes() == [None]
    stage.wait(0.2)

    assert stage.outcomes()[0] == "refused"


def test_a_stop_whose_answer_was_lost_is_judged_by_the_stopped_container(stage: Stage) -> None:
    stage.enter("haraka", labels={"autoheal.action": "stop"})
    stage.look()
    stage.fail("haraka")
    stage.answer("haraka", EngineTimeout("stop: no answer in time"))
    stage.stop("haraka", 137)
    stage.wait(31)

    assert stage.outcomes() == ["stopped"]


def test_a_heal_that_nobody_hears_of_again_is_judged_when_its_time_is_over(stage: Stage) -> None:
    with_haraka(stage).fail("haraka")
    stage.perform("haraka")
    stage.wait(120)

    assert stage.outcomes() == ["still_failing"]


def test_a_container_without_probes_has_recovered_when_it_still_runs_after_ten_seconds(stage: Stage) -> None:
    stage.enter("cron", healthcheck=None, health=None, labels={"autoheal.exited": "true"})
    stage.look()
    stage.die("cron", 1)
    stage.perform("cron")
    stage.wait(9.9)
    assert stage.outcomes() == [None]
    stage.wait(0.2)

    assert stage.outcomes() == ["recovered"]


def test_the_script_runs_after_each_restart_with_the_stop_timeout(stage: Stage) -> None:
    stage.enter("haraka", labels={"autoheal.stop.timeout": "7"})
    stage.look()
    stage.fail("haraka")
    stage.perform("haraka")

    assert stage.script.runs == [("haraka", 7)]


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


# 3. Root cause first


def test_the_root_is_healed_first_and_the_rest_recovers_alone(stage: Stage) -> None:
    stage.enter("mongo")
    stage.enter("wildduck", labels={"com.docker.compose.depends_on": "mongo:service_healthy:false"})
    stage.enter("haraka", labels={"com.docker.compose.depends_on": "wildduck:service_healthy:false"})
    stage.look()
    stage.fail_at_once("haraka", "wildduck", "mongo")
    assert stage.ordered == ["mongo"]

    stage.heal("mongo")
    stage.recover("wildduck")
    stage.recover("haraka")
    stage.wait(60)

    assert stage.ordered == ["mongo"]


def test_one_that_does_not_recover_alone_is_healed_after_one_health_cycle(stage: Stage) -> None:
    stage.enter("mongo")
    stage.enter("wildduck", labels={"com.docker.compose.depends_on": "mongo:service_healthy:false"})
    stage.look()
    stage.fail_at_once("wildduck", "mongo")
    stage.heal("mongo")

    stage.wait(CYCLE_SECONDS - 0.1)
    assert stage.ordered == ["mongo"]
    stage.wait(0.2)
    assert stage.ordered == ["mongo", "wildduck"]


def test_it_waits_until_the_root_fulfils_its_condition(stage: Stage) -> None:
    stage.enter("mongo")
    stage.enter("wildduck", labels={"com.docker.compose.depends_on": "mongo:service_healthy:false"})
    stage.look()
    stage.fail_at_once("wildduck", "mongo")
    stage.perform("mongo")

    stage.wait(30)

    assert stage.ordered == ["mongo"]


def test_a_root_that_only_has_to_be_started_is_enough_when_it_runs(stage: Stage) -> None:
    stage.enter("mongo")
    stage.enter("wildduck", labels={"com.docker.compose.depends_on": "mongo:service_started:false"})
    stage.look()
    stage.fail_at_once("wildduck", "mongo")
    stage.perform("mongo")

    stage.wait(CYCLE_SECONDS + 0.1)

    assert stage.ordered == ["mongo", "wildduck"]


def test_a_dependency_that_is_stopped_is_waited_for_but_not_for_ever(stage: Stage) -> None:
    stage.enter("redis")
    stage.enter("wildduck", labels={"com.docker.compose.depends_on": "redis:service_started:false"})
    stage.look()
    stage.stop("redis")
    stage.fail("wildduck")
    stage.wait(119)
    assert stage.ordered == []
    stage.wait(1.1)

    assert stage.ordered == ["wildduck"]
    assert ("wait", "dependency") in stage.decisions("wildduck")


def test_a_cycle_ends_in_a_bounded_wait(stage: Stage) -> None:
    stage.enter("a", labels={"com.docker.compose.depends_on": "b:service_healthy:false"})
    stage.enter("b", labels={"com.docker.compose.depends_on": "a:service_healthy:false"})
    stage.look()
    stage.fail_at_once("a", "b")
    stage.wait(119)
    assert stage.ordered == []
    stage.wait(1.1)

    assert sorted(stage.ordered) == ["a", "b"]


def test_a_diamond_heals_its_bottom_once(stage: Stage) -> None:
    needs = "com.docker.compose.depends_on"
    stage.enter("bottom")
    stage.enter("left", "right", labels={needs: "bottom:service_healthy:false"})
    stage.enter("top", labels={needs: "left:service_healthy:false,right:service_healthy:false"})
    stage.look()
    stage.fail_at_once("top", "left", "right", "bottom")
    stage.heal("bottom")
    for name in ("left", "right", "top"):
        stage.recover(name)
    stage.wait(60)

    assert stage.ordered == ["bottom"]


def test_a_label_of_ours_orders_what_compose_does_not_know(stage: Stage) -> None:
    stage.enter("dns")
    stage.enter("haraka", labels={"autoheal.depends-on": "dns"})
    stage.look()
    stage.fail_at_once("haraka", "dns")

    assert stage.ordered == ["dns"]


def test_a_dependency_of_another_project_is_nobodys_root_cause(stage: Stage) -> None:
    stage.enter("shop-mongo", service="mongo", labels={"com.docker.compose.project": "shop"})
    stage.enter("haraka", labels={"com.docker.compose.depends_on": "mongo:service_healthy:false"})
    stage.look()
    stage.fail_at_once("haraka", "shop-mongo")

    assert sorted(stage.ordered) == ["haraka", "shop-mongo"]


# 5. Storms


def storm(stage: Stage, sick: int, of: int) -> list[str]:
    names = [f"c{number}" for number in range(of)]
    stage.enter(*names)
    stage.look()
    stage.fail_at_once(*names[:sick])
    return names


def test_never_more_than_max_parallel_are_in_flight(make_stage: MakeStage) -> None:
    stage = make_stage(storm_guard="false", max_parallel="3")
    names = storm(stage, 10, of=10)
    assert len(stage.ordered) == 3

    for count, name in enumerate(names, start=1):
        stage.heal(name)
        assert len(stage.ordered) == min(10, 3 + count)
        assert len(stage.ward.care.in_flight()) <= 3


def test_when_most_turn_sick_at_once_one_canary_goes_first_and_people_are_told_once(stage: Stage) -> None:
    storm(stage, 6, of=10)

    assert len(stage.ordered) == 1
    assert len(stage.told.titles("storm_hold")) == 1
    assert ("hold", "storm") in stage.decisions()


def test_the_rest_follow_when_the_canary_is_well(stage: Stage) -> None:
    storm(stage, 6, of=10)
    canary = stage.ordered[0]
    stage.perform(canary)
    stage.later(5)
    assert stage.ordered == [canary]

    stage.recover(canary)

    assert len(stage.ordered) == 4  # the canary, and as many as may be in flight


def test_when_the_canary_fails_another_one_is_tried(stage: Stage) -> None:
    storm(stage, 6, of=10)
    canary = stage.ordered[0]
    stage.heal_in_vain(canary)

    assert len(stage.ordered) == 2
    assert stage.ordered[1] != canary


def test_a_storm_that_passes_by_itself_is_let_go(stage: Stage) -> None:
    stage.enter(*(f"c{number}" for number in range(10)), labels={"autoheal.hold": "1m"})
    stage.look()
    stage.fail_at_once(*(f"c{number}" for number in range(6)))
    for number in range(5):
        stage.recover(f"c{number}")

    stage.wait(61)

    assert stage.ordered == ["c5"]
    assert not stage.ward.storm.held


def test_half_of_the_containers_are_no_storm(stage: Stage) -> None:
    storm(stage, 5, of=10)

    assert len(stage.ordered) == 3
    assert stage.told.titles("storm_hold") == []


def test_the_guard_can_be_switched_off(make_stage: MakeStage) -> None:
    stage = make_stage(storm_guard="no", max_parallel="8")
    storm(stage, 8, of=8)

    assert len(stage.ordered) == 8


def test_a_follower_is_no_canary(stage: Stage) -> None:
    stage.enter("vpn")
    stage.enter("child", network_mode=f"container:{container_id('vpn')}")
    stage.enter(*(f"c{number}" for number in range(6)), labels={"autoheal.hold": "20s"})
    stage.look()
    stage.fail_at_once(*(f"c{number}" for number in range(6)))
    stage.restart_by_hand("vpn")
    stage.recover("vpn")
    stage.wait(4)
    assert stage.ordered == ["child"]

    stage.heal("child")
    stage.wait(20)

    assert stage.ward.storm.held
    assert len(stage.ordered) == 2


# Backoff, budget, giving up


def test_a_container_that_fails_again_is_healed_after_the_backoff(stage: Stage) -> None:
    with_haraka(stage).fail("haraka")
    stage.heal_in_vain("haraka")
    stage.wait(9.9)
    assert stage.ordered == ["haraka"]
    stage.wait(0.1)
    assert stage.ordered == ["haraka"] * 2

    stage.heal_in_vain("haraka")
    stage.wait(19.9)
    assert stage.ordered == ["haraka"] * 2
    stage.wait(0.1)
    assert stage.ordered == ["haraka"] * 3


def give_up(stage: Stage) -> None:
    """Fail five times in a row."""
    with_haraka(stage).fail("haraka")
    for number in range(5):
        stage.heal_in_vain("haraka")
        if number < 4:
            stage.wait(300)


def test_after_five_failed_heals_it_is_given_up_with_one_notice(stage: Stage) -> None:
    give_up(stage)
    for _ in range(5):
        stage.later(3600)

    assert stage.ordered == ["haraka"] * 5
    assert len(stage.told.titles("given_up")) == 1
    assert stage.decisions().count(("give_up", "unhealthy")) == 1


def test_what_was_given_up_and_gets_well_by_itself_begins_anew(stage: Stage) -> None:
    give_up(stage)
    stage.now += 60
    stage.recover("haraka")
    stage.now += 5
    stage.fail("haraka")

    assert stage.ordered == ["haraka"] * 6


def test_what_was_given_up_and_is_restarted_by_hand_begins_anew(stage: Stage) -> None:
    give_up(stage)
    stage.now += 60
    stage.restart_by_hand("haraka")
    stage.now += 5
    stage.fail("haraka")

    assert stage.ordered == ["haraka"] * 6


def test_a_restart_by_the_restart_policy_restores_no_budget(stage: Stage) -> None:
    give_up(stage)
    stage.now += 60
    stage.die("haraka", 1)
    stage.actors["haraka"].restart_count = 1
    stage.start("haraka")
    stage.now += 5
    stage.fail("haraka")

    assert stage.ordered == ["haraka"] * 5


def test_a_restart_by_hand_while_a_heal_awaits_its_verdict_restores_the_budget(stage: Stage) -> None:
    with_haraka(stage).fail("haraka")
    for _ in range(3):
        stage.heal_in_vain("haraka")
        stage.wait(300)
    stage.perform("haraka")
    stage.now += 3
    stage.restart_by_hand("haraka")

    assert stage.ward.care.past(container_id("haraka")).failed(stage.now, 3600.0) == 0


def test_autoheal_resume_restores_the_budget(stage: Stage) -> None:
    give_up(stage)
    subject = stage.world.containers[container_id("haraka")].subject
    stage.ledger.resume("haraka", [subject])
    stage.ward.care.recall()
    stage.wait(1)

    assert stage.ordered == ["haraka"] * 6


def test_giving_up_survives_kill_9(stage: Stage) -> None:
    give_up(stage)

    stage.begin()
    stage.later(60)
    stage.later(60)

    assert stage.ordered == []
    assert len(stage.told.titles("given_up")) == 1


def test_backoff_and_budget_survive_kill_9(stage: Stage) -> None:
    with_haraka(stage).fail("haraka")
    stage.heal_in_vain("haraka")
    stage.wait(10)
    stage.heal_in_vain("haraka")

    stage.begin()
    stage.look()
    stage.wait(19.9)
    assert stage.ordered == []
    stage.wait(0.2)
    assert stage.ordered == ["haraka"]
    assert stage.records()[-1]["attempt"] == 3


def test_our_own_restart_told_again_after_kill_9_is_no_restart_by_hand(stage: Stage) -> None:
    give_up(stage)
    started_at = stage.actors["haraka"].started_at

    stage.begin()
    stage.replay("haraka", "kill", started_at - 0.1, signal="15")
    stage.replay("haraka", "die", started_at - 0.05, exitCode="137")
    stage.replay("haraka", "start", started_at)
    stage.later(60)

    assert stage.ordered == []
    assert stage.ward.care.past(container_id("haraka")).given_up_at is not None


def test_a_restart_by_hand_while_autoheal_was_away_restores_the_budget(stage: Stage) -> None:
    give_up(stage)
    stage.now += 60
    stage.actors["haraka"].state = "exited"
    stage.start("haraka", heard=False)

    stage.begin()
    stage.replay("haraka", "start", stage.now)
    stage.now += 5
    stage.look()
    stage.fail("haraka")

    assert stage.ordered == ["haraka"]


def test_ten_healthy_minutes_end_the_backoff_even_when_it_got_well_by_itself(stage: Stage) -> None:
    with_haraka(stage).fail("haraka")
    stage.heal_in_vain("haraka")
    stage.now += 1
    stage.recover("haraka")
    stage.later(600)
    stage.fail("haraka")

    assert stage.ordered == ["haraka"] * 2
    assert stage.records()[-1]["attempt"] == 1


# 6. Records


def test_intent_is_stored_before_the_call_and_the_outcome_after_it(stage: Stage) -> None:
    with_haraka(stage).fail("haraka", output="connect ECONNREFUSED")
    (intent,) = stage.records()
    assert (intent["decision"], intent["outcome"], intent["called_at"]) == ("heal", None, stage.now)
    assert intent["probes"][-1]["output"] == "connect ECONNREFUSED"

    stage.heal("haraka")
    (record,) = stage.records()
    assert (record["outcome"], record["http_status"]) == ("recovered", 204)
    assert record["seconds_to_healthy"] == pytest.approx(1.21, abs=0.01)


def test_the_last_log_lines_are_asked_for_beside_the_heal_and_kept_without_secrets(stage: Stage) -> None:
    with_haraka(stage).fail("haraka")
    (asked,) = stage.hands.logs_asked
    stage.fetch_log(asked, [b"login hunter2secret", b"bye"], "DB_PASSWORD=hunter2secret")

    assert stage.records()[0]["log_lines"] == ["login ***", "bye"]


def test_logs_that_cannot_be_had_are_named_as_such(stage: Stage) -> None:
    with_haraka(stage).fail("haraka")
    stage.fetch_log(1, None)

    assert stage.records()[0]["log_lines"] == ["(not available: logs: forbidden (403))"]


def test_without_evidence_lines_no_log_is_asked_for(make_stage: MakeStage) -> None:
    stage = with_haraka(make_stage(evidence_lines="0"))
    stage.fail("haraka")

    assert stage.hands.logs_asked == []


@pytest.mark.parametrize("moment", ["before the call", "during the stop", "after the start"])
def test_an_open_heal_is_resolved_after_kill_9(stage: Stage, moment: str) -> None:
    with_haraka(stage).fail("haraka")
    called_at = stage.now
    stage.now += 1
    if moment == "after the start":
        stage.actors["haraka"].died_at = stage.now
        stage.start("haraka", heard=False)
    stage.begin()
    if moment == "during the stop":
        stage.replay("haraka", "kill", called_at + 0.1, signal="15")
    stage.look_and_adopt()

    assert stage.outcomes()[0] == {"before the call": "refused"}.get(moment)
    if moment == "during the stop":
        assert stage.ordered == []
        stage.now += 9
        stage.stop("haraka", 137, signal="9")
        stage.start("haraka")
    if moment != "before the call":
        stage.now += 1
        stage.recover("haraka")
        assert stage.outcomes() == ["recovered"]


def test_a_heal_that_was_never_asked_for_costs_no_budget_and_restores_none(stage: Stage) -> None:
    with_haraka(stage).fail("haraka")
    stage.heal_in_vain("haraka")
    stage.wait(10)

    stage.begin()
    stage.look_and_adopt()
    stage.ward.care.recall()

    assert stage.outcomes()[:2] == ["still_failing", "refused"]
    assert stage.ward.care.past(container_id("haraka")).failed(stage.now, 3600.0) == 1
    assert stage.ordered == ["haraka"]


def test_an_open_heal_of_a_container_that_is_gone_has_vanished(stage: Stage) -> None:
    with_haraka(stage).fail("haraka")
    del stage.actors["haraka"]

    stage.begin()
    stage.look_and_adopt()

    assert stage.outcomes() == ["vanished"]


def test_a_full_disk_keeps_no_container_sick(stage: Stage) -> None:
    with_haraka(stage)
    stage.ledger._database.execute("PRAGMA max_page_count = 1")
    stage.ledger._database.execute("PRAGMA query_only = 1")
    stage.fail("haraka")
    stage.heal("haraka")

    assert stage.ordered == ["haraka"]


def test_a_full_disk_does_not_end_autoheal_when_it_gives_up_or_forgives(stage: Stage) -> None:
    with_haraka(stage).fail("haraka")
    for number in range(5):
        stage.heal_in_vain("haraka")
        if number < 3:
            stage.wait(300)
        elif number == 3:
            stage.ledger._database.execute("PRAGMA query_only = 1")
            stage.wait(300)

    assert len(stage.told.titles("given_up")) == 1
    stage.now += 60
    stage.recover("haraka")


# 7. Stale probes


def test_probes_that_stopped_are_reported_once(stage: Stage) -> None:
    with_haraka(stage)
    stage.ward.subscribed(stage.now)
    for _ in range(4):
        stage.later(CYCLE_SECONDS * 3)

    assert stage.ordered == []
    assert len(stage.told.titles("probes_stopped")) == 1
    assert stage.decisions() == [("notify", "stale")]


def test_probes_that_stopped_lead_to_a_restart_where_it_is_asked_for(make_stage: MakeStage) -> None:
    stage = with_haraka(make_stage(stale="restart"))
    stage.ward.subscribed(stage.now)
    stage.later(CYCLE_SECONDS * 4)
    stage.wait(0.1)

    assert stage.ordered == ["haraka"]


def test_probes_that_run_are_not_doubted(stage: Stage) -> None:
    with_haraka(stage)
    stage.ward.subscribed(stage.now)
    for _ in range(5):
        actor = stage.actors["haraka"]
        actor.failed_at, actor.outputs = [stage.now + 4], [""]
        stage.later(5)

    assert stage.told.titles("probes_stopped") == []


def test_a_container_without_probes_is_not_doubted(stage: Stage) -> None:
    stage.enter("plain", healthcheck=None, health=None)
    stage.look()
    stage.ward.subscribed(stage.now)
    stage.later(1000)
    stage.later(1000)

    assert stage.told.told == []


def test_a_slow_healthcheck_is_given_its_time(stage: Stage) -> None:
    stage.enter("slow", healthcheck=with_probe(Interval=3600 * 10**9))
    stage.look()
    stage.ward.subscribed(stage.now)
    stage.later(3600)
    stage.later(3600)

    assert stage.told.titles("probes_stopped") == []


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
