"""The ledger: what is held against whom. Bounded, so that a million sources cannot grow it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from logban import policy
from logban.address import source, source_key
from logban.bounded import drop_oldest
from logban.offence import Offence, Proxy, Success
from logban.policy import History, Jail, Protected, Sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from logban.address import Address, Network
    from logban.offence import Event

# About 300 bytes each. Whoever was heard of longest ago is forgotten first.
MOST_SOURCES = 32_768
MOST_TRUSTED = 32_768
MOST_PROXIES = 256


@dataclass(frozen=True, slots=True)
class Ban:
    """A sentence to be carried out: who, by which jail, for how long; *dry_run*: only to be told."""

    source: Network
    address: Address
    jail: Jail
    sentence: Sentence
    last: Offence


class Ledger:
    """Hears events in order and says whom to ban. Everything it knows can be read, stored and put back."""

    def __init__(self, jails: Iterable[Jail], protected: Protected, trust_seconds: float) -> None:
        self.jails = tuple(jail for jail in jails if jail.enabled)
        self.protected = protected
        self.trust_seconds = trust_seconds
        self.histories: dict[tuple[str, int], History] = {}
        self.trusted: dict[int, float] = {}
        self._changed: dict[tuple[str, int], None] = {}
        self._fixed: dict[int, str | None] = {}

    def hear(
        self, event: Event, at: float, chance: Callable[[], float], jails: frozenset[str] | None = None
    ) -> list[Ban]:
        """Take in *event*, which happened *at*; *jails* names those that the container is watched for, None all."""
        if isinstance(event, Proxy):
            self.learn_proxy(event.address)
            return []
        if isinstance(event, Success):
            self._trust(event.address, at)
            return []
        if self.ignored(event.address, at) is not None:
            return []
        bans = (
            self._judge(jail, event, at, chance)
            for jail in self.jails
            if event.filter in jail.filters and (jails is None or jail.name in jails)
        )
        return [ban for ban in bans if ban is not None]

    def ignored(self, address: Address, at: float) -> str | None:
        """Tell why *address* would not be banned at that time, or None."""
        if self.is_trusted(address, at):
            return policy.ignored(address, self.protected, trusted=True)
        key = int(address) if address.version == 4 else -int(address)
        if key not in self._fixed:
            drop_oldest(self._fixed, MOST_SOURCES)
            self._fixed[key] = policy.ignored(address, self.protected, trusted=False)
        return self._fixed[key]

    def protect(self, protected: Protected) -> None:
        """Take over a changed set of protected addresses: a network was made, the host has a new address."""
        self.protected = protected
        self._fixed.clear()

    def is_trusted(self, address: Address, at: float) -> bool:
        since = self.trusted.get(source_key(address))
        return since is not None and max(0.0, at - since) < self.trust_seconds

    def learn_proxy(self, address: Address) -> None:
        """Never ban *address* from now on: the log showed it as the sender of a PROXY header."""
        known = self.protected.proxies
        if len(known) < MOST_PROXIES and not any(address in network for network in known):
            self.protect(replace(self.protected, proxies=(*known, _exactly(address))))

    def pardon(self, who: int) -> None:
        """Hold nothing against the source *who* any more: a person lifted its ban. Its earlier bans stay known."""
        for jail in self.jails:
            key = (jail.name, who)
            if key in self.histories:
                self.histories[key] = History((), self.histories[key].bans)
                self._changed[key] = None

    def changes(self) -> list[tuple[str, int, History | None]]:
        """Give jail, source (see `address.network`) and history of all that changed since; None: it is forgotten."""
        changed, self._changed = self._changed, {}
        return [(*key, self.histories.get(key)) for key in changed]

    def restore(self, histories: Mapping[tuple[str, int], History], trusted: Mapping[int, float]) -> None:
        """Put back what an earlier run stored."""
        self.histories.update(histories)
        self.trusted.update(trusted)

    def expire(self, now: float) -> None:
        """Forget what is of no more use: run it now and then."""
        jails = {jail.name: jail for jail in self.jails}
        for key, history in list(self.histories.items()):
            jail = jails.get(key[0])
            if jail is None or policy.worthless(history, jail, now):
                self._forget(key)
        self.trusted = {who: at for who, at in self.trusted.items() if now - at < self.trust_seconds}

    def _judge(self, jail: Jail, offence: Offence, at: float, chance: Callable[[], float]) -> Ban | None:
        if offence.kind not in jail.weights or any(offence.address in network for network in jail.ignoreip):
            return None
        key = (jail.name, source_key(offence.address))
        history, sentence = policy.judge(self.histories.pop(key, History()), jail, offence.kind, at, chance())
        self.histories[key] = history
        self._changed[key] = None
        self._changed.update(dict.fromkeys(drop_oldest(self.histories, MOST_SOURCES)))
        return None if sentence is None else Ban(source(offence.address), offence.address, jail, sentence, offence)

    def _trust(self, address: Address, at: float) -> None:
        who = source_key(address)
        self.trusted.pop(who, None)
        self.trusted[who] = at
        drop_oldest(self.trusted, MOST_TRUSTED)
        for jail in self.jails:
            key = (jail.name, who)
            if jail.forgive and key in self.histories:
                self.histories[key] = policy.forgiven(self.histories[key])
                self._changed[key] = None

    def _forget(self, key: tuple[str, int]) -> None:
        del self.histories[key]
        self._changed[key] = None


def _exactly(address: Address) -> Network:
    """Give the network of this one address: a proxy's neighbours in its /64 are not protected by it."""
    if address.version == 4:
        return source(address)
    return type(source(address))((int(address), 128))
