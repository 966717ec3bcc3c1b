"""Who is restarted after somebody else was: histories replayed before the ward."""

from typing import Any

from lab.stage import Stage, container_id

NEEDS = "com.docker.compose.depends_on"


def with_vpn(stage: Stage, **facts: Any) -> Stage:
    """Put a donor and a child in its network on the stage."""
    stage.enter("vpn")
    stage.enter("child", network_mode=f"container:{container_id('vpn')}", **facts)
    stage.look()
    return stage


def with_chain(stage: Stage) -> Stage:
    """Put mongo, wildduck that follows it, and haraka that follows wildduck on the stage."""
    stage.enter("mongo")
    stage.enter("wildduck", labels={NEEDS: "mongo:service_healthy:true"})
    stage.enter("haraka", labels={NEEDS: "wildduck:service_healthy:true"})
    stage.look()
    return stage


# After our restart


def test_dependants_with_restart_true_follow_once_in_order_each_after_its_condition(stage: Stage) -> None:
    with_chain(stage).fail("mongo")
    stage.perform("mongo")
    stage.wait(1)
    assert stage.ordered == ["mongo"]

    stage.recover("mongo")
    assert stage.ordered == ["mongo", "wildduck"]
    stage.heal("wildduck")
    assert stage.ordered == ["mongo", "wildduck", "haraka"]
    stage.heal("haraka")
    stage.later(60)

    assert stage.ordered == ["mongo", "wildduck", "haraka"]
    assert stage.decisions() == [("heal", "unhealthy"), ("heal", "follows"), ("heal", "follows")]


def test_dependants_without_restart_true_are_left(stage: Stage) -> None:
    stage.enter("mongo")
    stage.enter("wildduck", labels={NEEDS: "mongo:service_healthy:false"})
    stage.look()
    stage.fail("mongo")
    stage.heal("mongo")
    stage.later(60)

    assert stage.ordered == ["mongo"]


def test_the_top_of_a_diamond_follows_once_after_both_sides(stage: Stage) -> None:
    stage.enter("bottom")
    stage.enter("left", "right", labels={NEEDS: "bottom:service_healthy:true"})
    stage.enter("top", labels={NEEDS: "left:service_healthy:true,right:service_healthy:true"})
    stage.look()
    stage.fail("bottom")
    stage.heal("bottom")
    stage.heal("left")
    assert "top" not in stage.ordered
    stage.heal("right")
    stage.heal("top")
    stage.later(60)

    assert stage.ordered == ["bottom", "left", "right", "top"]


def test_a_child_in_the_donors_network_follows_the_donor(stage: Stage) -> None:
    with_vpn(stage).fail("vpn")
    stage.perform("vpn")

    assert stage.ordered == ["vpn", "child"]


def test_a_sick_child_of_a_sick_donor_is_one_heal_and_one_restart(stage: Stage) -> None:
    with_vpn(stage).fail_at_once("child", "vpn")
    stage.heal("vpn")
    stage.heal("child")
    stage.later(60)

    assert stage.ordered == ["vpn", "child"]


def test_a_child_of_a_pid_namespace_that_died_with_its_donor_follows_too(stage: Stage) -> None:
    stage.enter("main")
    stage.enter("child", pid_mode=f"container:{container_id('main')}")
    stage.look()
    stage.fail("main")
    stage.now += 0.1
    stage.die("child", 137)
    stage.heal("main")

    assert stage.ordered == ["main", "child"]


def test_a_child_that_was_stopped_by_hand_does_not_follow(stage: Stage) -> None:
    with_vpn(stage).stop("child")
    stage.fail("vpn")
    stage.heal("vpn")
    stage.later(30)

    assert stage.ordered == ["vpn"]


def test_a_follower_that_opted_out_is_left(stage: Stage) -> None:
    with_vpn(stage, labels={"autoheal": "false"}).fail("vpn")
    stage.heal("vpn")
    stage.later(30)

    assert stage.ordered == ["vpn"]


