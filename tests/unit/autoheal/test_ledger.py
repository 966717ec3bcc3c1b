"""The ledger on a real disk: records, budgets, maintenance, and a file that is damaged."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from autoheal import ledger
from autoheal.ledger import EVERYTHING, FILE, KEPT_RECORDS, KEPT_STANDING_SECONDS, Ledger, Pause, Subject
from autoheal.policy import Attempt, Past
from lab.stage import NOON
from sidecarkit import logs, state

LOG = logs.get("autoheal")
HARAKA = Subject("4f" * 32, "mail-haraka-1", "mail", "haraka")
MONGO = Subject("a0" * 32, "mail-mongo-1", "mail", "mongo")


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(tmp_path, LOG)
    yield opened
    opened.close()


@pytest.fixture
def other(tmp_path: Path, book: Ledger) -> Iterator[Ledger]:
    """Open the same ledger as a command does, beside the loop."""
    opened = Ledger(tmp_path, LOG)
    yield opened
    opened.close()


def heal(book: Ledger, called_at: float, outcome: str | None = None, subject: Subject = HARAKA, **facts: object) -> int:
    record = book.record(subject, "heal", str(facts.pop("reason", "unhealthy")), called_at=called_at, **facts)
    if outcome:
        book.amend(record, outcome=outcome, outcome_at=called_at + 3)
    return record


# Records


def test_a_record_is_on_the_disk_at_once_and_amended_later(tmp_path: Path, book: Ledger) -> None:
    record = heal(book, NOON, attempt=1, sick_at=NOON - 1, probes=[{"output": "no"}])
    reader = state.open_read_only(tmp_path / FILE)
    assert (ledger.read_record(reader, record) or {})["outcome"] is None

    book.amend(record, outcome="recovered", log_lines=["a", "b"])

    found = ledger.read_record(reader, record)
    assert found is not None
    assert (found["container"], found["service"], found["decision"], found["reason"]) == (
        "mail-haraka-1",
        "haraka",
        "heal",
        "unhealthy",
    )
    assert (found["outcome"], found["probes"], found["log_lines"]) == ("recovered", [{"output": "no"}], ["a", "b"])
    reader.close()


def test_what_was_never_recorded_is_none(tmp_path: Path, book: Ledger) -> None:
    assert ledger.read_record(state.open_read_only(tmp_path / FILE), 7) is None


def test_records_are_read_newest_first_and_no_more_than_asked_for(tmp_path: Path, book: Ledger) -> None:
    made = [heal(book, NOON + number) for number in range(3)]
    reader = state.open_read_only(tmp_path / FILE)

    assert [each["id"] for each in ledger.read_records(reader, container=None, limit=2)] == made[:0:-1]


@pytest.mark.parametrize(
    ("name", "found"),
    [("mail-haraka-1", 1), ("haraka", 1), ("4f4f", 1), ("4f4", 0), ("%", 0), ("nobody", 0), ("mail", 0)],
)
def test_records_of_one_container_are_found_by_name_service_or_start_of_the_id(
    tmp_path: Path, book: Ledger, name: str, found: int
) -> None:
    heal(book, NOON)
    heal(book, NOON, subject=MONGO)

    assert len(ledger.read_records(state.open_read_only(tmp_path / FILE), container=name, limit=9)) == found


def test_open_heals_are_those_that_were_intended_and_have_no_outcome(book: Ledger) -> None:
    heal(book, NOON, "recovered")
    heal(book, NOON, dry_run=1)
    book.record(HARAKA, "skip", "paused")
    left = heal(book, NOON + 5)

    assert [row["id"] for row in book.open_heals()] == [left]


def test_many_changes_together_are_kept_together_or_not_at_all(book: Ledger) -> None:
    with pytest.raises(RuntimeError):
        _heal_and_fail(book)

    assert book.open_heals() == []
    with book.together():
        heal(book, NOON)
    assert len(book.open_heals()) == 1


def _heal_and_fail(book: Ledger) -> None:
    with book.together():
        heal(book, NOON)
        raise RuntimeError


def test_the_oldest_records_are_forgotten_but_never_an_open_heal(tmp_path: Path, book: Ledger) -> None:
    with book.together():
        still_open = heal(book, NOON)
        for number in range(KEPT_RECORDS + 10):
            heal(book, NOON + number, "recovered")

    book.prune((), NOON)

    kept = ledger.read_records(state.open_read_only(tmp_path / FILE), container=None, limit=10 * KEPT_RECORDS)
    assert len(kept) == KEPT_RECORDS + 1
    assert kept[-1]["id"] == still_open


def test_how_a_container_stood_is_forgotten_a_week_after_it_is_gone_and_not_before(book: Ledger) -> None:
    later = NOON + KEPT_STANDING_SECONDS
    book.stand(HARAKA, Past(given_up_at=NOON))
    book.stand(replace(HARAKA, container_id="gone"), Past(given_up_at=NOON))
    book.stand(replace(HARAKA, container_id="gone lately"), Past(cleared_at=NOON + 1))

    book.prune([HARAKA.container_id], later)
    assert len(book.pasts()) == 3

    book.prune([HARAKA.container_id], later + 1)
    assert book.pasts().keys() == {HARAKA.container_id, "gone lately"}


# Budgets


def test_a_past_holds_the_attempts_of_a_container_oldest_first(book: Ledger) -> None:
    heal(book, NOON, "still_failing", attempt=1, sick_at=NOON - 1)
    heal(book, NOON + 10, attempt=2, sick_at=NOON + 9)

    assert book.pasts() == {
        HARAKA.container_id: Past(
            (
                Attempt(1, NOON - 1, NOON, NOON + 3, "still_failing"),
                Attempt(2, NOON + 9, NOON + 10, None, None),
            )
        )
    }


def test_neither_followers_nor_dry_runs_nor_skips_are_attempts(book: Ledger) -> None:
    heal(book, NOON, "recovered", reason="follows")
    heal(book, NOON, dry_run=1)
    book.record(HARAKA, "skip", "paused")

    assert book.pasts() == {}


def test_a_container_that_was_given_up_stays_so(tmp_path: Path, book: Ledger) -> None:
    heal(book, NOON, "still_failing")
    book.stand(HARAKA, Past(given_up_at=NOON + 5, cleared_at=NOON - 5))
    book.close()

    past = Ledger(tmp_path, LOG).pasts()[HARAKA.container_id]

    assert (past.given_up_at, past.cleared_at, len(past.attempts)) == (NOON + 5, NOON - 5, 1)


def test_when_our_last_action_ended_is_its_answer_else_its_outcome_else_not_yet(book: Ledger) -> None:
    heal(book, NOON, "recovered", answered_at=NOON + 1)
    assert book.acted_until() == {HARAKA.container_id: NOON + 1}
    heal(book, NOON + 10, "refused", reason="follows")
    assert book.acted_until() == {HARAKA.container_id: NOON + 13}
    heal(book, NOON + 20)
    assert book.acted_until() == {HARAKA.container_id: math.inf}
    heal(book, NOON + 30, dry_run=1, answered_at=NOON + 31)
    assert book.acted_until() == {HARAKA.container_id: math.inf}


def test_how_long_the_last_stop_took_is_remembered(book: Ledger) -> None:
    heal(book, NOON, answered_at=NOON + 10, http_status=204)
    heal(book, NOON + 60, answered_at=NOON + 62, http_status=204)
    heal(book, NOON + 90, answered_at=NOON + 99, http_status=500)

    assert book.stop_seconds() == {HARAKA.container_id: 2.0}


# Maintenance


def test_maintenance_lasts_until_its_end_or_until_it_is_resumed(book: Ledger) -> None:
    book.pause("haraka", None)
    book.pause("mongo", NOON + 60)

    assert set(book.pauses(NOON)) == {Pause("haraka", None), Pause("mongo", NOON + 60)}
    assert book.pauses(NOON + 60) == (Pause("haraka", None),)


def test_maintenance_that_is_asked_for_again_has_the_new_end(book: Ledger) -> None:
    book.pause("haraka", NOON + 60)
    book.pause("haraka", NOON + 600)

    assert book.pauses(NOON) == (Pause("haraka", NOON + 600),)


def test_maintenance_survives_a_restart(tmp_path: Path, book: Ledger) -> None:
    book.pause(EVERYTHING, None)
    book.close()

    assert Ledger(tmp_path, LOG).pauses(NOON) == (Pause(EVERYTHING, None),)


def test_resume_ends_the_maintenance_of_that_name_only(book: Ledger) -> None:
    book.pause("haraka", None)
    book.pause("mongo", None)

    assert book.resume("haraka", [])[0] == "maintenance ended"
    assert book.pauses(NOON) == (Pause("mongo", None),)


def test_resume_of_all_ends_every_maintenance(book: Ledger) -> None:
    book.pause("haraka", None)
    book.pause(EVERYTHING, None)
    book.resume(EVERYTHING, [])

    assert book.pauses(NOON) == ()


@pytest.mark.parametrize("name", ["haraka", "mail-haraka-1", "4f4f4f", EVERYTHING])
def test_resume_gives_up_no_longer_what_answers_to_the_name(book: Ledger, name: str) -> None:
    for subject in (HARAKA, MONGO):
        heal(book, NOON, "still_failing", subject=subject)
        book.stand(subject, Past(given_up_at=NOON))

    changed = book.resume(name, [HARAKA, MONGO])

    pasts = book.pasts()
    assert pasts[HARAKA.container_id].given_up_at is None
    assert pasts[HARAKA.container_id].failed(NOON + 1, 3600.0) == 0
    assert (pasts[MONGO.container_id].given_up_at is None) == (name == EVERYTHING)
    assert "mail-haraka-1: budget is whole again" in changed


def test_resume_of_nobody_says_that_nothing_changed(book: Ledger) -> None:
    assert book.resume("nobody", [HARAKA]) == []


# Two at once


def test_the_loop_notices_what_a_command_wrote_and_not_what_it_wrote_itself(book: Ledger, other: Ledger) -> None:
    book.changed_by_others()
    heal(book, NOON)
    assert not book.changed_by_others()

    other.pause("haraka", None)

    assert book.changed_by_others()
    assert not book.changed_by_others()


# What is shown


def test_views_are_replaced_removed_and_read_in_order_of_name(tmp_path: Path, book: Ledger) -> None:
    book.show(
        {"1": {"container": "mongo"}, "2": {"container": "haraka", "health": "starting"}, "3": {"container": "x"}}
    )
    book.show({"2": {"container": "haraka", "health": "healthy"}, "3": None})
    reader = state.open_read_only(tmp_path / FILE)

    assert ledger.read_views(reader) == [{"container": "haraka", "health": "healthy"}, {"container": "mongo"}]
    book.forget_views()
    assert ledger.read_views(reader) == []


# Damage


@pytest.mark.parametrize("content", [b"this is no database", b"SQLite format 3\0" + b"\xff" * 4000])
def test_a_damaged_file_is_set_aside_and_a_new_one_begun(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)

    book = Ledger(tmp_path, LOG)

    assert book.pasts() == {}
    (aside,) = tmp_path.glob(f"{FILE}.damaged-*")
    assert aside.read_bytes() == content
    heal(book, NOON)
    assert len(book.open_heals()) == 1
    book.close()


def test_a_missing_file_is_begun(tmp_path: Path) -> None:
    Ledger(tmp_path, LOG).close()

    assert (tmp_path / FILE).exists()
