"""Following logs: the engine is played by the other end of a socket."""

import json
import socket
from pathlib import Path

import pytest
from framing import entry, framed

from logban.cursor import STREAMS, Cursor, Mark, stamp_at
from logban.hands import Anatomy, Answer, NotOpened, Opened, Order, past_query
from logban.seam import longer_tail
from logban.tail import Batch, Follower, Tail
from sidecarkit.errors import ContainerGone, EngineUnavailable

NOW = 1_795_000_000.0
RUNNING = Anatomy(running=True, terminal=False, file=None)
STOPPED = Anatomy(running=False, terminal=False, file=None)


class Stage:
    """A tail that follows one container, and the engine's ends of its answers."""

    def __init__(self, *, read_until: float = NOW, from_file: bool = False) -> None:
        self.orders: list[Order] = []
        self.tail = Tail(self.orders.append)
        self.cursor = Cursor(dict.fromkeys(STREAMS, Mark(stamp_at(read_until))))
        self.tail.follow("c1", self.cursor, running=True, from_file=from_file)
        self.past, self.live = socket.socketpair()  # until there are others

    @property
    def follower(self) -> Follower:
        return self.tail.followers["c1"]

    def open(
        self, *past: bytes, live: bytes | None = None, anatomy: Anatomy = RUNNING, ends: bool = True, now: float = 1e12
    ) -> Batch | None:
        """Let it order the log, and hand it over: what it holds, and as what is *live* its last line, if not another.

        *ends*: the engine has sent all that the log holds.
        """
        self.tail.open_due(now)
        order, answers = self.orders[-1], []
        self.past, ours = socket.socketpair()
        answers.append(Answer(ours, b"".join(past)))
        if order.live:
            self.live, ours = socket.socketpair()
            answers.append(Answer(ours, b"".join(past[-1:]) if live is None else live))
        for answer in answers:
            answer.sock.setblocking(False)  # noqa: FBT003
        batch = self.tail.opened(Opened("c1", order, anatomy, answers[0], answers[1] if order.live else None))
        return _both(batch, self.end_past()) if ends and self.follower.past else batch

    def end_past(self) -> Batch | None:
        self.past.close()
        return self.read()

    def say(self, data: bytes) -> Batch | None:
        self.live.sendall(data)
        return self.read()

    def end(self) -> Batch | None:
        self.live.close()
        return self.read()

    def read(self) -> Batch | None:
        ((key, _),) = self.tail.selector.select(5.0)
        return self.tail.read(key.data)


def _both(one: Batch | None, other: Batch | None) -> Batch | None:
    return (one and other and Batch("c1", one.known + other.known, one.new + other.new)) or one or other


OLD, OLDER = framed(NOW - 60, "long known"), framed(NOW - 61, "longer known")


def test_new_lines_come_as_they_are_printed() -> None:
    stage = Stage()
    stage.open(OLD)

    batch = stage.say(framed(NOW + 1, "news"))

    assert batch == Batch("c1", [], [entry(NOW + 1, "news")])


def test_what_was_read_before_is_known_and_not_new() -> None:
    stage = Stage()

    batch = stage.open(OLD, framed(NOW - 1, "older"), framed(NOW + 1, "new"))

    assert batch is not None
    assert batch.known[:2] == [entry(NOW - 60, "long known"), entry(NOW - 1, "older")]
    assert batch.new == [entry(NOW + 1, "new")]


def test_what_is_said_while_the_past_is_read_comes_after_it_and_once() -> None:
    stage = Stage()
    stage.open(OLD, ends=False)
    assert stage.say(framed(NOW + 2, "two") + framed(NOW + 3, "three")) is None

    stage.past.sendall(framed(NOW + 1, "one") + framed(NOW + 2, "two"))
    past = stage.read()
    live = stage.end_past()

    assert past is not None and past.new == [entry(NOW + 1, "one"), entry(NOW + 2, "two")]
    assert live is not None and live.new == [entry(NOW + 3, "three")]


def test_a_gap_between_what_was_held_and_what_is_said_is_closed_by_reading_the_past_again() -> None:
    stage = Stage()
    assert stage.open(OLD, live=framed(NOW + 9, "late")) is not None

    batch = stage.open(OLD, framed(NOW + 5, "missed"), framed(NOW + 9, "late"))

    assert batch is not None and batch.new == [entry(NOW + 5, "missed"), entry(NOW + 9, "late")]
    assert [order.live for order in stage.orders] == [True, False]
    assert stage.say(framed(NOW + 10, "next")) == Batch("c1", [], [entry(NOW + 10, "next")])


def test_a_line_that_the_past_does_not_hold_either_time_is_read_all_the_same() -> None:
    stage = Stage()
    stage.open(OLD, live=framed(NOW + 9, "rotated away"))

    batch = stage.open(OLD)

    assert batch is not None and batch.new == [entry(NOW + 9, "rotated away")]


def test_the_end_of_a_long_line_that_was_being_printed_is_no_line() -> None:
    stage = Stage()
    long = "x" * 20_000 + " [INFO] what a client wrote"

    batch = stage.open(OLD, framed(NOW + 1, long), live=framed(NOW + 1, " [INFO] what a client wrote"))

    assert batch is not None and batch.new == [entry(NOW + 1, long)]
    assert stage.say(framed(NOW + 2, "next")) == Batch("c1", [], [entry(NOW + 2, "next")])
    assert stage.orders[1:] == []


