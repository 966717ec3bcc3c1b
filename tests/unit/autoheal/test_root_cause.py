"""Histories of several that are sick: the root first, and one canary in a storm."""

from collections.abc import Callable

from lab.stage import CYCLE_SECONDS, Stage, container_id

MakeStage = Callable[..., Stage]


# 3. Root cause first


def test_the_root_is_healed_first_and_the_rest_recovers_alone(stage: Stage) -> None:
    stage.enter("mongo")
    stage.enter("wildduck", labels={"com.docker.compose.depends_on": "mongo:service_healthy:false"})
    stage.enter("haraka", labels={"com.docker.compose.depends_on": "wildduck:service_healthy:false"})
    stage.look()
    stage.fail_at_once("haraka", "wildduck", "mongo")
    assert stage.ordered == ["mongo"]

    stage.heal("mongo")
    stage.recover("wildduck")
    stage.recover("haraka")
    stage.wait(60)

    assert stage.ordered == ["mongo"]


def test_one_that_does_not_recover_alone_is_healed_after_one_health_cycle(stage: Stage) -> None:
    stage.enter("mongo")
    stage.enter("wildduck", labels={"com.docker.compose.depends_on": "mongo:service_healthy:false"})
    stage.look()
    stage.fail_at_once("wildduck", "mongo")
    stage.heal("mongo")

    stage.wait(CYCLE_SECONDS - 0.1)
    assert stage.ordered == ["mongo"]
    stage.wait(0.2)
    assert stage.ordered == ["mongo", "wildduck"]


def test_it_waits_until_the_root_fulfils_its_condition(stage: Stage) -> None:
    stage.enter("mongo")
    stage.enter("wildduck", labels={"com.docker.compose.depends_on": "mongo:service_healthy:false"})
    stage.look()
    stage.fail_at_once("wildduck", "mongo")
    stage.perform("mongo")

    stage.wait(30)

    assert stage.ordered == ["mongo"]


def test_a_root_that_only_has_to_be_started_is_enough_when_it_runs(stage: Stage) -> None:
    stage.enter("mongo")
    stage.enter("wildduck", labels={"com.docker.compose.depends_on": "mongo:service_started:false"})
    stage.look()
    stage.fail_at_once("wildduck", "mongo")
    stage.perform("mongo")

    stage.wait(CYCLE_SECONDS + 0.1)

    assert stage.ordered == ["mongo", "wildduck"]


def test_a_dependency_that_is_stopped_is_waited_for_but_not_for_ever(stage: Stage) -> None:
    stage.enter("redis")
    stage.enter("wildduck", labels={"com.docker.compose.depends_on": "redis:service_started:false"})
    stage.look()
    stage.stop("redis")
    stage.fail("wildduck")
    stage.wait(119)
    assert stage.ordered == []
    stage.wait(1.1)

    assert stage.ordered == ["wildduck"]
    assert ("wait", "dependency") in stage.decisions("wildduck")


def test_a_cycle_ends_in_a_bounded_wait(stage: Stage) -> None:
    stage.enter("a", labels={"com.docker.compose.depends_on": "b:service_healthy:false"})
    stage.enter("b", labels={"com.docker.compose.depends_on": "a:service_healthy:false"})
    stage.look()
    stage.fail_at_once("a", "b")
    stage.wait(119)
    assert stage.ordered == []
    stage.wait(1.1)

    assert sorted(stage.ordered) == ["a", "b"]


def test_a_diamond_heals_its_bottom_once(stage: Stage) -> None:
    needs = "com.docker.compose.depends_on"
    stage.enter("bottom")
    stage.enter("left", "right", labels={needs: "bottom:service_healthy:false"})
    stage.enter("top", labels={needs: "left:service_healthy:false,right:service_healthy:false"})
    stage.look()
    stage.fail_at_once("top", "left", "right", "bottom")
    stage.heal("bottom")
    for name in ("left", "right", "top"):
        stage.recover(name)
    stage.wait(60)

    assert stage.ordered == ["bottom"]


def test_a_label_of_ours_orders_what_compose_does_not_know(stage: Stage) -> None:
    stage.enter("dns")
    stage.enter("haraka", labels={"autoheal.depends-on": "dns"})
    stage.look()
    stage.fail_at_once("haraka", "dns")

    assert stage.ordered == ["dns"]


