"""logban's figures for Prometheus. The label `source` is a container's Compose service, or else its name."""

from collections.abc import Iterable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from logban.offence import KINDS
from sidecarkit.metrics import AgentMetrics

FAMILIES = ("ipv4", "ipv6")
ENDS = ("expired", "unbanned", "evicted", "protected")
OPERATIONS = ("install", "guard", "ban", "unban", "check", "uninstall")


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How the log of one container stands. *source* is its label here; *last_line_at* is None before any line."""

    source: str
    reading: bool
    last_line_at: float | None
    unattributed: int


class Metrics(AgentMetrics):
    """One object, made once; a source's series exist from the time it is watched until it is gone."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__("logban", registry, operations=("list", "notify", "store"))
        self.lines = Counter("logban_log_lines", "Lines read, each once.", ["source"], registry=registry)
        self.matches = Counter(
            "logban_log_matches", "Offences found, by filter and kind.", ["source", "rule"], registry=registry
        )
        self.unattributed = Gauge(
            "logban_unattributed_offences",
            "Offences whose address the log does not tell.",
            ["source"],
            registry=registry,
        )
        self.source_up = Gauge("logban_source_up", "Whether the log is being read.", ["source"], registry=registry)
        self.last_line = Gauge(
            "logban_source_last_line_timestamp_seconds",
            "Time of the last line, Unix time.",
            ["source"],
            registry=registry,
        )
        self.lag = Histogram(
            "logban_ban_delay_seconds",
            "From the engine's time of a line to the ban that it led to.",
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 60.0),
            registry=registry,
        )
        self.bans = Counter("logban_bans", "Bans, dry ones included.", ["jail"], registry=registry)
        self.unbans = Counter("logban_unbans", "Bans that ended.", ["jail", "reason"], registry=registry)
        self.ignored = Counter(
            "logban_ignored", "Offences of addresses that are never banned.", ["jail"], registry=registry
        )
        self.active_bans = Gauge(
            "logban_active_bans", "Bans in force, as logban has them.", ["jail", "family"], registry=registry
        )
        self.backend_bans = Gauge(
            "logban_backend_bans", "Sources banned, as the kernel has them.", ["backend", "family"], registry=registry
        )
        self.backend_up = Gauge(
            "logban_backend_up", "Whether the firewall did what was asked.", ["backend"], registry=registry
        )
        self.backend_errors = Counter(
            "logban_backend_errors", "What the firewall refused.", ["backend", "op"], registry=registry
        )
        self.repairs = Counter("logban_repairs", "How often rules or sets had to be put back.", registry=registry)
        self._watched: dict[str, tuple[str, ...]] = {}

    def introduce(self, backend: str, jails: Iterable[str]) -> None:
        """Let all series with known labels begin at 0, or increase() misses the first event."""
        for jail in jails:
            self.bans.labels(jail)
            self.ignored.labels(jail)
            for end in ENDS:
                self.unbans.labels(jail, end)
            for family in FAMILIES:
                self.active_bans.labels(jail, family)
        for family in FAMILIES:
            self.backend_bans.labels(backend, family)
        for operation in OPERATIONS:
            self.backend_errors.labels(backend, operation)

    def watch(self, sources: dict[str, tuple[str, ...]]) -> None:
        """Let the series of these sources, with their filters, exist, and those of others end."""
        for source, filters in self._watched.items():
            if sources.get(source) != filters:
                self._drop(source, filters)
        for source, filters in sources.items():
            self.lines.labels(source)
            self.source_up.labels(source)
            self.unattributed.labels(source)
            for name in filters:
                for kind in KINDS:
                    self.matches.labels(source, rule(name, kind))
        self._watched = dict(sources)

    def show(self, standings: Iterable[Standing]) -> None:
        """Publish how the logs stand; of a service's replicas the worst, the latest and the sum."""
        by_source: dict[str, list[Standing]] = {}
        for standing in standings:
            by_source.setdefault(standing.source, []).append(standing)
        for source, replicas in by_source.items():
            self.source_up.labels(source).set(all(each.reading for each in replicas))
            self.unattributed.labels(source).set(sum(each.unattributed for each in replicas))
            if any(each.last_line_at is not None for each in replicas):
                self.last_line.labels(source).set(max(each.last_line_at or 0.0 for each in replicas))

    def _drop(self, source: str, filters: tuple[str, ...]) -> None:
        for series in (self.lines, self.source_up, self.unattributed, self.last_line):
            series.remove_by_labels({"source": source})
        for name in filters:
            for kind in KINDS:
                self.matches.remove_by_labels({"source": source, "rule": rule(name, kind)})


def rule(name: str, kind: str) -> str:
    """Name what matched: a filter's kind of offence."""
    return f"{name}_{kind}"
