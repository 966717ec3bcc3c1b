"""The firewall and what it is to hold: the only place where bans are made, lifted, repaired and counted."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from logban.address import IPV4_SOURCES, Network, network, source_key
from logban.bans import Bans
from logban.firewall import FAMILIES, Ban, Fence, Firewall, FirewallError, Source, reconcile
from logban.metrics import Metrics
from logban.policy import Protected
from logban.store import BanRecord, Store
from sidecarkit import logs

MANUAL = "manual"
REARM_EVERY_SECONDS = 86_400.0
_IPV6_BITS, _CLIENT_BITS = 128, 64


class Guard:
    """Bans go to the kernel first and into the store with the same turn of the loop; nothing is forgotten between.

    If the process dies in that moment, the log is read again from before the lines that led to the ban.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - its parts, put together once
        self,
        firewall: Firewall,
        store: Store,
        metrics: Metrics,
        log: logs.Log,
        on_trouble: Callable[[str | None], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """*on_trouble* hears why the firewall cannot be used at the moment, and None when it can."""
        self._firewall, self._store, self._metrics, self._log = firewall, store, metrics, log
        self._on_trouble, self._clock = on_trouble, clock
        self.bans = Bans(clock)
        self.fences: tuple[Fence, ...] = store.fences()
        self.protected = Protected()
        self._sheltered: list[tuple[int, int]] = []
        self._unsure = False  # the kernel may lack something that the sample does not show
        self._rearm_at = 0.0
        self._unwritten: list[Callable[[], object]] = []

    @property
    def backend(self) -> str:
        return self._firewall.name

    def begin(self) -> None:
        """Install what the last run guarded, with its bans: before the engine is asked anything."""
        now = self._clock()
        self._store.expire(now)
        known = {fence.name for fence in self.fences}
        for key, fence, jail, until in self._store.standing():
            if fence in known:
                self.bans.put(key, fence, jail, until)
        with self._tried("install"):
            self._firewall.guard(self.fences)
            if self.bans:
                self._firewall.restore(self.bans.all())
            else:
                self._adopt()

    def _adopt(self) -> None:
        """Take over what the kernel holds: nothing is known of it if the state was lost."""
        for ban in list(self._firewall.standing()):
            until = self._clock() + ban.seconds
            self.bans.put(source_key(ban.source.network_address), ban.fence, MANUAL, until)
            record = BanRecord(ban.source, ban.fence, MANUAL, self._clock(), until, reason="found in the kernel")
            self._store.ban(record)

    # Bans

    def ban(self, record: BanRecord) -> BanRecord:
        """Keep a source out. A longer ban that stands keeps its end, unless a person asks for another."""
        standing = self.bans.get(record.source, record.fence)
        if standing and standing.until > record.until and record.jail != MANUAL:
            record = replace(record, until=standing.until)
        self._metrics.bans.labels(record.jail).inc()
        if not record.dry_run:
            self.bans.put(source_key(record.source.network_address), record.fence, record.jail, record.until)
            self._arm(Ban(record.source, record.until - self._clock(), record.fence))
        self._unwritten.append(lambda: self._store.ban(record))
        return record

    def _arm(self, ban: Ban) -> None:
        evicted: tuple[Source, ...] = ()
        with self._tried("ban"):
            evicted = self._firewall.ban(ban)
        for source in evicted:
            self._drop(source, "evicted", ban.fence)

    def unban(self, source: Source, how: str = "unbanned") -> bool:
        """Let a source in again. Whether it was kept out."""
        fences = self.bans.fences_of(source)
        for fence in fences:
            self._drop(source, how, fence)
        self._unwritten.append(lambda: self._store.end(source, how))
        with self._tried("unban"):
            return self._firewall.unban(source) or bool(fences)
        return bool(fences)

    def unban_all(self) -> int:
        """Let everybody in again. How many were kept out."""
        count = len(self.bans)
        for (jail, _), number in self.bans.counts.items():
            self._metrics.unbans.labels(jail, "unbanned").inc(number)
        self.bans.clear()
        self._unwritten.append(lambda: self._store.end_all("unbanned"))
        with self._tried("unban"):
            self._firewall.unban_all()
        return count

    def _drop(self, source: Source, how: str, fence: str) -> None:
        standing = self.bans.drop(source_key(source.network_address), fence)
        if standing:
            self._metrics.unbans.labels(standing.jail, how).inc()
            self._unwritten.append(lambda: self._store.end(source, how, fence=fence))

    def write(self) -> None:
        """Store what was done since the last time; belongs into the transaction of the lines that led to it."""
        for write in self._unwritten:
            write()

    def written(self) -> None:
        self._unwritten = []

    @property
    def has_unwritten(self) -> bool:
        return bool(self._unwritten)

    # Whom and what

    def protect(self, protected: Protected) -> list[Source]:
        """Lift the bans of those who may never be banned; returns them."""
        if protected == self.protected:
            return []
        self.protected, self._sheltered = protected, _ranges(protected)
        lifted = [network(key) for key in self.bans.within(self._sheltered)]
        for source in lifted:
            self.unban(source, "protected")
        return lifted

    def shelters(self, source: Source) -> bool:
        """Whether banning *source*, a whole /64 perhaps, would hit somebody who may never be banned."""
        key = source_key(source.network_address)
        return any(first <= key <= last for first, last in self._sheltered)

    def fence_in(self, fences: tuple[Fence, ...]) -> bool:
        """Guard these from now on. Whether that is another thing than before."""
        if fences == self.fences:
            return False
        gone = {fence.name for fence in self.fences} - {fence.name for fence in fences}
        for ban in [ban for ban in self.bans.all() if ban.fence in gone]:
            self._drop(ban.source, "unbanned", ban.fence)
        self.fences = fences
        self._store.guarded(fences)
        with self._tried("guard"):
            self._firewall.guard(fences)
        return True

    # Keeping it so

    def tick(self, now: float) -> None:
        """Compare with the kernel, repair, arm again what it cannot count to; meant for every second."""
        for key, fence in self._store.expire(now):
            if standing := self.bans.drop(key, fence):
                self._metrics.unbans.labels(standing.jail, "expired").inc()
        with self._tried("check"):
            if self._unsure:
                self._firewall.guard(self.fences)
                self._firewall.restore(self.bans.all())
                self._unsure = False
            elif drift := reconcile(self._firewall, self.fences, self.bans).drift:
                self._metrics.repairs.inc()
                self._log.warning("firewall_repaired", backend=self.backend, found=list(drift), bans=len(self.bans))
            if now >= self._rearm_at:
                self._rearm_at = now + REARM_EVERY_SECONDS
                for ban in self.bans.to_rearm():
                    self._firewall.ban(ban)
            held = self._firewall.count()
            for family in FAMILIES:
                self._metrics.backend_bans.labels(self.backend, f"ipv{family}").set(held[family])
        for (jail, family), number in self.bans.counts.items():
            self._metrics.active_bans.labels(jail, f"ipv{family}").set(number)

    def end(self, *, flush: bool) -> None:
        """Leave everything in place, or nothing of it if *flush*."""
        if flush:
            with self._tried("uninstall"):
                self._firewall.uninstall()
        self._firewall.close()

    @contextmanager
    def _tried(self, operation: str) -> Iterator[None]:
        """Try something with the firewall. What fails is repaired by a later tick: nothing of it is forgotten."""
        try:
            yield
        except FirewallError as error:
            self._unsure = True
            self._metrics.backend_up.labels(self.backend).set(0)
            self._metrics.backend_errors.labels(self.backend, operation).inc()
            self._log.error("firewall_refused", backend=self.backend, operation=operation, reason=str(error))
            self._on_trouble(f"{self.backend}: {operation}: {error}")
        else:
            if not self._unsure:
                self._metrics.backend_up.labels(self.backend).set(1)
                self._on_trouble(None)


def _ranges(protected: Protected) -> list[tuple[int, int]]:
    """Write the protected networks as ranges of `source_key`."""
    single: Iterable[Network] = (
        *protected.proxies,
        *protected.ignoreip,
        *protected.container_networks,
    )
    ranges = [_keys(int(each.network_address), int(each.broadcast_address), each.version) for each in single]
    addresses = protected.own | protected.gateways
    return ranges + [_keys(int(address), int(address), address.version) for address in addresses]


def _keys(first: int, last: int, version: int) -> tuple[int, int]:
    if version == 4:
        return first, last
    return IPV4_SOURCES + (first >> _CLIENT_BITS), IPV4_SOURCES + (last >> _CLIENT_BITS)
