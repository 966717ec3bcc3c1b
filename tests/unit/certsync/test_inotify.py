import os
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from certsync.inotify import Watcher

CLOSE_WRITE, QUEUE_OVERFLOW = 0x8, 0x4000


class Ear:
    """Hears the watcher; `heard` waits for news."""

    def __init__(self) -> None:
        self._news = threading.Semaphore(0)

    def __call__(self) -> None:
        self._news.release()

    def heard(self) -> bool:
        return self._news.acquire(timeout=10)


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
def watched(tmp_path: Path, ear: Ear) -> Iterator[Path]:
    (tmp_path / "dir").mkdir()
    watcher = Watcher([tmp_path / "dir" / "acme.json", tmp_path / "later" / "key.pem"], ear)
    watcher.start()
    yield tmp_path / "dir" / "acme.json"
    watcher.close()


def test_a_file_that_was_written_and_closed_is_heard(watched: Path, ear: Ear) -> None:
    watched.write_text("x")
    assert ear.heard()


def test_a_file_that_was_moved_into_place_is_heard(watched: Path, ear: Ear) -> None:
    staged = watched.with_name("staged")
    staged.write_text("x")
    staged.rename(watched)
    assert ear.heard()


def test_a_file_still_being_written_is_not_heard_before_it_is_closed(watched: Path, ear: Ear) -> None:
    with watched.open("w") as file:
        file.write("half")
        file.flush()
    assert ear.heard()


def test_of_a_folder_only_the_wanted_files_are_news(tmp_path: Path, ear: Ear) -> None:
    watcher = Watcher([tmp_path / "acme.json"], ear)
    watcher.rewatch()
    (number,) = watcher._watched
    for name, mask, expected in (
        (b"acme.json", CLOSE_WRITE, True),
        (b"acme.json.bak", CLOSE_WRITE, False),
        (b"neighbour", CLOSE_WRITE, False),
        (b"", QUEUE_OVERFLOW, True),
    ):
        padded = name.ljust(32, b"\0")
        events = struct.pack("iIII", number if name else -1, mask, 0, len(padded)) + padded
        assert watcher._concerns_us(events) is expected
        assert watcher._concerns_us(events * 3) is expected
    watcher.start()
    watcher.close()


def test_a_directory_that_appears_later_is_watched_from_the_next_asking(tmp_path: Path, ear: Ear) -> None:
    watcher = Watcher([tmp_path / "later" / "key.pem"], ear)
    watcher.start()
    assert watcher.rewatch() == [tmp_path / "later"]
    (tmp_path / "later").mkdir()
    assert watcher.rewatch() == []
    (tmp_path / "later" / "key.pem").write_text("x")
    assert ear.heard()
    watcher.close()


def test_a_directory_made_anew_is_watched_again(tmp_path: Path, watched: Path, ear: Ear) -> None:
    watched.parent.rmdir()
    watcher = Watcher([watched], ear)
    watcher.start()
    watched.parent.mkdir()
    watcher.rewatch()
    watched.write_text("x")
    assert ear.heard()
    watcher.close()


def test_closing_gives_its_descriptors_back(tmp_path: Path, ear: Ear) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(20):
        watcher = Watcher([tmp_path / "x"], ear)
        watcher.start()
        watcher.close()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
