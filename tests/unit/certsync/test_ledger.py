from pathlib import Path

import pytest

from certsync.ledger import SCHEMA, Attic, Ledger
from certsync.progress import Pair, Progress, Seen, adopted
from certsync.store import Owner, Placement
from sidecarkit import logs, state

KNOWN = adopted(Progress(target="haraka", seen=Seen.BROKEN, foreign=2), Pair("a", "b", 3.0), 4.0)


def ledger(folder: Path, complaints: list[str]) -> Ledger:
    return Ledger(state.open_database(folder / "certsync.db", SCHEMA, logs.get("test")), complaints.append)


def test_progress_is_there_after_a_new_start(tmp_path: Path) -> None:
    ledger(tmp_path, []).save(KNOWN)
    assert ledger(tmp_path, []).load("haraka") == KNOWN
    assert ledger(tmp_path, []).load("other") == Progress(target="other")


def test_a_disk_that_takes_nothing_is_told_and_the_work_goes_on_from_memory(tmp_path: Path) -> None:
    complaints: list[str] = []
    database = state.open_database(tmp_path / "certsync.db", SCHEMA, logs.get("test"))
    full = Ledger(database, complaints.append)
    full.save(KNOWN)
    database.execute("PRAGMA query_only = ON")  # as far as a writer can tell, a disk that takes nothing
    full.save(Progress(target="haraka", identity="later"))
    assert full.load("haraka").identity == "later"
    assert complaints[0] == ""
    assert "readonly" in complaints[1]
    database.execute("PRAGMA query_only = OFF")
    full.save(KNOWN)
    assert complaints[2] == ""


def test_a_previous_pair_is_given_back_as_it_was_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    attic = Attic(tmp_path)
    files = [Placement("/a/c.pem", b"cert", 0o640), Placement("/a/k.pem", b"\x00key", 0o600, Owner(1, 2), "/a")]
    attic.keep("haraka", files)
    (kept,) = tmp_path.iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert attic.take("haraka") == files
    attic.forget("haraka")
    attic.forget("haraka")
    assert not attic.has("haraka")


@pytest.mark.parametrize("document", ['{"later_field": 1, "identity": "x"}', '{"identity": "x"}'])
def test_what_another_version_stored_is_read_as_far_as_it_is_known(tmp_path: Path, document: str) -> None:
    database = state.open_database(tmp_path / "certsync.db", SCHEMA, logs.get("test"))
    database.execute("INSERT INTO progress VALUES ('haraka', ?)", (document,))
    assert Ledger(database).load("haraka") == Progress(target="haraka", identity="x")
