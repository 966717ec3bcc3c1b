"""A heal from the call to its outcome."""

from dataclasses import dataclass

from autoheal.health import Condition, Container
from autoheal.policy import RECOVERED, STILL_FAILING

STEADY_SECONDS = 10.0  # a container without probes has recovered when it still runs after this long
SLACK_SECONDS = 30.0


@dataclass(slots=True)
class Treatment:
    """One container being healed. Times in Unix seconds; `answered_at` None: the action is in flight."""

    record: int
    id: str
    reason: str
    attempt: int
    action: str
    sick_at: float
    called_at: float
    container: Container
    stop_seconds: int  # the longest the stop may take
    last_output: str = ""  # what the last probe said before
    started: bool = False  # the container's new life was seen
    answered_at: float | None = None
    deadline: float | None = None
    uncertain: bool = False  # the engine never said how the call ended
    last_chance: bool = False  # it answers again, and has until the deadline to end what it may still be at

    @property
    def in_flight(self) -> bool:
        return self.answered_at is None

    @property
    def acted(self) -> bool:
        """Whether what is heard of the container now is about its new life."""
        return self.started or (self.answered_at is not None and not self.uncertain)


def verdict_seconds(container: Container) -> float:
    """Say how long after its start a container's health must be known."""
    probe = container.healthcheck
    if probe is None:
        return STEADY_SECONDS
    return probe.start_period_seconds + (probe.retries + 1) * probe.cycle_seconds + SLACK_SECONDS


def verdict(condition: Condition, *, overdue: bool) -> str | None:
    """Judge a restarted container: an outcome, or None while it is too early to tell."""
    if condition.state == "running" and condition.health == "healthy":
        return RECOVERED
    if condition.state == "running" and condition.health == "unhealthy" and condition.probes:
        return STILL_FAILING
    if not overdue:
        return None
    return RECOVERED if condition.state == "running" and condition.health is None else STILL_FAILING
