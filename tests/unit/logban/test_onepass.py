"""Which patterns Python's own engine is trusted with, and that it says the same of them as RE2."""

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logban import onepass, rules
from logban.pattern import Pattern

CORPUS = Path(__file__).parents[2] / "data" / "corpus"
SHIPPED = [rule.pattern for each in rules.shipped().values() for rule in each.rules if rule.pattern.quick]


@pytest.mark.parametrize(
    "pattern",
    [
        r"^connect ip=(?P<addr>[0-9a-f:.]{2,45}) ",
        r"^(?:[0-9]{4} )?(?:a=|b )(?P<id>[A-Z]+)(?:\.[0-9]+)*\]",
        r"^[^ ]* x$",
        r"^a{3}aa",
        r"^(?:a|ab)c",
    ],
)
def test_a_pattern_whose_every_byte_leaves_one_way_is_taken(pattern: str) -> None:
    assert onepass.matcher(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        r"^(a+)+$",
        r"^(?:a*)*b",
        r"^(?:a*)?b",
        r"^.*a",
        r"^a*ab",
        r"^(?:a|[ab]b)c",
        r"^a?a",
        r"^(?:ab)*a",
        r"^a{2,5}a",
        r"^(?:a[b]*)+b",
        r"^a|b",
        r"^a|^b",
        r"^(?i:a)b",
        r"^(?s:a)b",
        r"^\s",
        r"^a+?b",
        r"^a\b",
        r"^(?=a)a",
        r"^\pL",
        r"a",
        r"^(",
    ],
)
def test_one_that_leaves_a_choice_or_means_another_thing_in_re2_is_not(pattern: str) -> None:
    assert onepass.matcher(pattern) is None


def test_shipped_patterns_find_in_the_corpus_what_re2_finds() -> None:
    assert len(SHIPPED) > 10
    lines = {line for file in CORPUS.glob("*.log.gz") for line in gzip.decompress(file.read_bytes()).split(b"\n")}
    for line in lines:
        _compare(line)


@given(st.sampled_from(SHIPPED), st.data())
def test_shipped_patterns_find_in_mangled_lines_what_re2_finds(pattern: Pattern, data: st.DataObject) -> None:
    literal = pattern.literals[0]
    near = st.sampled_from(
        [b" ", b"[", b"]", b"=", b"ip", b"127.0.0.1", b"::1", b'"', b"INFO", b"\r", b"\xff", literal]
    )
    _compare(b"".join(data.draw(st.lists(near, max_size=12))))


def test_the_time_grows_with_the_line_and_not_faster() -> None:
    """With a choice left anywhere this would take years."""
    for pattern in SHIPPED:
        for text in (b" ", b"[", b"a", b"1", b"[INFO] [", b"x=1 "):
            assert pattern.quick is not None
            assert pattern.quick(text * 1_000_000, 0, len(text) * 1_000_000) is None


def _compare(line: bytes) -> None:
    for pattern in SHIPPED:
        assert pattern.quick is not None
        found = pattern.quick(b"before\n" + line + b"\nbehind", 7, 7 + len(line))
        spans = pattern.regex.search(line)
        assert (found is None) == (spans is None), (pattern.text, line)
        if found is not None and spans is not None:
            groups = [
                (found.start(n) - 7, found.end(n) - 7) if found.start(n) >= 0 else (-1, -1) for n in range(len(spans))
            ]
            assert groups == spans, (pattern.text, line)
