from __future__ import annotations

import pytest

from logban.pattern import PatternError, compile_pattern


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("^abcd (x|y) efghij", b" efghij"),
        (r"^\[INFO\] <ADDR> refused", b" refused"),
        ("^abcde?fgh[ijkl]mnopq", b"mnopq"),
        ("^abcdef*gh", b"abcde"),
        ("^abcdef+gh", b"abcdef"),
        (r"^a\.b\[c\]d\d+efg", b"a.b[c]d"),
        ("^(?:inside only) here!!", b" here"),
        ("^abcd{2}efghi", b"efghi"),
        ("^abcd{0,2}efghi", b"efghi"),
    ],
)
def test_the_longest_plain_text_every_match_holds_is_found(text: str, literal: bytes) -> None:
    assert compile_pattern(text, {}).literals == (literal,)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("refused <ADDR>", "must start with ^"),
        ("^abcd|efgh", "no plain text"),
        ("^(?i)abcdef", "no plain text"),
        ("^<ADDR>:<ID>$", "no plain text"),
        ("^abcdef(", "missing"),
        ("^abcdef(?=x)", "invalid perl operator"),
        ("^abcdef <HOST>", "<HOST> is not defined"),
    ],
)
def test_a_pattern_that_cannot_be_used_says_why(text: str, complaint: str) -> None:
    with pytest.raises(PatternError, match=None) as caught:
        compile_pattern(text, {})
    assert complaint in str(caught.value)


def test_a_definition_may_use_the_built_in_placeholders() -> None:
    pattern = compile_pattern("^<HEAD> refused", {"HEAD": r"\[<ID>\] <ADDR>", "ID": "[0-9]+"})
    spans = pattern.regex.search(b"[17] 192.0.2.7 refused")
    assert spans is not None
    assert (spans[pattern.id], spans[pattern.addr]) == ((1, 3), (5, 14))


def test_a_pattern_that_hangs_a_backtracking_engine_takes_no_time() -> None:
    pattern = compile_pattern("^line (a+)+$", {})
    assert pattern.regex.search(b"line " + b"a" * 100_000 + b"!") is None


def test_bytes_of_any_encoding_are_matched() -> None:
    pattern = compile_pattern("^name .* refused", {})
    assert pattern.regex.search(b"name \xff\xfe\x00\xc3 refused") is not None
