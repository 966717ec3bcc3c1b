"""The shell: one inbox, one thread that decides. Every source is asked beside it, and what hangs holds nobody up."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from typing import Any

from sidecarkit import logs
from sidecarkit.crew import Crew
from sidecarkit.lifecycle import Stop
from sidecarkit.liveness import Liveness
from stats.facts import Reading, Value
from stats.metrics import Metrics
from stats.rates import Derived, Sample
from stats.snapshot import Snapshot, Standing
from stats.source import Source, SourceDown

KEPT_SAMPLES = 240  # an hour of looks every 15 s
BEAT_SECONDS = 1.0
ENGINE_GRACE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Looked:
    """A source was asked: what it answered, or why it did not. *number*: the how manieth look of this source."""

    source: str
    number: int
    seconds: float
    answer: Any = None
    failure: str | None = None


@dataclass(slots=True)
class Asked:
    """A source, and what is remembered of it. `since` is set while a look is under way, on the loop's own clock."""

    source: Source
    derived: tuple[Derived, ...] = ()
    trends: tuple[str, ...] = ()
    standing: Standing[Any] = field(default_factory=lambda: Standing(used=True))
    number: int = 0
    since: float | None = None
    overdue: bool = False
    samples: deque[Sample] = field(default_factory=lambda: deque(maxlen=KEPT_SAMPLES))
    lines: dict[str, deque[float | None]] = field(default_factory=dict)


def asked(source: Source) -> Asked:
    return Asked(source, getattr(source, "derived", ()), getattr(source, "trends", ()))


@dataclass(slots=True, kw_only=True)
class Loop:
    """Everything stats does beside answering requests, one message at a time."""

    sources: dict[str, Asked]
    metrics: Metrics
    liveness: Liveness
    log: logs.Log
    interval_seconds: float
    timeout_seconds: float
    publish: Callable[[Snapshot], None] = lambda _: None  # called once a cycle
    clock: Callable[[], float] = time.time
    steady: Callable[[], float] = time.monotonic
    inbox: SimpleQueue[Any] = field(default_factory=SimpleQueue)
    snapshot: Snapshot = field(init=False)
    crew: Crew = field(init=False)
    _cycle_at: float = field(init=False, default=0.0)
    _cycle_began: float | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.crew = Crew("look", len(self.sources))
        self._show()

    def run(self) -> Stop:
        """Work until told to stop."""
        self._cycle_at = self.steady()
        while True:
            message = self._next_message()
            if isinstance(message, Stop):
                return message
            if isinstance(message, Looked):
                self.hear(message)
            self.turn()

    def turn(self) -> None:
        """Begin a cycle when it is time, and tell whose answer is overdue."""
        now = self.steady()
        if now >= self._cycle_at:
            self._cycle_at = now + self.interval_seconds
            self._cycle_began = now
            for one in self.sources.values():
                self._ask(one)
        for one in self.sources.values():
            self._mind_the_time(one, now)
        if self._cycle_began is not None and all(one.since is None or one.overdue for one in self.sources.values()):
            self._end_cycle(now - self._cycle_began)
        self.liveness.beat()

    def hear(self, message: Looked) -> None:
        """Take the answer of a source."""
        one = self.sources[message.source]
        if message.number != one.number or one.since is None:
            return
        one.since, was_overdue = None, one.overdue
        one.overdue = False
        if was_overdue:
            # It came too late to be believed as of now, and was told as a failure already. The next look will tell.
            return
        self._judge(one, message)

    def _ask(self, one: Asked) -> None:
        if one.since is not None:  # still at it: what hangs is not asked a second time
            one.standing = replace(one.standing, looked_at=self.clock())
            self._keep(one, None)
            return
        one.number += 1
        one.since, number, source = self.steady(), one.number, one.source
        self.crew.do(lambda: self.inbox.put(look(source, number)))

    def _mind_the_time(self, one: Asked, now: float) -> None:
        if one.since is None or one.overdue or now - one.since <= self.timeout_seconds:
            return
        one.overdue = True
        reason = f"no answer within {self.timeout_seconds:g} s"
        self._judge(one, Looked(one.source.name, one.number, now - one.since, failure=reason))

    def _judge(self, one: Asked, message: Looked) -> None:
        now, before = self.clock(), one.standing
        self.metrics.probed(message.source, up=message.failure is None, seconds=message.seconds)
        if message.failure is not None:
            if before.failure is None:
                self.log.warning("source_down", source=message.source, reason=message.failure)
            one.standing = replace(before, failure=message.failure, looked_at=now, seconds=message.seconds)
            self._keep(one, None)
        else:
            if before.failure is not None:
                self.log.info("source_up", source=message.source)
            one.standing = replace(
                before,
                answer=message.answer,
                answered_at=now,
                failure=None,
                looked_at=now,
                seconds=message.seconds,
                derived=self._derive(one, message.answer),
            )
            self._keep(one, message.answer)
        if message.source == "engine":
            self._heard_engine(message)
        self._show()

    def _heard_engine(self, message: Looked) -> None:
        if message.failure is None:
            self.liveness.right("engine")
            self.metrics.show_containers(message.answer)
        else:
            reason = f"the engine cannot be asked: {message.failure}"
            self.liveness.wrong("engine", reason, grace_seconds=ENGINE_GRACE_SECONDS)

    def _derive(self, one: Asked, answer: Any) -> Mapping[str, Value]:
        if not isinstance(answer, Reading):
            return {}
        one.samples.append(Sample(self.steady(), answer.counters))
        samples = tuple(one.samples)
        return {each.name: each.of(samples) for each in one.derived}

    def _keep(self, one: Asked, answer: Any) -> None:
        """Draw the lines on; a failed look leaves a gap."""
        for name in one.trends:
            line = one.lines.setdefault(name, deque(maxlen=KEPT_SAMPLES))
            line.append(_point(name, one.standing, answer))
        one.standing = replace(one.standing, trends={name: tuple(line) for name, line in one.lines.items()})

    def _end_cycle(self, seconds: float) -> None:
        self._cycle_began = None
        self.metrics.cycle_duration.observe(seconds)
        self.metrics.last_cycle.set(self.clock())
        self._show()
        self.publish(self.snapshot)

    def _show(self) -> None:
        standings = {name: one.standing for name, one in self.sources.items()}
        self.snapshot = Snapshot(self.clock(), self.interval_seconds, standings)

    def _next_message(self) -> Any:
        now = self.steady()
        due = [self._cycle_at, now + BEAT_SECONDS]
        due += [one.since + self.timeout_seconds for one in self.sources.values() if one.since and not one.overdue]
        try:
            return self.inbox.get(timeout=max(0.0, min(due) - now) + 0.001)
        except Empty:
            return None


def look(source: Source, number: int) -> Looked:
    """Ask a source; whatever comes of it is an answer."""
    started = time.monotonic()
    try:
        answer = source.look()
    except SourceDown as error:
        return Looked(source.name, number, time.monotonic() - started, failure=str(error))
    # Others' documents need not be what they should be. A look that raised would never end, nor be asked for again.
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        return Looked(source.name, number, time.monotonic() - started, failure="answers with something unexpected")
    return Looked(source.name, number, time.monotonic() - started, answer)


def _point(name: str, standing: Standing[Any], answer: Any) -> float | None:
    if not isinstance(answer, Reading):
        return None
    if name == "latency_seconds":
        return answer.latency_seconds
    value = standing.derived.get(name, answer.figures.get(name))
    return float(value) if isinstance(value, (int, float)) else None
