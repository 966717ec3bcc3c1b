from dataclasses import replace

import pytest

from certsync import progress
from certsync.progress import Abilities, Pair, Progress, Seen, Step, Trial
from certsync.refusal import Reason, Refusal

OLD, NEW = Pair("old", "spki-old", 1000.0), Pair("new", "spki-new", 2000.0)
ABLE = Abilities(verifies=True, window_seconds=15.0, probe_every_seconds=300.0)
BLIND = Abilities(verifies=False)
BLANK = Progress(target="haraka")
FAILED = Refusal(Reason.RELOAD_FAILED, "no")


def served(pair: Pair = OLD, at: float = 100.0) -> Progress:
    """Make a target whose pair is on disk, reloaded and seen."""
    known = progress.reloaded(progress.written(BLANK, pair, at), at, 0.1)
    return progress.probed(known, ABLE, Seen.SERVED, "", at)


def test_written_reloaded_verified_follow_each_other() -> None:
    known = progress.written(BLANK, NEW, 10.0)
    assert progress.due(known, ABLE, 10.0) is Step.RELOAD
    known = progress.reloaded(known, 11.0, 0.5)
    assert progress.due(known, ABLE, 11.0) is Step.VERIFY
    known = progress.probed(known, ABLE, Seen.OTHER, "old serial", 11.5)
    assert known.reason == ""
    assert progress.due(known, ABLE, 11.6) is Step.NOTHING
    assert progress.due(known, ABLE, 12.0) is Step.VERIFY
    known = progress.probed(known, ABLE, Seen.SERVED, "", 16.0)
    assert (known.verified_at, known.served, known.attempts) == (16.0, True, 0)
    assert progress.due(known, ABLE, 315.9) is Step.NOTHING
    assert progress.due(known, ABLE, 316.0) is Step.VERIFY


def test_nothing_is_due_before_the_first_delivery() -> None:
    assert progress.due(BLANK, ABLE, 1e9) is Step.NOTHING


def test_a_target_that_nobody_can_look_at_is_done_with_its_reload() -> None:
    known = progress.reloaded(progress.written(BLANK, NEW, 10.0), 10.0, 0.0)
    assert progress.due(known, BLIND, 1e9) is Step.NOTHING


def test_a_failed_reload_is_tried_again_and_again_with_longer_waits() -> None:
    known, waits, now = progress.written(BLANK, NEW, 0.0), [], 0.0
    for _ in range(7):
        known = progress.not_reloaded(known, FAILED, now)
        assert progress.due(known, ABLE, known.next_at - 0.01) is Step.NOTHING
        assert progress.due(known, ABLE, known.next_at) is Step.RELOAD
        waits.append(known.next_at - now)
        now = known.next_at
    assert waits == [1.0, 2.0, 4.0, 8.0, 15.0, 15.0, 15.0]
    assert known.refusal == FAILED
    assert progress.written(known, NEW, now).refusal is None


def test_a_reload_that_succeeds_at_last_takes_its_failures_along() -> None:
    known = progress.not_reloaded(progress.written(BLANK, NEW, 0.0), FAILED, 0.0)
    known = progress.reloaded(known, 1.0, 0.1)
    assert (known.refusal, known.attempts) == (None, 0)


def test_an_absent_container_is_asked_for_every_few_seconds() -> None:
    known = progress.written(BLANK, NEW, 0.0)
    for _ in range(9):
        known = progress.not_reloaded(known, Refusal(Reason.CONTAINER_MISSING, "absent"), 50.0)
        assert known.next_at == 55.0


def test_a_server_that_keeps_serving_the_old_one_is_reloaded_again_not_put_back() -> None:
    able = replace(ABLE, can_put_back=True)
    known = progress.reloaded(progress.written(served(), NEW, 200.0), 200.0, 0.1)
    for _ in range(5):
        now = known.reloaded_at + able.window_seconds
        known = progress.probed(known, able, Seen.OTHER, "serves the old serial", now)
        assert known.reason is Reason.VERIFY_FAILED
        assert progress.due(known, able, known.next_at) is Step.RELOAD
        known = progress.reloaded(known, known.next_at, 0.1)


def broken_twice(able: Abilities) -> Progress:
    """Deliver a new pair where the old one was served, and have it break the server twice."""
    known = progress.written(served(), NEW, 200.0)
    for _ in range(2):
        known = progress.reloaded(known, known.next_at, 0.1)
        known = progress.probed(known, able, Seen.BROKEN, "refused", known.reloaded_at + able.window_seconds)
    return known


