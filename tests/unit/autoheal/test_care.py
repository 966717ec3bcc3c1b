"""Histories of heals: orders and their answers, verdicts, and what is recorded of them."""

from collections.abc import Callable

import pytest

from autoheal.hands import Answered
from lab.stage import Stage, container_id, with_haraka
from sidecarkit.errors import ContainerGone, EngineError, EngineTimeout, EngineUnavailable, Refused

MakeStage = Callable[..., Stage]


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


# What belongs to the old life


@pytest.mark.parametrize("health", ["unhealthy", "healthy"])
def test_a_probe_that_ends_during_the_stop_is_no_verdict(stage: Stage, health: str) -> None:
    with_haraka(stage).fail("haraka")
    stage.now += 2
    stage.hear("haraka", f"health_status: {health}")
    stage.look()
    assert stage.outcomes() == [None]

    stage.heal("haraka")

    assert stage.outcomes() == ["recovered"]
    assert stage.ordered == ["haraka"]


def test_an_answer_to_an_earlier_order_says_nothing_about_the_present_one(stage: Stage) -> None:
    with_haraka(stage).fail("haraka")
    stage.perform("haraka")
    first = stage.hands.orders[0]
    stage.now += 3
    stage.fail("haraka")
    stage.wait(10)
    assert stage.ordered == ["haraka", "haraka"]

    stage.ward.answered(Answered(first, stage.now, 500, EngineError("restart: cannot (500)", 500)), stage.now)

    assert stage.outcomes() == ["still_failing", None]
    assert stage.ward.care.treatments[container_id("haraka")].in_flight


# What is counted and told


def test_the_time_to_healthy_is_that_of_a_recovery_only(stage: Stage) -> None:
    with_haraka(stage).fail("haraka")
    stage.heal_in_vain("haraka")

    assert stage.records()[0]["seconds_to_healthy"] is None


def test_heals_are_counted_by_result(stage: Stage) -> None:
    with_haraka(stage).fail("haraka")
    stage.heal_in_vain("haraka")
    stage.wait(10)
    stage.heal("haraka")

    counts = {
        result: stage.metrics.registry.get_sample_value(
            "autoheal_heals_total", {"container": "haraka", "result": result}
        )
        for result in ("ok", "failed")
    }
    assert counts == {"ok": 1, "failed": 1}


def test_each_outcome_is_told_with_what_the_probe_said(stage: Stage) -> None:
    with_haraka(stage).fail("haraka", output="no mongo")
    stage.heal("haraka")

    (notice,) = stage.told.told
    assert (notice.event, notice.failure, notice.facts["probe_output"]) == ("heal_ended", False, "no mongo")


def test_a_container_that_is_stopped_by_hand_amid_its_verdict_stays_stopped_in_our_eyes(stage: Stage) -> None:
    stage.enter("haraka", labels={"autoheal.exited": "true"})
    stage.look()
    stage.fail("haraka")
    stage.perform("haraka")
    stage.now += 1
    stage.stop("haraka", 143)
    stage.wait(60)
    stage.later(60)

    assert stage.ordered == ["haraka"]
