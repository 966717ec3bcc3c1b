"""Who must be restarted after somebody else was: once, in topological order. Pure."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from autoheal.graph import Graph


@dataclass(frozen=True, slots=True)
class Debt:
    """A restart that is owed to a container since *since*, because *parents* were restarted.

    *grace_seconds*: for how long, once it could be restarted, whoever restarted the parents may do that himself.
    """

    parents: frozenset[str]
    since: float
    grace_seconds: float


Debts = Mapping[str, Debt]


def started(debts: Debts, graph: Graph, container: str, now: float, grace_seconds: float) -> dict[str, Debt]:
    """Note that *container* began a new life: its own debt is paid, and its followers are owed a restart.

    *grace_seconds*: see Debt; `docker compose restart` restarts dependants itself, when their conditions are met.
    """
    left = {who: debt for who, debt in debts.items() if who != container}
    for follower in graph.followers(container):
        if follower != container:
            old = left.get(follower)
            parents = (old.parents if old else frozenset()) | {container}
            left[follower] = Debt(parents, old.since if old else now, grace_seconds)
    return left


def ready(
    debts: Debts, graph: Graph, container: str, fulfilled: Callable[[str, str], bool], busy: Collection[str]
) -> bool:
    """Say whether *container* may be restarted now.

    All it was owed for must fulfil its condition, and nothing it depends on, directly or through others, may still be
    owed a restart itself or be *busy* with one. In a cycle of debts, the members do not wait for each other.
    """
    above = {dependency.on for dependency in graph.all(container)}
    in_cycle = {who for who in above if container in {d.on for d in graph.all(who)}}
    if any((who in debts or who in busy) for who in above - in_cycle):
        return False
    conditions = {dependency.on: dependency.condition for dependency in graph.direct(container)}
    return all(fulfilled(parent, conditions.get(parent, "")) for parent in debts[container].parents)
