"""Figures as people read them."""

import re

import pytest

from stats import wording
from stats.sparkline import sparkline


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, "unknown"), (0, "0 s"), (59.9, "59 s"), (60, "1 min"), (3660, "1 h 1 min"), (90_000, "1 d 1 h")],
)
def test_a_span_is_said_in_its_two_largest_units(seconds: float | None, said: str) -> None:
    assert wording.span(seconds) == said


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (None, "unknown"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 KiB"),
        (50 * 2**20, "50 MiB"),
        (3 * 2**50, "3072.0 TiB"),
    ],
)
def test_a_size_is_said_in_a_unit_that_fits(count: float | None, said: str) -> None:
    assert wording.size(count) == said


@pytest.mark.parametrize(
    ("value", "said"), [(None, "unknown"), (0, "0"), (0.04, "0.0"), (12.34, "12.3"), (1234567, "1\u202f234\u202f567")]
)
def test_a_number_has_as_many_digits_as_say_something(value: float | None, said: str) -> None:
    assert wording.number(value) == said


def test_latencies_shares_and_times() -> None:
    assert [wording.latency(value) for value in (None, 0.00123, 0.25)] == ["unknown", "1.2 ms", "250 ms"]
    assert [wording.percent(value) for value in (None, 0.1234)] == ["unknown", "12.3 %"]
    assert wording.moment("2026-01-31T12:00:00Z") == "2026-01-31 12:00:00 UTC"


def test_an_image_without_a_name_is_called_by_the_start_of_its_digest() -> None:
    assert wording.image("haraka:3") == "haraka:3"
    assert wording.image("sha256:" + "0123456789ab" * 5) == "sha256:0123456789ab\N{HORIZONTAL ELLIPSIS}"


def test_a_line_needs_two_points_and_keeps_within_its_box() -> None:
    assert sparkline((None, 1.0), "x") == ""
    points = [
        float(part) for part in re.findall(r"[\d.]+", re.findall('points="(.*?)"', sparkline((5.0, 0.0, -3.0), "x"))[0])
    ]
    assert max(points[1::2]) <= 24.0
    assert points[0::2] == [2.0, 60.0, 118.0]


def test_the_words_of_a_line_are_text() -> None:
    assert 'aria-label="&lt;b&gt;"' in sparkline((1.0, 2.0), "<b>")
