"""stats' own figures. Labels: a source's name, a container's Compose service or name; never who asked for the page."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge

from sidecarkit.metrics import AgentMetrics
from stats import policy
from stats.facts import Container

REFUSALS = ("wrong", "throttled")


class Metrics(AgentMetrics):
    """One object, made once; a container's series exist as long as it does."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__("stats", registry, operations=("publish", "page"))
        self.up = Gauge("stats_probe_up", "Whether the source answered last time.", ["service"], registry=registry)
        self.seconds = Gauge(
            "stats_probe_duration_seconds", "How long the last look at it took.", ["service"], registry=registry
        )
        self.container_up = Gauge(
            "stats_container_up",
            "Whether it runs, of several of one service the worst; not for those that need not run.",
            ["container"],
            registry=registry,
        )
        self.container_started = Gauge(
            "stats_container_start_time_seconds", "When it was started, Unix time.", ["container"], registry=registry
        )
        self.refused = Counter(
            "stats_login_refused", "Requests with credentials that were not let in.", ["reason"], registry=registry
        )
        for reason in REFUSALS:
            self.refused.labels(reason)
        self._up: set[str] = set()
        self._started: set[str] = set()

    def probed(self, source: str, *, up: bool, seconds: float) -> None:
        self.up.labels(source).set(up)
        self.seconds.labels(source).set(seconds)

    def show_containers(self, found: Iterable[Container]) -> None:
        """Show these, and no others any more."""
        up: dict[str, bool] = {}
        started: dict[str, float] = {}
        for one in found:
            runs = policy.is_up(one)
            if runs is not None:
                up[one.shown_name] = up.get(one.shown_name, True) and runs
            if one.started_at is not None:
                started[one.shown_name] = max(started.get(one.shown_name, 0.0), one.started_at)
        for gauge, values, before in (
            (self.container_up, up, self._up),
            (self.container_started, started, self._started),
        ):
            for name, value in values.items():
                gauge.labels(name).set(value)
            for name in before - values.keys():
                gauge.remove(name)
        self._up, self._started = set(up), set(started)
