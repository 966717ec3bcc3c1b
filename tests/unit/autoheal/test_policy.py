"""The policy: each rule, their order, and the arithmetic of backoff and budget."""

from dataclasses import replace
from typing import Any

import pytest

from autoheal import policy, wishes
from autoheal.health import Examination
from autoheal.policy import (
    EXITED,
    FOLLOWS,
    RECOVERED,
    REFUSED,
    STALE,
    STILL_FAILING,
    STOPPED,
    UNHEALTHY,
    VANISHED,
    Attempt,
    Case,
    GiveUp,
    Heal,
    Leave,
    Past,
    Surroundings,
    Wait,
    decide,
)
from lab.stage import CYCLE_SECONDS, NOON, Actor, config, with_probe


def sick(**facts: Any) -> Examination:
    return Actor("haraka", **{"health": "unhealthy", "streak": 3, **facts}).examination(NOON)


def case(*, labels: dict[str, str] | None = None, **facts: Any) -> Case:
    """Describe a container that has just turned unhealthy and deserves a heal, with some facts changed."""
    wanted, _ = wishes.read(labels or {}, config())
    usual: dict[str, Any] = {
        "reason": UNHEALTHY,
        "since": NOON,
        "now": NOON,
        "examination": sick(),
        "wishes": wanted,
        "past": Past(),
        "around": Surroundings(),
        "dependency_wait_seconds": 120.0,
    }
    return Case(**{**usual, **facts})


def failures(*sick_at: float, outcome: str = STILL_FAILING) -> tuple[Attempt, ...]:
    """Make heals that began when the container fell sick and failed three seconds later."""
    return tuple(Attempt(number, at, at, at + 3, outcome) for number, at in enumerate(sick_at, start=1))


# Who is a patient


def test_an_unhealthy_container_is_healed_at_once() -> None:
    assert decide(case()) == Heal(attempt=1)


@pytest.mark.parametrize("state", ["created", "paused", "restarting", "removing", "exited", "dead"])
@pytest.mark.parametrize("reason", [UNHEALTHY, STALE])
def test_a_container_that_does_not_run_is_left(state: str, reason: str) -> None:
    assert decide(case(reason=reason, examination=sick(state=state))) == Leave(state)


@pytest.mark.parametrize("health", ["healthy", "starting", None])
def test_a_container_that_is_not_unhealthy_any_more_is_left(health: str | None) -> None:
    assert decide(case(examination=sick(health=health))) == Leave("not_unhealthy")


def test_a_container_whose_healthcheck_was_taken_away_is_left() -> None:
    assert decide(case(examination=sick(healthcheck=None))) == Leave("not_unhealthy")


@pytest.mark.parametrize(("streak", "decision"), [(2, Leave("below_retries")), (3, Heal(1)), (4, Heal(1))])
def test_it_takes_as_many_failed_probes_as_the_healthcheck_has_retries(streak: int, decision: policy.Decision) -> None:
    assert decide(case(examination=sick(streak=streak))) == decision


@pytest.mark.parametrize("reason", [UNHEALTHY, EXITED, STALE, FOLLOWS])
def test_a_one_off_container_is_never_touched(reason: str) -> None:
    state = "exited" if reason == EXITED else "running"
    one_off = sick(labels={"com.docker.compose.oneoff": "True"}, state=state, exit_code=1)

    assert decide(case(reason=reason, examination=one_off)) == Leave("one_off")


@pytest.mark.parametrize(
    ("facts", "decision"),
    [
        ({"state": "exited", "exit_code": 1}, Heal(1)),
        ({"state": "exited", "exit_code": 0}, Leave("not_exited")),
        ({"state": "exited", "exit_code": 0, "oom_killed": True}, Heal(1)),
        ({"state": "dead", "exit_code": 0}, Heal(1)),
        ({"state": "running", "exit_code": 1}, Leave("not_exited")),
        ({"state": "restarting", "exit_code": 1}, Leave("not_exited")),
        ({"state": "removing", "exit_code": 1}, Leave("not_exited")),
    ],
)
def test_an_exited_container_is_healed_when_it_failed(facts: dict[str, Any], decision: policy.Decision) -> None:
    assert decide(case(reason=EXITED, examination=sick(**facts))) == decision


