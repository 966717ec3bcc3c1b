"""confcheck's figures. The only label is a severity: never a file, a rule of an operator's, or a value."""

from prometheus_client import CollectorRegistry, Gauge

from confcheck.finding import SEVERITIES
from confcheck.look import Look
from sidecarkit.metrics import AgentMetrics


class Metrics(AgentMetrics):
    """What Prometheus wants to know."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__("confcheck", registry, operations=("look", "notify", "state"))
        self._findings = Gauge(
            "confcheck_findings", "Findings of the last look, without those silenced.", ["severity"], registry=registry
        )
        self._files = Gauge("confcheck_files", "Configuration files that the last look read.", registry=registry)
        self._silenced = Gauge("confcheck_silenced", "Findings silenced by the allow-list.", registry=registry)
        for severity in SEVERITIES:
            self._findings.labels(severity)

    def looked(self, seen: Look, at: float, seconds: float) -> None:
        """Show what a look saw; *at* is its end, Unix time."""
        for severity, count in seen.counts.items():
            self._findings.labels(severity).set(count)
        self._files.set(seen.files)
        self._silenced.set(len(seen.silenced))
        self.cycle_duration.observe(seconds)
        self.last_cycle.set(at)
