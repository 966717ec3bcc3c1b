import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from certsync.inotify import Watcher


class Ear:
    """Hears the watcher; `heard` waits for news, `quiet` for its absence after a change that was heard."""

    def __init__(self) -> None:
        self._news = threading.Semaphore(0)

    def __call__(self) -> None:
        self._news.release()

    def heard(self) -> bool:
        return self._news.acquire(timeout=10)

    def drain(self) -> int:
        count = 0
        while self._news.acquire(blocking=False):
            count += 1
        return count


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


def test_a_file_still_being_written_and_a_neighbour_are_not_heard(watched: Path, ear: Ear) -> None:
    with watched.open("w") as file:
        file.write("half")
        file.flush()
        watched.with_name("other").write_text("x")
        assert ear.drain() == 0
    assert ear.heard()
    assert ear.drain() == 0


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
