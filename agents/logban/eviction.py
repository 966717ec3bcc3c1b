"""Who makes room when a set is full: whoever would be let in first anyway."""

import heapq
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Eviction:
    """Finds the ban that expires first without remembering them all.

    It keeps the soonest few of one listing of the set. Until these are used up nobody can expire sooner, except who was
    banned after the listing: of those it must be told.
    """

    keep: int = 4096
    _times: dict[bytes, float] = field(default_factory=dict)
    _queue: list[tuple[float, bytes]] = field(default_factory=list)  # may hold times that no longer hold
    _horizon: float = -math.inf  # nobody outside the queue expires before this

    def note(self, key: bytes, expires_at: float) -> None:
        """Hear of a ban added, or given another time."""
        self._times.pop(key, None)
        if expires_at <= self._horizon:
            self._push(key, expires_at)

    def victim(self, listing: Callable[[], Iterable[tuple[bytes, int]]], now: float) -> bytes | None:
        """Name the next to go, None when the set is empty. *listing* tells who is in it and the seconds each has left.

        Who was unbanned or expired since the listing may be named too: removing them does no harm, then ask again.
        """
        if not self._times:
            self._learn(listing(), now)
        while self._queue:
            expires_at, key = heapq.heappop(self._queue)
            if self._times.get(key) == expires_at:
                del self._times[key]
                return key
        return None

    def _learn(self, listing: Iterable[tuple[bytes, int]], now: float) -> None:
        self._queue.clear()
        for expires_at, key in heapq.nsmallest(self.keep, ((now + seconds, key) for key, seconds in listing)):
            self._horizon = expires_at
            self._push(key, expires_at)

    def _push(self, key: bytes, expires_at: float) -> None:
        self._times[key] = expires_at
        heapq.heappush(self._queue, (expires_at, key))