def test_a_pair_that_breaks_the_server_is_put_back_held_and_the_alarm_stays() -> None:
    able = replace(ABLE, can_put_back=True)
    known = broken_twice(able)
    assert progress.due(known, able, known.next_at) is Step.PUT_BACK
    known = progress.put_back(known, OLD, 300.0)
    assert (known.identity, known.held, known.trial) == ("old", "new", Trial.HELD)
    assert progress.due(known, able, 300.0) is Step.RELOAD
    known = progress.probed(progress.reloaded(known, 300.0, 0.1), able, Seen.SERVED, "", 301.0)
    assert known.verified_at == 301.0
    assert known.reason is Reason.VERIFY_FAILED
    assert "put back" in known.detail
    assert progress.due(known, able, 302.0) is Step.NOTHING
    released = progress.written(known, Pair("newer", "s", 3000.0), 400.0)
    assert (released.held, released.trial, released.reason) == ("", Trial.NONE, "")


def test_without_a_previous_pair_there_is_nothing_to_put_back() -> None:
    known = broken_twice(ABLE)
    assert progress.due(known, ABLE, known.next_at) is Step.RELOAD


def test_when_the_previous_pair_is_not_served_either_the_new_one_was_not_to_blame() -> None:
    able = replace(ABLE, can_put_back=True)
    known = progress.put_back(broken_twice(able), OLD, 300.0)
    for _ in range(2):
        assert progress.due(known, able, known.next_at) is Step.RELOAD
        known = progress.reloaded(known, known.next_at, 0.1)
        known = progress.probed(known, able, Seen.BROKEN, "refused", known.reloaded_at + able.window_seconds)
    assert progress.due(known, able, known.next_at) is Step.ACQUIT
    known = progress.written(progress.acquitted(known, 400.0), NEW, 401.0)
    assert (known.trial, known.held) == (Trial.ACQUITTED, "new")
    for _ in range(5):  # it is not put back a second time
        known = progress.reloaded(known, known.next_at, 0.1)
        known = progress.probed(known, able, Seen.BROKEN, "refused", known.reloaded_at + able.window_seconds)
        assert progress.due(known, able, known.next_at) is Step.RELOAD


def test_a_server_that_is_gone_is_waited_for_without_blame() -> None:
    able = replace(ABLE, can_put_back=True)
    known = progress.reloaded(progress.written(served(), NEW, 200.0), 200.0, 0.1)
    for _ in range(5):
        known = progress.probed(known, able, Seen.ABSENT, "no such name", known.next_at + 20)
        assert progress.due(known, able, known.next_at) is Step.VERIFY


def test_a_server_that_falls_back_to_another_certificate_is_reloaded() -> None:
    known = progress.probed(served(), ABLE, Seen.OTHER, "serves another", 400.0)
    assert not known.served
    assert known.reason is Reason.VERIFY_FAILED
    assert progress.due(known, ABLE, known.next_at) is Step.RELOAD


def test_a_server_that_goes_down_later_is_looked_at_again_but_left_alone() -> None:
    known = progress.probed(served(), ABLE, Seen.BROKEN, "refused", 400.0)
    assert progress.due(known, ABLE, known.next_at) is Step.VERIFY
    known = progress.probed(known, ABLE, Seen.SERVED, "", 500.0)
    assert known.refusal is None


def test_a_consumer_with_a_plugin_is_given_time_before_it_is_restarted() -> None:
    able = replace(ABLE, patience_seconds=5.0)
    known = progress.written(BLANK, NEW, 10.0)
    assert progress.due(known, able, 10.0) is Step.VERIFY
    by_itself = progress.probed(known, able, Seen.SERVED, "", 10.5)
    assert (by_itself.reloaded_at, by_itself.verified_at) == (10.5, 10.5)
    impatient = progress.probed(known, able, Seen.OTHER, "old", 14.9)
    assert progress.due(impatient, able, 15.5) is Step.RELOAD


def test_a_pair_found_in_place_is_looked_at_before_anybody_is_told() -> None:
    assert progress.due(progress.adopted(BLANK, NEW, 10.0), ABLE, 10.0) is Step.VERIFY


def test_a_renewal_with_the_same_key_leaves_the_tlsa_record_alone() -> None:
    known = progress.written(progress.written(BLANK, OLD, 1.0), Pair("renewed", OLD.spki, 3000.0), 2.0)
    assert known.previous_spki == known.spki
    known = progress.written(known, NEW, 3.0)
    assert (known.previous_spki, known.spki) == ("spki-old", "spki-new")
    again = progress.written(known, NEW, 4.0)
    assert (again.previous_spki, again.spki) == ("spki-old", "spki-new")


@pytest.mark.parametrize(("gap", "count"), [(10.0, 2), (4000.0, 1)])
def test_foreign_writes_are_counted_within_the_hour(gap: float, count: int) -> None:
    known = progress.foreign_content(progress.foreign_content(BLANK, 10_000.0), 10_000.0 + gap)
    assert known.foreign == count
