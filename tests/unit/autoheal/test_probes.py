"""Histories of probes that run no more."""

from collections.abc import Callable

from lab.stage import CYCLE_SECONDS, Stage, with_haraka, with_probe

MakeStage = Callable[..., Stage]


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
