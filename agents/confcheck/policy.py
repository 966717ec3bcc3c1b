"""Decides which findings are news. Pure: no clock, no files, no notices."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from confcheck.finding import Finding


@dataclass(frozen=True, slots=True)
class News:
    """What to tell, what is over, and what to look at again soon: it may be an editor's half-written file."""

    told: tuple[Finding, ...]
    over: frozenset[str]  # identities that were told and are gone
    unsure: bool


def news(findings: Iterable[Finding], before: frozenset[str], told: Iterable[str]) -> News:
    """Weigh *findings* against those of the look *before*, and those *told*: all by identity."""
    now: Mapping[str, Finding] = {each.identity: each for each in findings}
    known = frozenset(told)
    fresh = {name: each for name, each in now.items() if name not in known}
    sure = tuple(each for name, each in fresh.items() if name in before)
    return News(sure, known - set(now), unsure=len(sure) < len(fresh))
