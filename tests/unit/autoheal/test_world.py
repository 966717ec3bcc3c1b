"""The world: events, listings and inspections in every order come to the same truth."""

from typing import Any

import pytest

from autoheal.world import (
    RECREATION_SECONDS,
    Died,
    Gone,
    LookAgain,
    News,
    Started,
    TurnedHealthy,
    TurnedUnhealthy,
    World,
)
from lab.stage import NOON, Actor, config, container_id
from sidecarkit.identity import Kin
from sidecarkit.watch import Event

NOBODY = Kin(frozenset(), None, frozenset())
REPLACE = "com.docker.compose.replace"
HARAKA = container_id("haraka")


def world(kin: Kin = NOBODY, **environ: str) -> World:
    return World(config(**environ), kin, None)


def hear(place: World, who: str, action: str, at: float = NOON, *, ours: bool = False, **attributes: str) -> list[News]:
    given = {"name": who, "autoheal": "true", **attributes}
    event = Event("container", action, container_id(who), given, round(at * 1e9))
    return place.hear(event, at, ours=ours)


def see(place: World, *actors: Actor, asked_at: float = NOON) -> list[News]:
    return place.see([actor.row() for actor in actors], asked_at)


def learn(place: World, actor: Actor, at: float = NOON) -> list[News]:
    return place.learn(actor.examination(at))


def haraka(**facts: Any) -> Actor:
    return Actor("haraka", {"autoheal": "true"}, **facts)


def seen(**facts: Any) -> World:
    """Know haraka by a listing and an inspection from before noon."""
    place = world()
    see(place, haraka(**facts), asked_at=NOON - 10)
    learn(place, haraka(**facts), at=NOON - 10)
    return place


# Events


@pytest.mark.parametrize(
    ("action", "news"),
    [
        ("health_status: unhealthy", [TurnedUnhealthy(HARAKA, NOON)]),
        ("health_status: healthy", [TurnedHealthy(HARAKA, NOON)]),
        ("health_status: starting", []),
        ("start", [Started(HARAKA, NOON, before=True)]),
        ("die", [Died(HARAKA, NOON)]),
        ("unpause", [LookAgain(HARAKA)]),
        ("pause", []),
        ("kill", []),
        ("create", []),
    ],
)
def test_each_event_is_its_news(action: str, news: list[News]) -> None:
    assert hear(seen(), "haraka", action) == news


def test_an_event_changes_what_is_known() -> None:
    place = seen()
    known = place.containers[HARAKA]

    hear(place, "haraka", "health_status: unhealthy")
    assert (known.health, known.running) == ("unhealthy", True)
    hear(place, "haraka", "pause")
    assert known.state == "paused"
    hear(place, "haraka", "unpause")
    assert known.state == "running"
    hear(place, "haraka", "die", NOON + 1, exitCode="137")
    assert (known.state, known.exit_code, known.died_at) == ("exited", 137, NOON + 1)
    hear(place, "haraka", "start", NOON + 2)
    assert (known.state, known.health, known.started_at) == ("running", "starting", NOON + 2)
    hear(place, "haraka", "rename", NOON + 3, name="haraka-old")
    assert known.name == "haraka-old"


def test_a_container_without_a_healthcheck_starts_without_health() -> None:
    place = seen(healthcheck=None, health=None)

    hear(place, "haraka", "start")

    assert place.containers[HARAKA].health is None


def test_a_container_is_met_by_its_first_event_with_the_labels_it_carries() -> None:
    place = world()

    assert hear(place, "haraka", "start") == [Started(HARAKA, NOON, before=False)]
    assert place.watched(place.containers[HARAKA])


def test_a_destroyed_container_is_gone_and_an_unknown_one_is_no_news() -> None:
    place = seen()

    (gone,) = hear(place, "haraka", "destroy")
    assert isinstance(gone, Gone) and gone.subject.container == "haraka"
    assert HARAKA not in place.containers
    assert hear(place, "haraka", "destroy") == []


# Kills


@pytest.mark.parametrize(
    ("signal", "own", "asked"),
    [
        ("15", "SIGTERM", True),
        ("9", "SIGTERM", True),
        ("2", "SIGTERM", True),
        ("3", "SIGTERM", True),
        ("SIGTERM", "SIGTERM", True),
        ("TERM", "SIGTERM", True),
        ("1", "SIGTERM", False),
        ("10", "SIGTERM", False),
        ("28", "SIGWINCH", True),
        ("28", "28", True),
        ("10", "USR1", True),
        ("12", "SIGUSR1", False),
        ("37", "SIGRTMIN+3", True),
    ],
)
def test_a_signal_that_stops_is_told_from_one_that_reloads(signal: str, own: str, asked: bool) -> None:
    place = world()
    see(place, haraka(), asked_at=NOON - 10)
    document = haraka().document()
    document["Config"]["StopSignal"] = own
    learn(place, haraka(extra={"Config": document["Config"]}), at=NOON - 10)

    hear(place, "haraka", "kill", signal=signal)

    assert place.containers[HARAKA].stop_asked == asked