def test_stopped_probes_are_healed_whatever_the_health_reads() -> None:
    assert decide(case(reason=STALE, examination=sick(health="healthy", streak=0))) == Heal(1)


@pytest.mark.parametrize(
    ("state", "decision"), [("running", Heal(1)), ("exited", Heal(1)), ("paused", Leave("paused"))]
)
def test_a_follower_is_restarted_where_it_runs_or_died_with_its_donor(state: str, decision: policy.Decision) -> None:
    assert decide(case(reason=FOLLOWS, examination=sick(state=state, health="healthy", streak=0))) == decision


# What forbids a heal


FORBIDDEN = [
    (Surroundings(replaced=True), "being_replaced"),
    (Surroundings(stopping=True), "being_stopped"),
    (Surroundings(resting=True), "paused"),
    (Surroundings(donor="needs_recreation"), "needs_recreation"),
    (Surroundings(donor="donor_stopped"), "donor_stopped"),
]


@pytest.mark.parametrize("reason", [UNHEALTHY, STALE, FOLLOWS])
@pytest.mark.parametrize(("around", "why"), FORBIDDEN)
def test_what_forbids_a_heal_forbids_it_for_every_reason(reason: str, around: Surroundings, why: str) -> None:
    assert decide(case(reason=reason, around=around)) == Wait(why)


def test_what_was_given_up_is_left_alone() -> None:
    assert decide(case(past=Past(given_up_at=NOON - 1))) == Wait("given_up")


def test_the_most_forbidding_rule_is_named() -> None:
    everything = Surroundings(stopping=True, replaced=True, resting=True, donor="donor_stopped", troubles=("mongo",))
    spent = Past(failures(*[NOON - 60] * 5), given_up_at=NOON - 1)
    worst = case(labels={"autoheal.hold": "1h"}, around=everything, past=spent)
    named = []

    for field, harmless in [("replaced", False), ("stopping", False), ("resting", False), ("donor", None)]:
        named.append(getattr(decide(worst), "why", None))
        worst = replace(worst, around=replace(worst.around, **{field: harmless}))
    named.append(getattr(decide(worst), "why", None))
    worst = replace(worst, past=replace(worst.past, given_up_at=None))
    named.append(getattr(decide(worst), "why", None))
    worst = replace(worst, now=NOON + 3600)
    spent_again = decide(replace(worst, past=Past(failures(*[NOON + 3000] * 5))))
    worst = replace(worst, past=Past())
    named.append(getattr(decide(worst), "why", None))

    assert named == ["being_replaced", "being_stopped", "paused", "donor_stopped", "given_up", "hold", "dependency"]
    assert spent_again == GiveUp(5)


# Hold


def test_a_hold_delays_the_heal_until_it_has_lasted() -> None:
    held = case(labels={"autoheal.hold": "30s"})

    assert decide(replace(held, now=NOON + 29.9)) == Wait("hold", NOON + 30)
    assert decide(replace(held, now=NOON + 30)) == Heal(1)


# Backoff


def waits(labels: dict[str, str] | None = None, failed: int = 8) -> list[float]:
    """Let a container fail again and again; say how long after falling sick each heal may begin."""
    wanted, _ = wishes.read({"autoheal.max-restarts": "100", **(labels or {})}, config())
    found, past, now = [], Past(), NOON
    for number in range(1, failed + 1):
        due = past.due(now, wanted.backoff_seconds)
        found.append(due - now)
        past = Past((*past.attempts, Attempt(number, now, due, due + 3, STILL_FAILING)))
        now = due + 3
    return found


def test_heals_come_at_once_then_after_ten_seconds_doubling_to_five_minutes() -> None:
    assert waits() == [0, 10, 20, 40, 80, 160, 300, 300]


def test_a_label_sets_the_first_wait() -> None:
    assert waits({"autoheal.backoff": "1m"}, 5) == [0, 60, 120, 240, 300]


