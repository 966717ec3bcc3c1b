"""Many sick at once: few restarts in flight, one before all others when most are sick, and none waits for the deaf."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest

from lab.agent import AgentProcess
from lab.containers import Container, Containers
from lab.engine import GivenEngine
from lab.events import EventLog
from lab.patients import fall_sick, patient, wait_healthy
from lab.recorder import Recorder, Request, most_at_once
from lab.webhook import Webhook

pytestmark = pytest.mark.engine
RESTART = r"/restart$"
SOME = 30
ALL = 150
Start = Callable[..., AgentProcess]


@pytest.fixture(scope="module")
def crowd(engine: GivenEngine) -> Iterator[list[Container]]:
    """Run a hundred and fifty; thirty of them have the label `some` as well."""
    with Containers(engine) as containers, ThreadPoolExecutor(4) as pool:
        yield list(pool.map(lambda number: _member(containers, number), range(ALL)))


def _member(containers: Containers, number: int) -> Container:
    return patient(containers, f"crowd{number}", labels={"some": "true"} if number < SOME else {})


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with Webhook() as listening:
        yield listening


@pytest.fixture
def healer(agent: Start, recorder: Recorder, webhook: Webhook) -> Start:
    """Start an autoheal that has looked at everything: `healer(20, AUTOHEAL_MAX_PARALLEL="2")` watches twenty."""

    def start(watched: int, **env: str) -> AgentProcess:
        process = agent("autoheal", docker_host=recorder.url, env={"WEBHOOK_URL": webhook.url, **env})
        process.wait_for("container_watched", count=watched, deadline=60.0)
        return process

    return start


@pytest.mark.parametrize(("label", "count"), [("some", SOME), ("autoheal", ALL)])
def test_when_all_turn_sick_at_once_one_is_healed_first_and_the_rest_when_it_is_well(  # noqa: PLR0913, PLR0917
    label: str,
    count: int,
    crowd: list[Container],
    healer: Start,
    recorder: Recorder,
    webhook: Webhook,
    engine: GivenEngine,
) -> None:
    sick = crowd[:count]
    wait_healthy(sick)
    process = healer(count, AUTOHEAL_CONTAINER_LABEL=label, AUTOHEAL_MAX_PARALLEL="4")

    with EventLog(engine.url) as events:
        fall_sick(sick)
        process.wait_for("heal_ended", count=count, outcome="recovered", deadline=120.0)
        first_healthy = min(each.at for each in events.of(None, "health_status: healthy"))

    restarts = recorder.requests("POST", RESTART)
    before_the_hold = [each for each in restarts if each.started < _time_of(process.wait_for("storm_held"))]
    before_one_was_well = [each for each in restarts if each.started < first_healthy]
    assert _restarted(restarts) == sorted(each.id for each in sick)
    assert most_at_once(restarts) == 4
    assert len(before_one_was_well) == max(len(before_the_hold), 1)
    assert len(process.lines("storm_held")) == 1
    assert len(webhook.heard("storm_hold")) == 1


def test_when_a_few_of_many_turn_sick_none_is_held_and_never_more_than_allowed_are_in_flight(
    crowd: list[Container], healer: Start, recorder: Recorder, webhook: Webhook
) -> None:
    wait_healthy(crowd)
    process = healer(ALL, AUTOHEAL_MAX_PARALLEL="3")

    fall_sick(crowd[:SOME])
    process.wait_for("heal_ended", count=SOME, outcome="recovered", deadline=60.0)

    restarts = recorder.requests("POST", RESTART)
    assert _restarted(restarts) == sorted(each.id for each in crowd[:SOME])
    assert most_at_once(restarts) == 3
    assert not process.lines("storm_held")
    assert not webhook.heard("storm_hold")


def test_ten_that_ignore_sigterm_do_not_make_the_others_wait(
    containers: Containers, healer: Start, recorder: Recorder
) -> None:
    labels = {"mixed": "true", "autoheal.stop.timeout": "4"}
    deaf = [patient(containers, f"deaf{number}", deaf=True, labels=labels) for number in range(10)]
    prompt = [patient(containers, f"prompt{number}", labels=labels) for number in range(8)]
    wait_healthy([*deaf, *prompt])
    settings = {
        "AUTOHEAL_CONTAINER_LABEL": "mixed",
        "AUTOHEAL_STORM_GUARD": "false",
        "AUTOHEAL_BACKOFF": "0s",
    }
    first = healer(18, **settings, AUTOHEAL_MAX_PARALLEL="10")
    fall_sick(deaf)
    first.wait_for("heal_ended", count=10, outcome="recovered", deadline=60.0)
    first.stop()
    recorder.forget()
    second = healer(18, **settings, AUTOHEAL_MAX_PARALLEL="3")  # it remembers who was slow

    fall_sick(deaf)
    recorder.wait_for("POST", RESTART, count=2)
    fall_sick(prompt)
    for each in prompt:
        second.wait_for("action_performed", container=each.name)

    restarts = recorder.requests("POST", RESTART)
    last_prompt = max(each.started for each in _of(restarts, prompt))
    assert _restarted(_of(restarts, prompt)) == sorted(each.id for each in prompt)
    assert most_at_once(each for each in _of(restarts, deaf) if each.started <= last_prompt) == 2


def test_one_that_is_paused_while_it_waits_for_its_turn_is_left_alone(
    containers: Containers, healer: Start, recorder: Recorder
) -> None:
    first, second = (patient(containers, name, labels={"queue": "true"}) for name in ("first", "second"))
    wait_healthy([first, second])
    settings = {"AUTOHEAL_CONTAINER_LABEL": "queue", "AUTOHEAL_MAX_PARALLEL": "1", "LOG_LEVEL": "debug"}
    process = healer(2, **settings)
    recorder.hold("POST", first.id)
    fall_sick([first])
    recorder.wait_for("POST", first.id)
    asked = len(recorder.requests("GET", f"{second.id}/json"))
    fall_sick([second])
    recorder.wait_for("GET", f"{second.id}/json", count=asked + 1)

    second.pause()
    recorder.obey()
    process.wait_for("patient_left", container=second.name, why="paused")

    assert recorder.requests("POST", second.id) == []
    second.unpause()


def _restarted(restarts: list[Request]) -> list[str]:
    """List whom the calls were for, one entry for each call."""
    return sorted(each.path.split("/")[2] for each in restarts)


def _of(restarts: list[Request], containers: list[Container]) -> list[Request]:
    ids = {each.id for each in containers}
    return [each for each in restarts if each.path.split("/")[2] in ids]


def _time_of(line: dict[str, Any]) -> float:
    return datetime.fromisoformat(line["time"]).timestamp()
