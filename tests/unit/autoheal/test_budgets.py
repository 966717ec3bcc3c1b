"""Histories of containers that fail again and again: backoff, giving up, and beginning anew."""

from collections.abc import Callable

from lab.stage import Stage, container_id, with_haraka

MakeStage = Callable[..., Stage]


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


def test_a_restart_by_hand_in_the_very_moment_of_giving_up_begins_anew(make_stage: MakeStage) -> None:
    stage = make_stage(max_restarts="1")
    with_haraka(stage).fail("haraka")
    stage.perform("haraka")
    stage.now += 0.05
    stage.fail("haraka")
    assert stage.decisions()[-1] == ("give_up", "unhealthy")
    stage.now += 0.05
    stage.restart_by_hand("haraka")
    stage.now += 0.05
    stage.fail("haraka")

    assert stage.ordered == ["haraka"] * 2


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


def test_one_found_well_after_a_failed_heal_counts_its_ten_minutes_from_then(stage: Stage) -> None:
    with_haraka(stage).fail("haraka")
    stage.heal_in_vain("haraka")
    stage.now += 5
    stage.recover("haraka", heard=False)

    stage.begin()
    stage.look()
    stage.later(601)
    stage.fail("haraka")

    assert stage.ordered == ["haraka"]
    assert stage.records()[-1]["attempt"] == 1


def test_a_second_start_amid_a_verdict_is_not_taken_for_ours(stage: Stage) -> None:
    with_haraka(stage).fail("haraka")
    stage.perform("haraka")
    stage.now += 3
    care, haraka = stage.ward.care, container_id("haraka")

    assert care.started(haraka, stage.now) is False
    assert care.started(haraka, stage.now - 3) is True  # told again


def test_a_restart_by_hand_after_the_verdict_restores_the_budget_when_no_event_told_of_it(stage: Stage) -> None:
    with_haraka(stage).fail("haraka")
    stage.heal_in_vain("haraka")
    stage.now += 5
    stage.start("haraka", heard=False)
    stage.look()
    stage.now += 3
    stage.fail("haraka")

    assert stage.ordered == ["haraka"] * 2
    assert stage.records()[-1]["attempt"] == 1
