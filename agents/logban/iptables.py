"""The iptables back end: a chain in the raw tables of iptables and ip6tables that looks into our ipsets.

Both generations of iptables work, the one on nf_tables and the legacy one, beside each other and beside Docker's rules
in either: every generation has its own hook, and a packet must pass them all.
"""

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

from logban import nftset
from logban.bansets import BanSets
from logban.firewall import (
    CAPACITY,
    FAMILIES,
    Ban,
    Check,
    Family,
    Fence,
    FirewallError,
    Source,
    by_set,
    port_ranges,
    set_name,
)
from logban.ipset import IpSets, SetInUse
from logban.netlink import Connection
from logban.nftset import IPV4, IPV6, NfTable
from logban.process import Command, run

CHAIN: Final = "LOGBAN"
Variant = Literal["", "-nft", "-legacy"]  # the suffix of the programs' names; without one, the system's choice

_TOOLS: Final[dict[Family, str]] = {4: "iptables", 6: "ip6tables"}
_NF_FAMILIES: Final[dict[Family, int]] = {4: IPV4, 6: IPV6}
_JUMP: Final = f"-A PREROUTING -j {CHAIN}"
_OUR_SET: Final = re.compile(r"logban[46](-.*)?")
_STAGED: Final = "+"  # appended to the name of a set that is being filled: 31 characters allow it
_IPV6: Final = Path("/proc/net/if_inet6")  # missing where the kernel has no IPv6
_PORTS_PER_RULE: Final = 15  # multiport's limit; a range counts as two
_WAIT: Final = "--wait=5"  # seconds for the lock that all users of legacy iptables share
_RELEASE_SECONDS: Final = 3.0


def version(family: Family, variant: Variant) -> Command:
    """Ask which generation a program is."""
    return (_TOOLS[family] + variant, "--version")


def save(family: Family, variant: Variant, *, table: str | None = "raw") -> Command:
    """Print a table, or every table in use: naming one that is not makes legacy iptables create it."""
    return (f"{_TOOLS[family]}{variant}-save", *(("-t", table) if table else ()))


def load(family: Family, variant: Variant, *, only_try: bool = False) -> Command:
    """Change what the text names and nothing else, whole or not at all."""
    return (f"{_TOOLS[family]}{variant}-restore", _WAIT, "--noflush", *(("--test",) if only_try else ()))


def rules(family: Family, fences: Sequence[Fence]) -> list[str]:
    """Write the rules of our chain. Ports come first: for most packets they end the rule."""
    lines = []
    for fence in fences:
        for protocol, ports in (("tcp", fence.tcp), ("udp", fence.udp)):
            for listed in _port_lists(port_ranges(ports)):
                ports_match = f"-p {protocol} -m multiport --dports {listed}"
                source_match = f"-m set --match-set {set_name(fence.name, family)} src -m addrtype --dst-type LOCAL"
                lines.append(f"-A {CHAIN} {ports_match} {source_match} -j DROP")
    return lines


def chain(family: Family, fences: Sequence[Fence], jumps: int) -> str:
    """Write what makes our chain as it should be and has it asked once, first.

    *jumps* is how many jumps to it there are now.
    """
    lines = [f":{CHAIN} - [0:0]", *rules(family, fences)]
    if jumps != 1:
        lines += [f"-D PREROUTING -j {CHAIN}"] * jumps + [f"-I PREROUTING 1 -j {CHAIN}"]
    return _table(lines)


def no_chain(jumps: int) -> str:
    """Write what removes our chain."""
    return _table([f"-D PREROUTING -j {CHAIN}"] * jumps + [f"-F {CHAIN}", f"-X {CHAIN}"])


def ours(saved: str) -> tuple[str, ...]:
    """Pick the lines of a saved raw table that are of our making, in order."""
    lines, table = [], ""
    for line in saved.splitlines():
        if line.startswith("*"):
            table = line
        elif table == "*raw" and (line.startswith((f"-A {CHAIN} ", f":{CHAIN} ")) or line == _JUMP):
            lines.append(line.split(" [")[0])  # a chain's counters follow
    return tuple(lines)


