"""What is well, what is wrong, and what is not known."""

from dataclasses import replace
from typing import Any

import pytest

from stats import policy
from stats.facts import Bans, Certificate, Configuration, Container, Heals, Reading
from stats.policy import State
from stats.snapshot import Snapshot, Standing

NOW = 1_000_000.0
DAY = 86400.0
HARAKA = Container(
    id="a" * 64, name="stack-haraka-1", service="haraka", project="stack", image="haraka:3", state="running",
    health="healthy", restart_policy="unless-stopped",
)  # fmt: skip
CERTIFICATE = Certificate("haraka", "mail.example.com", NOW + 60 * DAY, in_sync=True, served=True, reason=None)


def fresh(answer: object) -> Standing[object]:
    return Standing(used=True, answer=answer, answered_at=NOW - 3, looked_at=NOW - 3)


def verdict(**standings: Standing[object]) -> policy.Verdict:
    return policy.verdict(Snapshot(NOW, 15.0, standings), NOW, queue_limit=500)


def test_when_everything_answers_and_nothing_is_wrong_all_is_well() -> None:
    found = verdict(
        engine=fresh((HARAKA,)),
        redis=fresh(Reading(0.001)),
        zonemta=fresh(Reading(0.01, {"deferred": 500})),
        autoheal=fresh(Heals({"haraka": 2}, NOW - DAY, frozenset(), sees_engine=True)),
        certsync=fresh((CERTIFICATE,)),
        logban=fresh(Bans({"mail-auth": 3}, ())),
    )
    assert (found.ok, found.line) == (True, "All well")


def test_what_was_never_heard_of_is_unknown_and_not_well() -> None:
    found = verdict(redis=Standing(used=True), mongo=fresh(Reading(0.1)))
    assert (found.ok, found.line) == (None, "Not known: redis")


def test_what_is_not_used_is_no_problem() -> None:
    assert verdict(redis=Standing()).ok is True


@pytest.mark.parametrize(
    ("standing", "state"),
    [
        (Standing(), State.UNUSED),
        (Standing(used=True), State.UNKNOWN),
        (fresh(Reading(0.1)), State.UP),
        (fresh(Reading(0.1, note="is still loading its data")), State.DEGRADED),
        (replace(fresh(Reading(0.1)), failure="refuses connections"), State.DOWN),
        (replace(fresh(Reading(0.1)), looked_at=NOW - 35), State.UP),
        (replace(fresh(Reading(0.1)), looked_at=NOW - 36), State.STALE),
        (replace(fresh(Reading(0.1)), looked_at=NOW - 36, failure="refuses connections"), State.STALE),
    ],
)
def test_a_source_is_judged_by_its_last_look_unless_that_is_too_old(standing: Standing[object], state: State) -> None:
    assert policy.state(standing, NOW, 15.0) is state


def test_the_first_line_names_three_problems_and_counts_the_others() -> None:
    sick = tuple(replace(HARAKA, service=name, health="unhealthy") for name in ("a", "b", "c", "d", "e"))
    assert verdict(engine=fresh(sick)).line == "5 problems: a unhealthy, b unhealthy, c unhealthy and 2 more"


def test_problems_are_said_in_a_few_words_each() -> None:
    found = verdict(
        engine=fresh((replace(HARAKA, health="unhealthy"),)),
        redis=replace(fresh(Reading(0.1)), failure="no answer within 2 s"),
        rspamd=fresh(Reading(0.1, note="does not tell its figures")),
        zonemta=fresh(Reading(0.01, {"deferred": 501})),
        autoheal=fresh(Heals({}, NOW, frozenset({"haraka"}), sees_engine=False)),
        certsync=fresh((replace(CERTIFICATE, served=False),)),
        logban=fresh(Bans({}, (), ("the firewall did not do what was asked",))),
    )
    assert found.problems == (
        "redis down (no answer within 2 s)",
        "rspamd: does not tell its figures",
        "haraka unhealthy",
        "autoheal has given up on haraka",
        "autoheal cannot ask the engine",
        "queue 501",
        "certificate haraka: not served",
        "logban: the firewall did not do what was asked",
    )
    assert found.ok is False


def test_what_a_source_said_before_it_went_down_is_not_held_against_anybody() -> None:
    found = verdict(engine=replace(fresh((replace(HARAKA, health="unhealthy"),)), failure="no answer in time"))
    assert found.problems == ("engine down (no answer in time)",)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({}, None),
        ({"health": "starting"}, None),
        ({"health": None}, None),
        ({"health": "unhealthy"}, "unhealthy"),
        ({"state": "paused"}, "paused"),
        ({"state": "restarting"}, "restarting"),
        ({"state": "dead"}, "dead"),
        ({"state": "exited", "exit_code": 0}, "not running"),
        ({"state": "created"}, "not running"),
        ({"state": "exited", "exit_code": 0, "restart_policy": "no"}, None),
        ({"state": "exited", "exit_code": 1, "restart_policy": "no"}, "failed with status 1"),
        ({"state": "exited", "exit_code": 1, "restart_policy": "no", "project": None}, None),
        ({"state": "exited", "exit_code": 1, "one_off": True}, None),
        ({"state": "removing"}, None),
    ],
)
def test_a_container_is_a_problem_when_it_should_run_and_does_not(
    change: dict[str, object], problem: str | None
) -> None:
    one = replace(HARAKA, **change)  # type: ignore[arg-type]
    assert policy.container_problem(one) == problem
    assert policy.is_up(one) in {True, None} or problem
    assert not policy.cannot_be_judged(one)


@pytest.mark.parametrize("change", [{"restart_policy": None}, {"restart_policy": "no", "exit_code": None}])
def test_a_stopped_container_of_which_the_engine_told_no_more_is_unknown_and_not_well(change: dict[str, Any]) -> None:
    found = verdict(engine=fresh((replace(HARAKA, state="exited", **change),)))
    assert (found.ok, found.line) == (None, "Not known: haraka")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({}, None),
        ({"served": None}, None),
        ({"not_after": None}, None),
        ({"not_after": NOW - 1}, "expired"),
        ({"not_after": NOW + 14 * DAY}, None),
        ({"not_after": NOW + 13.9 * DAY}, "ends in 13 days"),
        ({"served": False, "reason": "verify_failed"}, "not served"),
        ({"in_sync": False, "reason": "source_torn"}, "source torn"),
        ({"in_sync": False}, "not delivered"),
    ],
)
def test_a_certificate_is_a_problem_when_it_ends_or_is_not_where_it_should_be(
    change: dict[str, object], problem: str | None
) -> None:
    one = replace(CERTIFICATE, **change)  # type: ignore[arg-type]
    assert policy.certificate_problem(one, NOW) == problem


@pytest.mark.parametrize(
    ("findings", "problems"),
    [
        ({"error": 0, "warning": 4}, []),
        ({"error": 1, "warning": 0}, ["configuration: 1 error"]),
        ({"error": 3, "warning": 4}, ["configuration: 3 errors"]),
    ],
)
def test_only_errors_of_the_configuration_are_problems(findings: dict[str, int], problems: list[str]) -> None:
    assert policy.configuration_problems(Configuration(findings, 1)) == problems
