from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from logban import blocks
from logban.blocks import LONGEST_LINE, Lines


@given(st.lists(st.binary(max_size=12), max_size=20))
def test_however_it_is_cut_the_lines_are_the_same(pieces: list[bytes]) -> None:
    lines = Lines()
    told = b"".join(map(lines.feed, pieces)) + lines.end()
    whole = b"".join(pieces)
    assert told == whole + (b"\n" if whole and not whole.endswith(b"\n") else b"")


def test_of_a_line_without_end_only_the_beginning_is_kept() -> None:
    lines = Lines()
    for _ in range(256):
        assert lines.feed(b"x" * 65_536) == b""
    assert lines.feed(b"x\nnext\n") == b"x" * LONGEST_LINE + b"\nnext\n"


def test_a_last_line_without_end_is_a_line() -> None:
    assert list(blocks.read(io.BytesIO(b"one\ntwo"))) == [b"one\n", b"two\n"]
