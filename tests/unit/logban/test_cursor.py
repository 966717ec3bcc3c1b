"""Each line once, however often it is read."""

from hypothesis import given
from hypothesis import strategies as st

from logban.cursor import OVERLAP_SECONDS, Cursor, Mark, seconds, stamp_at
from logban.frames import Line

NOW = 1_795_000_000.0


def line(at: float, text: str = "a line", stream: int = 1) -> Line:
    return stream, stamp_at(at) + f" {text}\n".encode()


def texts(lines: list[Line]) -> list[bytes]:
    return [text for _, text in lines]


# Steps of one stream's clock, none of them back; the other stream runs beside it.
STEPS = st.lists(st.tuples(st.sampled_from((1, 2)), st.sampled_from((0.0, 0.000001, 0.5))), max_size=40)


@given(STEPS, st.data())
def test_read_again_from_anywhere_each_line_is_new_exactly_once(
    steps: list[tuple[int, float]], data: st.DataObject
) -> None:
    clocks = {1: NOW, 2: NOW - 0.02}
    log: list[Line] = []
    for number, (stream, step) in enumerate(steps):
        clocks[stream] += step
        log.append(line(clocks[stream], f"line {number}", stream))
    cursor, found, reached = Cursor(), [], 0
    while reached < len(log):
        begin = data.draw(st.integers(0, reached))
        reached = data.draw(st.integers(reached, len(log))) if reached else len(log) // 2 + 1
        found += cursor.sift(log[begin:reached])[1]
        cursor = Cursor(cursor.marks())  # killed, and back from what was stored

    assert found == texts(log)


def test_a_line_of_the_other_stream_with_an_earlier_time_is_new() -> None:
    lines = [line(NOW), line(NOW - 0.02, stream=2), line(NOW + 1)]

    assert Cursor().sift(lines) == ([], texts(lines))


def test_two_lines_of_one_time_are_two() -> None:
    cursor = Cursor()

    assert cursor.sift([line(NOW, "one"), line(NOW, "other")])[1] == texts([line(NOW, "one"), line(NOW, "other")])
    assert cursor.sift([line(NOW, "other"), line(NOW, "third")]) == (
        texts([line(NOW, "other")]),
        texts([line(NOW, "third")]),
    )


def test_reading_begins_a_little_before_the_latest_line_however_long_the_other_stream_is_silent() -> None:
    cursor = Cursor()
    cursor.sift([line(NOW), line(NOW - 7200.0, stream=2)])

    assert cursor.from_stamp == stamp_at(NOW - OVERLAP_SECONDS)
    assert cursor.stamp == stamp_at(NOW)
    assert Cursor().from_stamp == b""


def test_a_clock_that_was_set_back_does_not_make_the_agent_deaf() -> None:
    cursor = Cursor()
    cursor.sift([line(NOW + 3600)])

    assert cursor.set_back(NOW)
    assert cursor.sift([line(NOW + 0.1)])[1] == texts([line(NOW + 0.1)])
    assert not cursor.set_back(NOW + 1)


def test_a_line_without_the_engines_time_is_none_and_does_no_harm() -> None:
    cursor = Cursor()

    assert cursor.sift([(1, b"no time at all, but longer than one would be\n"), line(NOW)]) == ([], texts([line(NOW)]))
    assert cursor.from_stamp == stamp_at(NOW - OVERLAP_SECONDS)


def test_times_are_written_as_the_engine_writes_them() -> None:
    assert stamp_at(NOW + 0.25) == b"2026-11-18T11:06:40.250000000Z"
    assert seconds(stamp_at(NOW)) == NOW
    assert Cursor({1: Mark(stamp_at(NOW))}).stamp == stamp_at(NOW)
