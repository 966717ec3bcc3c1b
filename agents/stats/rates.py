"""From totals to rates: what a service counted, over time. Pure; times are of a clock that only goes forward."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Sample:
    """The counters of a service at one moment, in seconds."""

    at: float
    counters: Mapping[str, float]


class Derived(Protocol):
    """A figure that takes more than one reading."""

    @property
    def name(self) -> str: ...

    def of(self, samples: Sequence[Sample]) -> float | None:
        """Compute it from samples, oldest first; None where it cannot be known."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast a counter grows, per *per_seconds*. A window of 0 is the time since the reading before."""

    name: str
    counter: str
    window_seconds: float = 0.0
    per_seconds: float = 1.0

    def of(self, samples: Sequence[Sample]) -> float | None:
        found = span(samples, (self.counter,), self.window_seconds)
        if found is None:
            return None
        before, after = found
        grown = after.counters[self.counter] - before.counters[self.counter]
        return grown / (after.at - before.at) * self.per_seconds


@dataclass(frozen=True, slots=True)
class Ratio:
    """How much of one counter's growth another one's is; None while that one stood still."""

    name: str
    part: str
    whole: str
    window_seconds: float = 0.0

    def of(self, samples: Sequence[Sample]) -> float | None:
        found = span(samples, (self.part, self.whole), self.window_seconds)
        if found is None:
            return None
        before, after = found
        whole = after.counters[self.whole] - before.counters[self.whole]
        return (after.counters[self.part] - before.counters[self.part]) / whole if whole > 0 else None


def span(samples: Sequence[Sample], counters: Sequence[str], window_seconds: float) -> tuple[Sample, Sample] | None:
    """Choose the newest sample and the oldest one of the window since which these counters only grew.

    A counter that fell, or was not there, began anew: what was before says nothing. None where there are not two.
    """
    if not samples or not _has(samples[-1], counters):
        return None
    newest = first = samples[-1]
    for older in reversed(samples[:-1]):
        if not _has(older, counters) or any(older.counters[name] > first.counters[name] for name in counters):
            break
        if first is not newest and newest.at - older.at > window_seconds:
            break
        first = older
    return (first, newest) if first.at < newest.at else None


def _has(sample: Sample, counters: Sequence[str]) -> bool:
    return all(name in sample.counters for name in counters)
