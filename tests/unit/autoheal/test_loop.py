"""The loop: one inbox, and what it does with what comes. Hands and engine answer at once, into the same inbox."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from autoheal.hands import Answered, Examined, Listed, LogFetched, Order
from autoheal.health import Examination
from autoheal.ledger import FILE, KEPT_RECORDS, Ledger, Subject, read_records, read_views
from autoheal.loop import Loop
from autoheal.metrics import Metrics
from autoheal.policy import Past
from autoheal.tools import Tools
from autoheal.world import World
from lab.stage import Actor, WrittenNotices, WrittenOrders, WrittenRuns, config
from sidecarkit import logs, state
from sidecarkit.errors import ContainerGone, EngineError, EngineUnavailable
from sidecarkit.identity import Kin
from sidecarkit.lifecycle import Stop
from sidecarkit.liveness import Liveness
from sidecarkit.watch import Event, Lost, Subscribed

LOG = logs.get("autoheal")
STOP = Stop(15)


class Theatre(WrittenOrders):
    """Hands that answer into the inbox at once, from actors; `then` is called with each order, and may play on."""

    def __init__(self, folder: Path, **environ: str) -> None:
        super().__init__()
        self.inbox: SimpleQueue[Any] = SimpleQueue()
        self.actors: dict[str, Actor] = {}
        self.then: Callable[[Order], None] = lambda order: self.put(Answered(order, time.time(), 204), STOP)
        self.away = False
        self.seconds = 0.0  # on the clock of liveness
        self.folder = folder
        self.liveness = Liveness(None, clock=lambda: self.seconds)
        self.ledger = Ledger(folder, LOG)
        self.ledger._database.execute("PRAGMA synchronous = OFF")  # a play needs no disk that survives a power cut
        world = World(config(**environ), Kin(frozenset(), None, frozenset()), None)
        self.tools = Tools(
            config=config(**environ),
            world=world,
            ledger=self.ledger,
            hands=self,
            notifier=WrittenNotices(),
            metrics=Metrics(CollectorRegistry()),
            script=WrittenRuns(),
            log=LOG,
        )
        self.loop = Loop(self.tools, self.inbox, self.liveness)

    def enter(self, name: str, **facts: Any) -> Actor:
        labels = {"autoheal": "true", **facts.pop("labels", {})}
        self.actors[name] = Actor(name, labels, **{"started_at": time.time() - 3600, **facts})
        return self.actors[name]

    def sicken(self, name: str) -> None:
        actor, now = self.actors[name], time.time()
        actor.health, actor.streak, actor.failed_at, actor.outputs = "unhealthy", 3, [now], ["no"]

    def put(self, *messages: Any) -> None:
        for message in messages:
            self.inbox.put(message)

    def event(self, name: str, action: str, **attributes: str) -> Event:
        actor = self.actors[name]
        return Event("container", action, actor.id, {"name": name, **actor.labels, **attributes}, time.time_ns())

    def play(self, *messages: Any) -> None:
        """Put messages and turn the loop until a Stop among them, or put later, is reached."""
        self.put(*messages)
        guard = threading.Timer(20.0, self.put, [STOP])  # a loop that is broken must not hang
        guard.start()
        try:
            assert self.loop.run() == STOP
        finally:
            guard.cancel()

    def play_on(self, *messages: Any) -> None:
        """Put messages and let the loop turn for a moment with what comes of them, before it is stopped."""
        threading.Timer(0.3, self.put, [STOP]).start()
        self.play(*messages)

    def figure(self, name: str, **labels: str) -> float | None:
        return self.tools.metrics.registry.get_sample_value(f"autoheal_{name}", labels)

    def listing(self, asked_at: float | None = None) -> Listed:
        """Make a listing, asked for after all that was put before it."""
        rows = tuple(actor.row() for actor in self.actors.values())
        return Listed(time.time() + 1 if asked_at is None else asked_at, rows)

    def records(self) -> list[dict[str, Any]]:
        database = state.open_read_only(self.folder / FILE)
        try:
            return read_records(database, container=None, limit=100)[::-1]
        finally:
            database.close()

    # Hands

    def look(self) -> None:
        super().look()
        error = EngineUnavailable("list: connection refused") if self.away else None
        rows = None if self.away else tuple(actor.row() for actor in self.actors.values())
        self.put(Listed(time.time(), rows, error))

    def examine(self, container: str) -> None:
        super().examine(container)
        actor = next((each for each in self.actors.values() if each.id == container), None)
        if actor is None:
            self.put(Examined(container, None, ContainerGone("inspect: gone (404)", 404)))
        else:
            self.put(Examined(container, actor.examination(time.time())))

    def act(self, order: Order) -> None:
        super().act(order)
        self.then(order)

    def fetch_log(self, record: int, examination: Examination, tail: int, until: float) -> None:
        self.put(LogFetched(record, [b"last words"], ()))

    def answer_well(self, order: Order) -> None:
        """Restart it, answer, have it healthy, and stop."""
        (name,) = [actor.name for actor in self.actors.values() if actor.id == order.container]
        self.put(self.event(name, "kill", signal="15"), self.event(name, "die", exitCode="0"))
        actor = self.actors[name]
        actor.died_at = time.time()
        actor.started_at, actor.health, actor.failed_at, actor.outputs = time.time(), "starting", [], []
        self.put(self.event(name, "start"), Answered(order, time.time(), 204))
        actor.health = "healthy"
        self.put(self.event(name, "health_status: healthy"), STOP)


@pytest.fixture
def theatre(tmp_path: Path) -> Theatre:
    return Theatre(tmp_path)


def test_from_the_event_to_the_record_of_a_heal(theatre: Theatre) -> None:
    theatre.enter("haraka")
    theatre.then = theatre.answer_well
    theatre.put(Subscribed())

    theatre.sicken("haraka")
    theatre.play(theatre.event("haraka", "health_status: unhealthy"))

    (record,) = theatre.records()
    assert (record["container"], record["outcome"], record["http_status"]) == ("haraka", "recovered", 204)
    assert record["log_lines"] == ["last words"]


def test_it_lists_at_once_when_it_has_subscribed(theatre: Theatre) -> None:
    theatre.enter("haraka")
    theatre.sicken("haraka")

    theatre.play(Subscribed())

    assert theatre.looks >= 1
    assert len(theatre.orders) == 1


def test_nothing_is_done_before_it_is_subscribed_and_has_listed(theatre: Theatre) -> None:
    theatre.enter("haraka")
    theatre.sicken("haraka")

    theatre.play_on(theatre.event("haraka", "health_status: unhealthy"))

    assert theatre.orders == []


def test_nothing_is_done_in_the_start_period(tmp_path: Path) -> None:
    theatre = Theatre(tmp_path, start_period="1h")
    theatre.enter("haraka")
    theatre.sicken("haraka")

    theatre.play_on(Subscribed(), theatre.event("haraka", "health_status: unhealthy"))

    assert theatre.orders == []


def test_a_listing_asked_for_before_the_subscription_is_not_enough(theatre: Theatre) -> None:
    theatre.enter("haraka")
    theatre.sicken("haraka")
    old = theatre.listing(asked_at=time.time() - 60)
    theatre.away = True

    theatre.play_on(Subscribed(), old, theatre.event("haraka", "health_status: unhealthy"))

    assert theatre.orders == []


def test_an_engine_that_is_away_makes_it_unhealthy_after_a_minute_and_well_again_on_return(theatre: Theatre) -> None:
    theatre.play(Lost("connection refused"), STOP)
    theatre.liveness.beat()
    theatre.seconds += 59
    theatre.liveness.beat()
    assert theatre.liveness.reasons() == []
    theatre.seconds += 1
    assert theatre.liveness.reasons() == ["no events from the engine: connection refused"]

    theatre.play(Subscribed(), theatre.listing(), STOP)

    assert theatre.liveness.reasons() == []


def test_a_listing_that_fails_is_asked_for_again_soon_and_counts_as_an_error(theatre: Theatre) -> None:
    theatre.away = True
    theatre.play(Listed(time.time(), None, EngineUnavailable("list: connection refused")), STOP)

    assert theatre.figure("docker_up") == 0
    assert theatre.figure("errors_total", op="list") == 1
    assert theatre.loop._list_at <= time.time() + 5
    theatre.seconds += 60
    theatre.liveness.beat()
    assert theatre.liveness.reasons() == ["the engine does not answer: list: connection refused"]


def test_in_no_project_scope_project_is_said_to_watch_nothing(tmp_path: Path) -> None:
    theatre = Theatre(tmp_path, scope="project")
    theatre.play(Subscribed(), theatre.listing(), STOP)

    (reason,) = theatre.liveness.reasons()
    assert reason.startswith("AUTOHEAL_SCOPE=project: autoheal runs in no Compose project")


def test_status_shows_what_is_watched_and_nothing_that_a_former_autoheal_knew(tmp_path: Path) -> None:
    former = Ledger(tmp_path, LOG)
    former.show({"gone": {"container": "gone"}})
    former.close()
    theatre = Theatre(tmp_path)
    theatre.enter("haraka")
    theatre.enter("unlabelled", labels={"autoheal": "false"})

    theatre.play(Subscribed(), theatre.listing(), STOP)

    views = read_views(state.open_read_only(tmp_path / FILE))
    assert [(view["container"], view["standing"]) for view in views] == [("haraka", "ok")]


def test_a_container_that_is_gone_is_shown_no_more(theatre: Theatre) -> None:
    theatre.enter("haraka")
    theatre.play(Subscribed(), theatre.listing(), STOP)

    theatre.play(theatre.event("haraka", "destroy"), STOP)

    assert read_views(state.open_read_only(theatre.folder / FILE)) == []


def test_it_waits_for_an_answer_before_it_ends(theatre: Theatre) -> None:
    theatre.enter("haraka")
    theatre.sicken("haraka")
    theatre.then = lambda order: theatre.put(STOP, *[Lost("")] * 600, Answered(order, time.time(), 204))

    theatre.play(Subscribed())

    (record,) = theatre.records()
    assert (record["http_status"], record["outcome"]) == (204, None)


def test_an_answer_that_comes_together_with_the_signal_to_stop_is_taken(theatre: Theatre) -> None:
    theatre.enter("haraka")
    theatre.sicken("haraka")
    theatre.then = lambda order: theatre.put(STOP, Answered(order, time.time(), 204))
    began = time.monotonic()

    theatre.play(Subscribed())

    assert theatre.records()[0]["http_status"] == 204
    assert time.monotonic() - began < 5


def test_what_a_command_wrote_is_read_before_anything_is_decided(theatre: Theatre) -> None:
    actor = theatre.enter("haraka")
    command = Ledger(theatre.folder, LOG)
    theatre.play(Subscribed(), theatre.listing(), STOP)
    theatre.loop.ward.care.pasts[actor.id] = Past(given_up_at=1.0)

    command.resume("haraka", [theatre.tools.world.containers[actor.id].subject])
    command.pause("haraka", None)
    theatre.loop._consider(time.time())
    command.close()

    assert theatre.loop.ward.care.past(actor.id).given_up_at is None
    assert [pause.name for pause in theatre.loop.ward.pauses] == ["haraka"]


def test_a_full_disk_does_not_end_it(theatre: Theatre) -> None:
    theatre.enter("haraka")
    theatre.sicken("haraka")
    theatre.then = theatre.answer_well
    theatre.ledger._database.execute("PRAGMA query_only = 1")

    theatre.play(Subscribed())

    assert len(theatre.orders) == 1


def test_a_heal_that_was_left_open_is_resolved_before_anything_else_is_done(tmp_path: Path) -> None:
    theatre = Theatre(tmp_path)
    actor = theatre.enter("haraka")
    theatre.sicken("haraka")
    subject = Subject(actor.id, "haraka", None, None)
    facts = {"action": "restart", "attempt": 1, "called_at": time.time()}
    left = theatre.ledger.record(subject, "heal", "unhealthy", **facts)

    theatre.play(Subscribed())

    first, second = theatre.records()
    assert (first["id"], first["outcome"]) == (left, "refused")
    assert second["decision"] == "heal" and len(theatre.orders) == 1


def test_after_each_subscription_donors_and_their_children_are_inspected_again(theatre: Theatre) -> None:
    vpn = theatre.enter("vpn")
    child = theatre.enter("child", network_mode=f"container:{vpn.id}")
    theatre.enter("haraka")
    theatre.play_on(Subscribed())
    theatre.to_examine.clear()

    theatre.play_on(Lost("the engine ended the stream"), Subscribed())

    assert {vpn.id, child.id} <= set(theatre.to_examine)


def test_figures_follow_the_story(theatre: Theatre) -> None:
    theatre.enter("haraka")
    theatre.sicken("haraka")
    theatre.then = lambda order: theatre.put(
        Answered(order, time.time(), 500, EngineError("restart: cannot (500)", 500))
    )

    theatre.play_on(Subscribed())

    assert theatre.figure("container_health", container="haraka", health="unhealthy") == 1
    assert theatre.figure("containers", health="unhealthy") == 1
    assert 8 < (theatre.figure("backoff_seconds", container="haraka") or 0) <= 10
    assert theatre.figure("given_up", container="haraka") == 0
    assert theatre.figure("docker_up") == 1
    assert theatre.figure("cycle_duration_seconds_count") == 1


def test_each_look_forgets_the_oldest_records(theatre: Theatre) -> None:
    subject = Subject("4f" * 32, "haraka", None, None)
    with theatre.ledger.together():
        for _ in range(KEPT_RECORDS + 5):
            theatre.ledger.record(subject, "skip", "paused")

    theatre.play(Subscribed(), theatre.listing(), STOP)

    database = state.open_read_only(theatre.folder / FILE)
    assert database.execute("SELECT count(*) FROM records").fetchone()[0] == KEPT_RECORDS
