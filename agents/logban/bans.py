"""The bans in force, as a repair of the firewall wants to know them. A hundred thousand take 20 MB."""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from logban.address import IPV4_SOURCES, network, source_key
from logban.firewall import LONGEST_SECONDS, Ban, Family, Source

_SAMPLE = 4
_REARM_SECONDS = 2 * 86_400.0  # so long before the kernel would end a ban too early it is armed again


@dataclass(frozen=True, slots=True)
class Standing:
    """Until when a source is banned, in Unix time, and by whom."""

    until: float
    jail: str


class Bans:
    """Sources with the end of their bans, by fence: the `Book` of `firewall.reconcile`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """*clock* gives the Unix time."""
        self._clock = clock
        self._fences: dict[str, dict[int, Standing]] = {}
        self._sample: list[tuple[float, int, str]] | None = None
        self.counts: Counter[tuple[str, Family]] = Counter()

    def __len__(self) -> int:
        return sum(map(len, self._fences.values()))

    def get(self, source: Source, fence: str) -> Standing | None:
        """Find the ban of a source in one fence."""
        return self._fences.get(fence, {}).get(_key(source))

    def fences_of(self, source: Source) -> list[str]:
        """Name the fences that a source is kept out of."""
        return [fence for fence, bans in self._fences.items() if _key(source) in bans]

    def put(self, key: int, fence: str, jail: str, until: float) -> None:
        """Note a ban of the source with this `source_key`; one that stands is replaced."""
        self.drop(key, fence)
        self._fences.setdefault(fence, {})[key] = Standing(until, jail)
        self.counts[jail, _family(key)] += 1
        if self._sample is not None and (len(self._sample) < _SAMPLE or until > self._sample[-1][0]):
            self._sample = sorted([*self._sample, (until, key, fence)], reverse=True)[:_SAMPLE]

    def drop(self, key: int, fence: str) -> Standing | None:
        """Forget a ban. What it was."""
        standing = self._fences.get(fence, {}).pop(key, None)
        if standing is not None:
            self.counts[standing.jail, _family(key)] -= 1
            if self._sample is not None and any(entry[1:] == (key, fence) for entry in self._sample):
                self._sample = None
        return standing

    def clear(self) -> None:
        """Forget them all."""
        self._fences.clear()
        self._sample = None
        for key in self.counts:
            self.counts[key] = 0

    def sample(self) -> Iterable[Ban]:
        """Name a few that last longest."""
        if self._sample is None:
            entries = ((ban.until, key, fence) for fence, bans in self._fences.items() for key, ban in bans.items())
            self._sample = heapq.nlargest(_SAMPLE, entries)
        now = self._clock()
        # One about to end may be gone from the kernel a moment before our clock says so.
        return [Ban(network(key), until - now, fence) for until, key, fence in self._sample if until - now > 2.0]

    def all(self) -> Iterator[Ban]:
        """Yield every ban with the time it has left."""
        now = self._clock()
        for fence, bans in self._fences.items():
            for key, standing in bans.items():
                if standing.until > now:
                    yield Ban(network(key), standing.until - now, fence)

    def to_rearm(self) -> list[Ban]:
        """List those that the kernel cannot keep to their end, or could not the last time: once a day is enough."""
        return [ban for ban in self.all() if ban.seconds > LONGEST_SECONDS - _REARM_SECONDS]

    def within(self, ranges: Iterable[tuple[int, int]]) -> list[int]:
        """List the banned sources, as `source_key`, that lie in one of these ranges of keys, ends included."""
        bounds = list(ranges)
        keys = {key for bans in self._fences.values() for key in bans}
        return [key for key in keys if any(first <= key <= last for first, last in bounds)]


def _key(source: Source) -> int:
    return source_key(source.network_address)


def _family(key: int) -> Family:
    return 4 if key < IPV4_SOURCES else 6
