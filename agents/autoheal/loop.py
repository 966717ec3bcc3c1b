"""The shell: takes news from the inbox, keeps time, and lets the ward decide."""

import sqlite3
import time
from collections.abc import Mapping
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

from autoheal import views
from autoheal.hands import Answered, Examined, Listed, LogFetched
from autoheal.tools import Tools
from autoheal.ward import Ward
from sidecarkit.containers import PROJECT
from sidecarkit.identity import own_ids
from sidecarkit.lifecycle import Stop
from sidecarkit.liveness import Liveness
from sidecarkit.watch import Event, Lost, Subscribed

TICK_SECONDS = 1.0
ENGINE_GRACE_SECONDS = 60.0  # away for longer than this, the agent is unhealthy
STOP_PATIENCE_SECONDS = 7.0  # Docker kills after 10
ADOPT_AFTER_SECONDS = 1.0  # the engine repeats the events of the past at once, and within this
BATCH = 500


class Loop:
    """One thread, one inbox. Every message is a hint; the ward looks and decides."""

    def __init__(self, tools: Tools, inbox: "SimpleQueue[Any]", liveness: Liveness) -> None:
        self._tools, self._inbox, self._liveness = tools, inbox, liveness
        self._config, self._world, self._log = tools.config, tools.world, tools.log
        self.ward = Ward(tools)
        self._forget_views()
        self._started_at = time.time()
        self._list_at = 0.0
        self._listing_since: float | None = None
        self._answered_at = self._started_at
        self._subscribed_at: float | None = None
        self._doubtful = True  # subscribed, and nothing listed since
        self._ready = False  # past events heard, listed, former heals adopted
        self._changed = True
        self._shown: dict[str, Mapping[str, Any]] = {}
        self._tick_at = 0.0

    def _forget_views(self) -> None:
        """Show nothing of what a former autoheal knew: some of it may be gone."""
        with suppress(sqlite3.OperationalError):  # the disk is full; then nothing new is shown either
            self._tools.ledger.forget_views()

    def run(self) -> Stop:
        """Turn until told to stop."""
        while True:
            messages = self._receive(self._patience())
            now = time.time()
            stop = next((message for message in messages if isinstance(message, Stop)), None)
            for message in messages:
                self._take(message, now)
            if stop:
                self._wind_down()
                return stop
            self._changed = self._changed or bool(messages)
            if now >= self._tick_at:
                self._tick(now)
            self._consider(now)

    def _receive(self, seconds: float) -> list[Any]:
        """Wait for one message, then take whatever else has come: a storm is considered once, not 150 times."""
        try:
            messages = [self._inbox.get(timeout=seconds)]
        except Empty:
            return []
        while len(messages) < BATCH:
            try:
                messages.append(self._inbox.get_nowait())
            except Empty:
                break
        return messages

    def _patience(self) -> float:
        now = time.time()
        return max(0.0, min(self._tick_at - now, self.ward.next_due(now)))

    def _take(self, message: Any, now: float) -> None:
        match message:
            case Event():
                ours = self.ward.care.awaits_stop(message.id)
                self.ward.hear(self._world.hear(message, now, ours=ours), now)
            case Examined():
                self.ward.examined(message, now)
            case Answered():
                self.ward.answered(message, now)
            case LogFetched():
                self.ward.care.log_fetched(message)
            case Listed():
                self._listed(message, now)
            case Subscribed():
                self._log.info("events_subscribed")
                self._subscribed_at, self._doubtful = now, True
                self._list_at = self._tick_at = 0.0
            case Lost(reason):
                self._log.warning("events_lost", reason=reason)
                self._liveness.wrong(
                    "engine", f"no events from the engine: {reason}", grace_seconds=ENGINE_GRACE_SECONDS
                )

    def _listed(self, message: Listed, now: float) -> None:
        self._listing_since = None
        self._tools.metrics.docker_up.set(message.rows is not None)
        if message.rows is None:
            self._tools.metrics.errors.labels("list").inc()
            self._log.warning("listing_failed", reason=str(message.error))
            self._list_at = now + min(5.0, self._config.interval_seconds)
            self._liveness.wrong(
                "engine", f"the engine does not answer: {message.error}", grace_seconds=ENGINE_GRACE_SECONDS
            )
            return
        self._answered_at = now
        self._learn_own_project(message)
        self.ward.hear(self._world.see(message.rows, message.asked_at), now)
        if self._doubtful and self._subscribed_at is not None and message.asked_at >= self._subscribed_at:
            self._doubtful = False
            self.ward.subscribed(now)
        if not self._doubtful:
            self._liveness.right("engine")
        self.ward.listed(now)
        self._prune(now)
        self._tools.metrics.last_cycle.set(now)
        self._tools.metrics.cycle_duration.observe(now - message.asked_at)

    def _prune(self, now: float) -> None:
        try:
            self._tools.ledger.prune(self._world.containers, now)
        except sqlite3.OperationalError as error:  # a disk that is full must not keep a container sick
            self._log.error("history_not_pruned", reason=str(error))

    def _learn_own_project(self, message: Listed) -> None:
        if self._world.own_project is None and self._config.scope == "project":
            ids = own_ids()
            own = next((row for row in message.rows or () if row.id in ids), None)
            self._world.own_project = own.labels.get(PROJECT) if own else None
            if self._world.own_project is None:
                reason = "AUTOHEAL_SCOPE=project: autoheal runs in no Compose project, so it watches nothing"
                self._liveness.wrong("scope", reason)
                self._log.error("scope_unknown", reason=reason)

    def _tick(self, now: float) -> None:
        self._tick_at = now + TICK_SECONDS
        self._liveness.beat()
        self.ward.pauses = self._tools.ledger.pauses(now)  # one may have ended
        if now >= self._list_at and self._listing_since is None:
            self._look(now)
        if self._changed:
            self._changed = False
            self._show(now)

    def _look(self, now: float) -> None:
        """Have everything listed. An engine that hangs lets the request wait, so the doubt begins with the question."""
        self._listing_since, self._list_at = now, now + self._config.interval_seconds
        if not self._doubtful:  # otherwise it is in doubt already, for a better reason
            grace = max(ENGINE_GRACE_SECONDS - (now - self._answered_at), ENGINE_GRACE_SECONDS / 2)
            self._liveness.wrong("engine", "the engine does not answer", grace_seconds=grace)
        self._tools.hands.look()

    def _consider(self, now: float) -> None:
        if self._tools.ledger.changed_by_others():  # a pause that was asked for holds from that moment on
            self.ward.care.recall()
            self.ward.pauses = self._tools.ledger.pauses(now)
            self._changed = True
        if self._ready or self._get_ready(now):
            self.ward.consider(now)

    def _get_ready(self, now: float) -> bool:
        """Begin only when there is something to judge by: events of the past, a listing after them, former heals."""
        waiting = self._doubtful or now < self._started_at + self._config.start_period_seconds
        if waiting or self._subscribed_at is None:
            return False
        if self._tools.ledger.open_heals():
            if now < self._subscribed_at + ADOPT_AFTER_SECONDS:
                return False
            self.ward.care.adopt(now)
        open_heals = self._tools.ledger.open_heals()
        self._ready = all(row["container_id"] in self.ward.care.treatments for row in open_heals)
        return self._ready

    def _show(self, now: float) -> None:
        """Publish what `status` and the metrics show, where it changed."""
        watched = [known for known in self._world.containers.values() if self._world.watched(known)]
        views_now = {known.id: views.view(self.ward, self._world, known, now) for known in watched}
        changes: dict[str, Any] = {id_: doc for id_, doc in views_now.items() if self._shown.get(id_) != doc}
        changes.update(dict.fromkeys(self._shown.keys() - views_now.keys()))
        if changes:
            try:
                with self._tools.ledger.together():
                    self._tools.ledger.show(changes)
            except sqlite3.OperationalError as error:
                self._log.error("status_not_written", reason=str(error))
        self._complain(watched)
        self._shown = dict(views_now)
        metrics = self._tools.metrics
        metrics.watch(views.healths(self._world))
        metrics.storm_hold.set(self.ward.storm.held)
        for name, (given_up, backoff_until) in views.standings(watched, views_now).items():
            metrics.given_up.labels(name).set(given_up)
            metrics.backoff.labels(name).set(max(0.0, backoff_until - now))

    def _complain(self, watched: list[Any]) -> None:
        for known in watched:
            if known.id not in self._shown:
                self._log.info("container_watched", container=known.name, project=known.subject.project)
                for complaint in known.complaints:
                    self._log.warning("label_ignored", container=known.name, reason=complaint)

    def _wind_down(self) -> None:
        """Give calls in flight time to be answered: some engines leave a container stopped when a client hangs up."""
        deadline = time.monotonic() + STOP_PATIENCE_SECONDS
        while self.ward.care.in_flight() and time.monotonic() < deadline:
            for message in self._receive(0.2):
                if isinstance(message, Answered | LogFetched):
                    self._take(message, time.time())
        self._show(time.time())