def test_a_backoff_above_five_minutes_stays_what_was_asked_for() -> None:
    assert waits({"autoheal.backoff": "10m"}, 4) == [0, 600, 600, 600]


def test_no_backoff_means_no_wait() -> None:
    assert waits({"autoheal.backoff": "0s"}, 3) == [0, 0, 0]


def test_hundreds_of_failures_do_not_overflow() -> None:
    assert waits(failed=300)[-1] == 300


def test_the_wait_is_counted_from_when_it_fell_sick_again() -> None:
    again = case(past=Past(failures(NOON - 100)), since=NOON, now=NOON + 9.9)

    assert decide(again) == Wait("backoff", NOON + 10)
    assert decide(replace(again, now=NOON + 10)) == Heal(2)


def test_after_a_refused_heal_the_wait_is_counted_from_the_refusal() -> None:
    refused = Past((Attempt(1, NOON - 60, NOON - 60, NOON - 1, REFUSED),))

    assert decide(case(past=refused, since=NOON - 60)) == Wait("backoff", NOON + 9)


@pytest.mark.parametrize(("healthy_seconds", "decision"), [(599, Wait("backoff", NOON + 10)), (600, Heal(1))])
def test_ten_healthy_minutes_after_a_heal_are_forgiveness(healthy_seconds: float, decision: policy.Decision) -> None:
    ended = NOON - healthy_seconds
    recovered = Past((Attempt(1, ended - 5, ended - 5, ended, RECOVERED),))

    assert decide(case(past=recovered)) == decision


def test_a_recovery_shorter_than_that_does_not_break_the_row() -> None:
    flapping = Past(
        (
            Attempt(1, NOON - 200, NOON - 200, NOON - 190, RECOVERED),
            Attempt(2, NOON - 100, NOON - 90, NOON - 80, RECOVERED),
        )
    )

    assert decide(case(past=flapping, now=NOON + 20)) == Heal(3)


def test_ten_healthy_minutes_count_when_it_got_well_by_itself_after_a_failed_heal() -> None:
    alone = Past(failures(NOON - 900, NOON - 880), healthy_at=NOON - 600)

    assert decide(case(past=alone)) == Heal(1)
    assert decide(case(past=replace(alone, healthy_at=NOON - 599))) == Wait("backoff", NOON + 20)


def test_a_relapse_that_healed_itself_begins_the_ten_minutes_anew() -> None:
    relapsed = Past((Attempt(1, NOON - 905, NOON - 905, NOON - 900, RECOVERED),), healthy_at=NOON - 500)

    assert decide(case(past=relapsed)) == Wait("backoff", NOON + 10)


def test_health_from_before_the_last_heal_forgives_nothing() -> None:
    once_well = Past((Attempt(2, NOON - 60, NOON - 60, NOON - 50, STILL_FAILING),), healthy_at=NOON - 5000)

    assert decide(case(past=once_well)) == Wait("backoff", NOON + 20)


def test_a_row_that_was_forgiven_begins_at_one_again() -> None:
    past = Past((*failures(NOON - 5000, NOON - 4990), Attempt(1, NOON - 20, NOON - 20, NOON - 10, STILL_FAILING)))

    assert past.in_a_row(NOON) == 1


@pytest.mark.parametrize("outcome", [STOPPED, None])
def test_a_heal_that_did_not_recover_it_counts_for_the_backoff(outcome: str | None) -> None:
    assert Past((Attempt(3, NOON - 9000, NOON - 9000, None, outcome),)).in_a_row(NOON) == 3


def test_what_lies_before_the_clearing_is_forgotten() -> None:
    cleared = Past(failures(*[NOON - 60] * 5), cleared_at=NOON - 30)

    assert decide(case(past=cleared)) == Heal(1)


# Budget


def test_five_failed_heals_within_an_hour_are_the_end() -> None:
    four = failures(*[NOON - 3000, NOON - 2000, NOON - 1000, NOON - 500])

    assert decide(case(past=Past(four), now=NOON + 80)) == Heal(5)
    assert decide(case(past=Past((*four, *failures(NOON - 400))))) == GiveUp(5)


