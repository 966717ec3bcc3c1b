"""Slots: who is acted on next, and that slow stops leave room for the others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoheal.slots import SLOW_SECONDS, choose

NAMES = st.sampled_from("abcdefghij")
SECONDS = st.floats(min_value=0, max_value=60)


def test_the_most_urgent_go_first_as_many_as_there_are_slots() -> None:
    assert choose(["a", "b", "c", "d"], {}, {}, 3) == ["a", "b", "c"]


def test_what_runs_takes_a_slot() -> None:
    assert choose(["a", "b", "c"], {}, {"x": 0.1, "y": 0.1}, 3) == ["a"]
    assert choose(["a"], {}, {"x": 0.1, "y": 0.1, "z": 0.1}, 3) == []


def test_more_in_flight_than_slots_lets_nobody_in() -> None:
    assert choose(["a"], {}, {"x": 0.1, "y": 0.1}, 1) == []


def test_those_known_to_stop_slowly_wait_behind_the_quick_ones() -> None:
    assert choose(["slow", "a", "b"], {"slow": SLOW_SECONDS}, {}, 3) == ["a", "b", "slow"]
    assert choose(["slow", "a", "b"], {"slow": SLOW_SECONDS - 0.1}, {}, 3) == ["slow", "a", "b"]


def test_slow_ones_leave_one_slot_to_the_others() -> None:
    slow = {"s1": 10.0, "s2": 10.0, "s3": 10.0}

    assert choose(["s1", "s2", "s3"], slow, {}, 3) == ["s1", "s2"]
    assert choose(["s3"], slow, {"s1": 1.0, "s2": 1.0}, 3) == []
    assert choose(["s3", "a"], slow, {"s1": 1.0, "s2": 1.0}, 3) == ["a"]


def test_one_that_turns_out_to_be_slow_counts_as_slow() -> None:
    known = {"s1": 10.0}

    assert choose(["s1"], known, {"x": SLOW_SECONDS, "y": SLOW_SECONDS}, 3) == []
    assert choose(["s1"], known, {"x": SLOW_SECONDS, "y": SLOW_SECONDS - 0.1}, 3) == ["s1"]


def test_a_single_slot_serves_slow_ones_too() -> None:
    assert choose(["slow"], {"slow": 10.0}, {}, 1) == ["slow"]


def test_of_two_slots_one_is_for_the_slow() -> None:
    assert choose(["s1", "s2"], {"s1": 10.0, "s2": 10.0}, {}, 2) == ["s1"]


@given(
    st.lists(NAMES, unique=True),
    st.dictionaries(NAMES, SECONDS),
    st.dictionaries(st.sampled_from("vwxyz"), SECONDS),
    st.integers(1, 6),
)
def test_there_are_never_more_than_slots_and_never_one_that_was_not_asked_for(
    queue: list[str], known: dict[str, float], running: dict[str, float], slots: int
) -> None:
    chosen = choose(queue, known, running, slots)

    assert len(chosen) + len(running) <= max(slots, len(running))
    assert set(chosen) <= set(queue) and len(set(chosen)) == len(chosen)


@pytest.mark.parametrize("slots", [1, 2, 3, 8])
def test_a_quick_one_never_waits_while_a_slot_is_free(slots: int) -> None:
    running = {f"x{number}": 60.0 for number in range(slots - 1)}

    assert choose(["quick"], {}, running, slots) == ["quick"]
