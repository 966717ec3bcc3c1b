"""The loop on a clock of its own: who hangs is told to be down, and holds up nobody."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from lab.wire import wait_for
from sidecarkit import logs
from sidecarkit.lifecycle import Stop
from sidecarkit.liveness import Liveness
from stats.facts import Container, Reading
from stats.loop import Looked, Loop, asked
from stats.metrics import Metrics
from stats.rates import Rate
from stats.snapshot import Snapshot
from stats.source import SourceDown


class Told:
    """A source that does what it is told; *hanging* holds its looks until it is let go."""

    derived = (Rate("per_second", "done"),)
    trends = ("latency_seconds", "per_second")

    def __init__(self, name: str) -> None:
        self.name = name
        self.answer: Any = Reading(0.1, counters={"done": 10.0})
        self.failure: str | None = None
        self.looks = 0
        self.free = threading.Event()
        self.free.set()

    def look(self) -> Any:
        self.looks += 1
        self.free.wait(30.0)
        if self.failure:
            raise SourceDown(self.failure)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Stage:
    """A loop of two services, whose time passes when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.redis, self.mongo = Told("redis"), Told("mongo")
        self.published: list[Snapshot] = []
        self.registry = CollectorRegistry()
        self.liveness = Liveness(clock=lambda: self.now)
        self.loop = Loop(
            sources={one.name: asked(one) for one in (self.redis, self.mongo)},
            metrics=Metrics(self.registry),
            liveness=self.liveness,
            log=logs.get("stats"),
            interval_seconds=15.0,
            timeout_seconds=2.0,
            publish=self.published.append,
            clock=lambda: self.now + 1e9,
            steady=lambda: self.now,
        )

    def cycle(self, *answering: Told) -> None:
        """Let time pass, have everybody asked, and hear those who answer."""
        self.now += 15.0
        self.loop.turn()
        for _ in answering:
            self.loop.hear(self.loop.inbox.get(timeout=10.0))
        self.loop.turn()

    def standing(self, name: str) -> Any:
        return self.loop.snapshot.of(name)


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.redis.free.set()
    made.mongo.free.set()


def test_before_anybody_answered_all_is_used_and_nothing_known(stage: Stage) -> None:
    assert stage.standing("redis").used
    assert stage.standing("redis").looked_at is None


def test_answers_are_known_with_their_age_and_a_cycle_is_published(stage: Stage) -> None:
    stage.cycle(stage.redis, stage.mongo)
    assert stage.standing("redis").answer.latency_seconds == 0.1
    assert stage.standing("redis").answered_at == stage.now + 1e9
    assert len(stage.published) == 1


def test_rates_come_with_the_second_answer_and_lines_grow(stage: Stage) -> None:
    stage.cycle(stage.redis, stage.mongo)
    stage.redis.answer = Reading(0.2, counters={"done": 40.0})
    stage.cycle(stage.redis, stage.mongo)
    assert stage.standing("redis").derived == {"per_second": 2.0}
    assert stage.standing("redis").trends == {"latency_seconds": (0.1, 0.2), "per_second": (None, 2.0)}


def test_who_hangs_is_down_after_two_seconds_and_the_others_are_not(stage: Stage) -> None:
    stage.cycle(stage.redis, stage.mongo)
    stage.mongo.free.clear()
    stage.cycle(stage.redis)
    assert stage.standing("mongo").failure is None
    stage.now += 2.1
    stage.loop.turn()
    assert stage.standing("mongo").failure == "no answer within 2 s"
    assert stage.standing("mongo").answer is not None  # the last good one stays, and its age with it
    assert stage.standing("redis").failure is None
    assert len(stage.published) == 2


def test_who_hangs_is_not_asked_a_second_time_and_stays_down(stage: Stage) -> None:
    stage.mongo.free.clear()
    stage.cycle(stage.redis)
    stage.now += 3.0
    stage.loop.turn()
    stage.cycle(stage.redis)
    assert (stage.mongo.looks, stage.redis.looks) == (1, 2)
    assert stage.standing("mongo").looked_at == stage.now + 1e9
    assert stage.standing("mongo").failure == "no answer within 2 s"


def test_who_hung_is_back_with_the_look_after_its_late_answer(stage: Stage) -> None:
    stage.mongo.free.clear()
    stage.cycle(stage.redis)
    stage.now += 3.0
    stage.loop.turn()
    stage.mongo.free.set()
    stage.loop.hear(stage.loop.inbox.get(timeout=10.0))
    assert stage.standing("mongo").failure is not None  # too late to be believed as of now
    stage.cycle(stage.redis, stage.mongo)
    assert stage.standing("mongo").failure is None


