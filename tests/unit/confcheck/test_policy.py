from confcheck.finding import Finding
from confcheck.policy import News, news


def finding(file: str = "haraka/me", line: int = 1, message: str = "m") -> Finding:
    return Finding(file, line, "syntax", "error", message)


A, B = finding("haraka/a"), finding("haraka/b")
NOBODY: frozenset[str] = frozenset()


def test_what_is_seen_for_the_first_time_is_looked_at_again_before_it_is_told() -> None:
    assert news([A], NOBODY, NOBODY) == News((), NOBODY, unsure=True)


def test_what_is_seen_twice_is_told() -> None:
    assert news([A, B], frozenset({A.identity}), NOBODY) == News((A,), NOBODY, unsure=True)


def test_what_was_told_is_not_told_again() -> None:
    assert news([A], frozenset({A.identity}), {A.identity}) == News((), NOBODY, unsure=False)


def test_what_was_told_and_is_gone_is_over() -> None:
    assert news([A], frozenset({A.identity}), {A.identity, B.identity}) == News(
        (), frozenset({B.identity}), unsure=False
    )


def test_a_finding_is_the_same_after_lines_were_added_above_it_or_above_the_one_it_names() -> None:
    assert (
        finding(line=3, message="as in x.toml:7 said").identity
        == finding(line=9, message="as in x.toml:8 said").identity
    )
    assert A.identity != B.identity
