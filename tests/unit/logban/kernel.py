"""A firewall that holds what it was told, for tests of who tells it; the real ones are in tests/integration."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from logban.firewall import Ban, Check, Family, Fence, FirewallError, Source, family_of


class Kernel:
    """Keeps bans; refuses everything while *broken*."""

    name = "nftables"

    def __init__(self, capacity: int = 1000) -> None:
        self.capacity = capacity
        self.held: dict[tuple[Source, str], float] = {}
        self.fences: tuple[Fence, ...] = ()
        self.broken = False
        self.calls: list[str] = []

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if self.broken:
            raise FirewallError("out of order")

    def adopt(self, fences: Sequence[Fence]) -> None:
        self.fences = tuple(fences)

    def guard(self, fences: Sequence[Fence]) -> None:
        self._called("guard")
        self.fences = tuple(fences)

    def restore(self, bans: Iterable[Ban]) -> tuple[Ban, ...]:
        self._called("restore")
        self.held = {(ban.source, ban.fence): ban.seconds for ban in bans}
        return ()

    def check(self, sample: Iterable[Ban] = ()) -> Check:
        self._called("check")
        return Check(tuple(f"{ban.source} is missing" for ban in sample if (ban.source, ban.fence) not in self.held))

    def ban(self, ban: Ban) -> tuple[Source, ...]:
        self._called("ban")
        evicted = ()
        if len(self.held) >= self.capacity:
            evicted = (min(self.held, key=self.held.__getitem__)[0],)
            self.held = {key: seconds for key, seconds in self.held.items() if key[0] not in evicted}
        self.held[ban.source, ban.fence] = ban.seconds
        return evicted

    def unban(self, source: Source) -> bool:
        self._called("unban")
        found = [key for key in self.held if key[0] == source]
        for key in found:
            del self.held[key]
        return bool(found)

    def unban_all(self) -> None:
        self._called("unban_all")
        self.held.clear()

    def standing(self) -> Iterator[Ban]:
        return (Ban(source, seconds, fence) for (source, fence), seconds in self.held.items())

    def count(self) -> Mapping[Family, int]:
        self._called("count")
        families = [family_of(source) for source, _ in self.held]
        return {4: families.count(4), 6: families.count(6)}

    def uninstall(self) -> None:
        self._called("uninstall")
        self.held.clear()

    def close(self) -> None:
        self.calls.append("close")