def test_a_kill_of_ours_is_no_stop_by_somebody_else() -> None:
    place = seen()

    hear(place, "haraka", "kill", ours=True, signal="15")

    assert not place.containers[HARAKA].stop_asked
    assert place.containers[HARAKA].killed_at == NOON


def test_a_stop_by_somebody_else_stays_one_when_our_kill_follows() -> None:
    place = seen()

    hear(place, "haraka", "kill", signal="15")
    hear(place, "haraka", "kill", ours=True, signal="9")

    assert place.containers[HARAKA].stop_asked


def test_a_kill_without_a_signal_is_a_stop() -> None:
    place = seen()

    hear(place, "haraka", "kill")

    assert place.containers[HARAKA].stop_asked


def test_a_start_ends_what_a_kill_began() -> None:
    place = seen()
    hear(place, "haraka", "kill", signal="15")

    hear(place, "haraka", "start", NOON + 1)

    assert not place.containers[HARAKA].stop_asked


# Listings


def test_a_listing_finds_who_is_sick_and_who_is_well() -> None:
    place = world()

    assert see(place, haraka(health="unhealthy")) == [LookAgain(HARAKA)]
    assert see(place, haraka(), asked_at=NOON + 30) == [TurnedHealthy(HARAKA, NOON + 30)]
    assert see(place, haraka(), asked_at=NOON + 60) == []


def test_one_that_is_still_sick_is_told_of_at_every_listing() -> None:
    place = world()
    see(place, haraka(health="unhealthy"))

    assert see(place, haraka(health="unhealthy"), asked_at=NOON + 30) == [LookAgain(HARAKA)]


@pytest.mark.parametrize("state", ["paused", "restarting"])
def test_unhealthy_and_not_running_is_no_news(state: str) -> None:
    assert see(world(), haraka(state=state, health="unhealthy")) == []


@pytest.mark.parametrize("state", ["exited", "dead"])
def test_a_listing_finds_who_died_unheard(state: str) -> None:
    place = seen()

    assert see(place, haraka(state=state)) == [Died(HARAKA, 0.0)]
    assert see(place, haraka(state=state), asked_at=NOON + 30) == []


def test_a_listing_finds_who_is_gone() -> None:
    place = seen()

    (gone,) = see(place)

    assert isinstance(gone, Gone)
    assert place.containers == {}


def test_what_was_heard_after_a_listing_was_asked_for_is_left_alone_by_it() -> None:
    place = seen()
    hear(place, "haraka", "die", NOON + 1, exitCode="1")

    assert see(place, haraka(health="unhealthy"), asked_at=NOON) == []
    assert place.containers[HARAKA].state == "exited"


def test_a_container_met_after_a_listing_was_asked_for_is_not_gone_because_it_is_not_on_it() -> None:
    place = world()
    hear(place, "haraka", "create", NOON + 1)

    assert see(place, asked_at=NOON) == []
    assert HARAKA in place.containers


def test_the_next_listing_repairs_what_an_event_left_wrong() -> None:
    place = seen()
    hear(place, "haraka", "die", NOON + 1, exitCode="1")

    see(place, haraka(), asked_at=NOON + 30)

    assert place.containers[HARAKA].running


def test_a_listing_brings_names_labels_and_network_up_to_date() -> None:
    place = seen()
    renamed = Actor("haraka", {"autoheal": "false"}, network_mode=f"container:{'d' * 64}")

    see(place, renamed, asked_at=NOON + 30)

    known = place.containers[HARAKA]
    assert (known.labels, known.network_donor) == ({"autoheal": "false"}, "d" * 64)
    assert not place.watched(known)


# Inspections


def test_an_inspection_tells_of_a_start_that_no_event_told_of() -> None:
    place = seen()
    hear(place, "haraka", "kill", signal="15")

    assert learn(place, haraka(started_at=NOON + 5), at=NOON + 10) == [Started(HARAKA, NOON + 5, before=True)]
    assert not place.containers[HARAKA].stop_asked


def test_the_first_inspection_is_no_start() -> None:
    place = world()
    see(place, haraka(), asked_at=NOON - 10)

    assert learn(place, haraka()) == []
    assert place.containers[HARAKA].started_at == NOON - 3600


def test_a_start_is_told_once_whether_the_event_or_the_inspection_comes_first() -> None:
    event_first, inspection_first = seen(), seen()

    assert hear(event_first, "haraka", "start", NOON + 5.01) == [Started(HARAKA, NOON + 5.01, before=True)]
    assert learn(event_first, haraka(started_at=NOON + 5), at=NOON + 6) == []

    assert learn(inspection_first, haraka(started_at=NOON + 5), at=NOON + 6) == [Started(HARAKA, NOON + 5, before=True)]
    assert hear(inspection_first, "haraka", "start", NOON + 5.01) == []


