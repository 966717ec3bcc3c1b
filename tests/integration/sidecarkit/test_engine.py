"""What the agents rely on of an engine, shown on a real one and on the stand-in for it, which has to keep up."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from lab.containers import OBEDIENT, STUBBORN, Container, Containers, Health
from lab.engine import GivenEngine
from lab.wire import wait_for
from sidecarkit.containers import row
from sidecarkit.engine import Endpoint, Engine
from sidecarkit.errors import ContainerGone, EngineError
from sidecarkit.identity import own_ids
from sidecarkit.testing import FakeEngine

UNKNOWN = "0" * 64
OFTEN = Health(interval=0.1)


class World(Protocol):
    """An engine, and what a test does to its containers."""

    @property
    def engine(self) -> Engine | FakeEngine: ...

    def add(self, name: str, *, sickly: bool = False, is_stubborn: bool = False, is_started: bool = True) -> str:
        """Make a container with the label autoheal=true; a sickly one has a healthcheck."""

    def turn(self, container: str, health: str, output: str = "") -> None: ...
    def finish(self, container: str, status: int) -> None: ...
    def pause(self, container: str) -> None: ...
    def remove(self, container: str) -> None: ...
    def print(self, container: str, line: str) -> None: ...


class Real:
    """A real engine with real containers."""

    def __init__(self, engine: GivenEngine, containers: Containers) -> None:
        self.engine = Engine(Endpoint(engine.url))
        self._containers = containers
        self._made: dict[str, Container] = {}

    def add(self, name: str, *, sickly: bool = False, is_stubborn: bool = False, is_started: bool = True) -> str:
        make = self._containers.run if is_started else self._containers.create
        made = make(
            name,
            labels={"autoheal": "true"},
            health=OFTEN if sickly else None,
            command=STUBBORN if is_stubborn else OBEDIENT,
            env={"COLOUR": "blue"},
        )
        self._made[made.id] = made
        return made.id

    def turn(self, container: str, health: str, output: str = "") -> None:
        made = self._made[container]
        made.make_sick(output) if health == "unhealthy" else made.make_well()
        made.wait_for(health=health)

    def finish(self, container: str, status: int) -> None:
        self._made[container].exit(status)
        self._made[container].wait_for(state="exited")

    def pause(self, container: str) -> None:
        self._made[container].pause()

    def remove(self, container: str) -> None:
        self._made[container].remove()

    def print(self, container: str, line: str) -> None:
        self._made[container].run("sh", "-c", f"echo {line} >/proc/1/fd/1")


class Fake:
    """The stand-in."""

    def __init__(self) -> None:
        self.engine = FakeEngine()

    def add(self, name: str, *, sickly: bool = False, is_stubborn: bool = False, is_started: bool = True) -> str:
        return self.engine.add(
            name,
            labels={"autoheal": "true"},
            health="starting" if sickly else None,
            env=("COLOUR=blue",),
            is_stubborn=is_stubborn,
            is_started=is_started,
        )

    def turn(self, container: str, health: str, output: str = "") -> None:
        self.engine.turn(container, health, output)

    def finish(self, container: str, status: int) -> None:
        self.engine.finish(container, status)

    def pause(self, container: str) -> None:
        self.engine.pause(container)

    def remove(self, container: str) -> None:
        self.engine.remove(container)

    def print(self, container: str, line: str) -> None:
        self.engine.print(container, line.encode())


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.engine)])
def world(request: pytest.FixtureRequest) -> World:
    if request.param == "fake":
        return Fake()
    return Real(request.getfixturevalue("engine"), request.getfixturevalue("containers"))


class Listener:
    """Gathers the events of one container while a test does something."""

    def __init__(self, world: World, container: str, since: str | None = None, **filters: list[str]) -> None:
        self.heard: list[dict[str, Any]] = []
        everything = {"type": ["container"], "container": [container], **filters}
        self._stream = world.engine.events(since or f"{time.time():.9f}", everything)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        for line in self._stream:
            event = json.loads(line)
            if not event["Action"].startswith("exec_"):  # a real probe is an exec
                self.heard.append(event)

    def actions(self, count: int) -> list[str]:
        """Wait for *count* events and return what happened, with the signal of a kill."""
        wait_for(lambda: len(self.heard) >= count, f"{count} events", deadline=20.0)
        self._stream.close()
        self._thread.join(10.0)
        assert not self._thread.is_alive()
        return [
            " ".join(filter(None, (event["Action"], event["Actor"]["Attributes"].get("signal"))))
            for event in self.heard
        ]


@pytest.fixture
def listen(world: World) -> Iterator[Callable[..., Listener]]:
    made: list[Listener] = []

    def start(container: str, since: str | None = None, **filters: list[str]) -> Listener:
        made.append(Listener(world, container, since, **filters))
        return made[-1]

    yield start
    for listener in made:
        listener._stream.close()


def state(world: World, container: str) -> dict[str, Any]:
    found: dict[str, Any] = world.engine.inspect(container)["State"]
    return found


# Looking


def test_ping_tells_the_engines_clock_in_whole_seconds(world: World) -> None:
    clock = world.engine.ping()

    assert clock == int(clock)
    assert clock == pytest.approx(time.time(), abs=5.0)


def test_the_list_shows_what_runs_and_what_does_not(world: World) -> None:
    running, stopped, new = world.add("running"), world.add("stopped"), world.add("new", is_started=False)
    world.engine.stop(stopped, 5, 5.0)

    rows = {found.id: found for found in map(row, world.engine.containers())}

    assert [rows[container].state for container in (running, stopped, new)] == ["running", "exited", "created"]
    assert rows[running].name.startswith("running") and rows[running].labels["autoheal"] == "true"
    assert list(rows).index(new) < list(rows).index(running)


@pytest.mark.parametrize(
    ("filters", "is_listed"),
    [
        ({"label": ["autoheal"]}, True),
        ({"label": ["autoheal=true"]}, True),
        ({"label": ["autoheal=false"]}, False),
        ({"label": ["autoheal", "other"]}, False),
        ({"status": ["running", "paused"]}, True),
        ({"status": ["exited"]}, False),
    ],
)
def test_the_list_can_be_filtered(world: World, filters: dict[str, list[str]], *, is_listed: bool) -> None:
    container = world.add("box")

    assert (container in {found["Id"] for found in world.engine.containers(filters)}) is is_listed


def test_the_list_tells_the_health_of_what_runs(world: World) -> None:
    healthy, unhealthy, plain = world.add("a", sickly=True), world.add("b", sickly=True), world.add("c")
    world.turn(healthy, "healthy")
    world.turn(unhealthy, "unhealthy")

    rows = {found.id: found for found in map(row, world.engine.containers())}

    assert [rows[container].health for container in (healthy, unhealthy, plain)] == ["healthy", "unhealthy", None]


def test_inspecting_shows_state_and_configuration(world: World) -> None:
    container = world.add("box", sickly=True)
    world.turn(container, "unhealthy", "no answer")

    document = world.engine.inspect(container)

    assert document["Id"] == container
    assert document["Name"].startswith("/box")
    assert document["RestartCount"] == 0
    assert document["Config"]["Env"] == ["COLOUR=blue"]
    assert document["Config"]["Labels"]["autoheal"] == "true"
    assert (document["Config"]["Tty"], document["Config"]["Healthcheck"]["Retries"]) == (False, 1)
    health = document["State"]["Health"]
    assert health["Status"] == "unhealthy" and health["FailingStreak"] >= 1
    assert (health["Log"][-1]["ExitCode"], health["Log"][-1]["Output"]) == (1, "no answer")


def test_a_container_without_a_healthcheck_has_no_health(world: World) -> None:
    document = world.engine.inspect(world.add("box"))

    assert "Health" not in document["State"]
    assert document["Config"].get("Healthcheck") is None


def test_a_container_that_is_not_there_is_gone_whatever_is_asked(world: World) -> None:
    engine = world.engine
    removed = world.add("box")
    world.remove(removed)

    for container in (UNKNOWN, removed):
        for ask in (
            engine.inspect,
            lambda name: engine.restart(name, 0, 0.0),
            lambda name: engine.stop(name, 0, 0.0),
            engine.kill,
            lambda name: engine.logs(name, tail=1, until=time.time(), tty=False),
        ):
            with pytest.raises(ContainerGone, match=f"No such container: {container}") as caught:
                ask(container)
            assert caught.value.status == 404


def test_a_log_gives_its_last_lines_before_a_time(world: World) -> None:
    container = world.add("box")
    for line in ("one", "two", "three"):
        world.print(container, line)
    wait_for(lambda: len(world.engine.logs(container, tail=9, until=time.time(), tty=False)) == 3, "all is logged")
    before = time.time()
    world.print(container, "four")
    wait_for(lambda: len(world.engine.logs(container, tail=9, until=time.time(), tty=False)) == 4, "all is logged")

    assert world.engine.logs(container, tail=2, until=before, tty=False) == [b"two", b"three"]


# Acting, and what is heard of it


def test_a_restart_is_heard_in_this_order_and_leaves_the_container_starting(
    world: World, listen: Callable[..., Listener]
) -> None:
    container = world.add("box", sickly=True)
    world.turn(container, "unhealthy", "no answer")
    before = state(world, container)
    listener = listen(container, event=["kill", "die", "stop", "start", "restart"])

    assert world.engine.restart(container, 5, 5.0) == 204
    after = state(world, container)

    assert listener.actions(5) == ["kill 15", "die", "stop", "start", "restart"]
    assert after["StartedAt"] > before["StartedAt"]
    assert (after["Status"], after["Running"]) == ("running", True)
    assert (after["Health"]["Status"], after["Health"]["FailingStreak"]) == ("starting", 0)
    assert after["Health"]["Log"][0]["Output"] == "no answer"  # the engine keeps the probes of the time before


def test_a_stubborn_container_is_killed_when_its_time_is_over(world: World, listen: Callable[..., Listener]) -> None:
    container = world.add("box", is_stubborn=True)
    listener = listen(container)

    world.engine.restart(container, 1, 1.0)

    assert listener.actions(6) == ["kill 15", "kill 9", "die", "stop", "start", "restart"]


def test_a_restart_starts_what_does_not_run(world: World, listen: Callable[..., Listener]) -> None:
    container = world.add("box")
    world.finish(container, 3)
    assert (state(world, container)["Status"], state(world, container)["ExitCode"]) == ("exited", 3)
    listener = listen(container)

    world.engine.restart(container, 5, 5.0)

    assert listener.actions(2) == ["start", "restart"]
    assert (state(world, container)["Status"], state(world, container)["ExitCode"]) == ("running", 0)


def test_a_restart_wakes_what_is_paused(world: World, listen: Callable[..., Listener]) -> None:
    container = world.add("box", sickly=True)
    world.pause(container)
    assert (state(world, container)["Status"], state(world, container)["Paused"]) == ("paused", True)
    assert {found.id: found.health for found in map(row, world.engine.containers())}[container] is None
    listener = listen(container, event=["kill", "unpause", "die", "stop", "start", "restart"])

    world.engine.restart(container, 5, 5.0)

    assert listener.actions(6) == ["kill 15", "unpause", "die", "stop", "start", "restart"]


def test_a_stop_is_heard_once_and_a_second_one_finds_nothing_to_do(
    world: World, listen: Callable[..., Listener]
) -> None:
    container = world.add("box", sickly=True)
    world.turn(container, "healthy")
    listener = listen(container, event=["kill", "die", "stop", "destroy"])

    assert world.engine.stop(container, 5, 5.0) == 204
    assert state(world, container)["Health"]["Status"] == "unhealthy"  # nobody says so: there is no event
    assert world.engine.stop(container, 5, 5.0) == 304
    world.remove(container)

    assert listener.actions(4) == ["kill 15", "die", "stop", "destroy"]


def test_a_kill_ends_it_at_once_and_finds_nothing_to_kill_afterwards(
    world: World, listen: Callable[..., Listener]
) -> None:
    container = world.add("box")
    listener = listen(container)

    assert world.engine.kill(container) == 204
    wait_for(lambda: state(world, container)["Status"] == "exited", "it is dead")
    with pytest.raises(EngineError, match="is not running") as caught:
        world.engine.kill(container)

    assert caught.value.status == 409
    assert state(world, container)["ExitCode"] == 137
    assert listener.actions(2) == ["kill 9", "die"]


def test_another_signal_is_passed_on(world: World, listen: Callable[..., Listener]) -> None:
    stubborn, obedient = world.add("stubborn", is_stubborn=True), world.add("obedient")
    listener = listen(stubborn)

    world.engine.kill(stubborn, "SIGHUP")
    world.engine.kill(stubborn, "SIGTERM")
    world.engine.kill(obedient, "SIGTERM")

    assert listener.actions(2) == ["kill 1", "kill 15"]
    assert state(world, stubborn)["Status"] == "running"
    wait_for(lambda: state(world, obedient)["Status"] == "exited", "it has obeyed")
    assert state(world, obedient)["ExitCode"] == 0


def test_what_ends_by_itself_dies_without_a_kill(world: World, listen: Callable[..., Listener]) -> None:
    container = world.add("box")
    listener = listen(container)

    world.finish(container, 3)

    assert listener.actions(1) == ["die"]
    assert listener.heard[0]["Actor"]["Attributes"]["exitCode"] == "3"
    assert listener.heard[0]["Actor"]["Attributes"]["autoheal"] == "true"


# Events


def test_only_a_change_of_health_is_an_event(world: World, listen: Callable[..., Listener]) -> None:
    container = world.add("box", sickly=True)
    listener = listen(container, event=["health_status"])

    world.turn(container, "healthy")
    world.turn(container, "healthy")
    world.turn(container, "unhealthy")

    assert listener.actions(2) == ["health_status: healthy", "health_status: unhealthy"]


@pytest.mark.parametrize(
    ("wanted", "heard"),
    [
        (["die"], ["die"]),
        (["start", "restart"], ["start", "restart"]),
        (["health_status: unhealthy", "die"], ["die"]),
        (["health_status", "s"], ["stop", "start"]),
    ],
)
def test_events_are_filtered_by_their_names(
    world: World, listen: Callable[..., Listener], wanted: list[str], heard: list[str]
) -> None:
    container = world.add("box")
    listener = listen(container, event=wanted)

    world.engine.restart(container, 5, 5.0)

    assert listener.actions(len(heard)) == heard


@pytest.mark.parametrize(("label", "count"), [("autoheal", 1), ("autoheal=true", 1), ("autoheal=no", 0), ("other", 0)])
def test_events_are_filtered_by_labels(world: World, listen: Callable[..., Listener], label: str, count: int) -> None:
    container = world.add("box")
    chosen, marker = listen(container, label=[label], event=["die"]), listen(container, event=["die"])

    world.engine.kill(container)

    assert marker.actions(1) == ["die"]
    assert chosen.actions(count) == ["die"] * count


def test_a_subscription_hears_the_past_from_its_time_on_inclusively(
    world: World, listen: Callable[..., Listener]
) -> None:
    container = world.add("box")
    first = listen(container)
    world.engine.restart(container, 5, 5.0)
    first.actions(5)
    stop = first.heard[2]["timeNano"]

    inclusive = listen(container, f"{stop // 10**9}.{stop % 10**9:09d}")
    later = listen(container, f"{(stop + 1) // 10**9}.{(stop + 1) % 10**9:09d}")

    assert inclusive.actions(3) == ["stop", "start", "restart"]
    assert later.actions(2) == ["start", "restart"]


def test_what_happens_between_subscribing_and_reading_is_heard(world: World) -> None:
    container = world.add("box")
    stream = world.engine.events(f"{time.time():.9f}", {"container": [container]})

    world.engine.kill(container)

    assert json.loads(next(iter(stream)))["Action"] == "kill"
    stream.close()


def test_the_past_reaches_back_256_events() -> None:
    fake = FakeEngine()  # a real engine forgets as much (moby, daemon/events), but needs a minute for it
    container = fake.add("box", health="starting")
    for number in range(300):
        fake.turn(container, "unhealthy" if number % 2 else "healthy")

    stream = fake.events("0", {})
    fake.add("last")

    heard = []
    for line in stream:
        heard.append(json.loads(line)["Action"])
        if heard[-1] == "start":
            stream.close()
    assert len(heard) == 256 + 2


# Only on a real engine


@pytest.mark.engine
def test_a_container_knows_itself_by_what_the_engine_mounts(containers: Containers, tmp_path: Path) -> None:
    box = containers.run()
    (tmp_path / "mountinfo").write_text(box.run("cat", "/proc/self/mountinfo")[1].replace("\r\n", "\n"))

    assert own_ids(tmp_path / "mountinfo", tmp_path / "none") == {box.id}


@pytest.mark.engine
def test_a_log_of_a_terminal_has_no_frames(engine: GivenEngine, containers: Containers) -> None:
    words = ("sh", "-c", "echo one; echo two; sleep 60")
    plain, terminal = containers.run(command=words), containers.run("tty", command=words, config={"Tty": True})

    def printed(box: Container, *, tty: bool) -> list[bytes]:
        return engine.api.logs(box.id, tail=9, until=time.time(), tty=tty)

    wait_for(lambda: len(printed(plain, tty=False)) == len(printed(terminal, tty=True)) == 2, "both have printed")
    assert printed(plain, tty=False) == printed(terminal, tty=True) == [b"one", b"two"]
