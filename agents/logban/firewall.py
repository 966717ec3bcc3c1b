"""What logban needs of a firewall: sources kept away from ports by the kernel itself, whoever else changes its rules.

The rule of both back ends was found by trying every hook with published, host-network and proxied ports. In the raw
table before routing (priority -300, before connection tracking) a packet still carries the client's address and the
port the client asked for: one rule serves them all, and an open connection is cut with its next packet. It names the
ports, and asks that the packet be for this host: replies to the stack's own mail to a banned host, and a proxy's way to
its back ends, do not match both. Docker's rules are neither read nor written, and nothing depends on who started first.
"""

import hashlib
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Final, Literal, Protocol

from sidecarkit.errors import SidecarError

Source = IPv4Network | IPv6Network  # one IPv4 address, or a /64: whoever has one address of it has them all
Family = Literal[4, 6]
FAMILIES: Final[tuple[Family, ...]] = (4, 6)

CAPACITY: Final = 1_048_576
LONGEST_SECONDS: Final = 2_147_483
"""The longest an ipset element can last, 24.8 days. Both back ends arm no longer, so that a change of back end changes
nothing; whoever keeps the ban arms it again before this has passed."""

_PREFIX_LENGTHS: Final = {4: 32, 6: 64}
_SLUG_LENGTH: Final = 18  # "logban4-" before and a mark behind: ipset allows 31 characters in all


class FirewallError(SidecarError):
    """The kernel, or a program that speaks to it, refused."""


@dataclass(frozen=True, slots=True)
class Fence:
    """Ports that banned sources may not reach. The one without a name holds every jail that has no ports of its own."""

    name: str = ""
    tcp: frozenset[int] = frozenset()
    udp: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Ban:
    """A source kept outside a fence for so many more seconds."""

    source: Source
    seconds: float
    fence: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """What one look at the kernel found missing or foreign; nothing when *drift* is empty."""

    drift: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether all is as it was installed."""
        return not self.drift


class Firewall(Protocol):
    """Rules of our own, and sets of banned sources that the kernel empties by its own clock.

    One thread uses one firewall. Call `guard` or `adopt` first. Every method but `close` raises FirewallError, also for
    a ban whose fence is not among those named.
    """

    @property
    def name(self) -> str:
        """The back end as settings and metrics call it: iptables, nftables or none."""

    def adopt(self, fences: Sequence[Fence]) -> None:
        """Work with what another process installed for these fences, as a command beside the agent does."""

    def guard(self, fences: Sequence[Fence]) -> None:
        """Install rules and sets for these fences, or bring what is there to this state, in one step for the kernel.

        Sets that stay keep what they hold. Sets of fences no longer named go.
        """

    def restore(self, bans: Iterable[Ban]) -> tuple[Ban, ...]:
        """Make these bans all there are, letting no packet through meanwhile. Returned are those that found no room."""

    def check(self, sample: Iterable[Ban] = ()) -> Check:
        """Compare rules, sets and a few bans that must be standing with the kernel. Cheap: meant for every second."""

    def ban(self, ban: Ban) -> tuple[Source, ...]:
        """Add a ban, or give a standing one this remaining time. Returned are the sources that had to make room."""

    def unban(self, source: Source) -> bool:
        """Take a source out of every set. Whether it was in one."""

    def unban_all(self) -> None:
        """Empty every set."""

    def standing(self) -> Iterator[Ban]:
        """All bans in force with what remains of them, as the kernel has it."""

    def count(self) -> Mapping[Family, int]:
        """How many sources of each family the kernel holds; those that just expired may still be counted."""

    def uninstall(self) -> None:
        """Remove rules, chains, sets and tables of ours, and with them all bans."""

    def close(self) -> None:
        """Give sockets back. Rules and bans stay."""


class Book(Protocol):
    """Who keeps the bans, as a repair sees it."""

    def sample(self) -> Iterable[Ban]:
        """Name a few bans that last longest. While they stand, nobody has emptied a set."""

    def all(self) -> Iterable[Ban]:
        """Name all bans that should stand now."""


def reconcile(firewall: Firewall, fences: Sequence[Fence], book: Book) -> Check:
    """Look whether the kernel still holds what it should, and put it back if not. What was found, for the log."""
    check = firewall.check(book.sample())
    if not check:
        firewall.guard(fences)
        firewall.restore(book.all())
    return check


class NoFirewall:
    """Bans nobody: for a host whose firewall is not ours to touch, and for looking before leaping."""

    name = "none"

    def adopt(self, fences: Sequence[Fence]) -> None:
        """Expect nothing."""

    def guard(self, fences: Sequence[Fence]) -> None:
        """Install nothing."""

    def restore(self, bans: Iterable[Ban]) -> tuple[Ban, ...]:  # noqa: ARG002 - a firewall's signature
        """Leave nobody out, having let nobody in."""
        return ()

    def check(self, sample: Iterable[Ban] = ()) -> Check:  # noqa: ARG002
        """Miss nothing."""
        return Check()

    def ban(self, ban: Ban) -> tuple[Source, ...]:  # noqa: ARG002
        """Ban nobody."""
        return ()

    def unban(self, source: Source) -> bool:  # noqa: ARG002
        """Find nobody."""
        return False

    def unban_all(self) -> None:
        """Release nobody."""

    def standing(self) -> Iterator[Ban]:
        """Hold nobody."""
        return iter(())

    def count(self) -> Mapping[Family, int]:
        """Count nobody."""
        return {4: 0, 6: 0}

    def uninstall(self) -> None:
        """Remove nothing."""

    def close(self) -> None:
        """Close nothing."""


def packed(source: Source) -> bytes:
    """Write the address as it stands in a packet. Raises FirewallError for a network of another size."""
    if source.prefixlen != _PREFIX_LENGTHS[source.version]:
        raise FirewallError(f"{source} is neither one IPv4 address nor an IPv6 /64")
    return source.network_address.packed


def unpacked(key: bytes) -> Source:
    """Read the source again."""
    return IPv4Network((key, 32)) if len(key) == 4 else IPv6Network((key, 64))


def family_of(source: Source) -> Family:
    """Tell the version of its addresses."""
    return 4 if isinstance(source, IPv4Network) else 6


def armed_seconds(seconds: float) -> int:
    """Tell the kernel's whole seconds: rounded up, never 0, which would be for ever, never above its limit."""
    return min(max(1, math.ceil(seconds)), LONGEST_SECONDS)


