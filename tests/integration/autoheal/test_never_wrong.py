"""Never wrong: what must not be touched is not touched, as the recorder of all calls tells.

That nothing happened is believed only after a witness, sick later than the container in question, was healed and
everything was looked at again.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.autoheal import CURABLE, OPTED_IN, Autoheal
from lab.compose import Compose
from lab.containers import STUBBORN, Container, Containers, Health
from lab.engine import IMAGE, GivenEngine
from lab.recorder import Recorder
from lab.wire import call, wait_for

Start = Callable[..., Autoheal]
PULSE = Health(interval=0.5, retries=2)


@pytest.fixture
def untouched(containers: Containers, autoheal: Start) -> Callable[..., None]:
    """Assert that a healer, given time and a witness, did nothing to some containers."""
    witnesses: list[Container] = []

    def check(*boxes: Container, healer: Autoheal | None = None) -> None:
        healer = healer or autoheal()
        if not witnesses:
            witnesses.append(containers.run("witness", labels=OPTED_IN, health=Health(interval=0.2), command=CURABLE))
        witness, seen = witnesses[0], len(healer.restarts(witnesses[0]))
        witness.wait_for(health="healthy")
        witness.make_sick()
        wait_for(lambda: len(healer.restarts(witness)) > seen, "the witness is healed")
        witness.wait_for(health="healthy")
        healer.has_looked()
        assert not [action for box in boxes for action in healer.actions(box)]

    return check


def test_a_paused_container_is_left_alone(containers: Containers, untouched: Callable[..., None]) -> None:
    box = containers.run(labels=OPTED_IN, health=PULSE)
    box.make_sick()
    box.pause()
    untouched(box)
    assert box.state == "paused"


def test_an_unpaused_container_below_its_retries_is_left_alone(
    containers: Containers, untouched: Callable[..., None]
) -> None:
    box = containers.run(labels=OPTED_IN, health=Health(interval=60.0, retries=3))
    box.pause()
    box.unpause()
    assert box.health == "unhealthy"
    untouched(box)


def test_a_starting_container_is_left_alone(containers: Containers, untouched: Callable[..., None]) -> None:
    box = containers.run(labels=OPTED_IN, health=Health(interval=0.5, retries=1, start_period=600.0))
    box.make_sick()
    wait_for(lambda: box.inspect()["State"]["Health"]["Log"], "it was probed")
    untouched(box)
    assert box.health == "starting"


def test_exited_and_created_containers_are_left_alone(containers: Containers, untouched: Callable[..., None]) -> None:
    exited = containers.run("exited", labels=OPTED_IN, health=PULSE)
    exited.make_sick()
    exited.stop()
    failed = containers.run("failed", labels=OPTED_IN, health=PULSE)
    failed.exit(3)
    failed.wait_for(state="exited")
    created = containers.create("created", labels=OPTED_IN, health=PULSE)
    untouched(exited, failed, created)
    assert [exited.state, failed.state, created.state] == ["exited", "exited", "created"]


def test_a_container_in_the_hands_of_its_restart_policy_is_left_alone(
    containers: Containers, untouched: Callable[..., None]
) -> None:
    box = containers.run(labels={**OPTED_IN, "autoheal.exited": "true"}, health=PULSE, restart="always",
                         command=("sh", "-c", "exit 1"))  # fmt: skip
    wait_for(lambda: box.inspect()["RestartCount"] > 2, "the policy is at work")
    untouched(box)


def test_an_operators_stop_is_not_undone(
    containers: Containers, autoheal: Start, untouched: Callable[..., None]
) -> None:
    healer = autoheal()
    box = containers.run(labels=OPTED_IN, health=PULSE, command=STUBBORN)
    healer.process.wait_for("container_watched", container=box.name)
    stop = threading.Thread(target=box.stop, args=(8,))
    stop.start()
    box.make_sick()  # its probes fail while it is being stopped
    box.wait_for(health="unhealthy")
    untouched(box, healer=healer)
    stop.join()
    assert box.state == "exited"


def test_a_stop_that_began_before_the_agent_is_not_undone(
    containers: Containers, untouched: Callable[..., None]
) -> None:
    box = containers.run(labels=OPTED_IN, health=PULSE, command=STUBBORN)
    stop = threading.Thread(target=box.stop, args=(9,))
    stop.start()
    box.make_sick()
    box.wait_for(health="unhealthy")
    untouched(box)
    stop.join()
    assert box.state == "exited"


def test_a_signal_that_asks_for_no_stop_hinders_no_heal(containers: Containers, autoheal: Start) -> None:
    healer = autoheal()
    reloads = ("sh", "-c", "rm -f /lab/sick; trap : HUP; while :; do sleep 0.2; done")  # fmt: skip
    box = containers.run(labels={**OPTED_IN, "autoheal.stop.timeout": "0"}, health=PULSE, command=reloads)
    box.wait_for(health="healthy")
    box.kill("SIGHUP")
    box.make_sick()
    healer.wait_healed(box)


def test_removals_under_way_are_not_disturbed(
    containers: Containers, autoheal: Start, untouched: Callable[..., None], engine: GivenEngine
) -> None:
    healer = autoheal()
    boxes = containers.run_many(10, labels=OPTED_IN, health=PULSE)
    for box in boxes:
        box.make_sick()
        box.remove()
    untouched(*(box for box in boxes if not healer.restarts(box)), healer=healer)
    assert [call(engine.url, "GET", f"/containers/{box.id}/json")[0] for box in boxes] == [404] * len(boxes)


@pytest.mark.parametrize("value", ["false", "False", "no", "0"])
def test_opting_out_holds_even_where_all_are_watched(
    containers: Containers, autoheal: Start, untouched: Callable[..., None], value: str
) -> None:
    healer = autoheal(AUTOHEAL_CONTAINER_LABEL="all")
    box = containers.run(labels={"autoheal": value}, health=PULSE)
    box.make_sick()
    box.wait_for(health="unhealthy")
    untouched(box, healer=healer)


def test_a_container_that_is_not_labelled_is_left_alone_and_compose_v1s_true_is_a_label(
    containers: Containers, autoheal: Start, untouched: Callable[..., None]
) -> None:
    healer = autoheal()
    stranger = containers.run("stranger", health=PULSE)
    stranger.make_sick()
    version_1 = containers.run("v1", labels={"autoheal": "True"}, health=PULSE, command=CURABLE)
    version_1.wait_for(health="healthy")
    version_1.make_sick()
    healer.wait_healed(version_1)
    stranger.wait_for(health="unhealthy")
    untouched(stranger, healer=healer)


def test_a_one_off_container_is_left_alone(containers: Containers, untouched: Callable[..., None]) -> None:
    labels = {**OPTED_IN, "com.docker.compose.project": "p", "com.docker.compose.service": "s"}
    box = containers.run(labels={**labels, "com.docker.compose.oneoff": "True"}, health=PULSE)
    box.make_sick()
    box.wait_for(health="unhealthy")
    untouched(box)


def test_a_container_in_maintenance_is_left_alone_until_it_is_resumed(
    containers: Containers, autoheal: Start, untouched: Callable[..., None]
) -> None:
    healer = autoheal()
    box = containers.run(labels=OPTED_IN, health=PULSE, command=CURABLE)
    healer.process.wait_for("container_watched", container=box.name)
    assert healer.process.command("pause", box.name).returncode == 0
    box.make_sick()
    box.wait_for(health="unhealthy")
    untouched(box, healer=healer)
    healer.process.restart()  # maintenance outlives the agent
    assert healer.wait_standing(box, "paused")["paused"]
    untouched(box, healer=healer)
    assert healer.process.command("resume", box.name).returncode == 0
    healer.wait_healed(box)


def test_what_somebody_else_just_restarted_counts_as_restarted(
    containers: Containers, autoheal: Start, untouched: Callable[..., None], recorder: Recorder
) -> None:
    recorder.hold("GET", "/json$")  # the agent hears of the sickness, but cannot look before the hand was quicker
    healer = autoheal()
    box = containers.run(labels=OPTED_IN, health=PULSE, command=CURABLE)
    box.make_sick()
    box.wait_for(health="unhealthy")
    box.restart()
    box.wait_for(health="healthy")
    recorder.obey()
    untouched(box, healer=healer)


def test_notify_tells_and_touches_nothing(
    containers: Containers, autoheal: Start, untouched: Callable[..., None]
) -> None:
    healer = autoheal()
    box = containers.run(labels={**OPTED_IN, "autoheal.action": "notify"}, health=PULSE)
    box.make_sick()
    healer.process.wait_for("heal_not_begun", container=box.name, why="notify")
    untouched(box, healer=healer)
    assert [record["decision"] for record in healer.records(box)] == ["notify"]


def test_a_dry_run_decides_and_touches_nothing(containers: Containers, autoheal: Start) -> None:
    healer = autoheal(AUTOHEAL_DRY_RUN="true")
    box = containers.run(labels=OPTED_IN, health=PULSE)
    box.make_sick()
    healer.process.wait_for("heal_not_begun", container=box.name, why="dry_run")
    healer.has_looked()
    assert not healer.recorder.requests("POST")
    assert [record["dry_run"] for record in healer.records(box)] == [1]


RECREATED = f"""
services:
  web:
    image: {IMAGE}
    command: ["sh", "-c", "trap 'touch /tmp/sick' TERM; while :; do sleep 0.2; done"]
    network_mode: none
    labels: {{autoheal: "true"}}
    environment: {{GENERATION: "%d"}}
    stop_grace_period: 4s
    healthcheck: {{test: "test ! -e /tmp/sick", interval: 1s, retries: 1}}
"""


@contextmanager
def project(engine: GivenEngine, folder: Path, text: str) -> Iterator[Compose]:
    with Compose(engine.url, folder, text) as compose:
        compose.up()
        yield compose


def test_a_container_that_compose_is_recreating_is_left_alone(
    autoheal: Start, engine: GivenEngine, tmp_path: Path, recorder: Recorder
) -> None:
    with project(engine, tmp_path / "project", RECREATED % 1) as compose:
        healer = autoheal()
        old = compose.containers()["web"]["ID"]
        compose.write(RECREATED % 2)
        compose.up("--force-recreate")  # 4 s of stopping, in which it turns unhealthy
        new = compose.containers()["web"]["ID"]
        assert new[:12] != old[:12]
        healer.has_looked()
        assert not [call for call in recorder.requests("POST") if old[:12] in call.path]
        assert compose.containers()["web"]["State"] == "running"
