"""Docker's answers as facts: what a container is, how it fares, and what its probes said."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sidecarkit.containers import ONE_OFF, PROJECT, SERVICE, is_true

ENGINE_STOP_SECONDS = 10  # the engine's own default grace period
ENGINE_INTERVAL_SECONDS = ENGINE_TIMEOUT_SECONDS = 30.0
ENGINE_RETRIES = 3


@dataclass(frozen=True, slots=True)
class Healthcheck:
    """How a container is probed; the engine's defaults are filled in."""

    interval_seconds: float
    timeout_seconds: float
    retries: int
    start_period_seconds: float

    @property
    def cycle_seconds(self) -> float:
        """The longest from one probe's start to the next one's verdict."""
        return self.interval_seconds + self.timeout_seconds


@dataclass(frozen=True, slots=True)
class Container:
    """What does not change while a container exists."""

    id: str
    name: str
    labels: Mapping[str, str]
    healthcheck: Healthcheck | None
    stop_seconds: int
    stop_signal: str
    tty: bool
    donors: frozenset[str]  # ids of the containers whose network, PID or IPC namespace it shares
    pid_donors: frozenset[str]  # those of them that take its processes with them when they stop

    @property
    def project(self) -> str | None:
        return self.labels.get(PROJECT)

    @property
    def service(self) -> str | None:
        return self.labels.get(SERVICE)

    @property
    def one_off(self) -> bool:
        """Made by `docker compose run`."""
        return is_true(self.labels.get(ONE_OFF))


@dataclass(frozen=True, slots=True)
class Probe:
    """One run of the healthcheck; times in Unix seconds. Exit code -1: it timed out or could not start."""

    start: float
    end: float
    exit_code: int
    output: str


@dataclass(frozen=True, slots=True)
class Condition:
    """How a container fares; times in Unix seconds, 0 for never."""

    state: str  # created, running, paused, restarting, removing, exited, dead
    health: str | None
    streak: int
    started_at: float
    finished_at: float
    exit_code: int
    oom_killed: bool
    restart_count: int
    probes: tuple[Probe, ...]  # oldest first; only those of the present run


@dataclass(frozen=True, slots=True)
class Examination:
    """What an inspection found. The environment is only for masking and never shown."""

    at: float
    container: Container
    condition: Condition
    environment: tuple[str, ...] = field(repr=False)


def examine(document: Mapping[str, Any], at: float) -> Examination:
    """Read the answer of GET /containers/{id}/json, asked at Unix time *at*."""
    config = document.get("Config") or {}
    host = document.get("HostConfig") or {}
    modes = [host.get(key) or "" for key in ("NetworkMode", "PidMode", "IpcMode")]
    donors = [mode.removeprefix("container:") if mode.startswith("container:") else "" for mode in modes]
    container = Container(
        id=document["Id"],
        name=document.get("Name", "").removeprefix("/"),
        labels=config.get("Labels") or {},
        healthcheck=_healthcheck(config.get("Healthcheck")),
        stop_seconds=ENGINE_STOP_SECONDS if config.get("StopTimeout") is None else config["StopTimeout"],
        stop_signal=config.get("StopSignal") or "SIGTERM",
        tty=bool(config.get("Tty")),
        donors=frozenset(donors) - {""},
        pid_donors=frozenset(donors[1:2]) - {""},
    )
    return Examination(at, container, _condition(document), tuple(config.get("Env") or ()))


def _healthcheck(document: Mapping[str, Any] | None) -> Healthcheck | None:
    test = (document or {}).get("Test") or []
    if not document or not test or test[0] == "NONE":
        return None
    return Healthcheck(
        interval_seconds=document.get("Interval", 0) / 1e9 or ENGINE_INTERVAL_SECONDS,
        timeout_seconds=document.get("Timeout", 0) / 1e9 or ENGINE_TIMEOUT_SECONDS,
        retries=document.get("Retries") or ENGINE_RETRIES,
        start_period_seconds=document.get("StartPeriod", 0) / 1e9,
    )


def _condition(document: Mapping[str, Any]) -> Condition:
    state = document.get("State") or {}
    health = state.get("Health") or {}
    started_at = timestamp(state.get("StartedAt"))
    probes = tuple(_probe(entry) for entry in health.get("Log") or ())
    status = health.get("Status")
    return Condition(
        state=state.get("Status", ""),
        health=None if status in {None, "", "none"} else status,
        streak=health.get("FailingStreak", 0),
        started_at=started_at,
        finished_at=timestamp(state.get("FinishedAt")),
        exit_code=state.get("ExitCode", 0),
        oom_killed=bool(state.get("OOMKilled")),
        restart_count=document.get("RestartCount", 0),
        # A restart empties the streak but keeps the old entries of the log.
        probes=tuple(probe for probe in probes if probe.start >= started_at),
    )


def _probe(entry: Mapping[str, Any]) -> Probe:
    return Probe(
        start=timestamp(entry.get("Start")),
        end=timestamp(entry.get("End")),
        exit_code=entry.get("ExitCode", 0),
        output=str(entry.get("Output", "")),
    )


def timestamp(text: str | None) -> float:
    """Read the engine's RFC 3339 time as Unix seconds. Its zero time, year 1, is 0."""
    if not text or text.startswith("0001-"):
        return 0.0
    return datetime.fromisoformat(text).timestamp()


def sick_since(examination: Examination) -> float:
    """Work out when an unhealthy container turned so, or the earliest moment since which it is known to be."""
    condition, healthcheck = examination.condition, examination.container.healthcheck
    failing: list[Probe] = []
    for probe in reversed(condition.probes):
        if probe.exit_code == 0:
            break
        failing.append(probe)
    if not failing or not healthcheck:
        return examination.at
    # Newest first: the probe that completed the retries lies streak - retries places back, if the log reaches so far.
    turned = min(max(condition.streak - healthcheck.retries, 0), len(failing) - 1)
    return min(failing[turned].end, examination.at)