def test_a_start_of_long_ago_that_is_told_again_changes_no_time() -> None:
    place = seen()

    hear(place, "haraka", "start", NOON - 5000)

    assert place.containers[HARAKA].started_at == NOON - 3600


def test_an_inspection_from_before_an_event_does_not_undo_it() -> None:
    place = seen()
    hear(place, "haraka", "die", NOON + 1, exitCode="1")

    learn(place, haraka(), at=NOON)

    assert (place.containers[HARAKA].state, place.containers[HARAKA].exit_code) == ("exited", 1)


def test_an_inspection_of_a_container_that_is_gone_is_no_news() -> None:
    assert learn(world(), haraka()) == []


def test_an_inspection_brings_state_health_and_exit_code() -> None:
    place = seen()

    learn(place, haraka(state="exited", health="unhealthy", exit_code=3, died_at=NOON), at=NOON + 1)

    known = place.containers[HARAKA]
    assert (known.state, known.health, known.exit_code, known.died_at) == ("exited", "unhealthy", 3, NOON)


# Replacement


def beside(label: str, name: str = "1234_haraka") -> Actor:
    return Actor(name, {"autoheal": "true", REPLACE: label}, state="created", health=None, started_at=0.0)


@pytest.mark.parametrize("label", ["haraka", HARAKA])
@pytest.mark.parametrize("order", ["old first", "new first", "listed"])
def test_compose_replaces_a_container_by_name_or_id_however_it_is_found_out(label: str, order: str) -> None:
    place = world()
    if order == "new first":
        hear(place, "1234_haraka", "create", NOON - 60, **{REPLACE: label})
    see(place, haraka(), *([beside(label)] if order == "listed" else []), asked_at=NOON - 90)
    if order == "old first":
        hear(place, "1234_haraka", "create", **{REPLACE: label})

    assert place.replaced(place.containers[HARAKA], NOON)
    assert not place.replaced(place.containers[container_id("1234_haraka")], NOON)


def test_a_new_container_that_took_over_the_name_replaces_nobody() -> None:
    place = world()
    see(place, Actor("haraka", {"autoheal": "true", REPLACE: "haraka"}))

    assert not place.replaced(place.containers[HARAKA], NOON)


def test_a_container_that_once_replaced_another_may_be_replaced_itself() -> None:
    place = world()
    see(place, Actor("haraka", {"autoheal": "true", REPLACE: "haraka"}), beside("haraka"))

    assert place.replaced(place.containers[HARAKA], NOON)


def test_when_the_new_one_is_removed_or_renamed_nobody_is_replaced_any_more() -> None:
    place = world()
    see(place, haraka(), beside("haraka"))
    assert place.replaced(place.containers[HARAKA], NOON)

    hear(place, "1234_haraka", "destroy")

    assert not place.replaced(place.containers[HARAKA], NOON)


@pytest.mark.parametrize("stop_timeout", [None, 600])
def test_a_replacement_that_an_interrupted_compose_left_behind_replaces_nobody_for_good(
    stop_timeout: int | None,
) -> None:
    place = world()
    see(place, haraka(), beside("haraka"))
    learn(place, haraka(stop_timeout=stop_timeout))
    enough = NOON + RECREATION_SECONDS + (stop_timeout or 10)

    assert place.replaced(place.containers[HARAKA], enough - 1.0)
    assert not place.replaced(place.containers[HARAKA], enough)


def test_a_stop_without_an_end_is_waited_for_without_an_end() -> None:
    place = world()
    see(place, haraka(), beside("haraka"))
    learn(place, haraka(stop_timeout=-1))

    assert place.replaced(place.containers[HARAKA], NOON + 1e9)


def test_a_replacement_that_was_not_started_yet_is_nobodys_dependency() -> None:
    project = {"com.docker.compose.project": "mail", "autoheal": "true"}
    needs = {"com.docker.compose.depends_on": "mongo:service_healthy:true", "com.docker.compose.service": "haraka"}
    mongo, new = {"com.docker.compose.service": "mongo"}, {REPLACE: "mongo"}
    place = world()
    see(place, Actor("haraka", project | needs), Actor("mongo", project | mongo),
        Actor("12_mongo", project | mongo | new, state="created", started_at=0.0))  # fmt: skip

    assert [each.on for each in place.graph.direct(HARAKA)] == [container_id("mongo")]


# Who is watched


