"""What is known at one moment, of every source. Replaced as a whole, never edited: requests read it without a lock."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from stats.facts import Value

T = TypeVar("T")
Trend = tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Standing(Generic[T]):
    """How one source stands. Times are Unix seconds.

    `answer` is the last good one, which may be old; `failure` is what went wrong since, if anything did.
    """

    used: bool = False
    answer: T | None = None
    answered_at: float | None = None
    failure: str | None = None
    looked_at: float | None = None
    seconds: float | None = None
    derived: Mapping[str, Value] = field(default_factory=dict)
    trends: Mapping[str, Trend] = field(default_factory=dict)


UNUSED: Standing[Any] = Standing()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All standings by the sources' names, at `at` (Unix time)."""

    at: float
    interval_seconds: float
    standings: Mapping[str, Standing[Any]]

    def of(self, name: str) -> Standing[Any]:
        """Find a source's standing; the caller knows what its answers are."""
        return self.standings.get(name, UNUSED)
