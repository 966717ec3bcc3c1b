"""The engine goes away and comes back under a running agent: nothing is missed, and nothing is done twice."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from lab.agent import AgentProcess
from lab.autoheal import CURABLE
from lab.containers import Containers, Health
from lab.engine import PrivateEngine
from lab.patients import OPTED_IN, fall_sick, patient, sick_in_next_life, wait_healthy
from lab.recorder import Recorder
from lab.webhook import Webhook
from lab.wire import wait_for

pytestmark = pytest.mark.engine
CROWD = 20
SETTINGS = {"AUTOHEAL_MAX_PARALLEL": "8", "AUTOHEAL_STORM_GUARD": "false", "AUTOHEAL_BACKOFF": "0s"}
Start = Callable[..., AgentProcess]


@pytest.fixture
def own_recorder(own_engine: PrivateEngine) -> Iterator[Recorder]:
    with Recorder(own_engine.url) as before:
        yield before


@pytest.mark.parametrize(
    ("go_down", "outcomes"),
    [
        # An engine that ends in order may say that it cannot restart a container any more.
        pytest.param(PrivateEngine.stop, {"refused", "recovered"}, id="SIGTERM"),
        pytest.param(PrivateEngine.kill, {"recovered"}, id="SIGKILL"),
    ],
)
def test_containers_that_are_sick_when_the_engine_comes_back_are_healed_within_seconds_and_once(  # noqa: PLR0913, PLR0917
    go_down: Callable[[PrivateEngine], None],
    outcomes: set[str],
    own_engine: PrivateEngine,
    own_containers: Containers,
    own_recorder: Recorder,
    agent: Start,
) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = pool.map(lambda number: patient(own_containers, f"box{number}", restart="always"), range(CROWD))
        crowd = list(made)
    under_way = patient(own_containers, "under-way", restart="always", deaf=True, config={"StopTimeout": 2})
    wait_healthy([*crowd, under_way])
    healer = agent("autoheal", docker_host=own_recorder.url, env=SETTINGS)
    healer.wait_for("container_watched", count=CROWD + 1)
    pid = healer.pid
    fall_sick(crowd[:1])  # what is over already, the engine's return must not bring back
    healer.wait_for("heal_ended", count=1, outcome="recovered")
    fall_sick([under_way])
    own_recorder.wait_for("POST", f"{under_way.id}/restart$")

    sick_in_next_life(crowd)
    go_down(own_engine)
    spent, away_since = healer.cpu_seconds, time.monotonic()
    wait_for(lambda: time.monotonic() - away_since > 2.0, "the engine is away for a while")
    spent_while_away = healer.cpu_seconds - spent
    own_engine.start()
    answered_at = time.time()
    healer.wait_for("heal_ended", count=1 + CROWD, outcome="recovered", deadline=60.0)
    assert healer.wait_for("heal_ended", container=under_way.name)["outcome"] in outcomes

    calls = own_recorder.requests("POST", "/restart$")
    assert Counter(call.path.split("/")[2] for call in calls) == {
        **{each.id: 1 for each in (*crowd, under_way)},
        crowd[0].id: 2,
    }
    assert calls[-1].started - answered_at < 30.0
    assert spent_while_away < 0.5
    assert healer.running and healer.pid == pid


@pytest.mark.parametrize("wish", ["notify", "restart"])
def test_probes_that_an_engine_with_live_restore_does_not_resume_are_told_of_or_the_container_restarted(
    wish: str, own_engine: PrivateEngine, own_containers: Containers, own_recorder: Recorder, agent: Start
) -> None:
    if int(own_engine.api.version()["Version"].split(".")[0]) >= 23:
        pytest.skip("engines from 23.0 on resume the probes")
    own_engine.options["live-restore"] = True
    own_engine.restart()
    box = own_containers.run(labels=OPTED_IN, health=Health(interval=0.5, timeout=0.5), command=CURABLE)
    box.wait_for(health="healthy")
    with Webhook() as webhook:
        settings = {**SETTINGS, "AUTOHEAL_STALE": wish, "AUTOHEAL_INTERVAL": "1s", "WEBHOOK_URL": webhook.url}
        healer = agent("autoheal", docker_host=own_recorder.url, env=settings)
        healer.wait_for("container_watched")

        own_engine.kill()  # in order it would end a running probe, whose failure would count
        own_engine.start()
        box.make_sick()
        healer.wait_for("probes_stopped", container=box.name)

        if wish == "restart":
            healer.wait_for("heal_begun", container=box.name, reason="stale")
            healer.wait_for("heal_ended", container=box.name, outcome="recovered")
        wait_for(lambda: webhook.heard("probes_stopped"), "people are told")

    assert len(own_recorder.requests("POST", "/restart$")) == (1 if wish == "restart" else 0)
    assert len(healer.lines("probes_stopped")) == 1
