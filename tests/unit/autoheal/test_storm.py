"""The storm guard: when it holds, who may be healed meanwhile, and what ends it."""

import pytest

from autoheal.storm import Storm, eased, may_heal, sent, settled, sickened

HELD = Storm(held_since=100.0)


def after(times: list[float], watched: int) -> Storm:
    """Have one container after another turn sick."""
    storm = Storm()
    for number, at in enumerate(times):
        storm = sickened(storm, f"c{number}", at, watched)
    return storm


@pytest.mark.parametrize(
    ("sick", "watched", "held"),
    [(4, 4, False), (5, 5, True), (5, 9, True), (5, 10, False), (6, 11, True), (50, 100, False), (51, 100, True)],
)
def test_more_than_half_and_at_least_five_at_once_are_a_storm(sick: int, watched: int, held: bool) -> None:
    assert after([100.0] * sick, watched).held == held


def test_thirty_seconds_are_at_once_and_a_moment_more_is_not() -> None:
    assert after([100, 107, 115, 122, 130], watched=5).held
    assert not after([100, 107, 115, 122, 130.1], watched=5).held


def test_one_container_that_turns_sick_again_and_again_is_no_storm() -> None:
    storm = Storm()
    for at in range(9):
        storm = sickened(storm, "haraka", float(at), watched=5)

    assert not storm.held
    assert storm.onsets == (("haraka", 8.0),)


def test_a_storm_begins_when_it_was_noticed_and_not_anew_with_each_further_one() -> None:
    assert after([100, 101, 102, 103, 104, 105], watched=5).held_since == 104


def test_without_a_storm_everyone_may_be_healed() -> None:
    assert may_heal(Storm(), "haraka")
    assert sent(Storm(), "haraka") == Storm()


def test_the_first_to_be_healed_in_a_storm_is_the_canary_and_only_it_may_be() -> None:
    storm = sent(HELD, "mongo")

    assert may_heal(HELD, "haraka")
    assert (may_heal(storm, "mongo"), may_heal(storm, "haraka")) == (True, False)
    assert sent(storm, "haraka") == storm


def test_a_canary_that_is_well_ends_the_storm() -> None:
    assert settled(sent(HELD, "mongo"), "mongo", recovered=True) == Storm()


def test_a_canary_that_is_not_well_makes_room_for_another() -> None:
    storm = settled(sent(HELD, "mongo"), "mongo", recovered=False)

    assert storm.held
    assert may_heal(storm, "haraka")


def test_how_another_one_fares_says_nothing_about_the_storm() -> None:
    storm = sent(HELD, "mongo")

    assert settled(storm, "haraka", recovered=True) == storm
    assert settled(HELD, "haraka", recovered=True) == HELD
    assert settled(Storm(canary="mongo"), "mongo", recovered=False) == Storm(canary="mongo")


@pytest.mark.parametrize(
    ("sick", "watched", "over"), [(4, 5, True), (5, 9, False), (5, 10, True), (6, 10, False), (60, 120, True)]
)
def test_when_most_got_well_by_themselves_the_storm_is_over(sick: int, watched: int, over: bool) -> None:
    assert (eased(HELD, sick, watched) == Storm()) == over


def test_while_the_canary_is_out_its_fate_decides_and_not_the_numbers() -> None:
    storm = sent(HELD, "mongo")

    assert eased(storm, 0, 10) == storm


def test_without_a_storm_there_is_nothing_to_ease() -> None:
    calm = Storm(onsets=(("haraka", 1.0),))

    assert eased(calm, 0, 10) == calm