def test_a_failure_older_than_the_window_is_not_counted() -> None:
    past = Past(failures(*[NOON - 3600, NOON - 2000, NOON - 1000, NOON - 500, NOON - 400]))

    assert past.failed(NOON - 1, 3600.0) == 5
    assert past.failed(NOON, 3600.0) == 4


def test_giving_up_comes_before_another_wait() -> None:
    assert decide(case(past=Past(failures(*[NOON - 3] * 5)))) == GiveUp(5)


def test_labels_set_budget_and_window() -> None:
    twice = case(
        labels={"autoheal.max-restarts": "2", "autoheal.window": "1m"}, past=Past(failures(NOON - 59, NOON - 30))
    )

    assert decide(twice) == GiveUp(2)
    assert isinstance(decide(replace(twice, now=NOON + 2)), Wait)


@pytest.mark.parametrize(
    ("outcome", "counts"),
    [(STILL_FAILING, True), (REFUSED, True), (RECOVERED, False), (VANISHED, False), (STOPPED, False), (None, False)],
)
def test_only_failed_heals_are_held_against_a_container(outcome: str | None, counts: bool) -> None:
    past = Past((Attempt(1, NOON - 60, NOON - 60, NOON - 50, outcome),))

    assert past.failed(NOON, 3600.0) == counts


def test_a_follower_waits_for_no_hold_backoff_or_budget() -> None:
    worn = case(reason=FOLLOWS, labels={"autoheal.hold": "1h"}, past=Past(failures(*[NOON - 1] * 9)))

    assert isinstance(decide(worn), Heal)


# Root cause first


def test_it_waits_for_what_it_depends_on_and_names_it() -> None:
    waiting = case(around=Surroundings(troubles=("mongo", "redis"), waiting_since=NOON))

    assert decide(waiting) == Wait("dependency", NOON + 120, ("mongo", "redis"))
    assert decide(replace(waiting, now=NOON + 119.9)) == Wait("dependency", NOON + 120, ("mongo", "redis"))


def test_a_dependency_that_stays_sick_ends_in_a_bounded_wait() -> None:
    assert decide(case(around=Surroundings(troubles=("mongo",), waiting_since=NOON), now=NOON + 120)) == Heal(1)


def test_a_wait_that_begins_now_is_measured_from_now() -> None:
    assert decide(case(around=Surroundings(troubles=("mongo",)))) == Wait("dependency", NOON + 120, ("mongo",))


def test_after_that_it_gets_one_health_cycle_to_recover_alone() -> None:
    relieved = case(around=Surroundings(waiting_since=NOON - 60, relieved_at=NOON))

    assert decide(relieved) == Wait("recovering_alone", NOON + CYCLE_SECONDS)
    assert decide(replace(relieved, now=NOON + CYCLE_SECONDS)) == Heal(1)


def test_the_cycle_is_the_healthchecks_own_interval_and_timeout() -> None:
    slow = sick(healthcheck=with_probe(Interval=30 * 10**9, Timeout=5 * 10**9))

    assert decide(case(examination=slow, around=Surroundings(relieved_at=NOON))) == Wait("recovering_alone", NOON + 35)


@pytest.mark.parametrize(("ended", "decision"), [(-0.5, Heal(1)), (-0.95, Wait("recovering_alone", NOON + 2))])
def test_the_first_probe_that_began_after_the_relief_ends_the_cycle(ended: float, decision: policy.Decision) -> None:
    probed = sick(failed_at=[NOON + ended], outputs=["refused"])  # a probe takes 0.1 s

    assert decide(case(examination=probed, around=Surroundings(relieved_at=NOON - 1))) == decision


def test_what_exited_does_not_recover_alone() -> None:
    exited = sick(state="exited", exit_code=1)

    assert decide(case(reason=EXITED, examination=exited, around=Surroundings(relieved_at=NOON))) == Heal(1)


def test_a_follower_does_not_wait_for_its_dependencies_here() -> None:
    assert decide(case(reason=FOLLOWS, around=Surroundings(troubles=("mongo",)))) == Heal(1)
