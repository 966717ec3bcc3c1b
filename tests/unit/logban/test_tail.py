"""Following logs: the engine is played by the other end of a socket."""

import json
import socket
from pathlib import Path

import pytest
from framing import entry, framed

from logban.cursor import STREAMS, Cursor, Mark, stamp_at
from logban.hands import Anatomy, NotOpened, Opened, Order, query
from logban.tail import TAILS, Batch, Tail
from sidecarkit.errors import ContainerGone, EngineUnavailable

NOW = 1_795_000_000.0
RUNNING = Anatomy(running=True, terminal=False, file=None)
STOPPED = Anatomy(running=False, terminal=False, file=None)


class Stage:
    """A tail that follows one container, and the engine's end of its stream."""

    def __init__(self, *, read_until: float = NOW, from_file: bool = False) -> None:
        self.orders: list[Order] = []
        self.tail = Tail(self.orders.append)
        self.cursor = Cursor(dict.fromkeys(STREAMS, Mark(stamp_at(read_until))))
        self.tail.follow("c1", self.cursor, running=True, from_file=from_file)
        self.engine: socket.socket | None = None

    def open(self, anatomy: Anatomy = RUNNING, first: bytes = b"", now: float = 1e12) -> Batch | None:
        """Let it order the log, and hand it over."""
        self.tail.open_due(now)
        self.engine, ours = socket.socketpair()
        ours.setblocking(False)  # noqa: FBT003
        return self.tail.opened(Opened("c1", self.orders[-1], anatomy, ours, first))

    def say(self, data: bytes) -> Batch | None:
        assert self.engine is not None
        self.engine.sendall(data)
        return self.read()

    def end(self) -> Batch | None:
        assert self.engine is not None
        self.engine.close()
        return self.read()

    def read(self) -> Batch | None:
        ((key, _),) = self.tail.selector.select(5.0)
        return self.tail.read(key.data)


def test_new_lines_come_as_they_are_printed() -> None:
    stage = Stage()
    stage.open(first=framed(NOW - 60, "long known"))

    batch = stage.say(framed(NOW + 1, "news"))

    assert batch == Batch("c1", [], [entry(NOW + 1, "news")])


def test_what_was_read_before_is_known_and_not_new() -> None:
    stage = Stage()

    batch = stage.open(first=framed(NOW - 60, "old") + framed(NOW - 1, "older") + framed(NOW + 1, "new"))

    assert batch is not None
    assert batch.known == [entry(NOW - 60, "old"), entry(NOW - 1, "older")]
    assert batch.new == [entry(NOW + 1, "new")]


def test_a_tail_that_does_not_reach_back_is_asked_for_longer_until_everything_is_asked_for() -> None:
    stage = Stage()
    for asked in TAILS[:-1]:
        assert stage.open(first=framed(NOW + 5, "too young")) is None
        assert stage.orders[-1].tail == asked

    batch = stage.open(first=framed(NOW + 5, "too young"))

    assert stage.orders[-1].tail is None
    assert query(stage.orders[-1])["since"] == f"{NOW - 3:.6f}"
    assert batch is not None and batch.new == [entry(NOW + 5, "too young")]


def test_a_longer_tail_is_not_asked_for_once_it_was_enough() -> None:
    stage = Stage()
    stage.open(first=framed(NOW + 5, "too young"))
    stage.open(first=framed(NOW - 60, "old enough") + framed(NOW + 5, "too young"))
    stage.end()
    stage.tail.open_due(1e12)

    assert [order.tail for order in stage.orders] == [TAILS[0], TAILS[1], TAILS[0]]


def test_since_is_never_asked_beside_tail() -> None:
    assert "since" not in query(Order(1, "c1", 1000, stamp_at(NOW)))


def test_a_stream_that_ends_is_opened_again_after_a_moment() -> None:
    stage = Stage()
    stage.open()
    stage.end()

    again = stage.tail.open_due(0.0)

    assert len(stage.orders) == 1 and again > 0
    stage.tail.open_due(1e12)
    assert len(stage.orders) == 2


def test_a_stopped_container_is_read_to_its_last_line_and_left_alone_until_it_starts() -> None:
    stage = Stage()
    stage.open(STOPPED, first=framed(NOW - 60, "old") + framed(NOW + 1, "last word"))
    stage.end()
    stage.tail.open_due(1e12)
    assert len(stage.orders) == 1

    stage.tail.started("c1")
    stage.tail.open_due(1e12)

    assert len(stage.orders) == 2


def test_a_last_line_without_line_feed_is_read_when_the_log_ends() -> None:
    stage = Stage()
    stage.open(STOPPED, first=framed(NOW - 60, "old") + framed(NOW + 1, "dying")[:4])
    stage.say(framed(NOW + 1, "dying")[4:7] + bytes([framed(NOW + 1, "dying")[7] - 1]) + framed(NOW + 1, "dying")[8:-1])

    batch = stage.end()

    assert batch is not None and batch.new == [entry(NOW + 1, "dying")]


