"""Judging: who may never be banned, and what an offence deserves.

Pure: no clock, no kernel, no log. Time comes with the offence, chance is handed in, states are replaced, never edited.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import TYPE_CHECKING, NamedTuple

from logban.offence import STRONG_KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from logban.address import Address, Network

# Of several reasons the first is given.
REASONS = (
    "proxy",
    "ignoreip",
    "loopback",
    "private",
    "container_network",
    "trusted",
    "link_local",
    "multicast",
    "own_address",
    "reserved",
)
# Not ipaddress.is_private: that takes the documentation ranges for private, and shared address space (RFC 6598) not.
_RANGES = {
    version: tuple((int(each[0]), int(each[-1]), reason) for reason, text in ranges if (each := ip_network(text)))
    for version, ranges in {
        4: (
            ("loopback", "127.0.0.0/8"),
            ("private", "10.0.0.0/8"),
            ("private", "172.16.0.0/12"),
            ("private", "192.168.0.0/16"),
            ("private", "100.64.0.0/10"),
            ("link_local", "169.254.0.0/16"),
            ("multicast", "224.0.0.0/4"),
            ("reserved", "0.0.0.0/8"),
            ("reserved", "240.0.0.0/4"),
        ),
        6: (
            ("loopback", "::1/128"),
            ("private", "fc00::/7"),
            ("link_local", "fe80::/10"),
            ("multicast", "ff00::/8"),
            ("reserved", "::/128"),
        ),
    }.items()
}
# A history never holds more than this; a source that reaches it has been judged long before.
MOST_MARKS = 64


@dataclass(frozen=True, slots=True)
class Protected:
    """Addresses that are never banned, whatever a log says; *gateways* are bridges' own, behind which clients hide."""

    proxies: tuple[Network, ...] = ()
    ignoreip: tuple[Network, ...] = ()
    container_networks: tuple[Network, ...] = ()
    own: frozenset[Address] = frozenset()
    gateways: frozenset[Address] = frozenset()


@dataclass(frozen=True, slots=True)
class Increment:
    """How bans of one source grow: by *factor* each time up to a maximum, plus up to *jitter* of it by chance."""

    factor: float = 1.0
    maximum_seconds: float = 604_800.0
    jitter: float = 0.0


@dataclass(frozen=True, slots=True)
class Jail:
    """What is counted, how much is too much, and what follows. *ports* empty: those the watched containers publish."""

    name: str
    filters: frozenset[str]
    weights: Mapping[str, float]
    maxretry: float
    findtime_seconds: float
    bantime_seconds: float
    increment: Increment = field(default_factory=Increment)
    ports: tuple[str, ...] = ()
    ignoreip: tuple[Network, ...] = ()
    forgive: bool = True
    dry_run: bool = False
    enabled: bool = True


class Mark(NamedTuple):
    """One counted offence."""

    at: float
    kind: str
    weight: float


class History(NamedTuple):
    """What one jail holds against one source: offences in the window, and bans so far."""

    marks: tuple[Mark, ...] = ()
    bans: int = 0
    banned_until: float = 0.0


class Sentence(NamedTuple):
    """A ban, from *at* on; *bans* tells the how manieth of this source it is."""

    at: float
    seconds: float
    bans: int
    marks: tuple[Mark, ...]


def ignored(address: Address, protected: Protected, *, trusted: bool) -> str | None:
    """Tell why *address* is never banned, or None. *trusted*: it had a good login or an accepted mail of late."""
    found = {"trusted"} if trusted else set()
    found |= _nature(address)
    found |= {
        reason
        for reason, networks in (
            ("proxy", protected.proxies),
            ("ignoreip", protected.ignoreip),
            ("container_network", protected.container_networks),
        )
        if networks and any(address in network for network in networks)
    }
    if address in protected.gateways:
        found.add("container_network")
    if address in protected.own:
        found.add("own_address")
    return next((reason for reason in REASONS if reason in found), None) if found else None


def _nature(address: Address) -> set[str]:
    """Say what kind of address it is, if it is none that a client out there can have."""
    number, ranges = int(address), _RANGES[address.version]
    return {reason for first, last, reason in ranges if first <= number <= last}


def judge(history: History, jail: Jail, kind: str, at: float, chance: float) -> tuple[History, Sentence | None]:
    """Count an offence of *kind* and say what follows. *chance*, 0 to 1, spreads the ends of bans.

    Times may run backwards a little, as the engine's do when two streams meet: the window ends at the latest.
    A source that is banned already is not sentenced again.
    """
    weight = jail.weights.get(kind, 0.0)
    if weight <= 0.0 or at < history.banned_until:
        return history, None
    marks = (*history.marks, Mark(at, kind, weight))
    latest = max(mark.at for mark in marks)
    marks = tuple(mark for mark in marks if latest - mark.at < jail.findtime_seconds)[-MOST_MARKS:]
    if _severity(marks) < jail.maxretry:
        return History(marks, history.bans, history.banned_until), None
    # Earlier bans are forgotten once the source has been good for as long as a ban may last.
    forgotten = latest - history.banned_until > jail.increment.maximum_seconds
    bans = 1 if forgotten else history.bans + 1
    seconds = _bantime(jail, bans, chance)
    return History((), bans, latest + seconds), Sentence(latest, seconds, bans, marks)


def forgiven(history: History) -> History:
    """*history* after a success: the offences are forgotten, the bans are not."""
    return History((), history.bans, history.banned_until)


def worthless(history: History, jail: Jail, now: float) -> bool:
    """Whether *history* tells nothing more that a judge would need."""
    over = history.banned_until <= 0.0 or now - history.banned_until > jail.increment.maximum_seconds
    return over and all(now - mark.at >= jail.findtime_seconds for mark in history.marks)


def _severity(marks: tuple[Mark, ...]) -> float:
    """Add the weights up; what innocent clients do as well weighs only beside what they do not."""
    if "auth_failure" not in {mark.kind for mark in marks} and not any(mark.kind in STRONG_KINDS for mark in marks):
        return 0.0
    return sum(mark.weight for mark in marks)


def _bantime(jail: Jail, bans: int, chance: float) -> float:
    increment = jail.increment
    # min() of the exponents first: a factor to the power of thousands is beyond a float.
    grown = jail.bantime_seconds * increment.factor ** min(bans - 1, 64)
    return min(grown, max(increment.maximum_seconds, jail.bantime_seconds)) * (1.0 + increment.jitter * chance)
