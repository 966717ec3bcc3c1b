"""What the engine sends, and what the container had printed."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logban.blocks import LONGEST_LINE
from logban.frames import FRAGMENT, PREFIX, Frames, NotFramed, Terminal

STAMP = b"2026-11-22T08:36:00.123456789Z"
LATER = b"2026-11-22T08:36:01.000000000Z"
TEXTS = st.lists(st.tuples(st.sampled_from((1, 2)), st.binary(max_size=40).map(lambda text: text.replace(b"\n", b"."))))


def frame(stream: int, entry: bytes) -> bytes:
    return struct.pack(">B3xL", stream, len(entry)) + entry


def entries(text: bytes, stamp: bytes = STAMP) -> list[bytes]:
    """Split a line as the engine does: full buffers, and a last entry with the LF, however little else is in it."""
    pieces = [text[at : at + FRAGMENT] for at in range(0, len(text), FRAGMENT)] or [b""]
    if len(pieces[-1]) == FRAGMENT:
        pieces.append(b"")
    return [stamp + b" " + piece for piece in pieces[:-1]] + [stamp + b" " + pieces[-1] + b"\n"]


def framed(stream: int, text: bytes, stamp: bytes = STAMP) -> bytes:
    return b"".join(frame(stream, entry) for entry in entries(text, stamp))


@given(TEXTS, st.integers(min_value=1, max_value=50))
def test_lines_come_out_as_they_went_in_however_the_stream_is_cut(texts: list[tuple[int, bytes]], cut: int) -> None:
    stream = b"".join(framed(number, text) for number, text in texts)
    frames = Frames()

    found = [line for at in range(0, len(stream), cut) for line in frames.feed(stream[at : at + cut])]

    assert found == [(number, STAMP + b" " + text + b"\n") for number, text in texts]


@pytest.mark.parametrize("length", [FRAGMENT - 1, FRAGMENT, FRAGMENT + 1, 40_000])
def test_a_long_line_is_put_together_again(length: int) -> None:
    text = b"x" * length

    assert Frames().feed(framed(1, text)) == [(1, STAMP + b" " + text + b"\n")]
    assert Terminal().feed(b"".join(entries(text + b"\r"))) == [(1, STAMP + b" " + text + b"\r\n")]


def test_a_line_of_the_other_stream_may_come_between_two_fragments() -> None:
    first, last = entries(b"o" * (FRAGMENT + 5))
    error = LATER + b" error\n"

    lines = Frames().feed(frame(1, first) + frame(2, error) + frame(1, last))

    assert lines == [(2, error), (1, STAMP + b" " + b"o" * (FRAGMENT + 5) + b"\n")]


@pytest.mark.parametrize("reader", [Frames(), Terminal()])
def test_an_endless_line_is_kept_up_to_a_limit_and_the_next_one_is_whole(reader: Frames | Terminal) -> None:
    fragments = [STAMP + b" " + b"x" * FRAGMENT] * 1024
    stream = [frame(1, each) if isinstance(reader, Frames) else each for each in fragments]
    for part in stream:
        assert reader.feed(part) == []
    kept = [*reader._begun.values()] if isinstance(reader, Frames) else [reader._rest]
    assert sum(map(len, kept)) < 2 * LONGEST_LINE
    last = STAMP + b" \n"
    nxt = LATER + b" next\n"

    lines = reader.feed(frame(1, last) + frame(1, nxt) if isinstance(reader, Frames) else last + nxt)

    assert [stream for stream, _ in lines] == [1, 1]
    assert len(lines[0][1]) == LONGEST_LINE + 1 and lines[0][1].startswith(STAMP + b" xxx")
    assert lines[1][1] == nxt


def test_a_last_line_without_line_feed_is_a_line() -> None:
    frames, terminal = Frames(), Terminal()
    frames.feed(frame(1, STAMP + b" dying"))
    terminal.feed(STAMP + b" dying")

    assert frames.end() == terminal.end() == [(1, STAMP + b" dying\n")]
    assert frames.end() == terminal.end() == []


def test_the_beginning_of_a_longer_line_is_none() -> None:
    frames, terminal = Frames(), Terminal()
    beginning = STAMP + b" " + b"x" * FRAGMENT
    frames.feed(frame(1, beginning))
    terminal.feed(beginning)

    assert frames.end() == terminal.end() == []


def test_a_frame_cut_in_the_middle_is_no_line() -> None:
    frames = Frames()
    frames.feed(frame(1, STAMP + b" half a line\n")[:-6])

    assert frames.end() == []
    assert frames.feed(frame(1, LATER + b" read anew\n")) == [(1, LATER + b" read anew\n")]


def test_complaints_of_the_engine_are_not_the_containers() -> None:
    assert Frames().feed(frame(3, b"error grabbing logs\n") + framed(1, b"a")) == [(1, STAMP + b" a\n")]


def test_a_log_without_frames_is_noticed() -> None:
    with pytest.raises(NotFramed):
        Frames().feed(STAMP + b" a line of a terminal\r\n")


def test_nothing_a_client_sends_passes_for_a_repeated_prefix() -> None:
    text = b"y" * (FRAGMENT + 3) + PREFIX * b"z"

    assert Terminal().feed(STAMP + b" " + text + b"\n") == [(1, STAMP + b" " + text + b"\n")]