def test_an_engine_that_is_back_is_asked_at_once() -> None:
    stage = Stage()
    stage.tail.open_due(0.0)
    for _ in range(5):
        stage.tail.not_opened(NotOpened("c1", stage.orders[-1], EngineUnavailable("away")))
        stage.tail.open_due(1e12)
    stage.tail.not_opened(NotOpened("c1", stage.orders[-1], EngineUnavailable("away")))
    asked = len(stage.orders)
    stage.tail.open_due(0.0)
    assert len(stage.orders) == asked
    assert stage.tail.followers["c1"].complaint == "away"

    stage.tail.hasten()
    stage.tail.open_due(0.0)

    assert len(stage.orders) == asked + 1


def test_a_container_that_is_gone_is_not_asked_for_again() -> None:
    stage = Stage()
    stage.tail.open_due(0.0)
    stage.tail.not_opened(NotOpened("c1", stage.orders[-1], ContainerGone("gone", 404)))

    stage.tail.open_due(1e12)

    assert len(stage.orders) == 1


def test_an_answer_for_a_container_that_is_followed_no_longer_is_closed() -> None:
    stage = Stage()
    stage.tail.open_due(0.0)
    stage.tail.forget("c1")
    engine, ours = socket.socketpair()

    assert stage.tail.opened(Opened("c1", stage.orders[-1], RUNNING, ours)) is None
    assert ours.fileno() == -1
    engine.close()


def test_a_terminal_mistaken_for_frames_is_a_complaint_and_not_an_end() -> None:
    stage = Stage()
    stage.open()

    assert stage.say(entry(NOW + 1, "a line of a terminal")) is None
    assert "frames" in stage.tail.followers["c1"].complaint


# Logs read from their files


def written(at: float, text: str, stream: str = "stdout") -> str:
    stamp = stamp_at(at).decode().removesuffix("Z").rstrip("0").rstrip(".") + "Z"  # as the driver shortens it
    return json.dumps({"log": text, "stream": stream, "time": stamp}) + "\n"


@pytest.fixture
def log_file(tmp_path: Path) -> Path:
    return tmp_path / "c1-json.log"


def follow_file(log_file: Path) -> Stage:
    stage = Stage(from_file=True)
    stage.tail.open_due(1e12)
    stage.tail.opened(Opened("c1", stage.orders[-1], Anatomy(running=True, terminal=False, file=log_file), None))
    return stage


def texts(batches: list[Batch]) -> list[bytes]:
    return [line.split(b" ", 1)[1] for batch in batches for line in batch.new]


def test_a_file_is_read_line_by_line_whatever_is_half_written(log_file: Path) -> None:
    whole, half = written(NOW + 1, "one\n"), written(NOW + 2, "two\n")
    log_file.write_text(written(NOW - 60, "old\n") + whole + half[:20])
    stage = follow_file(log_file)
    assert texts(stage.tail.poll()) == [b"one\n"]

    with log_file.open("a") as file:
        file.write(half[20:])

    assert texts(stage.tail.poll()) == [b"two\n"]
    assert stage.tail.poll() == []


def test_fragments_in_a_file_are_one_line(log_file: Path) -> None:
    log_file.write_text(written(NOW + 1, "a" * 10) + written(NOW + 1, "error\n", "stderr") + written(NOW + 1, "b\n"))

    assert texts(follow_file(log_file).tail.poll()) == [b"error\n", b"a" * 10 + b"b\n"]


def test_no_line_is_lost_when_a_file_is_rotated_twice_between_two_looks(log_file: Path) -> None:
    log_file.write_text(written(NOW + 1, "1\n"))
    stage = follow_file(log_file)
    found = texts(stage.tail.poll())
    with log_file.open("a") as file:
        file.write(written(NOW + 2, "2\n"))
    for number in (3, 4):
        rotate(log_file)
        log_file.write_text(written(NOW + number, f"{number}\n"))

    for _ in range(4):
        found += texts(stage.tail.poll())

    assert found == [b"1\n", b"2\n", b"3\n", b"4\n"]


def test_reading_begins_in_the_rotated_file_that_reaches_back(log_file: Path) -> None:
    for at, text in ((NOW - 9000, "ages ago\n"), (NOW - 60, "old\n"), (NOW + 1, "new\n")):
        if log_file.exists():
            rotate(log_file)
        log_file.write_text(written(at, text))
    stage = follow_file(log_file)

    batches = stage.tail.poll() + stage.tail.poll()

    assert texts(batches) == [b"new\n"]
    assert [line for batch in batches for line in batch.known] == [entry(NOW - 60, "old")]


def test_a_file_that_cannot_be_read_is_a_complaint(log_file: Path) -> None:
    stage = follow_file(log_file)

    assert str(log_file) in stage.tail.followers["c1"].complaint


def rotate(file: Path) -> None:
    """Rotate as the json-file driver does."""
    if Path(f"{file}.1").exists():
        Path(f"{file}.1").rename(f"{file}.2")
    file.rename(f"{file}.1")