def test_who_fails_is_down_with_the_reason_and_breaks_its_line(stage: Stage) -> None:
    stage.cycle(stage.redis, stage.mongo)
    stage.redis.failure = "refuses connections"
    stage.cycle(stage.redis, stage.mongo)
    assert stage.standing("redis").failure == "refuses connections"
    assert stage.standing("redis").trends["latency_seconds"] == (0.1, None)


@pytest.mark.parametrize("error", [KeyError("canary"), OverflowError("canary"), RecursionError("canary")])
def test_an_answer_that_cannot_be_understood_is_a_failure_like_others_and_asked_for_again(
    stage: Stage, error: Exception
) -> None:
    stage.redis.answer = error
    stage.cycle(stage.redis, stage.mongo)
    assert stage.standing("redis").failure == "answers with something unexpected"
    stage.redis.answer = Reading(0.1)
    stage.cycle(stage.redis, stage.mongo)
    assert stage.standing("redis").failure is None


def test_an_answer_to_an_earlier_look_changes_nothing(stage: Stage) -> None:
    stage.cycle(stage.redis, stage.mongo)
    stage.loop.hear(Looked("redis", 0, 0.1, failure="long ago"))
    assert stage.standing("redis").failure is None


def test_a_snapshot_once_taken_never_changes(stage: Stage) -> None:
    stage.cycle(stage.redis, stage.mongo)
    taken = stage.loop.snapshot
    before = repr(taken)
    stage.redis.failure = "refuses connections"
    stage.cycle(stage.redis, stage.mongo)
    assert repr(taken) == before


def test_what_is_measured_of_sources_says_up_down_and_how_long(stage: Stage) -> None:
    stage.mongo.failure = "refuses connections"
    stage.cycle(stage.redis, stage.mongo)
    assert stage.registry.get_sample_value("stats_probe_up", {"service": "redis"}) == 1.0
    assert stage.registry.get_sample_value("stats_probe_up", {"service": "mongo"}) == 0.0
    assert stage.registry.get_sample_value("stats_last_cycle_timestamp_seconds") == stage.now + 1e9


def test_an_engine_that_is_away_for_a_minute_makes_stats_unhealthy_and_its_return_well() -> None:
    stage = Stage()
    engine = Told("engine")
    stage.loop.sources["engine"] = asked(engine)
    engine.failure = "cannot be asked"
    stage.cycle(stage.redis, stage.mongo, engine)
    assert stage.liveness.reasons() == []
    for _ in range(4):
        stage.cycle(stage.redis, stage.mongo, engine)
    assert stage.liveness.reasons() == ["the engine cannot be asked: cannot be asked"]
    engine.failure, engine.answer = None, ()
    stage.cycle(stage.redis, stage.mongo, engine)
    assert stage.liveness.reasons() == []


def test_containers_are_measured_by_service_and_forgotten_when_they_are_gone() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    one = Container(id="a", name="s-web-1", service="web", project="s", image="i", state="running", started_at=5.0)
    two = Container(
        id="b", name="s-web-2", service="web", project="s", image="i", state="exited", restart_policy="always"
    )
    job = Container(id="c", name="job", service=None, project=None, image="i", state="exited", exit_code=0)
    metrics.show_containers([one, two, job])
    assert registry.get_sample_value("stats_container_up", {"container": "web"}) == 0.0
    assert registry.get_sample_value("stats_container_start_time_seconds", {"container": "web"}) == 5.0
    assert registry.get_sample_value("stats_container_up", {"container": "job"}) is None
    metrics.show_containers([])
    assert registry.get_sample_value("stats_container_up", {"container": "web"}) is None


def test_it_runs_until_it_is_told_to_stop() -> None:
    stage = Stage()
    loop = Loop(
        sources={"redis": asked(stage.redis)},
        metrics=Metrics(CollectorRegistry()),
        liveness=Liveness(),
        log=logs.get("stats"),
        interval_seconds=0.05,
        timeout_seconds=2.0,
    )
    ended: list[Stop] = []
    thread = threading.Thread(target=lambda: ended.append(loop.run()), daemon=True)
    thread.start()
    wait_for(lambda: stage.redis.looks >= 3, "it looks again and again")
    loop.inbox.put(Stop(15))
    thread.join(10.0)
    assert ended == [Stop(15)]
