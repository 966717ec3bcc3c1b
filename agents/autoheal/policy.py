"""Decides what one sick container deserves. Pure: no clock, no engine, no logging; time arrives with the case."""

from dataclasses import dataclass

from autoheal.health import Examination

LONGEST_BACKOFF_SECONDS = 300.0
FORGIVEN_AFTER_SECONDS = 600.0  # healthy for this long, a container starts anew

# Why a container is a patient.
UNHEALTHY, EXITED, STALE, FOLLOWS = "unhealthy", "exited", "stale", "follows"

# Waits of a container that is sick and nobody's business but ours.
OWN_WAITS = frozenset({"hold", "backoff", "dependency", "recovering_alone"})

# How a heal ended.
RECOVERED, STILL_FAILING, VANISHED, REFUSED, STOPPED = "recovered", "still_failing", "vanished", "refused", "stopped"
FAILURES = frozenset({STILL_FAILING, REFUSED})


@dataclass(frozen=True, slots=True)
class Wishes:
    """What one container wants. `stop_seconds` None: the container's own grace period."""

    action: str
    stop_seconds: int | None
    hold_seconds: float
    max_restarts: int
    window_seconds: float
    backoff_seconds: float
    exited: bool
    depends_on: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One heal of one container; times in Unix seconds. An open one has no outcome and no end."""

    number: int  # counts from 1 since the container was last forgiven
    sick_at: float
    called_at: float
    ended_at: float | None = None
    outcome: str | None = None


@dataclass(frozen=True, slots=True)
class Past:
    """What was done for a container before. What lies before *cleared_at* is forgotten."""

    attempts: tuple[Attempt, ...] = ()  # oldest first
    cleared_at: float = 0.0
    given_up_at: float | None = None
    healthy_at: float | None = None  # when it last got well without a heal, as far as this process has seen

    def failed(self, now: float, window_seconds: float) -> int:
        """Count the failed heals that the budget still holds against the container."""
        oldest = max(self.cleared_at, now - window_seconds)
        return sum(a.outcome in FAILURES and a.called_at > oldest for a in self.attempts)

    def in_a_row(self, sick_at: float) -> int:
        """Count the heals since the container was last healthy for long enough to be forgiven."""
        last = self.attempts[-1] if self.attempts else None
        if last is None or last.called_at <= self.cleared_at:
            return 0
        recovered_at = last.ended_at if last.outcome == RECOVERED else None
        alone_at = self.healthy_at if self.healthy_at and self.healthy_at > last.called_at else None
        well_since = alone_at or recovered_at or sick_at
        return 0 if sick_at - well_since >= FORGIVEN_AFTER_SECONDS else last.number

    def due(self, sick_at: float, backoff_seconds: float) -> float:
        """Say when the next heal may begin: at once, then after the backoff, doubling to five minutes."""
        count = self.in_a_row(sick_at)
        if not count:
            return sick_at
        wait = min(backoff_seconds * 2.0 ** min(count - 1, 30), max(backoff_seconds, LONGEST_BACKOFF_SECONDS))
        return max(sick_at, self.attempts[-1].ended_at or 0.0) + wait


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the rest of the world means for the patient."""

    stopping: bool = False  # somebody else's stop is under way
    replaced: bool = False  # Compose is putting a new container in its place
    resting: bool = False  # maintenance
    donor: str | None = None  # what is wrong with the donor of its namespaces: donor_stopped, needs_recreation
    troubles: tuple[str, ...] = ()  # names of what it depends on and that is not well
    waiting_since: float | None = None  # when it began to wait for them
    relieved_at: float | None = None  # when all of them were well again


@dataclass(frozen=True, slots=True)
class Case:
    """All that the decision rests on."""

    reason: str
    since: float
    now: float
    examination: Examination
    wishes: Wishes
    past: Past
    around: Surroundings
    dependency_wait_seconds: float


@dataclass(frozen=True, slots=True)
class Heal:
    """Act now. *attempt* counts from 1 since the container was last forgiven."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Not now. *until*: when to look again, None when only an event can change it. *on*: for whom."""

    why: str
    until: float | None = None
    on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Leave:
    """No patient (any more)."""

    why: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The budget is spent: tell once, then leave alone."""

    failed: int


Decision = Heal | Wait | Leave | GiveUp


def decide(case: Case) -> Decision:
    """Choose what one sick container deserves, most forbidding rule first."""
    return (
        _not_sick(case)
        or _forbidden(case)
        or _too_early(case)
        or _cause_elsewhere(case)
        or Heal(case.past.in_a_row(case.since) + 1)
    )


def _not_sick(case: Case) -> Leave | None:
    condition, healthcheck = case.examination.condition, case.examination.container.healthcheck
    if case.examination.container.one_off:
        return Leave("one_off")
    if case.reason == EXITED:
        failed = condition.exit_code != 0 or condition.oom_killed or condition.state == "dead"
        return None if condition.state in {"exited", "dead"} and failed else Leave("not_exited")
    if case.reason == FOLLOWS:  # a child of a PID namespace exits with its donor
        return None if condition.state in {"running", "exited"} else Leave(condition.state)
    if condition.state != "running":
        return Leave(condition.state)
    if case.reason == STALE:
        return None
    if condition.health != "unhealthy" or not healthcheck:
        return Leave("not_unhealthy")
    return None if condition.streak >= healthcheck.retries else Leave("below_retries")


def _forbidden(case: Case) -> Wait | None:
    around = case.around
    if around.replaced:
        return Wait("being_replaced")
    if around.stopping:
        return Wait("being_stopped")
    if around.resting:
        return Wait("paused")
    if around.donor:
        return Wait(around.donor)
    return Wait("given_up") if case.past.given_up_at is not None else None


def _too_early(case: Case) -> Wait | GiveUp | None:
    if case.reason == FOLLOWS:
        return None
    held_until = case.since + case.wishes.hold_seconds
    if case.now < held_until:
        return Wait("hold", held_until)
    failed = case.past.failed(case.now, case.wishes.window_seconds)
    if failed >= case.wishes.max_restarts:
        return GiveUp(failed)
    due = case.past.due(case.since, case.wishes.backoff_seconds)
    return Wait("backoff", due) if case.now < due else None


def _cause_elsewhere(case: Case) -> Wait | None:
    """Root cause first: wait for what it depends on, then one health cycle to recover alone. Both bounded."""
    around, healthcheck = case.around, case.examination.container.healthcheck
    if case.reason == FOLLOWS:
        return None
    if around.troubles:
        until = (around.waiting_since or case.now) + case.dependency_wait_seconds
        return Wait("dependency", until, around.troubles) if case.now < until else None
    if around.relieved_at is not None and healthcheck and case.reason == UNHEALTHY:
        # The cycle is over with the first probe that began after it was relieved, or when that is overdue.
        probes, until = case.examination.condition.probes, around.relieved_at + healthcheck.cycle_seconds
        tried = bool(probes) and probes[-1].start >= around.relieved_at
        return None if tried or case.now >= until else Wait("recovering_alone", until)
    return None
