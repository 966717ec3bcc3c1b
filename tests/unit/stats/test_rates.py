"""From totals to rates, also across restarts and gaps."""

from stats.rates import Rate, Ratio, Sample


def samples(*points: tuple[float, float]) -> list[Sample]:
    return [Sample(at, {"done": total}) for at, total in points]


def test_a_rate_is_the_growth_since_the_reading_before() -> None:
    assert Rate("per_second", "done").of(samples((0, 100), (10, 100), (20, 150))) == 5.0


def test_a_rate_over_a_window_reaches_back_as_far_as_the_window() -> None:
    rate = Rate("per_minute", "done", window_seconds=30, per_seconds=60)
    assert rate.of(samples((0, 0), (10, 600), (25, 600), (40, 630))) == 60.0


def test_one_reading_makes_no_rate() -> None:
    assert Rate("per_second", "done").of(samples((0, 100))) is None
    assert Rate("per_second", "done").of([]) is None


def test_a_service_that_began_anew_has_no_rate_until_its_second_reading() -> None:
    rate = Rate("per_second", "done", window_seconds=60)
    assert rate.of(samples((0, 500), (10, 900), (20, 3))) is None
    assert rate.of(samples((0, 500), (10, 900), (20, 3), (30, 13))) == 1.0


def test_a_counter_that_is_not_told_has_no_rate() -> None:
    assert Rate("per_second", "other").of(samples((0, 1), (10, 2))) is None


def test_a_ratio_is_of_the_growth_and_not_of_the_totals() -> None:
    seen = [Sample(0, {"spam": 90, "all": 100}), Sample(10, {"spam": 91, "all": 110})]
    assert Ratio("share", "spam", "all").of(seen) == 0.1


def test_where_nothing_happened_a_ratio_is_unknown_and_not_zero() -> None:
    seen = [Sample(0, {"spam": 1, "all": 5}), Sample(10, {"spam": 1, "all": 5})]
    assert Ratio("share", "spam", "all").of(seen) is None
