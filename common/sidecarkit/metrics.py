"""The figures that every agent publishes, under its own prefix.

Labels are bounded: a label never holds an address, a path or an id.
"""

import time
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics


def package_version() -> str:
    try:
        return version("wildduck-sidecars")
    except PackageNotFoundError:  # run from a source tree that was not installed
        return "0+unknown"


class AgentMetrics:
    """What Prometheus wants to know of any agent. *prefix* is the agent's name."""

    def __init__(self, prefix: str, registry: CollectorRegistry, operations: Iterable[str] = ()) -> None:
        """*operations*: those that can fail; their series start at 0, or increase() would miss the first error."""
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry
        build = Gauge(f"{prefix}_build_info", "The running version.", ["version"], registry=registry)
        build.labels(package_version()).set(1)
        started = Gauge(f"{prefix}_start_time_seconds", "When the agent started, Unix time.", registry=registry)
        started.set(time.time())
        self.last_cycle = Gauge(
            f"{prefix}_last_cycle_timestamp_seconds", "When the last full look ended, Unix time.", registry=registry
        )
        self.cycle_duration = Histogram(
            f"{prefix}_cycle_duration_seconds", "How long a full look took.", registry=registry
        )
        self.errors = Counter(f"{prefix}_errors", "Errors by operation.", ["op"], registry=registry)
        for operation in operations:
            self.errors.labels(operation)
