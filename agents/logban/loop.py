"""The shell: one thread waits for logs and news alike, has them judged, and keeps time."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from selectors import EVENT_READ
from typing import Any

from logban import host, views, world
from logban.address import source_key
from logban.guard import MANUAL
from logban.hands import Listed, NotOpened, Opened
from logban.inbox import Inbox
from logban.metrics import Standing
from logban.policy import Protected
from logban.store import BanRecord, Request
from logban.tail import POLL_SECONDS, Batch, Channel
from logban.tools import Tools
from logban.world import Neighbourhood, Subject
from sidecarkit.errors import SettingsError
from sidecarkit.lifecycle import Stop
from sidecarkit.liveness import Liveness
from sidecarkit.watch import Event, Lost, Subscribed

TICK_SECONDS = 1.0
COMMIT_SECONDS = 0.25  # without a ban, progress is stored this often
REQUEST_SECONDS = 0.25  # how soon a command is heard
PRUNE_SECONDS = 600.0
ENGINE_GRACE_SECONDS = 60.0
FOLLOWER_GRACE_SECONDS = 10.0
PORTS_KEPT_SECONDS = 60.0  # of a container that is not listed any more: it may be being recreated
EVENTS = ("create", "start", "die", "rename", "destroy", "connect", "disconnect")


class Loop:
    """Everything here happens in one thread, so nothing needs a lock."""

    def __init__(self, tools: Tools, inbox: Inbox, liveness: Liveness) -> None:
        self._config, self._book, self._kin = tools.config, tools.book, tools.kin
        self._court, self._guard, self._tail, self._hands = tools.court, tools.guard, tools.tail, tools.hands
        self._store, self._metrics, self._notices = tools.store, tools.metrics, tools.notices
        self._liveness, self._inbox, self._log = liveness, inbox, tools.log
        self._neighbourhood = Neighbourhood(frozenset(), {})
        self._ports_seen: dict[world.Port, float] = {}
        self._unguarded = False
        self._began_at = time.time()
        self._listing = False
        self._list_at = self._tick_at = self._commit_at = self._request_at = self._prune_at = self._open_at = 0.0
        self._subscribed = False
        self._shown: dict[str, Any] = {}
        self._backfill = max((jail.findtime_seconds for jail in self._court.ledger.jails), default=0.0)
        self._tail.selector.register(inbox, EVENT_READ)

    def run(self) -> Stop:
        """Turn until told to stop."""
        while True:
            stop = self._turn()
            if stop is not None:
                self._commit()
                return stop

    def _turn(self) -> Stop | None:
        for key, _ in self._tail.selector.select(self._patience()):
            if isinstance(key.data, Channel):
                self._hear(self._tail.read(key.data))
                continue
            for message in self._inbox.take():
                if isinstance(message, Stop):
                    return message
                self._take(message)
        for batch in self._tail.poll():
            self._hear(batch)
        self._keep_time()
        return None

    def _patience(self) -> float:
        if any(follower.file for follower in self._tail.followers.values()):
            return POLL_SECONDS
        due = min(self._tick_at, self._list_at, self._request_at, self._open_at)
        if self._court.has_unwritten:
            due = min(due, self._commit_at)
        return max(0.0, due - time.monotonic())

    def _hear(self, batch: Batch | None) -> None:
        if batch is None:
            return
        self._court.hear(batch)
        if self._guard.has_unwritten:  # the kernel has heard already: now the store, with the lines that led to it
            self._commit()

    def _keep_time(self) -> None:
        now = time.monotonic()
        self._open_at = self._tail.open_due(now)
        if now >= self._commit_at and self._court.has_unwritten:
            self._commit()
        if now >= self._request_at:
            self._request_at = now + REQUEST_SECONDS
            if self._store.changed_by_others():
                self._answer_requests()
        if now >= self._list_at and not self._listing:
            self._listing, self._list_at = True, now + self._config.resync_seconds
            self._hands.look()
        if now >= self._tick_at:
            self._tick(now)

    def _commit(self, answered: int | None = None) -> None:
        """Store how far logs were read, what that led to, and which requests are *answered*: all or nothing."""
        self._commit_at = time.monotonic() + COMMIT_SECONDS
        with self._storing():
            with self._store.together():
                self._court.write()
                self._guard.write()
                if answered is not None:
                    self._store.answered(answered)
            self._court.written()
            self._guard.written()
            self._liveness.right("state")
        self._notices.bans(self._court.fresh_bans)
        self._court.fresh_bans = []

    @contextmanager
    def _storing(self) -> Iterator[None]:
        """Go on without a disk: the kernel has the bans, and what is not written is kept for the next time."""
        try:
            yield
        except sqlite3.OperationalError as error:
            self._metrics.errors.labels("store").inc()
            self._log.error("state_not_written", reason=str(error))
            self._liveness.wrong("state", f"the state cannot be written: {error}", grace_seconds=10.0)

    # News

    def _take(self, message: Any) -> None:
        match message:
            case Event():
                self._heard(message)
            case Opened():
                self._hear(self._tail.opened(message))
            case NotOpened():
                self._tail.not_opened(message)
            case Listed():
                self._listed(message)
            case Subscribed():
                self._log.info("events_subscribed")
                self._subscribed = True
                self._tail.hasten()
                self._list_at = 0.0
            case Lost(reason):
                self._subscribed = False
                self._log.warning("events_lost", reason=reason)
                self._liveness.wrong(
                    "engine", f"no events from the engine: {reason}", grace_seconds=ENGINE_GRACE_SECONDS
                )

    def _heard(self, event: Event) -> None:
        if event.kind == "container":
            if event.action == "start":
                self._tail.started(event.id)
            elif event.action == "die":
                self._tail.stopped(event.id)
        if event.action != "die":
            self._list_at = 0.0

    def _listed(self, message: Listed) -> None:
        self._listing = False
        if message.documents is None:
            self._metrics.errors.labels("list").inc()
            self._log.warning("listing_failed", reason=str(message.error))
            self._list_at = time.monotonic() + min(5.0, self._config.resync_seconds)
            self._liveness.wrong(
                "engine", f"the engine does not answer: {message.error}", grace_seconds=ENGINE_GRACE_SECONDS
            )
            return
        if self._subscribed:
            self._liveness.right("engine")
        self._demand_host_network(message.documents)
        self._neighbourhood = world.neighbourhood(message.documents)
        self._protect()
        subjects = world.subjects(message.documents, self._book, self._kin, self._config.jails, self._config.source)
        self._watch(subjects, message.asked_at)
        self._guard_ports(subjects)
        self._metrics.cycle_duration.observe(max(0.0, time.time() - message.asked_at))

    def _demand_host_network(self, documents: list[dict[str, Any]]) -> None:
        """Refuse to guard a container's own network, where nobody comes by."""
        mode = world.shared_network(documents, self._kin.ids)
        if mode not in {None, "host"} and self._guard.backend != "none":
            raise SettingsError(
                (f"logban must run with network_mode: host, not {mode}: here it would guard only itself",)
            )

    def _watch(self, subjects: list[Subject], listed_at: float) -> None:
        gone = self._court.cases.keys() - {subject.id for subject in subjects}
        if gone:
            self._commit()
        for container in gone:
            self._log.info("container_left", container=self._court.cases[container].subject.name)
            self._tail.forget(container)
            self._court.dismiss(container)
        for subject in subjects:
            known = self._court.cases.get(subject.id)
            if known is None or known.subject != subject:
                self._admit(subject, listed_at)
        filters: dict[str, tuple[str, ...]] = {}
        for subject in subjects:
            filters[subject.label] = tuple(dict.fromkeys((*filters.get(subject.label, ()), *subject.filters)))
        self._metrics.watch(filters)

    def _admit(self, subject: Subject, listed_at: float) -> None:
        new = subject.id not in self._court.cases
        young = new and listed_at - self._began_at > TICK_SECONDS and self._store.reading(subject.id) is None
        case = self._court.admit(subject, self._backfill)
        follower = self._tail.followers.get(subject.id)
        if subject.filters and (follower is None or follower.from_file != subject.from_file):
            self._tail.forget(subject.id)
            self._tail.follow(
                subject.id, case.cursor, running=subject.running, entire=young, from_file=subject.from_file
            )
        elif follower is not None and subject.running and not follower.reading:
            self._tail.started(subject.id)
        if new:
            self._log.info(
                "container_watched",
                container=subject.name,
                filters=list(subject.filters),
                guessed=subject.guessed,
                jails=sorted(subject.jails),
                ports=sorted(f"{port}/{protocol}" for protocol, port in subject.ports),
            )
            for complaint in subject.complaints:
                self._log.warning("label_ignored", container=subject.name, reason=complaint)

    def _guard_ports(self, subjects: list[Subject]) -> None:
        now = time.monotonic()
        for subject in subjects:
            self._ports_seen.update(dict.fromkeys(subject.ports, now))
        # A stopped container publishes nothing, but will again: its ports stay guarded as long as it exists.
        keep = any(not subject.running for subject in subjects)
        self._ports_seen = {
            port: seen for port, seen in self._ports_seen.items() if keep or now - seen < PORTS_KEPT_SECONDS
        }
        fences = world.fences(self._ports_seen, self._court.ledger.jails)
        unguarded = bool(subjects) and not any(fence.tcp or fence.udp for fence in fences)
        if unguarded and not self._unguarded:
            self._log.warning(
                "no_port_guarded", reason="no watched container publishes a port: name `ports` in the jail"
            )
        self._unguarded = unguarded
        with self._storing():
            if self._guard.fence_in(fences):
                named = {fence.name or "published": sorted(fence.tcp | fence.udp) for fence in fences}
                self._log.info("ports_guarded", fences=named)

    def _protect(self) -> None:
        self._court.protect(
            Protected(
                proxies=self._config.proxies,
                ignoreip=self._config.ignoreip,
                container_networks=tuple(sorted(self._neighbourhood.networks, key=str)),
                own=host.own_addresses(),
                gateways=frozenset(self._neighbourhood.gateways),
            )
        )

    # What people ask

    def _answer_requests(self) -> None:
        with self._storing():
            for number, request in self._store.requests():
                self._answer(request)
                self._commit(answered=number)

    def _answer(self, request: Request) -> None:
        if request.source is None:
            self._log.info("bans_lifted", count=self._guard.unban_all())
            for _, key in list(self._court.ledger.histories):
                self._court.pardon(key)
        elif request.seconds is None:
            lifted = self._guard.unban(request.source)
            self._court.pardon(source_key(request.source.network_address))
            self._log.info("ban_lifted", source=str(request.source), reason=request.reason, was_banned=lifted)
        elif request.at + request.seconds > time.time() and not self._guard.shelters(request.source):
            until = request.at + request.seconds
            self._guard.ban(BanRecord(request.source, "", MANUAL, request.at, until, reason=request.reason))
            self._log.info(
                "ip_banned", ip=str(request.source), jail=MANUAL, reason=request.reason, seconds=request.seconds
            )

    # Once a second

    def _tick(self, now: float) -> None:
        self._tick_at = now + TICK_SECONDS
        self._liveness.beat()
        self._protect()
        with self._storing():
            self._guard.tick(time.time())
        self._mind_followers()
        self._notices.tick(now)
        self._tell_of_hidden(now)
        if now >= self._prune_at:
            self._prune_at = now + PRUNE_SECONDS
            self._court.ledger.expire(time.time())
            with self._storing():
                self._store.prune(time.time(), self._config.trust_seconds)
        self._show()
        self._metrics.last_cycle.set(time.time())

    def _mind_followers(self) -> None:
        standings = []
        for case in self._court.cases.values():
            follower = self._tail.followers.get(case.subject.id)
            condition = f"log of {case.subject.name}"
            up = follower is not None and (follower.reading or follower.drained)
            reading = follower is not None and follower.reading
            total = sum(each.count for each in case.log.unattributed())
            standings.append(
                Standing(source=case.subject.label, reading=reading, last_line_at=case.last_line_at, unattributed=total)
            )
            if up or follower is None:
                self._liveness.right(condition)
            else:
                reason = f"the log of {case.subject.name} is not read: {follower.complaint or 'it is being opened'}"
                self._liveness.wrong(condition, reason, grace_seconds=FOLLOWER_GRACE_SECONDS)
            if case.cursor.set_back(time.time()):
                self._log.warning("clock_set_back", container=case.subject.name)
        self._metrics.show(standings)

    def _tell_of_hidden(self, now: float) -> None:
        for address in self._court.hidden:
            name = self._neighbourhood.gateways.get(address, "")
            title = f"clients are hidden behind {address}, the gateway of network {name}"
            self._notices.trouble(f"hidden_clients {address}", title, views.HIDDEN, now)

    def _show(self) -> None:
        view = views.overview(self._court, self._guard, self._tail, self._neighbourhood.gateways)
        if view != self._shown:
            self._shown = view
            with self._storing():
                self._store.show("status", view)
