"""Decides what is well, what is wrong, and what is not known. Pure: facts and the time in, words out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from stats.facts import Bans, Certificate, Configuration, Container, Heals, Reading
from stats.snapshot import Snapshot, Standing

DAY_SECONDS = 86400.0
EXPIRY_DAYS = 14.0
TITLE_PROBLEMS = 3
SERVICES = ("mongo", "redis", "zonemta", "rspamd", "wildduck", "webmail", "opensearch")


class State(StrEnum):
    """How a source is. Only UP is well."""

    UNUSED = "not used"
    UNKNOWN = "unknown"
    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    STALE = "stale"


def stale_after(interval_seconds: float) -> float:
    """How old a figure may be, in seconds: one look may be missed."""
    return 2 * interval_seconds + 5.0


def state(standing: Standing[Any], now: float, interval_seconds: float) -> State:
    """Judge a source by its last look. One that nobody looked at lately is not called up, nor down."""
    if not standing.used:
        return State.UNUSED
    if standing.looked_at is None:
        return State.UNKNOWN
    if now - standing.looked_at > stale_after(interval_seconds):
        return State.STALE
    if standing.failure is not None:
        return State.DOWN
    if isinstance(standing.answer, Reading) and standing.answer.note:
        return State.DEGRADED
    return State.UP


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the first line says. `unknown` are the sources and containers that nothing is known of."""

    problems: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def ok(self) -> bool | None:
        """True only when everything is known to be well."""
        if self.problems:
            return False
        return None if self.unknown else True

    @property
    def line(self) -> str:
        if self.problems:
            shown = ", ".join(self.problems[:TITLE_PROBLEMS])
            more = len(self.problems) - TITLE_PROBLEMS
            count = f"{len(self.problems)} problem{'s' if len(self.problems) > 1 else ''}"
            return f"{count}: {shown}" + (f" and {more} more" if more > 0 else "")
        if self.unknown:
            return f"Not known: {', '.join(self.unknown)}"
        return "All well"


def verdict(snapshot: Snapshot, now: float, queue_limit: int) -> Verdict:
    """Judge everything."""
    states = {name: state(each, now, snapshot.interval_seconds) for name, each in snapshot.standings.items()}
    unknown = [name for name, one in states.items() if one in {State.UNKNOWN, State.STALE}]
    problems = [*_sources(snapshot, states)]
    # Only what is of now is judged: of a source that is down it is said that it is down.
    fresh = {name: snapshot.of(name).answer for name, one in states.items() if one in {State.UP, State.DEGRADED}}
    containers: tuple[Container, ...] = fresh.get("engine") or ()
    heals: Heals | None = fresh.get("autoheal")
    queue: Reading | None = fresh.get("zonemta")
    certificates: tuple[Certificate, ...] = fresh.get("certsync") or ()
    configured: Configuration | None = fresh.get("confcheck")
    bans: Bans | None = fresh.get("logban")
    unknown += [one.shown_name for one in containers if cannot_be_judged(one)]
    problems += container_problems(containers, heals)
    problems += ["autoheal cannot ask the engine"] if heals and not heals.sees_engine else []
    problems += queue_problems(queue, queue_limit) if queue else []
    problems += [
        f"certificate {one.target}: {wrong}" for one in certificates if (wrong := certificate_problem(one, now))
    ]
    problems += configuration_problems(configured) if configured else []
    problems += [f"logban: {trouble}" for trouble in (bans.troubles if bans else ())]
    return Verdict(tuple(problems), tuple(unknown))


def _sources(snapshot: Snapshot, states: Mapping[str, State]) -> Iterable[str]:
    for name, one in states.items():
        standing = snapshot.of(name)
        if one is State.DOWN:
            yield f"{name} down ({trouble(standing)})"
        elif one is State.DEGRADED:
            yield f"{name}: {trouble(standing)}"


def trouble(standing: Standing[Any]) -> str | None:
    """Say why it did not answer, or what is wrong although it does."""
    return standing.failure or (standing.answer.note if isinstance(standing.answer, Reading) else None)


def container_problems(found: Iterable[Container], heals: Heals | None) -> list[str]:
    problems = [f"{one.shown_name} {wrong}" for one in found if (wrong := container_problem(one))]
    return problems + [f"autoheal has given up on {name}" for name in sorted(heals.given_up if heals else ())]


def container_problem(one: Container) -> str | None:
    """Say what is wrong with a container. One that ended well and is not to be restarted has done its work."""
    if one.state == "running":
        return "unhealthy" if one.health == "unhealthy" else None
    if one.state in {"restarting", "paused", "dead"}:
        return one.state
    if one.one_off or one.state == "removing":
        return None
    if is_expected(one):
        return "not running"
    if one.project is not None and one.exit_code:
        return f"failed with status {one.exit_code}"
    return None


def cannot_be_judged(one: Container) -> bool:
    """Whether it does not run, and the engine, busy or forbidden to, did not tell whether it should."""
    if one.state in {"running", "restarting", "paused", "dead", "removing"} or one.one_off:
        return False
    return one.restart_policy is None or (not is_expected(one) and one.exit_code is None)


def is_expected(one: Container) -> bool:
    """Whether it is meant to run all the time: its restart policy says so."""
    return not one.one_off and one.restart_policy not in {None, "", "no"}


def is_up(one: Container) -> bool | None:
    """Whether it runs; None for one that need not."""
    if one.state == "running":
        return True
    return False if container_problem(one) else None


def queue_problems(found: Reading, limit: int) -> list[str]:
    deferred = found.figures.get("deferred")
    return [f"queue {deferred}"] if isinstance(deferred, int) and deferred > limit else []


def configuration_problems(found: Configuration) -> list[str]:
    """Only errors put a server, its mail or a secret at risk."""
    errors = found.findings.get("error", 0)
    return [f"configuration: {errors} error{'s' if errors > 1 else ''}"] if errors else []


def days_left(one: Certificate, now: float) -> float | None:
    return None if one.not_after is None else (one.not_after - now) / DAY_SECONDS


def certificate_problem(one: Certificate, now: float) -> str | None:
    """Say what is wrong with a target's certificate, the worst first."""
    left = days_left(one, now)
    if left is not None and left < 0:
        return "expired"
    if one.served is False:
        return "not served"
    if one.reason:
        return one.reason.replace("_", " ")
    if not one.in_sync:
        return "not delivered"
    if left is not None and left < EXPIRY_DAYS:
        return f"ends in {int(left)} days"
    return None
