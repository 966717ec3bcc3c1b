from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from logban.gate import Gate


def found(gate: Gate[str], data: bytes, position: int = 0) -> list[tuple[bytes, list[str]]]:
    return [(data[start:end], list(items)) for start, end, items in gate.lines(data, position)]


def test_only_lines_with_a_text_are_given_with_their_items_in_order() -> None:
    gate = Gate([((b"beta",), "second"), ((b"alpha",), "first")])
    assert found(gate, b"nothing\nalpha then beta\nbeta\n") == [
        (b"alpha then beta", ["second", "first"]),
        (b"beta", ["second"]),
    ]


def test_a_text_inside_another_is_found_with_it() -> None:
    gate = Gate([((b"connect",), "short"), ((b"disconnect ip",), "long")])
    assert found(gate, b"a disconnect ip\n") == [(b"a disconnect ip", ["short", "long"])]


def test_a_text_that_begins_in_another_is_found_as_well() -> None:
    gate = Gate([((b"abc",), "left"), ((b"cde",), "right")])
    assert found(gate, b"abcde\n") == [(b"abcde", ["left", "right"])]
    assert found(gate, b"abc\n") == [(b"abc", ["left"])]


def test_reading_may_start_in_the_middle_and_end_without_a_line_end() -> None:
    gate = Gate([((b"alpha",), "it")])
    assert found(gate, b"alpha\nalpha", 6) == [(b"alpha", ["it"])]


def test_without_texts_there_is_nothing_to_find() -> None:
    assert found(Gate([]), b"anything\n") == []


def test_a_text_may_hold_any_byte() -> None:
    gate = Gate([((b"a.*\\(\xff\x00",), "odd")])
    assert found(gate, b"xa.*\\(\xff\x00y\nab(\n") == [(b"xa.*\\(\xff\x00y", ["odd"])]


@given(
    st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=6, unique=True),
    st.text("ab\n", max_size=40),
)
def test_the_gate_finds_what_a_look_for_each_text_finds(texts: list[str], data: str) -> None:
    gate = Gate([((text.encode(),), text) for text in texts])
    expected = [
        (line.encode(), [text for text in texts if text in line])
        for line in data.split("\n")
        if any(text in line for text in texts)
    ]
    assert found(gate, data.encode()) == expected
