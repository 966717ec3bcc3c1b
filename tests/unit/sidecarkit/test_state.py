"""State: one owner, a database that survives, and a damaged file that stops nobody."""

import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sidecarkit import logs, state
from sidecarkit.errors import SettingsError, SidecarError, StateBusy

SCHEMA = "CREATE TABLE IF NOT EXISTS heals (name TEXT); CREATE TABLE IF NOT EXISTS pauses (name TEXT)"
LOG = logs.get("demo")


def names(database: sqlite3.Connection) -> list[str]:
    return [row["name"] for row in database.execute("SELECT name FROM heals")]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "demo.sqlite"


# The folder


def test_the_folder_is_made_when_it_is_missing(tmp_path: Path) -> None:
    state.prepare(tmp_path / "var" / "demo", "DEMO_STATE")

    assert list((tmp_path / "var" / "demo").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(SettingsError, match=r"^DEMO_STATE='.*/file/demo': expected a folder that can be written"):
        state.prepare(tmp_path / "file" / "demo", "DEMO_STATE")


def test_a_folder_has_one_owner_until_it_gives_it_back(tmp_path: Path) -> None:
    owner = state.own(tmp_path)
    with pytest.raises(StateBusy, match="another agent works with this state folder"):
        state.own(tmp_path)

    os.close(owner)

    os.close(state.own(tmp_path))


def test_the_death_of_its_owner_gives_a_folder_back(tmp_path: Path) -> None:
    script = (
        f"import time\nfrom pathlib import Path\nfrom sidecarkit import state\nstate.own(Path({str(tmp_path)!r}))\n"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", f"{script}print('mine', flush=True)\ntime.sleep(60)"],
        env={**os.environ, "PYTHONPATH": str(Path(state.__file__).parents[1])},
        stdout=subprocess.PIPE,
    )
    with owner:
        assert owner.stdout
        owner.stdout.readline()
        with pytest.raises(StateBusy):
            state.own(tmp_path)
        owner.kill()

    os.close(state.own(tmp_path))


# The database


def test_what_was_written_is_there_after_opening_again(file: Path) -> None:
    first = state.open_database(file, SCHEMA, LOG)
    first.execute("INSERT INTO heals VALUES ('haraka')")
    first.close()

    again = state.open_database(file, SCHEMA, LOG)

    assert names(again) == ["haraka"]
    again.close()


def test_commits_reach_the_disk_and_readers_do_not_wait(file: Path) -> None:
    database = state.open_database(file, SCHEMA, LOG)

    assert database.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert database.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
    database.close()


def test_a_command_reads_what_the_agent_commits_and_writes_nothing(file: Path) -> None:
    agent = state.open_database(file, SCHEMA, LOG)
    agent.execute("INSERT INTO heals VALUES ('haraka')")

    command = state.open_read_only(file)

    assert names(command) == ["haraka"]
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        command.execute("DELETE FROM heals")
    command.close()
    agent.close()


def test_a_command_does_not_make_a_database(file: Path) -> None:
    with pytest.raises(sqlite3.OperationalError):
        state.open_read_only(file).execute("SELECT 1 FROM heals")

    assert not file.exists()


@pytest.mark.parametrize("name", ["a b.sqlite", "a%41.sqlite", "a?b.sqlite", "a#b.sqlite"])
def test_a_database_may_have_any_name(tmp_path: Path, name: str) -> None:
    state.open_database(tmp_path / name, SCHEMA, LOG).close()

    database = state.open_read_only(tmp_path / name)

    assert names(database) == []
    database.close()


# Damage


def torn(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:5000])


def overwritten(file: Path) -> None:
    file.write_bytes(b"not a database, though long enough to be one" * 100)


def scribbled(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    file.write_bytes(content)


@pytest.mark.parametrize("damage", [torn, overwritten, scribbled])
def test_a_damaged_database_is_set_aside_with_a_warning(
    file: Path, damage: object, caplog: pytest.LogCaptureFixture
) -> None:
    database = state.open_database(file, SCHEMA, LOG)
    database.executemany("INSERT INTO heals VALUES (?)", [("x" * 500,) for _ in range(100)])
    database.close()
    assert callable(damage)
    damage(file)
    damaged = file.read_bytes()

    database = state.open_database(file, SCHEMA, LOG)

    assert names(database) == []
    (aside,) = file.parent.glob("demo.sqlite.damaged-*")
    assert aside.read_bytes() == damaged
    (record,) = caplog.records
    assert (record.levelname, record.getMessage()) == ("WARNING", "state_set_aside")
    assert record.facts["kept_as"] == str(aside)  # type: ignore[attr-defined]
    database.close()


def test_beside_an_agent_a_damaged_database_stays_where_it_is(file: Path) -> None:
    state.open_database(file, SCHEMA, LOG).close()
    overwritten(file)
    damaged = file.read_bytes()

    with pytest.raises(SidecarError):
        state.Memory(file, SCHEMA, LOG, beside=True)

    assert file.read_bytes() == damaged
    assert list(file.parent.glob("*damaged*")) == []


def test_beside_an_agent_no_database_is_made(file: Path) -> None:
    with pytest.raises(SidecarError):
        state.Memory(file, SCHEMA, LOG, beside=True)

    assert not file.exists()


def test_the_write_ahead_log_of_a_damaged_database_is_set_aside_with_it(file: Path) -> None:
    reader = state.open_database(file, SCHEMA, LOG)  # as a command that looks meanwhile, it keeps the log in use
    reader.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    reader.execute("INSERT INTO pauses VALUES ('haraka')")
    scribbled(file)

    database = state.open_database(file, SCHEMA, LOG)

    assert len(list(file.parent.glob("demo.sqlite.damaged-*-wal"))) == 1
    database.execute("INSERT INTO heals VALUES ('zonemta')")
    assert names(database) == ["zonemta"]
    database.close()
    reader.close()


def test_a_locked_database_is_waited_for_and_not_set_aside(file: Path) -> None:
    other = state.open_database(file, SCHEMA, LOG)
    other.execute("BEGIN EXCLUSIVE")

    started = time.monotonic()
    with pytest.raises(SidecarError, match="database is locked"):
        state.open_database(file, f"{SCHEMA}; CREATE TABLE IF NOT EXISTS more (x)", LOG, busy_seconds=0.2)

    assert time.monotonic() - started >= 0.2
    assert list(file.parent.glob("*.damaged-*")) == []
    other.close()


def test_a_full_disk_is_no_reason_to_forget_everything(file: Path) -> None:
    database = state.open_database(file, SCHEMA, LOG)
    database.execute("INSERT INTO heals VALUES ('haraka')")
    pages = database.execute("PRAGMA page_count").fetchone()[0]
    database.close()
    more = "".join(f"; CREATE TABLE IF NOT EXISTS more{number} (x)" for number in range(9))

    with pytest.raises(SidecarError, match="full"):
        state.open_database(file, f"PRAGMA max_page_count={pages}; {SCHEMA}{more}", LOG)

    database = state.open_database(file, SCHEMA, LOG)
    assert names(database) == ["haraka"]
    database.close()


def test_a_path_that_is_no_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "demo.sqlite").mkdir()

    with pytest.raises(SidecarError, match="unable to open database file"):
        state.open_database(tmp_path / "demo.sqlite", SCHEMA, LOG)
