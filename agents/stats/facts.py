"""What is known of the stack: facts without a source, which judges and pages can share."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Value = float | int | str | bool | None


@dataclass(frozen=True, slots=True)
class Reading:
    """What a service answered.

    `figures` are shown as they are, their units in their names. `counters` only grow until the service restarts; rates
    are made of them. `note` says what is wrong although it answers.
    """

    latency_seconds: float
    figures: Mapping[str, Value] = field(default_factory=dict)
    counters: Mapping[str, float] = field(default_factory=dict)
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One container. Times are Unix seconds; what the engine did not tell is None.

    `restarts` are those by its restart policy: the engine sets them to 0 whenever somebody restarts it.
    """

    id: str
    name: str
    service: str | None
    project: str | None
    image: str
    state: str
    health: str | None = None
    failing_streak: int | None = None
    exit_code: int | None = None
    restart_policy: str | None = None
    restarts: int | None = None
    one_off: bool = False
    started_at: float | None = None
    cpu_percent: float | None = None
    memory_bytes: int | None = None
    memory_limit_bytes: int | None = None

    @property
    def shown_name(self) -> str:
        """The Compose service, or else the name: what people call it, and what the agents' figures are named after."""
        return self.service or self.name


@dataclass(frozen=True, slots=True)
class Heals:
    """autoheal's work. `since`: from when on its heals of the last 24 hours are known, Unix time."""

    counts: Mapping[str, int]
    since: float
    given_up: frozenset[str]
    sees_engine: bool


@dataclass(frozen=True, slots=True)
class Certificate:
    """One of certsync's targets. Times are Unix seconds; `served` None where nobody looks at what is served."""

    target: str
    domain: str
    not_after: float | None
    in_sync: bool
    served: bool | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Configuration:
    """confcheck's last look: findings by severity, and how many are silenced with a reason."""

    findings: Mapping[str, int]
    silenced: int


@dataclass(frozen=True, slots=True)
class Ban:
    """One ban. `source` is None where only logban's figures are at hand; times are Unix seconds."""

    jail: str
    at: float
    source: str | None = None
    until: float | None = None
    ended: str | None = None


@dataclass(frozen=True, slots=True)
class Bans:
    """logban's work. `troubles` is what logban itself says is wrong.

    `backend` drives the firewall, `none` of them where logban only looks; `backend_ok`: whether it does as it is told.
    """

    active: Mapping[str, int]
    last: tuple[Ban, ...]
    troubles: tuple[str, ...] = ()
    backend: str | None = None
    backend_ok: bool | None = None
