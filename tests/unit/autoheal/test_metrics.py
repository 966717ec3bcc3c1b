"""The figures: series that exist from the time a container is watched until it is gone."""

import pytest
from prometheus_client import CollectorRegistry

from autoheal import views
from autoheal.metrics import Metrics
from autoheal.world import Known
from sidecarkit.containers import SERVICE


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"autoheal_{name}", labels)


def test_a_watched_container_has_all_its_series_from_the_start(metrics: Metrics) -> None:
    metrics.watch({"haraka": "healthy"})

    for result in ("ok", "failed", "skipped"):
        assert value(metrics, "heals_total", container="haraka", result=result) == 0
    assert value(metrics, "backoff_seconds", container="haraka") == 0
    assert value(metrics, "given_up", container="haraka") == 0


def test_the_present_health_is_1_and_every_other_0(metrics: Metrics) -> None:
    metrics.watch({"haraka": "healthy"})
    metrics.watch({"haraka": "unhealthy"})

    found = {
        each: value(metrics, "container_health", container="haraka", health=each)
        for each in ("healthy", "unhealthy", "starting", "none")
    }
    assert found == {"healthy": 0, "unhealthy": 1, "starting": 0, "none": 0}


def test_containers_are_counted_by_health(metrics: Metrics) -> None:
    metrics.watch({"haraka": "healthy", "mongo": "healthy", "redis": "none"})

    assert value(metrics, "containers", health="healthy") == 2
    assert value(metrics, "containers", health="none") == 1
    assert value(metrics, "containers", health="unhealthy") == 0


def test_a_container_that_is_gone_leaves_no_series(metrics: Metrics) -> None:
    metrics.watch({"haraka": "healthy", "mongo": "healthy"})
    metrics.last_heal.labels("haraka").set(1)
    metrics.heals.labels("haraka", "ok").inc()

    metrics.watch({"mongo": "healthy"})

    left = {
        sample.labels["container"]
        for metric in metrics.registry.collect()
        for sample in metric.samples
        if "container" in sample.labels
    }
    assert left == {"mongo"}


def test_heals_keep_counting_while_a_container_is_watched(metrics: Metrics) -> None:
    metrics.watch({"haraka": "healthy"})
    metrics.heals.labels("haraka", "ok").inc()
    metrics.watch({"haraka": "unhealthy"})

    assert value(metrics, "heals_total", container="haraka", result="ok") == 1


def test_failures_of_the_engine_are_counted_from_0(metrics: Metrics) -> None:
    for request in ("ping", "events", "list", "inspect", "logs", "restart", "stop", "kill"):
        assert value(metrics, "docker_errors_total", op=request, reason="EngineTimeout") == 0
        assert value(metrics, "docker_errors_total", op=request, reason="Refused") == 0


def test_requests_to_the_engine_are_timed_and_their_failures_counted(metrics: Metrics) -> None:
    metrics.observe_request("restart", 0.25, None)
    metrics.observe_request("restart", 0.25, "EngineTimeout")

    assert value(metrics, "docker_request_duration_seconds_count", op="restart") == 2
    assert value(metrics, "docker_errors_total", op="restart", reason="EngineTimeout") == 1


def test_a_service_is_given_up_when_one_of_its_replicas_is() -> None:
    replicas = [
        Known("1" * 64, "mail-web-1", {SERVICE: "web"}, "running"),
        Known("2" * 64, "mail-web-2", {SERVICE: "web"}, "running"),
    ]
    shown = {
        replicas[0].id: {"given_up": True, "backoff_until": None},
        replicas[1].id: {"given_up": False, "backoff_until": 60.0},
    }

    assert views.standings(replicas, shown) == {"web": (True, 60.0)}