@pytest.mark.parametrize(
    ("labels", "environ", "watched"),
    [
        ({"autoheal": "true"}, {}, True),
        ({"autoheal": "True"}, {}, True),
        ({"autoheal": "false"}, {}, False),
        ({}, {}, False),
        ({"heal": "yes"}, {"container_label": "heal"}, True),
        ({"autoheal": "true"}, {"container_label": "heal"}, False),
        ({"heal": "yes", "autoheal": "no"}, {"container_label": "heal"}, False),
        ({}, {"container_label": "all"}, True),
        ({"autoheal": "0"}, {"container_label": "all"}, False),
        ({"autoheal": "true", "com.docker.compose.oneoff": "True"}, {}, False),
        ({"com.docker.compose.oneoff": "True"}, {"container_label": "all"}, False),
        ({"autoheal": "true"}, {"scope": "project"}, False),
        ({"autoheal": "true", "com.docker.compose.project": "shop"}, {"scope": "project"}, False),
        ({"autoheal": "true", "com.docker.compose.project": "mail"}, {"scope": "project"}, True),
    ],
)
def test_who_is_watched(labels: dict[str, str], environ: dict[str, str], watched: bool) -> None:
    place = World(config(**environ), NOBODY, "mail")
    see(place, Actor("haraka", labels))

    assert place.watched(place.containers[HARAKA]) == watched


def test_under_all_a_container_without_a_healthcheck_is_not_watched() -> None:
    place = world(container_label="all")
    see(place, Actor("haraka", health=None, healthcheck=None))

    assert not place.watched(place.containers[HARAKA])


def test_under_all_an_exited_container_is_watched_when_it_has_a_healthcheck() -> None:
    place = world(container_label="all")
    see(place, Actor("haraka", state="exited"))
    assert not place.watched(place.containers[HARAKA])

    learn(place, Actor("haraka", state="exited"))

    assert place.watched(place.containers[HARAKA])


def test_without_a_project_of_its_own_scope_project_watches_nothing() -> None:
    place = world(scope="project")
    see(place, haraka())

    assert not place.watched(place.containers[HARAKA])


@pytest.mark.parametrize(
    "kin",
    [
        Kin(frozenset({HARAKA}), None, frozenset()),
        Kin(frozenset(), "haraka", frozenset()),
        Kin(frozenset(), "proxy", frozenset({"172.18.0.9"})),
    ],
)
def test_itself_and_its_proxy_are_out_of_reach_by_id_name_or_address(kin: Kin) -> None:
    place = World(config(), kin, None)
    see(place, haraka())
    place.containers[HARAKA].addresses = ("172.18.0.9",)

    assert not place.in_reach(place.containers[HARAKA])


# Conditions


@pytest.mark.parametrize(
    ("facts", "condition", "fulfilled", "well"),
    [
        ({}, "service_healthy", True, True),
        ({"health": "starting"}, "service_healthy", False, False),
        ({"health": "unhealthy"}, "service_healthy", False, False),
        ({"health": "unhealthy"}, "service_started", True, False),
        ({"health": "starting"}, "service_started", True, True),
        ({"state": "paused"}, "service_started", False, False),
        ({"state": "exited", "exit_code": 0}, "service_started", False, False),
        ({"state": "exited", "exit_code": 0}, "service_completed_successfully", True, True),
        ({"state": "exited", "exit_code": 1}, "service_completed_successfully", False, False),
        ({}, "service_completed_successfully", False, False),
        ({}, "", True, True),
        ({"health": "starting"}, "", False, False),
        ({"health": None, "healthcheck": None}, "", True, True),
        ({"health": None, "healthcheck": None}, "service_healthy", False, False),
    ],
)
def test_a_condition_is_fulfilled_as_compose_means_it(
    facts: dict[str, Any], condition: str, fulfilled: bool, well: bool
) -> None:
    place = seen(**facts)

    assert (place.fulfils(HARAKA, condition), place.well(HARAKA, condition)) == (fulfilled, well)


def test_a_dependency_that_is_being_stopped_fulfils_nothing() -> None:
    place = seen()
    hear(place, "haraka", "kill", signal="15")

    assert not place.fulfils(HARAKA, "service_started")


def test_what_is_not_there_fulfils_nothing() -> None:
    assert not world().fulfils(HARAKA, "service_started")
    assert not world().well(HARAKA, "service_started")


# Donors


def test_a_donor_is_lost_when_it_is_gone_or_does_not_run() -> None:
    place = seen()
    assert place.lost_donor({HARAKA}) is None

    place.containers[HARAKA].state = "paused"
    assert place.lost_donor({HARAKA}) is None
    place.containers[HARAKA].state = "exited"
    assert place.lost_donor({HARAKA}) == ("donor_stopped", "haraka")
    assert place.lost_donor(()) is None


def test_a_donor_that_no_listing_shows_was_recreated() -> None:
    place = world()
    assert place.lost_donor({"d" * 64}) is None  # not listed yet

    see(place)

    assert place.lost_donor({"d" * 64}) == ("needs_recreation", "d" * 12)
