"""Nothing is missed: whatever the events did not tell, a look finds, and nothing is healed twice for it."""

import time
from collections.abc import Callable

from lab.autoheal import CURABLE, OPTED_IN, Autoheal
from lab.containers import Container, Containers, Health
from lab.engine import GivenEngine
from lab.recorder import Recorder
from lab.wire import wait_for

Start = Callable[..., Autoheal]


def make_sick(crowd: list[Container]) -> None:
    for container in crowd:
        container.make_sick()
    for container in crowd:
        container.wait_for(health="unhealthy", deadline=60.0)


def asked_and_answered(recorder: Recorder, container: Container) -> bool:
    inspections = recorder.requests("GET", f"^/containers/{container.id}/json$")
    return bool(inspections) and all(each.ended for each in inspections)


def each_restarted_once(healer: Autoheal, crowd: list[Container]) -> bool:
    return [len(healer.restarts(container)) for container in crowd] == [1] * len(crowd)


def test_containers_that_turned_unhealthy_while_the_agent_was_down_are_healed_once_each(
    autoheal: Start, crowd: list[Container]
) -> None:
    make_sick(crowd)
    healer = autoheal()
    healer.wait_healed(*crowd)
    healer.has_looked()
    assert each_restarted_once(healer, crowd)


def test_containers_that_turned_unhealthy_while_the_stream_was_cut_and_the_ring_overrun_are_healed_once_each(
    autoheal: Start, crowd: list[Container], engine: GivenEngine, recorder: Recorder
) -> None:
    healer = autoheal(AUTOHEAL_INTERVAL="1h")  # so that only the new subscription can bring it to look
    pid = healer.process.pid
    wait_for(  # an inspection still under way could see the sickness that is to be missed
        lambda: all(asked_and_answered(recorder, container) for container in crowd), "each was inspected"
    )
    recorder.hold("GET", "^/events$")
    assert recorder.cut("^/events$") == 1
    healer.process.wait_for("events_lost")
    make_sick(crowd)
    last_word = time.time()
    wait_for(  # the oldest event that the engine still remembers is younger than the last that mattered
        lambda: engine.events(since=0.0)[0]["time"] > last_word, "the ring is overrun", deadline=90.0, pause=0.2
    )
    recorder.obey()
    healer.wait_healed(*crowd)
    assert each_restarted_once(healer, crowd)
    assert healer.process.pid == pid
    assert healer.process.running


def test_containers_that_turned_unhealthy_between_subscribing_and_listing_are_healed_once_each(
    autoheal: Start, crowd: list[Container], recorder: Recorder
) -> None:
    recorder.hold("GET", "^/containers/json$")
    healer = autoheal()
    make_sick(crowd)
    assert not healer.restarts()
    recorder.obey()
    healer.wait_healed(*crowd)
    healer.has_looked()
    assert each_restarted_once(healer, crowd)


def test_containers_that_are_unhealthy_after_an_unpause_without_an_event_are_healed_once_each(
    autoheal: Start, crowd: list[Container], engine: GivenEngine
) -> None:
    healer = autoheal()
    for container in crowd:
        container.pause()
        container.make_sick()
    paused_at = time.time()
    for container in crowd:
        assert container.health == "unhealthy"
        container.unpause()
    healer.wait_healed(*crowd)
    healer.has_looked()
    assert each_restarted_once(healer, crowd)
    told = engine.events(since=paused_at, event=["health_status: unhealthy"])
    assert not [event for event in told if event["Actor"]["ID"] in {container.id for container in crowd}]


def test_an_event_of_the_past_heals_nothing_that_is_well_by_now(
    autoheal: Start, containers: Containers, engine: GivenEngine
) -> None:
    begun = time.time()
    box = containers.run(labels=OPTED_IN, health=Health(), command=CURABLE)
    box.make_sick()
    box.wait_for(health="unhealthy")
    box.restart()
    box.wait_for(health="healthy")
    assert [e for e in engine.events(begun, event=["health_status: unhealthy"]) if e["Actor"]["ID"] == box.id]
    healer = autoheal()
    healer.has_looked(3)
    assert not healer.restarts(box)


def test_a_cut_stream_is_resumed_and_repeats_no_heal(
    autoheal: Start, containers: Containers, recorder: Recorder
) -> None:
    healer = autoheal()
    box = containers.run(labels=OPTED_IN, health=Health(), command=CURABLE)
    for count in range(1, 4):
        box.wait_for(health="healthy")
        box.make_sick()
        healer.process.wait_for("heal_ended", container=box.name, outcome="recovered", count=count, deadline=60.0)
        recorder.cut("^/events$")
        healer.process.wait_for("events_subscribed", count=count + 1)
        healer.has_looked()
        assert len(healer.restarts(box)) == count
