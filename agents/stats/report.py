"""What is known, as one document: /stats.json, and what the page is made of. Units are in names, null is unknown."""

from datetime import UTC, datetime
from typing import Any

from stats import policy
from stats.facts import Bans, Certificate, Configuration, Container, Heals, Reading
from stats.policy import SERVICES, State
from stats.snapshot import Snapshot, Standing

SCHEMA = 1
MAIL = {
    "zonemta": (
        "queued",
        "deferred",
        "delivered_per_minute",
        "rejected_per_minute",
        "deferred_per_minute",
        "delivered_total",
        "rejected_total",
    ),
    "rspamd": ("scanned_per_minute", "spam_share", "scan_time_seconds", "scanned_total", "spam_total"),
}
BOOLEAN = {
    State.UP: True,
    State.DEGRADED: True,
    State.DOWN: False,
    State.UNUSED: None,
    State.UNKNOWN: None,
    State.STALE: None,
}


def document(snapshot: Snapshot, now: float, queue_limit: int) -> dict[str, Any]:
    """Describe everything. Times are in UTC; nothing in it is secret."""
    verdict = policy.verdict(snapshot, now, queue_limit)
    services = {name: service(snapshot, name, now) for name in SERVICES}
    return {
        "schema": SCHEMA,
        "generated_at": moment(snapshot.at),
        "ok": verdict.ok,
        "verdict": verdict.line,
        "problems": list(verdict.problems),
        "unknown": list(verdict.unknown),
        "interval_seconds": snapshot.interval_seconds,
        "heals_since": moment(_heals_since(snapshot)),
        "containers": containers(snapshot, now),
        "services": services,
        "mail": {figure: services[name].get(figure) for name, figures in MAIL.items() for figure in figures},
        "certs": certificates(snapshot, now),
        "bans": bans(snapshot, now),
        "configuration": configuration(snapshot),
        "sources": {
            name: age(snapshot.of(name), now, snapshot.interval_seconds)
            for name in ("engine", "autoheal", "certsync", "logban", "confcheck")
        },
    }


def moment(at: float | None) -> str | None:
    """Write a Unix time as people and programs read it."""
    try:
        return (
            None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        )
    except (OverflowError, ValueError, OSError):  # no time that a calendar has
        return None


def age(standing: Standing[Any], now: float, interval_seconds: float) -> dict[str, Any]:
    """Say how a source stands and how old its figures are."""
    state = policy.state(standing, now, interval_seconds)
    return {
        "state": state.value,
        "up": BOOLEAN[state],
        "reason": policy.trouble(standing),
        "as_of": moment(standing.answered_at),
        "age_seconds": None if standing.answered_at is None else round(max(0.0, now - standing.answered_at), 1),
    }


def service(snapshot: Snapshot, name: str, now: float) -> dict[str, Any]:
    """Describe one service: its last figures, however old, and what was computed from them."""
    standing: Standing[Reading] = snapshot.of(name)
    described = age(standing, now, snapshot.interval_seconds)
    reading = standing.answer
    described["latency_seconds"] = reading.latency_seconds if reading else None
    if reading:
        described |= dict(reading.figures)
    return described | dict(standing.derived)


def containers(snapshot: Snapshot, now: float) -> list[dict[str, Any]]:
    standing: Standing[tuple[Container, ...]] = snapshot.of("engine")
    heals: Standing[Heals] = snapshot.of("autoheal")
    return [_container(one, heals.answer, now) for one in standing.answer or ()]


def _container(one: Container, heals: Heals | None, now: float) -> dict[str, Any]:
    return {
        "name": one.shown_name,
        "container": one.name,
        "id": one.id[:12],
        "service": one.service,
        "project": one.project,
        "image": one.image,
        "state": one.state,
        "problem": policy.container_problem(one),
        "judged": not policy.cannot_be_judged(one),
        "health": one.health,
        "failing_streak": one.failing_streak,
        "exit_code": one.exit_code,
        "started_at": moment(one.started_at),
        "uptime_seconds": None if one.started_at is None else round(max(0.0, now - one.started_at)),
        "restarts_by_policy": one.restarts,
        "heals_24h": None if heals is None else heals.counts.get(one.shown_name, 0),
        "cpu_percent": None if one.cpu_percent is None else round(one.cpu_percent, 1),
        "memory_bytes": one.memory_bytes,
        "memory_limit_bytes": one.memory_limit_bytes,
    }


def certificates(snapshot: Snapshot, now: float) -> list[dict[str, Any]]:
    standing: Standing[tuple[Certificate, ...]] = snapshot.of("certsync")
    return [
        {
            "target": one.target,
            "domain": one.domain,
            "not_after": moment(one.not_after),
            "days_left": _rounded(policy.days_left(one, now)),
            "in_sync": one.in_sync,
            "served": one.served,
            "problem": policy.certificate_problem(one, now),
        }
        for one in standing.answer or ()
    ]


def configuration(snapshot: Snapshot) -> dict[str, Any]:
    """Count what confcheck found in the stack's configuration; confcheck itself says what and where."""
    standing: Standing[Configuration] = snapshot.of("confcheck")
    found = standing.answer
    return {
        "findings": None if found is None else sum(found.findings.values()),
        "findings_by_severity": {} if found is None else dict(found.findings),
        "silenced": None if found is None else found.silenced,
    }


def bans(snapshot: Snapshot, now: float) -> dict[str, Any]:
    """Describe the bans; what a stale logban last said keeps its age."""
    standing: Standing[Bans] = snapshot.of("logban")
    found = standing.answer
    return {
        "active": None if found is None else sum(found.active.values()),
        "active_by_jail": {} if found is None else dict(found.active),
        "backend": None if found is None else found.backend,
        "backend_ok": None if found is None else found.backend_ok,
        "last": [
            {
                "source": ban.source,
                "jail": ban.jail,
                "at": moment(ban.at),
                "until": moment(ban.until),
                "active": None if ban.until is None else ban.ended is None and ban.until > now,
                "ended": ban.ended,
            }
            for ban in (found.last if found else ())
        ],
    }


def _heals_since(snapshot: Snapshot) -> float | None:
    heals: Standing[Heals] = snapshot.of("autoheal")
    return heals.answer.since if heals.answer else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
