"""The agent is killed again and again amid its heals: the records stay true, and nothing is healed twice."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from autoheal import ledger
from lab.agent import AgentProcess
from lab.containers import Container, Containers
from lab.engine import GivenEngine
from lab.events import EventLog, Happened
from lab.patients import fall_sick, patient, wait_healthy
from lab.recorder import Recorder
from lab.wire import wait_for
from sidecarkit import state

pytestmark = pytest.mark.engine
MOMENTS = 50  # heals that a kill struck, each at another point of its course
AT_ONCE = 6
LATEST_SECONDS = 1.2  # after the first call of a round
SEED = 20  # a failure can be seen again, as far as two clocks allow
SETTINGS = {
    "AUTOHEAL_MAX_PARALLEL": str(AT_ONCE),
    "AUTOHEAL_STORM_GUARD": "false",
    "AUTOHEAL_BACKOFF": "0s",
    "AUTOHEAL_INTERVAL": "1s",
}


@pytest.fixture
def events(engine: GivenEngine) -> Iterator[EventLog]:
    with EventLog(engine.url) as log:
        yield log


def test_kills_at_fifty_moments_of_a_heal_lose_no_record_leave_no_intent_open_and_repeat_no_restart(
    agent: Callable[..., AgentProcess], containers: Containers, recorder: Recorder, events: EventLog
) -> None:
    crowd = [patient(containers, f"prompt{number}") for number in range(2 * AT_ONCE)]
    # The engine is still stopping these when the next agent begins.
    crowd += [patient(containers, f"deaf{number}", deaf=True, labels={"autoheal.stop.timeout": "2"}) for number in "12"]
    wait_healthy(crowd)
    healer = agent("autoheal", docker_host=recorder.url, env=SETTINGS)
    healer.wait_for("container_watched", count=len(crowd))
    chance = random.Random(SEED)
    struck = rounds = 0

    while struck < MOMENTS:
        rounds += 1
        calls = len(recorder.requests("POST"))
        fall_sick(crowd)
        recorder.wait_for("POST", count=calls + 1)
        time.sleep(chance.uniform(0.0, LATEST_SECONDS))  # any moment will do
        healer.kill9()
        struck += len(_open(healer))
        healer.start()
        for each in crowd:
            events.wait_for(each, "health_status: unhealthy", count=rounds)
        wait_healthy(crowd)
        wait_for(lambda: not _open(healer), "every intent is resolved", deadline=60.0, pause=0.1)

    for each in crowd:
        happened = [one.action for one in events.of(each, "restart", "health_status: unhealthy")]
        assert happened == ["health_status: unhealthy", "restart"] * rounds
        assert _restarts_by_record(healer, each, events.of(each, "restart")) == [1] * rounds


def _open(healer: AgentProcess) -> list[dict[str, Any]]:
    return [record for record in _heals(healer) if record["outcome"] is None]


def _heals(healer: AgentProcess) -> list[dict[str, Any]]:
    with closing(state.open_read_only(healer.state / ledger.FILE)) as database:
        records = ledger.read_records(database, container=None, limit=2000)
    return [record for record in reversed(records) if record["decision"] == "heal"]


def _restarts_by_record(healer: AgentProcess, container: Container, restarts: list[Happened]) -> list[int]:
    """Count the engine's restarts within each record, from the call to the outcome; calls that came to nothing aside.

    So a restart without a record shows as a count that is missing.
    """
    # A record without a call is an intent of which the next agent found that the engine was never asked.
    mine = [record for record in _heals(healer) if record["container_id"] == container.id]
    records = [record for record in mine if record["called_at"] is not None]
    counts = [sum(r["called_at"] <= one.at <= r["outcome_at"] for one in restarts) for r in records]
    return [count for count, record in zip(counts, records, strict=True) if count or record["outcome"] != "refused"]