class Iptables:
    """A firewall in chain LOGBAN and sets logban4 and logban6 of the network namespace it was made in."""

    name = "iptables"

    def __init__(self, variant: Variant = "", capacity: int = CAPACITY) -> None:
        """Hold at most *capacity* sources in a set. Nothing is installed yet."""
        self._variant = variant
        self._capacity = capacity
        self._families: tuple[Family, ...] = FAMILIES if _IPV6.exists() else (4,)
        self.on_nf_tables = "nf_tables" in run(version(4, variant))
        self._kernel = Connection()
        self._ipsets = IpSets(self._kernel)
        self._sets = BanSets(self._ipsets)
        self._installed: dict[Family, tuple[str, ...]] = {}
        self._generation = 0  # of nf_tables, when our rules were last seen in it as they were installed

    def adopt(self, fences: Sequence[Fence]) -> None:
        """See Firewall."""
        self._sets.adopt(fences)

    def guard(self, fences: Sequence[Fence]) -> None:
        """See Firewall."""
        self._sets.adopt(fences)
        wanted = self._sets.names
        if any(self._is_foreign(name, family) for name, family in wanted.items()):
            self.uninstall()
        there = self._ipsets.names()
        for name in wanted.keys() - there:
            self._ipsets.create(name, wanted[name], self._capacity)
        for family in self._families:
            self._load_chain(family)
        self._generation = 0
        for name in filter(_is_ours, there - wanted.keys()):
            self._destroy(name)

    def restore(self, bans: Iterable[Ban]) -> tuple[Ban, ...]:
        """See Firewall. Set by set: each is filled aside, then exchanged."""
        contents, left_out = by_set(bans, self._sets.names, self._capacity)
        for name, family in self._sets.names.items():
            staged = name + _STAGED
            self._ipsets.destroy(staged)  # left by a process that was killed here
            self._ipsets.create(staged, family, self._capacity, expected=len(contents[name]))
            self._ipsets.fill(staged, contents[name].items())
            self._ipsets.swap(staged, name)
            self._ipsets.destroy(staged)
        self._sets.refilled()
        return left_out

    def check(self, sample: Iterable[Ban] = ()) -> Check:
        """See Firewall. Programs are started only for legacy iptables, or when somebody changed nf_tables."""
        drift = [f"IPv{family} rules changed" for family in self._changed_chains()]
        drift += [f"set {name} missing" for name in sorted(self._sets.names.keys() - self._ipsets.names())]
        if not drift and not all(map(self._sets.holds, sample)):
            drift.append("bans missing")
        return Check(tuple(drift))

    def ban(self, ban: Ban) -> tuple[Source, ...]:
        """See Firewall."""
        return self._sets.ban(ban)

    def unban(self, source: Source) -> bool:
        """See Firewall."""
        return self._sets.unban(source)

    def unban_all(self) -> None:
        """See Firewall."""
        for name in self._sets.names:
            self._ipsets.flush(name)
        self._sets.refilled()

    def standing(self) -> Iterator[Ban]:
        """See Firewall."""
        return self._sets.standing()

    def count(self) -> Mapping[Family, int]:
        """See Firewall."""
        return self._sets.count()

    def uninstall(self) -> None:
        """See Firewall."""
        self.remove_chains()
        for name in filter(_is_ours, self._ipsets.names()):
            self._destroy(name)

    def remove_chains(self) -> None:
        """Remove the rules and leave the sets.

        A raw table that is left without any rule goes too, where iptables is on nf_tables: it was made for our chain.
        """
        for family in self._families:
            lines = ours(run(save(family, self._variant, table=None)))
            if lines:
                run(load(family, self._variant), no_chain(lines.count(_JUMP)))
            if lines and self.on_nf_tables:
                NfTable(self._kernel, _NF_FAMILIES[family], "raw").delete_if_bare()

    def close(self) -> None:
        """See Firewall."""
        self._kernel.close()

    def _load_chain(self, family: Family) -> None:
        jumps = ours(run(save(family, self._variant))).count(_JUMP)
        run(load(family, self._variant), chain(family, self._sets.fences, jumps))
        self._installed[family] = ours(run(save(family, self._variant)))

    def _changed_chains(self) -> list[Family]:
        generation = nftset.generation(self._kernel) if self.on_nf_tables else 0
        if generation and generation == self._generation:
            return []
        changed = [f for f in self._families if ours(run(save(f, self._variant))) != self._installed.get(f)]
        if not changed:
            self._generation = generation
        return changed

    def _is_foreign(self, name: str, family: Family) -> bool:
        header = self._ipsets.header(name)
        return header is not None and not header.fits(family)

    def _destroy(self, name: str) -> None:
        deadline = time.monotonic() + _RELEASE_SECONDS
        while True:
            try:
                self._ipsets.destroy(name)
            except SetInUse:
                if time.monotonic() > deadline:
                    raise FirewallError(f"set {name} is used by a rule that is not ours") from None
                time.sleep(0.01)  # the kernel frees the rules just removed when every packet has left them
            else:
                return


def _is_ours(name: str) -> bool:
    return _OUR_SET.fullmatch(name.removesuffix(_STAGED)) is not None


def _table(lines: Iterable[str]) -> str:
    return "\n".join(("*raw", *lines, "COMMIT", ""))


def _port_lists(ranges: Iterable[tuple[int, int]]) -> Iterator[str]:
    listed: list[str] = []
    slots = 0
    for first, last in ranges:
        need = 1 if first == last else 2
        if slots + need > _PORTS_PER_RULE:
            yield ",".join(listed)
            listed, slots = [], 0
        listed.append(str(first) if first == last else f"{first}:{last}")
        slots += need
    if listed:
        yield ",".join(listed)
