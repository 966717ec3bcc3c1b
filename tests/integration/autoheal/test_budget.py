"""Backoff, budget and giving up: a container that cannot be helped is not restarted for ever."""

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from lab.autoheal import CURABLE, OPTED_IN, Autoheal
from lab.containers import Container, Containers, Health
from lab.engine import GivenEngine
from lab.wire import wait_for

Start = Callable[..., Autoheal]
PULSE = Health(interval=0.3, retries=1)


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Serve an address that keeps what is posted to it: (address, bodies)."""
    bodies: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/hook", bodies
        server.shutdown()


@pytest.fixture
def hopeless(containers: Containers) -> Container:
    """Run a container that stays sick through every restart."""
    box = containers.run("hopeless", labels=OPTED_IN, health=PULSE)
    box.make_sick("no database")
    return box


def test_heals_of_a_hopeless_container_wait_longer_and_longer_and_end_in_one_notice(
    hopeless: Container, autoheal: Start, engine: GivenEngine, webhook: tuple[str, list[dict[str, Any]]]
) -> None:
    address, bodies = webhook
    healer = autoheal(AUTOHEAL_BACKOFF="1s", AUTOHEAL_MAX_RESTARTS="4", WEBHOOK_URL=address)
    healer.process.wait_for("container_given_up", container=hopeless.name, deadline=60.0)
    healer.has_looked(2)
    calls = healer.restarts(hopeless)
    assert len(calls) == 4
    records = healer.records(hopeless)[::-1]
    assert [record["reason"] for record in records][:3] == ["unhealthy", "backoff", "unhealthy"]
    sick = [record["sick_at"] for record in records if record["decision"] == "heal"]
    waits = [call.started - at for call, at in zip(calls, sick, strict=True)]
    assert [waits[1] >= 1.0, waits[2] >= 2.0, waits[3] >= 4.0] == [True] * 3
    view = healer.status(hopeless)
    assert (view["given_up"], view["restarts_spent"], view["max_restarts"]) == (True, 4, 4)
    wait_for(lambda: [b for b in bodies if b["event"] == "given_up"], "the notice has come")
    assert len([body for body in bodies if body["event"] == "given_up"]) == 1


def test_budget_and_giving_up_survive_a_kill_of_the_agent(hopeless: Container, autoheal: Start) -> None:
    healer = autoheal(AUTOHEAL_BACKOFF="500ms", AUTOHEAL_MAX_RESTARTS="3")
    healer.process.wait_for("heal_ended", container=hopeless.name, outcome="still_failing", count=2, deadline=60.0)
    healer.process.kill9()
    healer.process.start()
    healer.process.wait_for("container_given_up", container=hopeless.name, deadline=60.0)
    assert len(healer.restarts(hopeless)) == 3
    healer.process.kill9()
    healer.process.start()
    healer.process.wait_for("events_subscribed")
    healer.has_looked(2)
    assert len(healer.restarts(hopeless)) == 3
    assert healer.status(hopeless)["given_up"]
    assert not healer.process.lines("container_given_up")


def test_the_backoff_survives_a_kill_of_the_agent(hopeless: Container, autoheal: Start) -> None:
    healer = autoheal(AUTOHEAL_BACKOFF="10m", AUTOHEAL_MAX_RESTARTS="9")
    healer.process.wait_for("heal_ended", container=hopeless.name, outcome="still_failing", deadline=60.0)
    healer.process.kill9()
    healer.process.start()
    assert healer.wait_standing(hopeless, "backoff")["backoff_until"] is not None
    healer.has_looked(2)
    assert len(healer.restarts(hopeless)) == 1


def give_up(healer: Autoheal, container: Container) -> None:
    healer.process.wait_for("container_given_up", container=container.name, deadline=60.0)
    assert len(healer.restarts(container)) == 1


IMPATIENT = {"AUTOHEAL_MAX_RESTARTS": "1", "AUTOHEAL_BACKOFF": "200ms"}


def test_a_given_up_container_that_recovers_by_itself_is_healed_again_later(
    hopeless: Container, autoheal: Start
) -> None:
    healer = autoheal(**IMPATIENT)
    give_up(healer, hopeless)
    hopeless.make_well()
    healer.wait_standing(hopeless, "ok")
    hopeless.make_sick()
    wait_for(lambda: len(healer.restarts(hopeless)) == 2, "it is healed again")


def test_a_given_up_container_that_is_restarted_by_hand_is_healed_again(hopeless: Container, autoheal: Start) -> None:
    healer = autoheal(**IMPATIENT)
    give_up(healer, hopeless)
    hopeless.restart()
    wait_for(lambda: len(healer.restarts(hopeless)) == 2, "it is healed again")


def test_a_given_up_container_that_is_resumed_is_healed_again(hopeless: Container, autoheal: Start) -> None:
    healer = autoheal(**IMPATIENT)
    give_up(healer, hopeless)
    assert healer.process.command("resume", hopeless.name).returncode == 0
    wait_for(lambda: len(healer.restarts(hopeless)) == 2, "it is healed again")


def test_hold_waits_until_it_was_sick_for_so_long(containers: Containers, autoheal: Start) -> None:
    healer = autoheal()
    box = containers.run(labels={**OPTED_IN, "autoheal.hold": "4s"}, health=PULSE, command=CURABLE)
    box.wait_for(health="healthy")
    box.make_sick()
    healer.wait_healed(box)
    record = next(r for r in healer.records(box) if r["decision"] == "heal")
    assert record["called_at"] - record["sick_at"] >= 4.0


def test_a_refused_restart_is_recorded_and_tried_again_after_the_backoff(
    containers: Containers, autoheal: Start
) -> None:
    healer = autoheal(AUTOHEAL_BACKOFF="1s")
    healer.recorder.refuse("POST", "/restart$", status=500)
    box = containers.run(labels=OPTED_IN, health=PULSE, command=CURABLE)
    box.make_sick()
    healer.process.wait_for("heal_ended", container=box.name, outcome="refused", count=2)
    healer.recorder.obey()
    healer.wait_healed(box)
    outcomes = [record["outcome"] for record in healer.records(box) if record["decision"] == "heal"]
    assert (outcomes[0], set(outcomes[1:])) == ("recovered", {"refused"})


@pytest.mark.parametrize("status", [1, 137])
def test_a_container_that_exited_with_an_error_is_started_where_its_label_asks(
    containers: Containers, autoheal: Start, status: int
) -> None:
    healer = autoheal()
    box = containers.run(labels={**OPTED_IN, "autoheal.exited": "true"})
    by_hand = containers.run("byhand", labels={**OPTED_IN, "autoheal.exited": "true"})
    well = containers.run("well", labels={**OPTED_IN, "autoheal.exited": "true"})
    healer.process.wait_for("container_watched", container=well.name)
    by_hand.kill()
    well.exit(0)
    box.exit(status)
    healer.process.wait_for("heal_begun", container=box.name, reason="exited")
    box.wait_for(state="running")
    healer.has_looked()
    assert [len(healer.actions(each)) for each in (box, by_hand, well)] == [1, 0, 0]


@pytest.mark.parametrize(("action", "state"), [("stop", "exited"), ("kill", "exited")])
def test_stop_and_kill_do_what_they_say_once(containers: Containers, autoheal: Start, action: str, state: str) -> None:
    healer = autoheal()
    box = containers.run(labels={**OPTED_IN, "autoheal.action": action}, health=PULSE)
    box.make_sick()
    healer.process.wait_for("heal_ended", container=box.name)
    box.wait_for(state=state)
    healer.has_looked()
    assert [call.path.rsplit("/", 1)[1] for call in healer.actions(box)] == [action]
