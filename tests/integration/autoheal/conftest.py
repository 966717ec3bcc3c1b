"""Fixtures of autoheal's tests on a real engine."""

from collections.abc import Callable, Iterator

import pytest

from lab.agent import AgentProcess
from lab.autoheal import CURABLE, OPTED_IN, SLOW_PULSE, Autoheal
from lab.containers import Container, Containers
from lab.engine import GivenEngine
from lab.recorder import Recorder


@pytest.fixture
def autoheal(agent: Callable[..., AgentProcess], recorder: Recorder) -> Callable[..., Autoheal]:
    """Start an autoheal: `autoheal(AUTOHEAL_BACKOFF="1s")`. It looks at everything every second."""

    def start(**env: str) -> Autoheal:
        quick = {"AUTOHEAL_INTERVAL": "1s", "AUTOHEAL_STORM_GUARD": "false", "AUTOHEAL_MAX_PARALLEL": "8", **env}
        process = agent("autoheal", docker_host=recorder.url, env=quick)
        process.wait_for("events_subscribed")
        return Autoheal(process, recorder)

    return start


@pytest.fixture(scope="module")
def _crowd(engine: GivenEngine) -> Iterator[list[Container]]:
    with Containers(engine) as containers:
        yield containers.run_many(20, labels=OPTED_IN, health=SLOW_PULSE, command=CURABLE)


@pytest.fixture
def crowd(_crowd: list[Container]) -> list[Container]:
    """Twenty healthy, opted-in, curable containers; they are the same for all tests of a module."""
    for container in _crowd:
        container.make_well()
    for container in _crowd:
        container.wait_for(health="healthy")
    return _crowd
