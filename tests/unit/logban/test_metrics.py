"""logban's figures: series that exist from the start, and a service's replicas told as one."""

import pytest
from prometheus_client import CollectorRegistry

from logban.metrics import Metrics, Standing


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"logban_{name}", labels)


def test_errors_are_counted_from_0(metrics: Metrics) -> None:
    assert [value(metrics, "errors_total", op=op) for op in ("list", "notify", "store")] == [0, 0, 0]


def test_a_service_is_read_only_while_all_its_replicas_are(metrics: Metrics) -> None:
    metrics.show(
        [
            Standing(source="haraka", reading=False, last_line_at=None, unattributed=2),
            Standing(source="haraka", reading=True, last_line_at=1000.0, unattributed=3),
        ]
    )

    assert value(metrics, "source_up", source="haraka") == 0
    assert value(metrics, "source_last_line_timestamp_seconds", source="haraka") == 1000.0
    assert value(metrics, "unattributed_offences", source="haraka") == 5


def test_a_log_without_a_line_yet_has_no_time_of_its_last(metrics: Metrics) -> None:
    metrics.show([Standing(source="haraka", reading=True, last_line_at=None, unattributed=0)])

    assert value(metrics, "source_last_line_timestamp_seconds", source="haraka") is None