def test_a_log_that_ends_within_a_long_line_is_opened_anew() -> None:
    stage = Stage()
    fragment = entry(NOW + 1, "x" * 16_384)[:-1]  # as long as the engine's buffer, and without LF
    stage.open(OLD, b"\1\0\0\0" + len(fragment).to_bytes(4, "big") + fragment, live=OLD)

    assert stage.tail.open_due(0.0) > 0
    assert not stage.follower.reading


def test_what_is_said_does_not_fill_the_memory_while_the_past_is_read() -> None:
    stage = Stage()
    stage.open(OLD, ends=False)
    for number in range(300):
        stage.live.setblocking(True)  # noqa: FBT003
        if stage.follower.live is not None:
            stage.say(framed(NOW + number, "y" * 65_536))

    assert stage.follower.live is None
    stage.end_past()
    stage.open(OLD, framed(NOW + 1, "y"))
    assert [order.live for order in stage.orders] == [True, True]


def test_a_tail_that_does_not_reach_back_is_asked_for_longer_until_everything_is_asked_for() -> None:
    stage = Stage()
    for asked in (1_000, 16_000, 256_000):
        assert stage.open(framed(NOW + 5, "too young")) is None
        assert stage.orders[-1].tail == asked

    batch = stage.open(framed(NOW + 5, "too young"))

    assert stage.orders[-1].tail is None
    assert past_query(stage.orders[-1])["since"] == f"{NOW - 3:.6f}"
    assert batch is not None and batch.new == [entry(NOW + 5, "too young")]
    assert [order.live for order in stage.orders] == [True, False, False, False]


@pytest.mark.parametrize(
    ("per_second", "seconds_ago", "asked"),
    [
        (4_000, 5, 24_750),  # 0.25 s were read, 4.75 s are lacking: a quarter more lines than those would be
        (400, 5, 4_000),  # four times as much, although less would do
        (4_000, 600, None),  # so many that all of them can as well be asked for
    ],
)
def test_a_longer_tail_is_as_long_as_the_pace_of_the_lines_asks_for(
    per_second: int, seconds_ago: float, asked: int | None
) -> None:
    lines = [(1, entry(NOW - (1_000 - number) / per_second, "x")) for number in range(1_001)]

    found = longer_tail(1_000, lines, stamp_at(NOW - seconds_ago))

    assert found == asked if asked is None else found == pytest.approx(asked, rel=0.05)


def test_a_longer_tail_is_not_asked_for_once_it_was_enough() -> None:
    stage = Stage()
    stage.open(framed(NOW + 5, "too young"))
    stage.open(framed(NOW - 60, "old enough"), framed(NOW + 5, "too young"))
    stage.end()
    stage.tail.open_due(1e12)

    assert [order.tail for order in stage.orders] == [1_000, 16_000, 1_000]


def test_since_is_never_asked_beside_tail() -> None:
    assert "since" not in past_query(Order(1, "c1", 1000, stamp_at(NOW)))


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
    batch = stage.open(OLD, framed(NOW + 1, "last word"), anatomy=STOPPED)
    assert batch is not None and batch.new == [entry(NOW + 1, "last word")]
    stage.end()
    stage.tail.open_due(1e12)
    assert len(stage.orders) == 1

    stage.tail.started("c1")
    stage.tail.open_due(1e12)

    assert len(stage.orders) == 2


def test_a_container_that_stops_while_its_past_is_read_is_read_to_its_last_line() -> None:
    stage = Stage()
    stage.open(OLD, ends=False)
    stage.say(framed(NOW + 1, "last word"))
    stage.tail.stopped("c1")
    assert stage.end() is None

    batch = stage.end_past()

    assert batch is not None and batch.new == [entry(NOW + 1, "last word")]
    assert stage.follower.drained


def test_a_last_line_without_line_feed_is_read_when_the_log_ends() -> None:
    stage = Stage()
    dying = entry(NOW + 1, "dying")[:-1]
    frame = b"\1\0\0\0" + len(dying).to_bytes(4, "big") + dying

    batch = stage.open(OLD, frame, anatomy=STOPPED)

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
    assert stage.follower.complaint == "away"

    stage.tail.hasten()
    stage.tail.open_due(0.0)

    assert len(stage.orders) == asked + 1


def test_a_container_that_is_gone_is_not_asked_for_again() -> None:
    stage = Stage()
    stage.tail.open_due(0.0)
    stage.tail.not_opened(NotOpened("c1", stage.orders[-1], ContainerGone("gone", 404)))

    stage.tail.open_due(1e12)

    assert len(stage.orders) == 1


def test_answers_for_a_container_that_is_followed_no_longer_are_closed() -> None:
    stage = Stage()
    stage.tail.open_due(0.0)
    stage.tail.forget("c1")
    past, live = socket.socketpair()

    assert stage.tail.opened(Opened("c1", stage.orders[-1], RUNNING, Answer(past), Answer(live))) is None
    assert (past.fileno(), live.fileno()) == (-1, -1)


def test_a_terminal_mistaken_for_frames_is_a_complaint_and_not_an_end() -> None:
    stage = Stage()
    stage.open()

    assert stage.say(entry(NOW + 1, "a line of a terminal")) is None
    assert "frames" in stage.follower.complaint


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
    stage.tail.opened(Opened("c1", stage.orders[-1], Anatomy(running=True, terminal=False, file=log_file), None, None))
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
