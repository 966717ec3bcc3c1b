"""The shell: one inbox, one thread that decides. Sources, containers, reloads and probes only put news into it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from typing import Any

from certsync import memory, progress, source, store
from certsync.alarms import ALARM_AFTER_SECONDS, Alarms, Tracked
from certsync.delivery import Delivery, Reading, State, Verdict
from certsync.discovery import Listed, NotListed
from certsync.labels import Asked
from certsync.labels import read as read_labels
from certsync.metrics import Metrics
from certsync.progress import Abilities, Progress, Step, Trial
from certsync.refusal import Reason, Refusal, RefusalError
from certsync.source import Source
from certsync.target import Restart, Target
from certsync.work import Reloaded, Result, Work
from sidecarkit import logs
from sidecarkit.lifecycle import Stop
from sidecarkit.liveness import Liveness

LONGEST_SETTLE_SECONDS = 10.0
RETRY_SECONDS = (0.2, 1.0, 5.0)  # after a source that could not be read; the last for ever
BEAT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Changed:
    """A source was written to."""


@dataclass(frozen=True, slots=True)
class Asking:
    """Somebody wants everything looked at now; *force* also past what would be worse."""

    force: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """How often and how long, in seconds."""

    poll: float = 30.0
    settle: float = 1.0
    probe: float = 300.0


@dataclass(slots=True, kw_only=True)
class Loop:
    """Everything certsync does, one message at a time."""

    sources: tuple[Source, ...]
    static: tuple[Target, ...]
    delivery: Delivery
    work: Work
    metrics: Metrics
    liveness: Liveness
    alarms: Alarms
    log: logs.Log
    times: Times = field(default_factory=Times)
    publish: Callable[["Loop"], None] = lambda _: None
    idle: Callable[[], None] = lambda: None  # called about once a second
    clock: Callable[[], float] = time.time
    inbox: SimpleQueue[Any] = field(default_factory=SimpleQueue)
    tracked: dict[str, Tracked] = field(default_factory=dict)
    readings: tuple[Reading, ...] = ()
    _cached: dict[str, tuple[str, frozenset[str], Reading]] = field(default_factory=dict)
    _look_at: float = 0.0
    _burst_began: float = 0.0
    _failures: int = 0
    _force: bool = False
    _bloated: bool = True  # something large was read, or the program loaded, since memory was given back

    def start(self) -> None:
        """Repair what a kill left, and take up the targets that the settings name."""
        for target in self.static:
            self.track(Asked(target))
        if repaired := self.delivery.store.recover():
            self.log.warning("interrupted_delivery_finished", targets=repaired)

    def run(self) -> None:
        """Work until told to stop."""
        self.start()
        while self.step():
            pass

    def step(self) -> bool:
        """Wait for news or for what is due, and do it; False when told to stop."""
        message = self._next_message()
        if isinstance(message, Stop):
            return False
        self.handle(message)
        self.turn()
        return True

    def turn(self) -> None:
        """Do what is due."""
        now = self.clock()
        if now >= self._look_at:
            self.look()
        for one in self.tracked.values():
            self._advance(one)
        if self._bloated and self.inbox.empty():
            self._bloated = False
            memory.give_back()
        for one in self.tracked.values():
            self.alarms.judge(one, self.known(one.target), now)
        self.liveness.beat()
        self.idle()

    def handle(self, message: Any) -> None:
        """Take one piece of news."""
        now = self.clock()
        match message:
            case Changed():
                self._burst_began = self._burst_began or now
                self._look_at = min(now + self.times.settle, self._burst_began + LONGEST_SETTLE_SECONDS)
            case Asking(force):
                self._force = self._force or force
                self._look_at = now
            case Result():
                self._finished(message)
            case Listed():
                self.liveness.right("engine")
                self._listed(message)
            case NotListed(reason):
                self.log.warning("engine_unavailable", reason=reason)
                self.metrics.errors.labels("list").inc()
                self.liveness.wrong(
                    "engine", f"the engine cannot be asked: {reason}", grace_seconds=ALARM_AFTER_SECONDS
                )

    def look(self) -> None:
        """Read the sources and bring every target's files to where they should be."""
        started = time.perf_counter()
        self._burst_began = 0.0
        self.readings = tuple(self._read(one) for one in self.sources)
        force, self._force = self._force, False
        for one in self.tracked.values():
            if one.undeliverable is None:
                self._settle(one, force=force)
        broken = any(reading.refusal for reading in self.readings)
        self._failures = self._failures + 1 if broken else 0
        wait = RETRY_SECONDS[min(self._failures, len(RETRY_SECONDS)) - 1] if broken else self.times.poll
        self._look_at = self.clock() + min(wait, self.times.poll)
        self.metrics.cycle_duration.observe(time.perf_counter() - started)
        self.metrics.last_cycle.set(self.clock())
        if all(one.verdict and one.verdict.state is not State.REFUSED for one in self.tracked.values()):
            self.metrics.last_success.set(self.clock())
        self.publish(self)

    def track(self, asked: Asked) -> None:
        """Take up a target, or its new wishes."""
        name = asked.target.name
        one = self.tracked.get(name)
        if one is None:
            one = self.tracked[name] = Tracked(asked.target)
            self.metrics.introduce(asked.target)
            store.sweep(output.path for output in asked.target.outputs)
        elif one.target.wanted != asked.target.wanted:
            self.metrics.forget(one.target)  # its series are named after the first domain
            self.metrics.introduce(asked.target)
        one.target, one.undeliverable = asked.target, asked.refusal

    def settled(self) -> bool:
        """Whether every target is where it should be, is refused, or waits for a container that does not run."""
        return all(self._is_settled(one) for one in self.tracked.values())

    def abilities(self, target: Target) -> Abilities:
        """Say what can be done for a target."""
        reload = target.reload
        return Abilities(
            verifies=target.verify is not None,
            probe_every_seconds=self.times.probe,
            window_seconds=60.0 if isinstance(reload, Restart) else 15.0,
            patience_seconds=reload.patience_seconds if isinstance(reload, Restart) else 0.0,
            can_put_back=self.delivery.attic.has(target.name),
        )

    def known(self, target: Target) -> Progress:
        """Recall what is remembered of a target."""
        return self.delivery.ledger.load(target.name)

    def _next_message(self) -> Any:
        now = self.clock()
        # What was due is under way after every turn; what counts is what will be.
        coming = [at for one in self.tracked.values() if (at := self.known(one.target).next_at) > now]
        soonest = min([self._look_at, *coming])
        try:
            return self.inbox.get(timeout=min(max(soonest - now, 0.0), BEAT_SECONDS))
        except Empty:
            return None

    def _read(self, origin: Source) -> Reading:
        names = frozenset(
            domain for one in self.tracked.values() for domain in one.target.wanted.domains
            if one.target.source in {None, origin.name}
        )  # fmt: skip
        digest = source.digest(origin)
        cached = self._cached.get(origin.name)
        if cached and cached[:2] == (digest, names):
            return cached[2]
        self._bloated = True
        try:
            reading = Reading(origin.name, source.read(origin, names))
        except RefusalError as error:
            self.log.warning(
                "source_not_read", source=origin.name, reason=error.refusal.reason, detail=error.refusal.detail
            )
            condition = f"source {origin.name}: {error.refusal}"
            self.liveness.wrong(f"source:{origin.name}", condition, grace_seconds=ALARM_AFTER_SECONDS)
            return Reading(origin.name, None, error.refusal)
        self.liveness.right(f"source:{origin.name}")
        self._cached[origin.name] = (digest, names, reading)
        return reading

    def _settle(self, one: Tracked, *, force: bool) -> None:
        before, known = one.refusal, self.known(one.target)
        with self.metrics.sync_duration.time():
            verdict = self.delivery.settle(one.target, self.readings, force=force)
        one.verdict = verdict
        self.metrics.looked(one.target, verdict)
        if verdict.state is State.DELIVERED and verdict.due is not None:
            self._tell_delivery(one.target, verdict, known)
        elif verdict.refusal and verdict.refusal != before:
            refusal = verdict.refusal
            self.log.warning("delivery_refused", target=one.target.name, reason=refusal.reason, detail=refusal.detail)

    def _tell_delivery(self, target: Target, verdict: Verdict, before: Progress) -> None:
        fact = verdict.due.certificate if verdict.due else None
        if fact is None:
            return
        changed = bool(before.spki) and before.spki != fact.spki
        self.log.info(
            "certificate_delivered",
            target=target.name,
            serial=fact.serial_hex,
            not_after=fact.not_after.isoformat(),
            tlsa="changed" if changed else "unchanged" if before.spki else "first",
        )
        if changed:
            self.metrics.key_changes.labels(target.name).inc()
            self.alarms.tell(target, "tlsa_changed", f"{target.name}: the public key has changed", f"3 1 1 {fact.spki}")

    def _advance(self, one: Tracked) -> None:
        """Begin the next step of a target, if one is due and none is under way."""
        if one.busy or one.undeliverable is not None:
            return
        known = self.known(one.target)
        match progress.due(known, self.abilities(one.target), self.clock()):
            case Step.RELOAD:
                one.busy = self.work.reload(one.target, self._pair(one), known, self.inbox.put)
            case Step.VERIFY:
                one.busy = self.work.probe(one.target, self._pair(one), known, self.inbox.put)
            case Step.PUT_BACK:
                self._put_back(one)
            case Step.ACQUIT:
                self.log.warning("held_certificate_acquitted", target=one.target.name)
                self.delivery.ledger.save(progress.acquitted(known, self.clock()))
                self._look_at = self.clock()
            case Step.NOTHING:
                pass

    def _pair(self, one: Tracked) -> Any:
        """Give the pair that is delivered: on disk, or for a target without files the one chosen."""
        return one.verdict.on_disk if one.verdict else None

    def _put_back(self, one: Tracked) -> None:
        refusal = self.delivery.put_back(one.target)
        detail = self.known(one.target).detail
        if refusal is None:
            self.log.error("previous_pair_put_back", target=one.target.name, detail=detail)
            self.alarms.tell(
                one.target, "previous_pair_put_back", f"{one.target.name}: a new certificate is held", detail
            )
        else:
            self.log.error("previous_pair_not_put_back", target=one.target.name, detail=str(refusal))
            self.delivery.attic.forget(one.target.name)
        self._look_at = self.clock()

    def _finished(self, result: Result) -> None:
        one = self.tracked.get(result.target)
        if one is None:
            return
        one.busy = False
        known = self.known(one.target)
        if known.identity != result.identity:
            return  # another pair was delivered meanwhile, and has its own reload before it
        now, outcome = self.clock(), result.outcome
        if isinstance(outcome, Reloaded):
            self.metrics.reloads.labels(result.target, "ok").inc()
            self.log.info(
                "consumer_reloaded", target=result.target, detail=outcome.detail, seconds=round(outcome.seconds, 3)
            )
            after = progress.reloaded(known, now, outcome.seconds)
        elif isinstance(outcome, Refusal):
            self.metrics.reloads.labels(result.target, "failed").inc()
            self.log.warning("reload_failed", target=result.target, reason=outcome.reason, detail=outcome.detail)
            after = progress.not_reloaded(known, outcome, now)
        else:
            served = replace(
                known,
                served_serial=outcome.serial or known.served_serial,
                served_not_after=outcome.not_after or known.served_not_after,
                served_spki=outcome.spki or known.served_spki,
            )
            after = progress.probed(served, self.abilities(one.target), outcome.seen, outcome.detail, now)
            self._tell_probe(one.target, known, after)
        self.delivery.ledger.save(after)
        self.publish(self)

    def _tell_probe(self, target: Target, before: Progress, after: Progress) -> None:
        if after.verified_at and not before.verified_at:
            seconds = round(after.verified_at - after.written_at, 1)
            self.log.info("certificate_served", target=target.name, serial=after.served_serial, seconds=seconds)
            if after.trial is not Trial.HELD:
                self.delivery.attic.forget(target.name)
        if after.reason and (after.reason, after.detail) != (before.reason, before.detail):
            self.log.warning("certificate_not_served", target=target.name, reason=after.reason, detail=after.detail)

    def _listed(self, listed: Listed) -> None:
        """Take up the containers' wishes; what nobody asks for any more is let go, its files stay."""
        asked = [read_labels(consumer, listed.ours) for consumer in listed.consumers]
        static = {one.name for one in self.static}
        names = {one.target.name for one in asked}
        for gone in set(self.tracked) - names - static:
            self.metrics.forget(self.tracked.pop(gone).target)
            self.liveness.right(f"target:{gone}")
        before = {name: (one.target, one.undeliverable) for name, one in self.tracked.items()}
        for one in asked:
            if one.target.name in static:
                self.log.warning("target_named_twice", target=one.target.name)
            else:
                self.track(one)
        if before != {name: (one.target, one.undeliverable) for name, one in self.tracked.items()}:
            self._look_at = self.clock()

    def _is_settled(self, one: Tracked) -> bool:
        if one.busy or (one.verdict is None and one.undeliverable is None):
            return False
        if one.refusal:
            return True
        known = self.known(one.target)
        if known.reason == Reason.CONTAINER_MISSING:
            return True  # nothing more can be done until somebody starts it
        return bool(known.reloaded_at) and (one.target.verify is None or bool(known.verified_at))
