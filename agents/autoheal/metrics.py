"""autoheal's figures for Prometheus. The label `container` is the Compose service, or else the name."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from sidecarkit.errors import ContainerGone, EngineError, EngineTimeout, EngineUnavailable, Refused
from sidecarkit.metrics import AgentMetrics

REQUESTS = ("ping", "events", "list", "inspect", "logs", "restart", "stop", "kill")
FAILURES = (EngineError, EngineUnavailable, EngineTimeout, ContainerGone, Refused)
HEALTHS = ("healthy", "unhealthy", "starting", "none")
RESULTS = ("ok", "failed", "skipped")


class Metrics(AgentMetrics):
    """One object, made once; a container's series exist from the time it is watched until it is gone."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__("autoheal", registry, operations=("list", "notify", "state"))
        self.docker_up = Gauge("autoheal_docker_up", "Whether the engine answered last time.", registry=registry)
        self.docker_seconds = Histogram(
            "autoheal_docker_request_duration_seconds", "Requests to the engine.", ["op"], registry=registry
        )
        self.docker_errors = Counter(
            "autoheal_docker_errors", "Requests to the engine that failed.", ["op", "reason"], registry=registry
        )
        self.containers = Gauge("autoheal_containers", "Watched containers by health.", ["health"], registry=registry)
        self.health = Gauge(
            "autoheal_container_health", "1 for the present health.", ["container", "health"], registry=registry
        )
        self.heals = Counter("autoheal_heals", "Heals by result.", ["container", "result"], registry=registry)
        self.last_heal = Gauge(
            "autoheal_last_heal_timestamp_seconds", "When the last heal began.", ["container"], registry=registry
        )
        self.backoff = Gauge(
            "autoheal_backoff_seconds", "Wait left before the next heal.", ["container"], registry=registry
        )
        self.given_up = Gauge("autoheal_given_up", "Whether it was given up.", ["container"], registry=registry)
        self.in_flight = Gauge("autoheal_actions_in_flight", "Actions the engine works on now.", registry=registry)
        self.storm_hold = Gauge("autoheal_storm_hold", "Whether the storm guard holds heals back.", registry=registry)
        self._watched: set[str] = set()
        for health in HEALTHS:
            self.containers.labels(health)
        for request in REQUESTS:
            for failure in FAILURES:
                self.docker_errors.labels(request, failure.__name__)

    def observe_request(self, op: str, seconds: float, reason: str | None) -> None:
        self.docker_seconds.labels(op).observe(seconds)
        if reason:
            self.docker_errors.labels(op, reason).inc()

    def watch(self, healths: dict[str, str]) -> None:
        """Publish the health of every watched container, by label value, and drop those that are gone."""
        for name in self._watched - healths.keys():
            self._drop(name)
        counts = dict.fromkeys(HEALTHS, 0)
        for name, health in healths.items():
            if name not in self._watched:
                self._introduce(name)
            counts[health] += 1
            for each in HEALTHS:
                self.health.labels(name, each).set(each == health)
        for health, count in counts.items():
            self.containers.labels(health).set(count)
        self._watched = set(healths)

    def _introduce(self, name: str) -> None:
        # Known label sets start at 0, or increase() misses the first event.
        for result in RESULTS:
            self.heals.labels(name, result)
        self.backoff.labels(name).set(0)
        self.given_up.labels(name).set(0)

    def _drop(self, name: str) -> None:
        for health in HEALTHS:
            self.health.remove(name, health)
        for result in RESULTS:
            self.heals.remove(name, result)
        self.backoff.remove(name)
        self.given_up.remove(name)
        self.last_heal.remove_by_labels({"container": name})