def test_a_follower_without_a_label_follows_a_labelled_parent(stage: Stage) -> None:
    with_vpn(stage, labels={"autoheal": ""}).fail("vpn")
    stage.heal("vpn")

    assert stage.ordered == ["vpn", "child"]


def test_a_follower_in_maintenance_is_left(stage: Stage) -> None:
    with_vpn(stage).pause("child")
    stage.fail("vpn")
    stage.heal("vpn")
    stage.later(30)

    assert stage.ordered == ["vpn"]


def test_a_follower_costs_no_budget(stage: Stage) -> None:
    with_vpn(stage).fail("vpn")
    stage.heal("vpn")
    stage.heal("child")

    assert stage.ward.care.past(container_id("child")).attempts == ()


# After somebody else's restart


def test_after_a_restart_by_hand_children_follow_when_nobody_else_restarts_them(stage: Stage) -> None:
    with_vpn(stage).restart_by_hand("vpn")
    stage.wait(2.9)
    assert stage.ordered == []
    stage.wait(0.2)

    assert stage.ordered == ["child"]


def test_whoever_restarts_the_dependants_too_leaves_nothing_to_do(stage: Stage) -> None:
    with_chain(stage)
    for name in ("mongo", "wildduck", "haraka"):
        stage.restart_by_hand(name)
        stage.now += 1
        stage.recover(name)
        stage.now += 0.5
    stage.later(60)

    assert stage.ordered == []


def test_he_has_time_for_it_once_the_condition_is_met_and_not_only_from_the_restart_on(stage: Stage) -> None:
    with_chain(stage).restart_by_hand("mongo")
    stage.wait(20)
    stage.recover("mongo")
    stage.wait(0.5)  # Compose looks twice a second, and restarts the dependants when it sees it
    stage.restart_by_hand("wildduck")
    stage.now += 1
    stage.recover("wildduck")

    assert stage.ordered == []


def test_a_missed_restart_of_the_donor_is_found_and_its_children_follow(stage: Stage) -> None:
    with_vpn(stage)
    stage.now += 60
    stage.actors["vpn"].died_at = stage.now
    stage.start("vpn", heard=False)
    stage.actors["vpn"].health = "healthy"
    stage.ward.subscribed(stage.now)
    stage.consider()
    stage.look()
    stage.wait(3.1)

    assert stage.ordered == ["child"]


def test_a_child_that_was_left_in_a_dead_network_before_autoheal_began_follows(stage: Stage) -> None:
    stage.enter("vpn", started_at=stage.now - 60)
    stage.enter("child", started_at=stage.now - 600, network_mode=f"container:{container_id('vpn')}")
    stage.look()
    stage.wait(3.1)

    assert stage.ordered == ["child"]


def test_a_first_start_is_no_restart(stage: Stage) -> None:
    stage.enter("mongo", state="created", health=None, started_at=0.0)
    stage.enter("wildduck", labels={NEEDS: "mongo:service_healthy:true"})
    stage.look()
    stage.start("mongo")
    stage.recover("mongo")
    stage.wait(10)

    assert stage.ordered == []


# Donors that are lost


def test_a_child_of_a_recreated_donor_is_untouched_and_reported_once(stage: Stage) -> None:
    with_vpn(stage).remove("vpn")
    stage.fail("child")
    for _ in range(4):
        stage.later(30)

    assert stage.ordered == []
    (notice,) = [each for each in stage.told.told if each.event == "needs_recreation"]
    assert "docker compose up -d --force-recreate child" in notice.body
    assert stage.decisions("child").count(("skip", "needs_recreation")) >= 1
    assert stage.ward.donors.lost[container_id("child")] == ("needs_recreation", container_id("vpn")[:12])


def test_a_child_of_a_stopped_donor_is_untouched_and_reported(stage: Stage) -> None:
    with_vpn(stage).stop("vpn")
    stage.fail("child")
    stage.later(6)

    assert stage.ordered == []
    assert stage.ward.donors.lost[container_id("child")] == ("donor_stopped", "vpn")