def test_a_dependency_of_another_project_is_nobodys_root_cause(stage: Stage) -> None:
    stage.enter("shop-mongo", service="mongo", labels={"com.docker.compose.project": "shop"})
    stage.enter("haraka", labels={"com.docker.compose.depends_on": "mongo:service_healthy:false"})
    stage.look()
    stage.fail_at_once("haraka", "shop-mongo")

    assert sorted(stage.ordered) == ["haraka", "shop-mongo"]


# 5. Storms


def storm(stage: Stage, sick: int, of: int) -> list[str]:
    names = [f"c{number}" for number in range(of)]
    stage.enter(*names)
    stage.look()
    stage.fail_at_once(*names[:sick])
    return names


def test_never_more_than_max_parallel_are_in_flight(make_stage: MakeStage) -> None:
    stage = make_stage(storm_guard="false", max_parallel="3")
    names = storm(stage, 10, of=10)
    assert len(stage.ordered) == 3

    for count, name in enumerate(names, start=1):
        stage.heal(name)
        assert len(stage.ordered) == min(10, 3 + count)
        assert len(stage.ward.care.in_flight()) <= 3


def test_when_most_turn_sick_at_once_one_canary_goes_first_and_people_are_told_once(stage: Stage) -> None:
    storm(stage, 6, of=10)

    assert len(stage.ordered) == 1
    assert len(stage.told.titles("storm_hold")) == 1
    assert ("hold", "storm") in stage.decisions()


def test_the_rest_follow_when_the_canary_is_well(stage: Stage) -> None:
    storm(stage, 6, of=10)
    canary = stage.ordered[0]
    stage.perform(canary)
    stage.later(5)
    assert stage.ordered == [canary]

    stage.recover(canary)

    assert len(stage.ordered) == 4  # the canary, and as many as may be in flight


def test_when_the_canary_fails_another_one_is_tried(stage: Stage) -> None:
    storm(stage, 6, of=10)
    canary = stage.ordered[0]
    stage.heal_in_vain(canary)

    assert len(stage.ordered) == 2
    assert stage.ordered[1] != canary


def test_a_storm_that_passes_by_itself_is_let_go(stage: Stage) -> None:
    stage.enter(*(f"c{number}" for number in range(10)), labels={"autoheal.hold": "1m"})
    stage.look()
    stage.fail_at_once(*(f"c{number}" for number in range(6)))
    for number in range(5):
        stage.recover(f"c{number}")

    stage.wait(61)

    assert stage.ordered == ["c5"]
    assert not stage.ward.storm.held


def test_half_of_the_containers_are_no_storm(stage: Stage) -> None:
    storm(stage, 5, of=10)

    assert len(stage.ordered) == 3
    assert stage.told.titles("storm_hold") == []


def test_sickness_of_the_past_that_the_engine_tells_of_again_is_no_storm(stage: Stage) -> None:
    names = [f"c{number}" for number in range(8)]
    stage.enter(*names)
    for name in names:
        stage.replay(name, "health_status: unhealthy", at=stage.now - 60)
    stage.look()
    stage.later(5)

    assert not stage.ward.storm.held
    assert stage.told.titles("storm_hold") == []
    assert stage.decisions() == []


def test_the_guard_can_be_switched_off(make_stage: MakeStage) -> None:
    stage = make_stage(storm_guard="no", max_parallel="8")
    storm(stage, 8, of=8)

    assert len(stage.ordered) == 8


def test_a_follower_is_no_canary(stage: Stage) -> None:
    stage.enter("vpn")
    stage.enter("child", network_mode=f"container:{container_id('vpn')}")
    stage.enter(*(f"c{number}" for number in range(6)), labels={"autoheal.hold": "20s"})
    stage.look()
    stage.fail_at_once(*(f"c{number}" for number in range(6)))
    stage.restart_by_hand("vpn")
    stage.recover("vpn")
    stage.wait(4)
    assert stage.ordered == ["child"]

    stage.heal("child")
    stage.wait(20)

    assert stage.ward.storm.held
    assert len(stage.ordered) == 2
