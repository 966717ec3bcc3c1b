"""The nftables back end: one table of our own for both families.

`nft` makes the table from text, whole or not at all; elements come and go over netlink. The rule cuts the /64 out of an
address, so that a plain hash can hold it: a set with intervals takes a second for one change at 100,000 elements.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from logban import nftset
from logban.bansets import BanSets
from logban.firewall import (
    CAPACITY,
    FAMILIES,
    Ban,
    Check,
    Family,
    Fence,
    Source,
    by_set,
    port_ranges,
    set_name,
)
from logban.netlink import Connection
from logban.nftset import INET, NfTable
from logban.process import Command, ProgramError, run

TABLE: Final = "logban"
LOAD: Final[Command] = ("nft", "-f", "-")
TRY: Final[Command] = ("nft", "-c", "-f", "-")

_TYPES: Final[dict[Family, str]] = {4: "ipv4_addr", 6: "ipv6_addr"}
_KEY_LENGTHS: Final[dict[Family, int]] = {4: 4, 6: 16}
_SOURCES: Final[dict[Family, str]] = {4: "ip saddr", 6: "ip6 saddr & ffff:ffff:ffff:ffff::"}


def ruleset(fences: Sequence[Fence], capacity: int, gone: Iterable[str] = (), *, anew: bool = False) -> str:
    """Write what makes our table what it should be, in one transaction.

    Sets keep what they hold and those called *gone* are removed; made *anew*, the table starts with empty sets.
    """
    lines = [f"add table inet {TABLE}"]
    if anew:
        lines += [f"delete table inet {TABLE}", f"add table inet {TABLE}"]
    lines.append(f"add chain inet {TABLE} prerouting {{ type filter hook prerouting priority raw; policy accept; }}")
    lines.append(f"flush chain inet {TABLE} prerouting")
    lines += [f"delete set inet {TABLE} {name}" for name in gone]
    for fence in fences:
        lines += [_set(set_name(fence.name, family), family, capacity) for family in FAMILIES]
        lines += _rules(fence)
    return "\n".join(lines) + "\n"


class Nftables:
    """A firewall in `table inet logban` of the network namespace it was made in."""

    name = "nftables"

    def __init__(self, capacity: int = CAPACITY) -> None:
        """Hold at most *capacity* sources in a set. Nothing is installed yet."""
        self._capacity = capacity
        self._kernel = Connection()
        self._table = NfTable(self._kernel, INET, TABLE)
        self._sets = BanSets(self._table)
        self._installed: tuple[bytes, ...] = ()
        self._generation = 0  # when the kernel was last seen to hold what was installed

    def adopt(self, fences: Sequence[Fence]) -> None:
        """See Firewall."""
        self._sets.adopt(fences)

    def guard(self, fences: Sequence[Fence]) -> None:
        """See Firewall."""
        self._sets.adopt(fences)
        there = self._table.sets()
        wanted = {name: (_KEY_LENGTHS[family], self._capacity) for name, family in self._sets.names.items()}
        if any(there[name] != wanted[name] for name in there.keys() & wanted.keys()):
            self._load(anew=True)  # older kernels do not change the size of a set, and do not say so
            return
        try:
            self._load(gone=sorted(there.keys() - wanted.keys()))
        except ProgramError:  # something of our names is not ours, a chain on another hook perhaps
            self._load(anew=True)

    def restore(self, bans: Iterable[Ban]) -> tuple[Ban, ...]:
        """See Firewall."""
        contents, left_out = by_set(bans, self._sets.names, self._capacity)
        self._table.replace(contents)
        self._sets.refilled()
        return left_out

    def check(self, sample: Iterable[Ban] = ()) -> Check:
        """See Firewall. While nobody at all has changed nf_tables this is one question."""
        generation = nftset.generation(self._kernel)
        if generation == self._generation:
            return Check()
        handles = self._table.handles()
        if handles != self._installed:
            return Check(("table changed" if handles else "table missing",))
        if not all(map(self._sets.holds, sample)):
            return Check(("bans missing",))
        self._generation = generation
        return Check()

    def ban(self, ban: Ban) -> tuple[Source, ...]:
        """See Firewall."""
        return self._sets.ban(ban)

    def unban(self, source: Source) -> bool:
        """See Firewall."""
        return self._sets.unban(source)

    def unban_all(self) -> None:
        """See Firewall."""
        self.restore(())

    def standing(self) -> Iterator[Ban]:
        """See Firewall."""
        return self._sets.standing()

    def count(self) -> Mapping[Family, int]:
        """See Firewall."""
        return self._sets.count()

    def uninstall(self) -> None:
        """See Firewall."""
        if self._table.handles():
            run(LOAD, f"delete table inet {TABLE}\n")

    def close(self) -> None:
        """See Firewall."""
        self._kernel.close()

    def _load(self, gone: Iterable[str] = (), *, anew: bool = False) -> None:
        run(LOAD, ruleset(self._sets.fences, self._capacity, gone, anew=anew))
        self._installed = self._table.handles()
        self._generation = 0


def _set(name: str, family: Family, capacity: int) -> str:
    return f"add set inet {TABLE} {name} {{ type {_TYPES[family]}; flags timeout; size {capacity}; }}"


def _rules(fence: Fence) -> Iterator[str]:
    for protocol, ports in (("tcp", fence.tcp), ("udp", fence.udp)):
        if not ports:
            continue
        listed = ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in port_ranges(ports))
        for family, source in _SOURCES.items():
            match = f"{protocol} dport {{ {listed} }} {source} @{set_name(fence.name, family)} fib daddr type local"
            yield f"add rule inet {TABLE} prerouting {match} drop"