def set_name(fence: str, family: Family) -> str:
    """Name a fence's set: logban4, logban6, or logban4-NAME. At most 27 characters, plain ones only."""
    if not fence:
        return f"logban{family}"
    slug = re.sub(r"[^a-z0-9-]", "_", fence.lower())
    if slug != fence or len(slug) > _SLUG_LENGTH:  # two names must not become one set
        slug = f"{slug[: _SLUG_LENGTH - 7]}-{hashlib.sha256(fence.encode()).hexdigest()[:6]}"
    return f"logban{family}-{slug}"


def port_ranges(ports: Iterable[int]) -> list[tuple[int, int]]:
    """Write ports as first and last of each unbroken run, in order."""
    runs: list[tuple[int, int]] = []
    for port in sorted(set(ports)):
        if runs and port == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], port)
        else:
            runs.append((port, port))
    return runs


def by_set(
    bans: Iterable[Ban], names: Iterable[str], capacity: int
) -> tuple[dict[str, dict[bytes, int]], tuple[Ban, ...]]:
    """Sort bans into these sets as address and seconds.

    Of more than fit into one, the first to expire are left out and returned.
    """
    sets: dict[str, dict[bytes, int]] = {name: {} for name in names}
    fences: dict[str, str] = {}
    for ban in bans:
        name = set_name(ban.fence, family_of(ban.source))
        if name not in sets:
            raise FirewallError(f"no fence is called {ban.fence!r}")
        fences[name] = ban.fence
        key, seconds = packed(ban.source), armed_seconds(ban.seconds)
        sets[name][key] = max(seconds, sets[name].get(key, 0))
    left_out = []
    for name, elements in sets.items():
        surplus = sorted(elements, key=elements.__getitem__)[: max(0, len(elements) - capacity)]
        left_out += [Ban(unpacked(key), elements.pop(key), fences[name]) for key in surplus]
    return sets, tuple(left_out)
