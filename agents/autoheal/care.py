"""Heals from the intent to the outcome: the call, its answer, the verdict, and what is remembered of them."""

import math
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from autoheal import evidence, notices, policy
from autoheal.hands import Answered, LogFetched, Order
from autoheal.health import Condition, Examination
from autoheal.policy import Attempt, Past
from autoheal.tools import Tools
from autoheal.treatment import Treatment, verdict, verdict_seconds
from autoheal.world import Known
from sidecarkit.errors import ContainerGone, EngineUnavailable

CLOCKS_DIFFER_SECONDS = 0.5  # the engine may run on another machine
LAST_CHANCE_SECONDS = 10.0  # beyond the stop, for an engine that answers again, to end a restart it may be at


class Care:
    """All heals that have begun and not ended. *settled* is told of each outcome."""

    def __init__(self, tools: Tools, settled: Callable[[Treatment, str], None]) -> None:
        self._tools, self._settled = tools, settled
        self._world, self._ledger, self._log = tools.world, tools.ledger, tools.log
        self.treatments: dict[str, Treatment] = {}
        self.pasts: dict[str, Past] = {}
        self.recall()
        # When our last action on each container ended; infinity while it is in flight, or its answer is not known.
        self._acted_until = tools.ledger.acted_until()
        # When the life began that our last action gave, by the engine's clock; missing where we did not see it begin.
        self._life_given: dict[str, float] = {}
        self.action_seconds = tools.ledger.stop_seconds()

    def recall(self) -> None:
        """Read the pasts again: a command changed them. When a container got well alone is not on the disk."""
        self.pasts = {
            container: replace(past, healthy_at=self.past(container).healthy_at)
            for container, past in self._ledger.pasts().items()
        }

    def past(self, container: str) -> Past:
        return self.pasts.get(container, Past())

    def gone(self, container: str) -> None:
        """Forget a container that was removed."""
        for kept in (self.pasts, self._acted_until, self.action_seconds):
            kept.pop(container, None)

    def in_flight(self) -> list[Treatment]:
        return [treatment for treatment in self.treatments.values() if treatment.in_flight]

    def awaits_stop(self, container: str) -> bool:
        """Say whether a stop signal to *container* heard now comes from an action of ours."""
        treatment = self.treatments.get(container)
        return treatment is not None and treatment.in_flight and not treatment.started

    # Beginning

    def begin(self, known: Known, examination: Examination, reason: str, sick_at: float, attempt: int) -> None:
        """Store the intent and what is known from before, then act. Nothing here waits for the engine."""
        config, wishes, container = self._tools.config, self._world.wishes(known), examination.container
        action = "restart" if reason == policy.FOLLOWS else wishes.action
        now = self._tools.clock()
        facts = {"action": action, "attempt": attempt, "sick_at": sick_at, "called_at": now}
        record = self.write(known, "heal", reason, **facts, **evidence.of(examination))
        stop_seconds = container.stop_seconds if wishes.stop_seconds is None else wishes.stop_seconds
        last_output = evidence.last_output(examination)
        self.treatments[known.id] = Treatment(
            record, known.id, reason, attempt, action, sick_at, now, container, stop_seconds, last_output
        )
        self._acted_until[known.id] = math.inf
        self._life_given.pop(known.id, None)
        order = Order(record, known.id, action, wishes.stop_seconds, container.stop_seconds)
        self._tools.hands.act(order)
        if config.evidence_lines:
            self._tools.hands.fetch_log(record, examination, config.evidence_lines, now)
        if reason != policy.FOLLOWS:
            past = self.past(known.id)
            self.pasts[known.id] = replace(past, attempts=(*past.attempts, Attempt(attempt, sick_at, now)))
        name = known.subject.service or known.name
        self._tools.metrics.last_heal.labels(name).set(now)
        self._log.info("heal_begun", container=known.name, record=record, action=action, reason=reason, attempt=attempt)

    def write(self, known: Known, decision: str, reason: str, **facts: Any) -> int:
        """Record a decision. A disk that is full must not keep a container sick: then the record is 0."""
        try:
            return self._ledger.record(known.subject, decision, reason, decided_at=self._tools.clock(), **facts)
        except sqlite3.OperationalError as error:
            self._log.error("record_not_written", container=known.name, decision=decision, reason=str(error))
            self._tools.metrics.errors.labels("state").inc()
            return 0

    def amend(self, record: int, **facts: Any) -> None:
        try:
            self._ledger.amend(record, **facts)
        except sqlite3.OperationalError as error:
            self._log.error("record_not_written", record=record, reason=str(error))
            self._tools.metrics.errors.labels("state").inc()

    def log_fetched(self, message: LogFetched) -> None:
        if message.lines is None:
            self.amend(message.record, log_lines=[f"(not available: {message.error})"])
        else:
            self.amend(message.record, log_lines=evidence.log_lines(message.lines, message.environment))

    # The engine's answer

    def answered(self, message: Answered, now: float) -> None:
        order, error = message.order, message.error
        detail = str(error) if error else None
        self.amend(order.record, answered_at=message.at, http_status=message.status, detail=detail)
        treatment = self.treatments.get(order.container)
        if treatment is None or treatment.record != order.record:
            return  # its outcome was known before the answer
        treatment.answered_at = message.at
        if not isinstance(error, EngineUnavailable):
            self._acted_until[treatment.id] = message.at
        if error is None:
            self._performed(treatment, order)
        elif isinstance(error, ContainerGone):
            self.settle(treatment, policy.VANISHED, now)
        elif isinstance(error, EngineUnavailable):
            self._answer_lost(treatment, str(error), now)
        else:
            self.settle(treatment, policy.REFUSED, now, detail=detail)

    def _performed(self, treatment: Treatment, order: Order) -> None:
        at = treatment.answered_at or treatment.called_at
        self.action_seconds[treatment.id] = at - treatment.called_at
        treatment.deadline = at + verdict_seconds(treatment.container)
        self._log.info(
            "action_performed",
            container=treatment.container.name,
            record=treatment.record,
            action=order.action,
            seconds=round(at - treatment.called_at, 3),
        )
        if order.action == "restart":
            self._tools.script.run(treatment.container, order.stop_seconds)
        else:
            self.settle(treatment, policy.STOPPED, at)

    def _answer_lost(self, treatment: Treatment, reason: str, now: float) -> None:
        treatment.uncertain = not treatment.started
        treatment.deadline = now if treatment.uncertain else now + verdict_seconds(treatment.container)
        self._log.warning("answer_lost", container=treatment.container.name, record=treatment.record, reason=reason)

    # Verdicts

    def started(self, container: str, at: float) -> bool:
        """Note a start; returns whether it was ours, of now or of the past that the engine tells again."""
        treatment = self.treatments.get(container)
        if treatment is not None and at >= treatment.called_at and not treatment.started:
            treatment.started = True
            self._life_given[container] = at
            return True
        return at <= self._life_given.get(container, self._acted_until.get(container, 0.0) + CLOCKS_DIFFER_SECONDS)

    def heard(self, container: str, outcome: str, at: float) -> bool:
        """Judge by an event; returns False when it belongs to the old life: probes run during a stop, too."""
        treatment = self.treatments.get(container)
        if treatment is None:
            return True
        if not treatment.acted or at <= treatment.called_at:
            return False
        self.settle(treatment, outcome, at)
        return True

    def examined(self, examination: Examination, now: float) -> bool:
        """Judge by an inspection; returns whether the container is sick again."""
        treatment = self.treatments.get(examination.container.id)
        if treatment is None or examination.at <= treatment.called_at:
            return False
        condition = examination.condition
        overdue = treatment.deadline is not None and now >= treatment.deadline
        if condition.started_at <= treatment.called_at - 0.05:
            return treatment.uncertain and overdue and self._not_restarted(treatment, condition, now)
        if treatment.uncertain:
            treatment.uncertain, treatment.started, overdue = False, True, False
            self._life_given[treatment.id] = condition.started_at
            treatment.deadline = now + verdict_seconds(treatment.container)
        outcome = verdict(condition, overdue=overdue) if treatment.acted else None
        if outcome is None:
            return False
        self.settle(treatment, outcome, condition.probes[-1].end if condition.probes else now)
        return outcome == policy.STILL_FAILING

    def _not_restarted(self, treatment: Treatment, condition: Condition, now: float) -> bool:
        """Find a container in its old life after the answer was lost; returns whether to believe it.

        An engine that hung goes on with what it was at: a second call would stop the container twice.
        """
        if treatment.action != "restart" and condition.state == "exited":
            self.settle(treatment, policy.STOPPED, condition.finished_at)
            return False
        if treatment.last_chance:
            self.settle(treatment, policy.REFUSED, now, detail="the engine did not answer")
            return True
        treatment.last_chance = True
        treatment.deadline = now + max(treatment.stop_seconds, 0) + LAST_CHANCE_SECONDS
        return False

    def overdue(self, now: float) -> list[str]:
        """List whose verdict is due, to be inspected."""
        return [t.id for t in self.treatments.values() if t.deadline is not None and now >= t.deadline]

    def settle(self, treatment: Treatment, outcome: str, at: float, *, detail: str | None = None) -> None:
        """Close a heal: record, budget, figures, people."""
        self.treatments.pop(treatment.id, None)
        self._acted_until[treatment.id] = min(at, self._acted_until.get(treatment.id, at))
        seconds = max(0.0, at - treatment.called_at) if outcome == policy.RECOVERED else None
        facts = {"outcome": outcome, "outcome_at": at, "seconds_to_healthy": seconds}
        self.amend(treatment.record, **facts, **({"detail": detail} if detail else {}))
        self._log.info(
            "heal_ended",
            container=treatment.container.name,
            record=treatment.record,
            outcome=outcome,
            seconds_to_healthy=None if seconds is None else round(seconds, 3),
            detail=detail,
        )
        self._remember(treatment, outcome, at)
        if known := self._world.containers.get(treatment.id):
            result = "failed" if outcome in policy.FAILURES else "ok"
            self._tools.metrics.heals.labels(known.subject.service or known.name, result).inc()
            known.stop_asked = known.stop_asked or outcome == policy.STOPPED
            limit = self._world.wishes(known).max_restarts
            notice = notices.outcome(known.subject, treatment, outcome, seconds, limit, detail)
            self._tools.notifier.tell(notice)
        self._settled(treatment, outcome)

    def _remember(self, treatment: Treatment, outcome: str, at: float) -> None:
        past = self.pasts.get(treatment.id)
        if past and treatment.reason != policy.FOLLOWS:
            closed = tuple(
                replace(made, ended_at=at, outcome=outcome) if made.called_at == treatment.called_at else made
                for made in past.attempts
            )
            self.pasts[treatment.id] = replace(past, attempts=closed)

    # Budgets

    def give_up(self, known: Known, reason: str, failed: int, output: str, now: float) -> None:
        self.write(known, "give_up", reason, detail=f"{failed} failed heals")
        self._stand(known, replace(self.past(known.id), given_up_at=now))
        self._log.error("container_given_up", container=known.name, failed=failed)
        self._tools.notifier.tell(notices.given_up(known.subject, failed, output))

    def forgive(self, known: Known, at: float) -> None:
        """Forget what was done for a container: it is healthy again, or was restarted by hand."""
        past = self.past(known.id)
        if past.attempts or past.given_up_at is not None:
            self._stand(known, Past(past.attempts, cleared_at=at))
            self._log.info("budget_restored", container=known.name)

    def got_well(self, container: str, at: float, *, was_sick: bool) -> None:
        """Note that a container is healthy without a heal: from now on its ten minutes are counted."""
        past = self.past(container)
        if container in self.treatments or not past.attempts:
            return
        if was_sick or (past.healthy_at is None and past.attempts[-1].outcome != policy.RECOVERED):
            self.pasts[container] = replace(past, healthy_at=at)

    def restarted_by_hand(self, examination: Examination) -> bool:
        """Say whether the container's present life was begun neither by us nor by its restart policy."""
        container, condition = examination.container.id, examination.condition
        past = self.past(container)
        restorable = bool(past.attempts) or past.given_up_at is not None
        if not restorable or condition.restart_count > 0 or condition.started_at <= past.cleared_at:
            return False
        acted_until, given = self._acted_until.get(container, 0.0), self._life_given.get(container, math.inf)
        given_life_ended = math.isfinite(acted_until) and condition.started_at > condition.finished_at > given
        return given_life_ended or condition.started_at > acted_until + CLOCKS_DIFFER_SECONDS

    def _stand(self, known: Known, past: Past) -> None:
        self.pasts[known.id] = past
        try:
            self._ledger.stand(known.subject, past)
        except sqlite3.OperationalError as error:
            self._log.error("standing_not_written", container=known.name, reason=str(error))
            self._tools.metrics.errors.labels("state").inc()

    # Taking over

    def adopt(self, now: float) -> None:
        """Take over the heals that a former autoheal left open: each is resolved or watched to its end."""
        for row in self._ledger.open_heals():
            known = self._world.containers.get(row["container_id"])
            if known is None:
                self.amend(row["id"], outcome=policy.VANISHED, outcome_at=now)
            elif known.anatomy is not None and known.id not in self.treatments:
                stop_seconds = self._world.wishes(known).stop_seconds
                treatment = Treatment(
                    row["id"],
                    known.id,
                    row["reason"],
                    row["attempt"] or 1,
                    row["action"],
                    row["sick_at"] or row["called_at"],
                    row["called_at"],
                    known.anatomy,
                    known.anatomy.stop_seconds if stop_seconds is None else stop_seconds,
                )
                self.treatments[known.id] = treatment
                self._resolve(treatment, known, now)

    def _resolve(self, treatment: Treatment, known: Known, now: float) -> None:
        if known.started_at > treatment.called_at:
            treatment.started, treatment.answered_at = True, now
            treatment.deadline = now + verdict_seconds(treatment.container)
            self._tools.hands.examine(known.id)
        elif treatment.action != "restart" and not known.running:
            self.settle(treatment, policy.STOPPED, now)
        elif known.killed_at >= treatment.called_at - 1.0:
            # The engine is still at it: it finishes what it began.
            treatment.answered_at, treatment.uncertain, treatment.deadline = now, True, now
            known.stop_asked = False
        else:
            self._never_asked(treatment, now)

    def _never_asked(self, treatment: Treatment, now: float) -> None:
        """Close a heal that did not happen: it costs no budget, and there is nothing to wait for."""
        del self.treatments[treatment.id]
        self._acted_until.pop(treatment.id, None)
        self._life_given.pop(treatment.id, None)
        detail = "autoheal ended before the engine was asked"
        self.amend(treatment.record, outcome=policy.REFUSED, outcome_at=now, called_at=None, detail=detail)
        past = self.past(treatment.id)
        tried = tuple(attempt for attempt in past.attempts if attempt.called_at != treatment.called_at)
        self.pasts[treatment.id] = replace(past, attempts=tried)
