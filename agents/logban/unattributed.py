"""Offences that nobody can be blamed for, because the log does not tell the address."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from logban.rules import Rule

_NO_ADDRESS = "the log never tells the address of this connection"


@dataclass(frozen=True, slots=True)
class Unattributed:
    """How many offences of one kind, and what would let them be attributed."""

    kind: str
    filter: str
    advice: str
    count: int


class Account:
    """Counts them, without counting twice what other lines of the same connection attribute."""

    def __init__(self) -> None:
        self._orphans: Counter[tuple[str, str, str]] = Counter()
        # Lines without address less the lines with one that they repeat, by kind, filter, advice and reason.
        self._surplus: Counter[tuple[str, str, str, str]] = Counter()

    def orphan(self, rule: Rule, kind: str) -> None:
        """Count an offence whose address will never be known."""
        self._orphans[kind, rule.filter, rule.advice] += 1

    def repeat(self, rule: Rule, kind: str, reason: str, by: int) -> None:
        """Count a line of *rule*, an echo: up when it was printed, down when what it repeats was, in any order."""
        self._surplus[kind, rule.filter, rule.advice, reason] += by

    def total(self, waiting: Iterable[tuple[Rule, str]]) -> list[Unattributed]:
        """Sum up, with the offences (rule and kind) that still wait for their address."""
        counts = self._orphans.copy()
        for (kind, name, advice, _), count in self._surplus.items():
            counts[kind, name, advice] += max(0, count)
        for rule, kind in waiting:
            counts[kind, rule.filter, rule.advice] += 1
        return [
            Unattributed(kind, name, advice or _NO_ADDRESS, count)
            for (kind, name, advice), count in counts.items()
            if count
        ]
