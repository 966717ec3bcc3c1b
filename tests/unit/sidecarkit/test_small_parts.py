"""The kit's smallest parts: waits and the figures every agent publishes."""

import itertools
import time

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from sidecarkit.backoff import doubling
from sidecarkit.metrics import AgentMetrics, package_version


@pytest.mark.parametrize(
    ("first", "cap", "waits"),
    [(1.0, 5.0, [1.0, 2.0, 4.0, 5.0, 5.0]), (10.0, 5.0, [5.0, 5.0, 5.0, 5.0, 5.0]), (0.0, 5.0, [0.0] * 5)],
)
def test_waits_double_up_to_the_cap(first: float, cap: float, waits: list[float]) -> None:
    assert list(itertools.islice(doubling(first, cap), 5)) == waits


def test_waits_never_overflow() -> None:
    assert next(itertools.islice(doubling(1.0, 60.0), 10_000, None)) == 60.0


def test_an_agent_publishes_its_version_start_cycles_and_errors() -> None:
    registry = CollectorRegistry()
    metrics = AgentMetrics("demo", registry)

    metrics.errors.labels("list").inc()
    metrics.cycle_duration.observe(0.2)
    metrics.last_cycle.set(5.0)

    lines = generate_latest(registry).decode().splitlines()
    assert f'demo_build_info{{version="{package_version()}"}} 1.0' in lines
    assert 'demo_errors_total{op="list"} 1.0' in lines
    assert "demo_cycle_duration_seconds_count 1.0" in lines
    assert "demo_last_cycle_timestamp_seconds 5.0" in lines
    assert registry.get_sample_value("demo_start_time_seconds") == pytest.approx(time.time(), abs=5.0)
    assert not [line for line in lines if "_created" in line]
