"""Debts of restarts: who owes one to whom, and whose turn it is."""

from collections.abc import Callable

from autoheal.following import Debt, ready, started
from autoheal.graph import Graph, Node

RESTART = "{}:service_healthy:true"


def graph(**needs: str) -> Graph:
    """Make a graph of services with the services they need: `graph(haraka="mongo redis", mongo="", redis="")`."""
    labels = {name: ",".join(RESTART.format(need) for need in needed.split()) for name, needed in needs.items()}
    return Graph(
        Node(
            name,
            name,
            {
                "com.docker.compose.project": "mail",
                "com.docker.compose.service": name,
                "com.docker.compose.depends_on": labels[name],
            },
            frozenset(),
            (),
        )
        for name in needs
    )


def always(container: str, condition: str) -> bool:
    return True


def all_but(container: str) -> Callable[[str, str], bool]:
    return lambda asked, _: asked != container


def debt(*parents: str) -> Debt:
    return Debt(frozenset(parents), since=0.0, grace_seconds=0.0)


DIAMOND = graph(top="left right", left="bottom", right="bottom", bottom="")


# Owing


def test_whoever_began_a_new_life_owes_each_follower_a_restart() -> None:
    assert started({}, DIAMOND, "bottom", 100.0, 3.0) == {
        "left": Debt(frozenset({"bottom"}), 100.0, 3.0),
        "right": Debt(frozenset({"bottom"}), 100.0, 3.0),
    }


def test_a_new_life_pays_what_the_container_was_owed() -> None:
    debts = {"left": debt("bottom"), "right": debt("bottom")}

    assert started(debts, DIAMOND, "left", 100.0, 0.0).keys() == {"right", "top"}


def test_what_is_owed_twice_is_one_restart_for_both() -> None:
    debts = started({}, DIAMOND, "left", 100.0, 0.0)

    assert started(debts, DIAMOND, "right", 110.0, 3.0) == {"top": Debt(frozenset({"left", "right"}), 100.0, 3.0)}


def test_the_given_debts_are_left_as_they_were() -> None:
    before = {"left": debt("bottom")}

    started(before, DIAMOND, "left", 100.0, 0.0)

    assert before == {"left": debt("bottom")}


# Whose turn


def test_a_follower_is_ready_when_its_parent_fulfils_the_condition() -> None:
    debts = {"left": debt("bottom")}

    assert ready(debts, DIAMOND, "left", always, ())
    assert not ready(debts, DIAMOND, "left", all_but("bottom"), ())


def test_the_condition_asked_for_is_that_of_the_edge() -> None:
    asked: list[tuple[str, str]] = []

    def note(container: str, condition: str) -> bool:
        asked.append((container, condition))
        return True

    ready({"left": debt("bottom")}, DIAMOND, "left", note, ())

    assert asked == [("bottom", "service_healthy")]


def test_only_those_it_is_owed_for_must_fulfil_their_condition() -> None:
    assert ready({"top": debt("left")}, DIAMOND, "top", all_but("right"), ())
    assert not ready({"top": debt("left", "right")}, DIAMOND, "top", all_but("right"), ())


def test_the_top_of_a_diamond_waits_for_both_sides() -> None:
    debts = {"top": debt("left"), "right": debt("bottom")}

    assert not ready(debts, DIAMOND, "top", always, ())
    assert ready({"top": debt("left")}, DIAMOND, "top", always, ())


def test_it_waits_for_what_is_owed_a_restart_further_below() -> None:
    chain = graph(c="b", b="a", a="")

    assert not ready({"c": debt("b"), "a": debt("x")}, chain, "c", always, ())


def test_it_waits_for_what_is_being_acted_on_below() -> None:
    assert not ready({"top": debt("left")}, DIAMOND, "top", always, {"right"})
    assert ready({"top": debt("left")}, DIAMOND, "top", always, {"elsewhere"})


def test_in_a_cycle_nobody_waits_for_the_other_for_ever() -> None:
    cycle = graph(a="b", b="a")
    debts = {"a": debt("b"), "b": debt("a")}

    assert ready(debts, cycle, "a", always, ())
    assert ready(debts, cycle, "b", always, ())


def test_a_cycle_still_waits_for_what_lies_below_it() -> None:
    cycle = graph(a="b", b="a c", c="")

    assert not ready({"a": debt("b"), "c": debt("x")}, cycle, "a", always, ())


def test_each_member_of_a_long_row_of_followers_gets_one_restart_in_order() -> None:
    order, debts = [], dict(started({}, DIAMOND, "bottom", 0.0, 0.0))
    while debts:
        turn = next(who for who in sorted(debts) if ready(debts, DIAMOND, who, always, ()))
        order.append(turn)
        debts = started(debts, DIAMOND, turn, 1.0, 0.0)

    assert order == ["left", "right", "top"]
