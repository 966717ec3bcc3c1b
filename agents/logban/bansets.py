"""Banned sources in the kernel's sets, the same for every kind of set the kernel has."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from logban.eviction import Eviction
from logban.firewall import (
    FAMILIES,
    Ban,
    Family,
    Fence,
    FirewallError,
    Source,
    armed_seconds,
    family_of,
    packed,
    set_name,
    unpacked,
)

Contents = Mapping[str, Mapping[bytes, int]]  # of each set, addresses as in a packet with the seconds they are to stay


class SetFull(Exception):
    """A set holds as many elements as it may."""


class KernelSets(Protocol):
    """Sets with timeouts, known by name. Methods raise FirewallError."""

    def add(self, name: str, key: bytes, seconds: int) -> None:
        """Add an element, or give it this time if it is there. Raises SetFull."""

    def delete(self, name: str, key: bytes) -> bool:
        """Remove an element. Whether it was there; it was not if there is no such set."""

    def contains(self, name: str, key: bytes) -> bool:
        """Whether the kernel would match this source now. It would not if there is no such set."""

    def elements(self, name: str) -> Iterator[tuple[bytes, int]]:
        """All elements with the seconds each has left; 0 for one that was added by hand to stay for ever."""

    def count(self, name: str) -> int:
        """How many elements it holds; those that just expired may still be counted."""


class BanSets:
    """Two sets for each fence, and who has to go when one is full."""

    def __init__(self, kernel: KernelSets, clock: Callable[[], float] = time.monotonic) -> None:
        """Use the kernel's sets; there are no fences yet."""
        self._kernel = kernel
        self._clock = clock
        self._fences: tuple[Fence, ...] = ()
        self._evictions: dict[str, Eviction] = {}

    @property
    def fences(self) -> tuple[Fence, ...]:
        """What banned sources are kept out of."""
        return self._fences

    @property
    def names(self) -> dict[str, Family]:
        """The sets there should be."""
        return {set_name(fence.name, family): family for fence in self._fences for family in FAMILIES}

    def adopt(self, fences: Sequence[Fence]) -> None:
        """Work for these fences from now on."""
        self._fences = tuple(fences)
        self.refilled()

    def refilled(self) -> None:
        """Hear that the sets were given other contents."""
        self._evictions = {name: Eviction() for name in self.names}

    def ban(self, ban: Ban) -> tuple[Source, ...]:
        """Add a ban, and return who had to make room for it."""
        name, key, seconds = self._set_of(ban), packed(ban.source), armed_seconds(ban.seconds)
        evicted: list[Source] = []
        while True:
            try:
                self._kernel.add(name, key, seconds)
            except SetFull:
                evicted += self._evict(name)
                continue
            self._evictions[name].note(key, self._clock() + seconds)
            return tuple(evicted)

    def unban(self, source: Source) -> bool:
        """Take a source out of the sets of every fence. Whether it was in one."""
        key, family = packed(source), family_of(source)
        removed = [self._kernel.delete(name, key) for name, of in self.names.items() if of == family]
        return any(removed)

    def holds(self, ban: Ban) -> bool:
        """Whether the kernel knows of a ban."""
        return self._kernel.contains(self._set_of(ban), packed(ban.source))

    def standing(self) -> Iterator[Ban]:
        """All bans in force, with the time they have left."""
        for fence in self._fences:
            for family in FAMILIES:
                for key, seconds in self._kernel.elements(set_name(fence.name, family)):
                    yield Ban(unpacked(key), seconds, fence.name)

    def count(self) -> dict[Family, int]:
        """How many sources of each family are banned."""
        totals: dict[Family, int] = {4: 0, 6: 0}
        for name, family in self.names.items():
            totals[family] += self._kernel.count(name)
        return totals

    def _evict(self, name: str) -> tuple[Source, ...]:
        key = self._evictions[name].victim(lambda: self._kernel.elements(name), self._clock())
        if key is None:
            raise FirewallError(f"set {name} is full and holds nobody")
        return (unpacked(key),) if self._kernel.delete(name, key) else ()

    def _set_of(self, ban: Ban) -> str:
        name = set_name(ban.fence, family_of(ban.source))
        if name not in self._evictions:
            raise FirewallError(f"no fence is called {ban.fence!r}")
        return name
