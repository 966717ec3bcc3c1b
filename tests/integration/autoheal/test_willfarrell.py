"""docker-autoheal's variables and label keep their names and meaning, each on a real engine.

One autoheal that is told all of them serves most of the tests: what it was asked to do is done when the first begins.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from lab import certificates
from lab.agent import AgentProcess
from lab.autoheal import CURABLE, OPTED_IN, Autoheal
from lab.containers import Container, Containers, Health
from lab.engine import GivenEngine
from lab.forwarder import Forwarder
from lab.recorder import Recorder, Request
from lab.server import SmallServer, reply
from lab.wire import wait_for

Start = Callable[..., Autoheal]
PULSE = Health(interval=0.5)
# Curable, and deaf to SIGTERM: only SIGKILL ends it, when the stop timeout is over.
CURABLE_AND_DEAF = ("sh", "-c", "rm -f /lab/sick; exec sleep 86400")
START_PERIOD, INTERVAL, STOP_TIMEOUT, OWN_STOP_TIMEOUT, CURL_TIMEOUT = 3, 1, 7, 4, 2


@dataclass(frozen=True)
class Practice:
    """An autoheal that was told everything, what it found, and whom it told."""

    healer: Autoheal
    started_at: float
    early: Container  # sick before the start
    usual: Container
    deaf: Container  # with a stop timeout of its own
    paused: Container
    stranger: Container  # has the usual label, which is not the one that was asked for
    webhook: SmallServer
    apprise: SmallServer
    script_calls: Path

    def restart_of(self, container: Container) -> Request:
        (only,) = self.healer.restarts(container)
        return only


@pytest.fixture(scope="module")
def practice(engine: GivenEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Practice]:
    folder = tmp_path_factory.mktemp("practice")
    script_calls = folder / "calls"
    with ExitStack() as stack:
        containers = stack.enter_context(Containers(engine))
        recorder = stack.enter_context(Recorder(engine.url))
        webhook, apprise = (stack.enter_context(SmallServer(lambda _: [reply(200)], tcp=True)) for _ in range(2))
        asked = {"medic": "true"}
        early, usual = (containers.run(n, labels=asked, health=PULSE, command=CURABLE) for n in ("early", "usual"))
        paused = containers.run("paused", labels=asked, health=PULSE, command=CURABLE)
        stranger = containers.run("stranger", labels=OPTED_IN, health=PULSE, command=CURABLE)
        own = {**asked, "autoheal.stop.timeout": str(OWN_STOP_TIMEOUT)}
        deaf = containers.run("deaf", labels=own, health=PULSE, command=CURABLE_AND_DEAF)
        for container in (early, paused, stranger, usual, deaf):
            container.wait_for(health="healthy")
        for container in (early, paused, stranger):
            container.make_sick()
            container.wait_for(health="unhealthy")
        paused.pause()
        environment = {
            "AUTOHEAL_CONTAINER_LABEL": "medic",
            "AUTOHEAL_INTERVAL": str(INTERVAL),
            "AUTOHEAL_START_PERIOD": str(START_PERIOD),
            "AUTOHEAL_DEFAULT_STOP_TIMEOUT": str(STOP_TIMEOUT),
            "AUTOHEAL_ONLY_MONITOR_RUNNING": "false",
            "CURL_TIMEOUT": str(CURL_TIMEOUT),
            "WEBHOOK_URL": f"http://127.0.0.1:{webhook.port}/hook",
            "WEBHOOK_JSON_KEY": "content",
            "APPRISE_URL": f"http://127.0.0.1:{apprise.port}/notify",
            "POST_RESTART_SCRIPT": str(script(folder / "after", f'echo "$*" >>{script_calls}')),
        }
        started_at = time.time()
        process = AgentProcess("autoheal", folder, docker_host=recorder.url, env=environment)
        healer = Autoheal(stack.enter_context(process), recorder)
        healer.wait_healed(early)
        for container in (usual, deaf):
            container.make_sick("no answer on port 25")
        healer.wait_healed(usual, deaf)
        healer.has_looked()
        yield Practice(healer, started_at, early, usual, deaf, paused, stranger, webhook, apprise, script_calls)


def script(file: Path, text: str) -> Path:
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return file


def told(server: SmallServer, container: Container) -> dict[str, str]:
    """Wait for what *server* is told of *container*."""

    def found() -> list[dict[str, str]]:
        return [json.loads(body) for body in list(server.bodies) if container.name.encode() in body]

    return wait_for(found, f"a notice of {container.name}")[0]


def test_another_label_may_opt_in_and_the_usual_one_then_does_not(practice: Practice) -> None:
    assert practice.restart_of(practice.usual)
    assert not practice.healer.actions(practice.stranger)


def test_nothing_is_done_before_the_start_period_is_over(practice: Practice) -> None:
    assert practice.restart_of(practice.early).started >= practice.started_at + START_PERIOD


def test_the_interval_says_how_often_everything_is_looked_at(practice: Practice) -> None:
    practice.healer.has_looked(3)
    times = [request.started for request in practice.healer.recorder.requests("GET", "^/containers/json$")]
    gaps = sorted(later - earlier for earlier, later in pairwise(times))
    assert INTERVAL - 0.1 <= gaps[len(gaps) // 2] <= INTERVAL + 2


def test_the_default_stop_timeout_goes_along_with_the_restart(practice: Practice) -> None:
    assert practice.restart_of(practice.usual).query == {"t": str(STOP_TIMEOUT)}


def test_the_label_for_the_stop_timeout_wins_over_the_default(practice: Practice) -> None:
    assert practice.restart_of(practice.deaf).query == {"t": str(OWN_STOP_TIMEOUT)}


def test_a_stop_that_takes_longer_than_curl_timeout_is_waited_for_and_not_repeated(practice: Practice) -> None:
    (record,) = practice.healer.records(practice.deaf)
    assert record["http_status"] == 204
    assert record["answered_at"] - record["called_at"] > CURL_TIMEOUT
    assert practice.restart_of(practice.deaf)


def test_curl_timeout_bounds_the_wait_for_an_answer(practice: Practice) -> None:
    recorder = practice.healer.recorder
    recorder.hold("GET", "^/containers/json$")
    try:
        failed = practice.healer.process.wait_for("listing_failed")
    finally:
        recorder.obey()
    assert "did not answer in time" in failed["reason"]


def test_a_paused_container_is_left_alone_even_where_not_only_running_ones_were_to_be_monitored(
    practice: Practice,
) -> None:
    assert not practice.healer.actions(practice.paused)
    assert practice.paused.state == "paused"


def test_the_webhook_is_told_in_the_one_field_that_was_named(practice: Practice) -> None:
    notice = told(practice.webhook, practice.usual)
    assert list(notice) == ["content"]
    assert "no answer on port 25" in notice["content"]


def test_the_apprise_server_gets_a_title_and_a_body(practice: Practice) -> None:
    notice = told(practice.apprise, practice.usual)
    assert practice.usual.name in notice["title"]
    assert "no answer on port 25" in notice["body"]


def test_the_script_is_called_after_a_restart_with_name_short_id_state_and_stop_timeout(practice: Practice) -> None:
    practice.healer.process.wait_for("post_restart_script_ended", container=practice.usual.name, exit_code=0)
    calls = practice.script_calls.read_text().splitlines()
    usual = practice.usual
    assert f"{usual.name} {usual.id[:12]} running {STOP_TIMEOUT}" in calls


# Where everything is watched


def test_all_means_every_container_with_a_healthcheck(containers: Containers, autoheal: Start) -> None:
    project = {"com.docker.compose.project": containers.mark}  # the engine may have other people's containers
    healer = autoheal(AUTOHEAL_CONTAINER_LABEL="all", AUTOHEAL_SCOPE="project", COMPOSE_PROJECT_NAME=containers.mark)
    box = containers.run(labels=project, health=PULSE, command=CURABLE)
    box.wait_for(health="healthy")
    box.make_sick()
    healer.wait_healed(box)


# Where the engine is


@pytest.fixture(scope="module")
def patient(engine: GivenEngine) -> Iterator[Container]:
    with Containers(engine) as containers:
        yield containers.run(labels=OPTED_IN, health=PULSE, command=CURABLE)


def heals_through(recorder: Recorder, agent: Callable[..., AgentProcess], patient: Container, **env: str) -> bool:
    """Let autoheal, told where the engine is by *env* alone, heal; returns whether its call came this way."""
    patient.wait_for(health="healthy")
    patient.make_sick()
    healer = Autoheal(agent("autoheal", docker_host="", env=env), recorder)
    healer.wait_healed(patient)
    return len(healer.restarts(patient)) == 1


def test_docker_sock_may_be_a_path(recorder: Recorder, agent: Callable[..., AgentProcess], patient: Container) -> None:
    assert heals_through(recorder, agent, patient, DOCKER_SOCK=str(recorder.socket))


def test_docker_sock_may_be_a_tcp_address(
    recorder: Recorder, agent: Callable[..., AgentProcess], patient: Container
) -> None:
    with Forwarder(recorder.url) as port:
        assert heals_through(recorder, agent, patient, DOCKER_SOCK=f"tcp://{port.address}")


def test_docker_host_with_tls_proves_who_both_are(
    recorder: Recorder, agent: Callable[..., AgentProcess], patient: Container, tmp_path: Path
) -> None:
    pairs = certificates.make(tmp_path)
    with Forwarder(recorder.url, certificates.server_context(pairs)) as port:
        tls = {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(pairs)}
        assert heals_through(recorder, agent, patient, DOCKER_HOST=f"tcp://{port.address}", **tls)


def test_an_engine_that_cannot_prove_who_it_is_is_not_spoken_with(
    recorder: Recorder, agent: Callable[..., AgentProcess], tmp_path: Path
) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for folder in (ours, theirs):
        folder.mkdir()
        certificates.make(folder)
    with Forwarder(recorder.url, certificates.server_context(theirs)) as port:
        tls = {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(ours)}
        healer = agent("autoheal", docker_host=f"tcp://{port.address}", env=tls)
        assert "CERTIFICATE_VERIFY_FAILED" in healer.wait_for("events_lost")["reason"]
    assert not recorder.requests()


# In nobody's way


def test_targets_and_scripts_that_hang_or_fail_delay_no_heal(
    containers: Containers, autoheal: Start, tmp_path: Path
) -> None:
    over = tmp_path / "over"
    hanging = script(
        tmp_path / "hanging", f"echo $$ >>{tmp_path}/hang; for _ in $(seq 600); do [ -e {over} ] || sleep 0.1; done"
    )
    released = threading.Event()
    boxes = containers.run_many(3, labels=OPTED_IN, health=PULSE, command=CURABLE)
    with (
        SmallServer(lambda _: [reply(200)] if released.wait(60.0) else [], tcp=True) as webhook,
        SmallServer(lambda _: [reply(500)], tcp=True) as apprise,
    ):
        healer = autoheal(
            WEBHOOK_URL=f"http://127.0.0.1:{webhook.port}/",
            APPRISE_URL=f"http://127.0.0.1:{apprise.port}/",
            POST_RESTART_SCRIPT=str(hanging),
        )
        delays = []
        for box in boxes:  # one after the other: the second and third are healed amid what the first left hanging
            box.wait_for(health="healthy")
            healer.process.wait_for("container_watched", container=box.name)
            box.make_sick()
            healer.wait_healed(box, deadline=20.0)
            delays.append(delay_of(healer, box))
            wait_for(lambda: webhook.asked and apprise.asked and (tmp_path / "hang").exists(), "all were called")
        scripts_ended = healer.process.lines("post_restart_script_ended")
        over.touch()
        released.set()
    assert not scripts_ended
    assert max(delays) < 20.0  # what hangs does so for a minute


def delay_of(healer: Autoheal, box: Container) -> float:
    """Say how long after it turned unhealthy the restart of *box* was asked for, by the record of it."""
    (record,) = healer.records(box)
    return float(record["called_at"] - record["sick_at"])
