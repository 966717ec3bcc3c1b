"""From lines to sentences: every watched container's log, what is held against whom, and the evidence."""

import random
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address

from logban import world
from logban.address import source, source_key
from logban.cursor import STREAMS, Cursor, Mark, stamp_at
from logban.guard import Guard
from logban.ledger import Ban, Ledger
from logban.metrics import Metrics, rule
from logban.offence import Event, Offence, Proxy, Success
from logban.policy import History, Protected
from logban.recognition import Log, Recogniser
from logban.rulebook import Rulebook
from logban.store import BanRecord, OffenceRecord, Reading, Store
from logban.tail import Batch
from logban.world import Subject
from sidecarkit import logs

# A flood may leave out evidence, never a ban; each ban brings its own last line along.
MOST_NOTES = 256
MOST_SPARED = 256  # addresses that are named in a warning


@dataclass(slots=True)
class Case:
    """One container and what its log has told so far."""

    subject: Subject
    cursor: Cursor
    log: Log
    lines: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    last_line_at: float | None = None
    lag_seconds: float | None = None
    touched: bool = False
    warmed: bool = False  # new lines were heard: known ones tell nothing any more


class Court:
    """Hears batches of lines. What it learns is written by `write`, into one transaction with the cursors."""

    def __init__(  # noqa: PLR0913, PLR0917 - its parts, put together once
        self, book: Rulebook, ledger: Ledger, guard: Guard, store: Store, metrics: Metrics, log: logs.Log
    ) -> None:
        self._book, self.ledger, self._guard = book, ledger, guard
        self._store, self._metrics, self._log = store, metrics, log
        self._recognisers: dict[tuple[str, ...], Recogniser] = {}
        self._notes: list[OffenceRecord] = []
        self._changes: dict[tuple[str, int], History | None] = {}
        self._trusted: dict[int, float] = {}
        self._proxies: list[IPv4Address | IPv6Address] = []
        # Spreads the ends of bans; no secret depends on it.
        self._chance = random.random
        self.cases: dict[str, Case] = {}
        self.fresh_bans: list[BanRecord] = []
        self._spared: set[IPv4Address | IPv6Address] = set()
        self.hidden: Counter[IPv4Address | IPv6Address] = Counter()  # offences of a bridge's gateway
        ledger.restore(store.histories(), store.trusted())
        for address in store.proxies():
            ledger.learn_proxy(address)

    # Whom to hear

    def admit(self, subject: Subject, backfill_seconds: float) -> Case:
        """Begin, or go on, with the log of a container."""
        case = self.cases.get(subject.id)
        if case is not None and case.subject.filters == subject.filters:
            case.subject = subject
            return case
        reading = self._store.reading(subject.id)
        if reading is None:
            mark = Mark(stamp_at(time.time() - backfill_seconds))
            reading = Reading(dict.fromkeys(STREAMS, mark))
        cursor = case.cursor if case else Cursor(reading.marks)
        case = Case(subject, cursor, Log(self._recogniser(subject.filters), stamped=True))
        case.lines, case.kinds = reading.lines, Counter(reading.kinds)
        self.cases[subject.id] = case
        return case

    def dismiss(self, container: str) -> None:
        """Hear this container no longer; how far its log was read stays known if it was written."""
        self.cases.pop(container, None)

    def _recogniser(self, filters: tuple[str, ...]) -> Recogniser:
        if filters not in self._recognisers:
            self._recognisers[filters] = Recogniser(self._book.choose(filters))
        return self._recognisers[filters]

    # Hearing

    def hear(self, batch: Batch) -> None:
        """Read lines, and ban who deserves it, at once."""
        case = self.cases.get(batch.container)
        if case is None:
            return
        if batch.known and not case.warmed:
            case.log.feed(b"".join(batch.known))
        if not batch.new:
            return
        case.warmed = case.touched = True
        now = time.time()
        for event in case.log.feed(b"".join(batch.new)):
            self._take(case, event, now)
        case.lines += len(batch.new)
        self._metrics.lines.labels(case.subject.label).inc(len(batch.new))
        case.last_line_at = case.cursor.at
        case.lag_seconds = max(0.0, now - case.last_line_at)

    def _take(self, case: Case, event: Event, now: float) -> None:
        at = now if event.at is None else event.at
        if isinstance(event, Offence):
            self._offence(case, event, at)
            return
        self.ledger.hear(event, at, self._chance)
        if isinstance(event, Success):
            self._trusted[source_key(event.address)] = at
        elif isinstance(event, Proxy):
            self._proxies.append(event.address)
            self._guard.protect(self.ledger.protected)

    def _offence(self, case: Case, offence: Offence, at: float) -> None:
        for ban in self.ledger.hear(offence, at, self._chance, case.subject.jails):
            self._ban(case, ban)
        case.kinds[offence.kind] += 1
        self._metrics.matches.labels(case.subject.label, rule(offence.filter, offence.kind)).inc()
        ignored = self.ledger.ignored(offence.address, at)
        if ignored is not None:
            self._ignored(case, offence, ignored)
        if len(self._notes) < MOST_NOTES:
            self._notes.append(
                OffenceRecord(
                    source(offence.address), offence.address, at, offence.kind, offence.reason, offence.filter,
                    case.subject.name, offence.evidence, ignored,
                )
            )  # fmt: skip

    def _ignored(self, case: Case, offence: Offence, reason: str) -> None:
        for jail in self.ledger.jails:
            if jail.name in case.subject.jails and offence.filter in jail.filters and offence.kind in jail.weights:
                self._metrics.ignored.labels(jail.name).inc()
        if offence.address in self.ledger.protected.gateways:
            self.hidden[offence.address] += 1
        self._warn(offence, case.subject.name, reason)

    def _warn(self, offence: Offence, container: str, reason: str) -> None:
        """Say once for each address that it offends and is spared."""
        if offence.address not in self._spared and len(self._spared) < MOST_SPARED:
            self._spared.add(offence.address)
            event = "clients_hidden" if offence.address in self.hidden else "offences_ignored"
            self._log.warning(event, ip=str(offence.address), reason=reason, container=container, kind=offence.kind)

    def _ban(self, case: Case, ban: Ban) -> None:
        until = ban.sentence.at + ban.sentence.seconds
        if until <= time.time():
            return  # the log tells of the past: the ban is over already
        if self._guard.shelters(ban.source):
            self._log.warning("ban_withheld", source=str(ban.source), reason="it holds an address that is never banned")
            return
        record = self._guard.ban(
            BanRecord(
                source=ban.source,
                fence=world.fence_of(ban.jail),
                jail=ban.jail.name,
                at=ban.sentence.at,
                until=until,
                number=ban.sentence.bans,
                address=ban.address,
                kinds=Counter(mark.kind for mark in ban.sentence.marks),
                reason=ban.last.reason,
                container=case.subject.name,
                filter=ban.last.filter,
                evidence=ban.last.evidence,
                dry_run=ban.jail.dry_run,
            )
        )
        delay = max(0.0, time.time() - ban.sentence.at)
        self._metrics.lag.observe(delay)
        self.fresh_bans.append(record)
        self._log.info(
            "ip_would_be_banned" if record.dry_run else "ip_banned",
            ip=str(ban.source if ban.source.version == 6 else ban.address),
            jail=record.jail,
            container=record.container,
            reason=record.reason,
            kinds=dict(record.kinds or {}),
            seconds=round(record.until - record.at, 1),
            ban=record.number,
            delay_ms=round(delay * 1000, 1),
        )

    # Keeping

    def pardon(self, key: int) -> None:
        """Hold nothing against a source any more: a person lifted its ban."""
        self.ledger.pardon(key)

    def protect(self, protected: Protected) -> None:
        """Take over who may never be banned; the proxies that logs have shown stay known."""
        proxies = dict.fromkeys((*protected.proxies, *self.ledger.protected.proxies))
        protected = replace(protected, proxies=tuple(proxies))
        if protected != self.ledger.protected:
            self.ledger.protect(protected)
        for released in self._guard.protect(self.ledger.protected):
            self._log.info("ban_lifted", source=str(released), reason="it is never banned now")

    def write(self) -> None:
        """Store how far the logs were read, and all that was learned from them; call `written` once it is on record."""
        for case in self.cases.values():
            if case.touched:
                self._store.progress(case.subject.id, Reading(case.cursor.marks(), case.lines, case.kinds))
        self._changes.update({(jail, key): history for jail, key, history in self.ledger.changes()})
        self._store.remember((*key, history) for key, history in self._changes.items())
        self._store.trust(self._trusted)
        for address in self._proxies:
            self._store.add_proxy(address)
        self._store.note(self._notes)

    def written(self) -> None:
        for case in self.cases.values():
            case.touched = False
        self._changes, self._trusted, self._proxies, self._notes = {}, {}, [], []

    @property
    def has_unwritten(self) -> bool:
        return any(case.touched for case in self.cases.values())
