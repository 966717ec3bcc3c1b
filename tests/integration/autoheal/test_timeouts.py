"""Honest about time: a long stop is one restart, and an engine that hangs costs neither the agent nor a second restart.

Both take a minute of waiting, so they wait together: the engine freezes before the first test.
"""

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.agent import AgentProcess
from lab.containers import Container, Containers
from lab.engine import GivenEngine, PrivateEngine
from lab.events import EventLog
from lab.patients import fall_sick, patient, wait_healthy, wait_listening
from lab.recorder import Recorder
from lab.wire import wait_for

pytestmark = pytest.mark.engine
UNHEALTHY_AFTER_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Hang:
    """An engine that froze while it stopped a container for its agent, and what the agent could not see since."""

    engine: PrivateEngine
    recorder: Recorder
    agent: AgentProcess
    in_flight: Container
    sick_meanwhile: Container
    since: float
    """Monotonic clock."""


@pytest.fixture(scope="module", autouse=True)
def hang(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hang | None]:
    if os.geteuid() != 0:
        yield None
        return
    with ExitStack() as stack:
        yield _freeze(stack, tmp_path_factory.mktemp("hang"))


def _freeze(stack: ExitStack, folder: Path) -> Hang:
    engine = stack.enter_context(PrivateEngine())
    containers = stack.enter_context(Containers(engine))
    recorder = stack.enter_context(Recorder(engine.url))
    in_flight = patient(containers, "in-flight", deaf=True, labels={"autoheal.stop.timeout": "3"})
    sick_meanwhile = patient(containers, "sick-meanwhile")
    wait_healthy([in_flight, sick_meanwhile])
    settings = {"AUTOHEAL_INTERVAL": "2s", "CURL_TIMEOUT": "3s", "AUTOHEAL_STORM_GUARD": "false"}
    agent = AgentProcess("autoheal", folder, docker_host=recorder.url, env=settings, http=True)
    stack.enter_context(agent).wait_for("container_watched", count=2)
    with EventLog(engine.url) as events:
        fall_sick([in_flight])
        events.wait_for(in_flight, "kill")
    wait_listening([sick_meanwhile])
    stack.callback(engine.thaw)
    engine.freeze()
    since = time.monotonic()
    fall_sick([sick_meanwhile])
    return Hang(engine, recorder, agent, in_flight, sick_meanwhile, since)


def test_a_stop_of_forty_seconds_is_one_call_one_term_one_kill_one_start_and_a_success(
    agent: Callable[..., AgentProcess], containers: Containers, recorder: Recorder, engine: GivenEngine
) -> None:
    by_label = patient(containers, "by-label", deaf=True, labels={"autoheal.stop.timeout": "40"})
    by_itself = patient(containers, "by-itself", deaf=True, config={"StopTimeout": 40})
    wait_healthy([by_label, by_itself])
    healer = agent("autoheal", docker_host=recorder.url, env={"CURL_TIMEOUT": "5", "AUTOHEAL_INTERVAL": "2s"})
    healer.wait_for("container_watched", count=2)

    with EventLog(engine.url) as events:
        fall_sick([by_label, by_itself])
        healer.wait_for("heal_ended", count=2, outcome="recovered", deadline=60.0)
        kills = [[kill.attributes["signal"] for kill in events.of(each, "kill")] for each in (by_label, by_itself)]
        starts = [len(events.of(each, "start")) for each in (by_label, by_itself)]

    records = json.loads(healer.command("history", "--json").stdout)
    calls = recorder.requests("POST")
    assert kills == [["15", "9"], ["15", "9"]]
    assert starts == [1, 1]
    assert {call.path: call.query for call in calls} == {
        f"/containers/{by_label.id}/restart": {"t": "40"},
        f"/containers/{by_itself.id}/restart": {},
    }
    assert [(record["decision"], record["http_status"], record["outcome"]) for record in records] == [
        ("heal", 204, "recovered")
    ] * 2
    assert all(40.0 <= record["answered_at"] - record["called_at"] < 45.0 for record in records)


def test_while_the_engine_hangs_the_agent_answers_turns_unhealthy_and_afterwards_recovers_unaided(
    hang: Hang | None,
) -> None:
    if hang is None:
        pytest.skip("needs a private engine, which needs root")
    agent, pid = hang.agent, hang.agent.pid

    # It answers meanwhile,
    shown = json.loads(agent.command("status", "--json", timeout=10.0).stdout)
    assert {view["container"] for view in shown} == {hang.in_flight.name, hang.sick_meanwhile.name}
    assert json.loads((agent.state / "heartbeat.json").read_text())["at"] > time.time() - 10.0
    # says that it is not well once the engine was away for a minute, by every way it can say so,
    wait_for(lambda: _healthz(agent) == 503, "/healthz is 503", deadline=70.0, pause=0.2)
    assert time.monotonic() - hang.since == pytest.approx(UNHEALTHY_AFTER_SECONDS, abs=5.0)
    wait_for(lambda: agent.command("healthcheck").returncode == 1, "the healthcheck fails")
    # has not worn itself out waiting,
    assert agent.cpu_seconds < 5.0

    # and goes on when the engine does.
    hang.engine.thaw()
    agent.wait_for("heal_ended", container=hang.sick_meanwhile.name, outcome="recovered", deadline=20.0)
    agent.wait_for("heal_ended", container=hang.in_flight.name, outcome="recovered", deadline=20.0)
    wait_for(lambda: _healthz(agent) == 200, "/healthz is 200")
    restarted = sorted(call.path for call in hang.recorder.requests("POST"))
    assert restarted == sorted(f"/containers/{each.id}/restart" for each in (hang.in_flight, hang.sick_meanwhile))
    assert agent.pid == pid and agent.running


def _healthz(agent: AgentProcess) -> int:
    try:
        with urllib.request.urlopen(f"http://{agent.address}/healthz", timeout=5.0) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