def test_a_donor_that_is_away_for_a_moment_is_not_reported(stage: Stage) -> None:
    with_vpn(stage).stop("vpn")
    stage.wait(4)
    stage.start("vpn")
    stage.wait(10)

    assert stage.told.titles("needs_recreation") == []
    assert stage.ward.donors.lost == {}


def test_a_donor_that_comes_back_after_a_while_is_followed(stage: Stage) -> None:
    with_vpn(stage).stop("vpn")
    stage.later(60)
    stage.start("vpn")
    stage.recover("vpn")
    stage.wait(3.1)

    assert stage.ordered == ["child"]


# Bounds


def test_a_donor_that_never_turns_healthy_does_not_leave_its_children_without_a_network(stage: Stage) -> None:
    stage.enter("vpn")
    labels = {NEEDS: "vpn:service_healthy:true"}
    stage.enter("child", labels=labels, network_mode=f"container:{container_id('vpn')}")
    stage.look()
    stage.restart_by_hand("vpn")
    stage.wait(119)
    assert stage.ordered == []
    stage.wait(1.1)
    stage.wait(3.1)

    assert stage.ordered == ["child"]


def test_a_dependant_of_a_parent_that_never_turns_healthy_is_left_after_a_bounded_wait(stage: Stage) -> None:
    with_chain(stage).restart_by_hand("mongo")
    stage.wait(126)
    stage.recover("mongo")
    stage.wait(10)

    assert stage.ordered == []


def test_status_says_for_whom_a_follower_waits(stage: Stage) -> None:
    with_chain(stage).restart_by_hand("mongo")

    assert stage.ward.followups.waits_for(container_id("wildduck")) == ["mongo"]
    assert stage.ward.followups.waits_for(container_id("haraka")) == []


def test_a_follower_that_somebody_is_stopping_is_left(stage: Stage) -> None:
    with_chain(stage).fail("mongo")
    stage.perform("mongo")
    stage.hear("wildduck", "kill", signal="15")
    stage.now += 1
    stage.recover("mongo")

    assert stage.ordered == ["mongo"]


def test_a_follower_that_compose_is_replacing_is_left(stage: Stage) -> None:
    with_chain(stage).fail("mongo")
    stage.perform("mongo")
    stage.enter("12_wildduck", state="created", health=None, labels={"com.docker.compose.replace": "wildduck"})
    stage.hear("12_wildduck", "create")
    stage.now += 1
    stage.recover("mongo")

    assert stage.ordered == ["mongo"]


def test_a_child_that_died_long_before_its_donor_is_left(stage: Stage) -> None:
    stage.enter("main")
    stage.enter("child", pid_mode=f"container:{container_id('main')}")
    stage.look()
    stage.die("child", 1)
    stage.wait(60)
    stage.fail("main")
    stage.heal("main")
    stage.later(10)

    assert stage.ordered == ["main"]


def test_a_child_that_shares_only_the_network_and_died_with_its_donor_is_left(stage: Stage) -> None:
    with_vpn(stage).fail("vpn")
    stage.die("child", 1)
    stage.heal("vpn")
    stage.later(10)

    assert stage.ordered == ["vpn"]


def test_a_child_that_began_after_its_donor_is_where_it_should_be(stage: Stage) -> None:
    with_vpn(stage, started_at=stage.now - 60)
    stage.ward.subscribed(stage.now)
    stage.consider()
    stage.wait(10)

    assert stage.ordered == []


def test_a_follower_in_maintenance_follows_when_it_is_over_however_long_it_took(stage: Stage) -> None:
    stage.enter("mongo")
    stage.enter("wildduck", labels={NEEDS: "mongo:service_healthy:true"})
    stage.look()
    stage.pause("wildduck", seconds=3600)
    stage.fail("mongo")
    stage.heal("mongo")
    for _ in range(60):
        stage.later(60)
    assert stage.ordered == ["mongo"]

    stage.recall_pauses()
    stage.look()

    assert stage.ordered == ["mongo", "wildduck"]
