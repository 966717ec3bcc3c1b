"""Restarts owed to containers because something below them was restarted."""

from collections.abc import Callable, Collection
from dataclasses import replace

from autoheal import following
from autoheal.following import Debt
from autoheal.tools import Tools
from autoheal.world import Known

FOREIGN_GRACE_SECONDS = 3.0  # for whoever restarted a container to restart its dependants himself
DIES_WITHIN_SECONDS = 5.0  # a child of a PID namespace dies with its donor


class FollowUps:
    """The debts, and which of them are due."""

    def __init__(self, tools: Tools) -> None:
        self._config, self._world, self._log = tools.config, tools.world, tools.log
        self.debts: dict[str, Debt] = {}
        self._ready_since: dict[str, float] = {}

    def started(self, container: str, now: float, *, ours: bool, before: bool) -> None:
        """Note a new life: what was owed to the container is paid; its followers are owed when it had one *before*."""
        if before:
            grace = 0.0 if ours else FOREIGN_GRACE_SECONDS
            self._ready_since.pop(container, None)
            self.debts = following.started(self.debts, self._world.graph, container, now, grace)
        else:
            self.gone(container)

    def gone(self, container: str) -> None:
        self.debts.pop(container, None)
        self._ready_since.pop(container, None)

    def examined(self, container: str, now: float) -> None:
        """Find children left in the namespaces of a donor's former life, however they came there."""
        graph = self._world.graph
        pairs = [(container, needed.on) for needed in graph.direct(container) if needed.donor]
        pairs += [(follower, container) for follower in graph.followers(container)]
        for child, donor in pairs:
            if child not in self.debts and self._stranded(child, donor):
                self.debts[child] = Debt(frozenset({donor}), now, FOREIGN_GRACE_SECONDS)

    def due(self, now: float, busy: Collection[str], resting: Callable[[Known], bool]) -> list[str]:
        """List whose turn it is, and drop what need not or cannot be done.

        *busy*: who is being acted on. Of what is *resting*, in maintenance, the debt does not age.
        """
        for child, debt in self.debts.items():
            if child in self._world.containers and resting(self._world.containers[child]):
                self.debts[child] = replace(debt, since=now)
        return [
            child
            for child, debt in list(self.debts.items())
            if self._keep(child, debt, now) and self._ready(child, debt, now, busy)
        ]

    def waits_for(self, container: str) -> list[str]:
        debt = self.debts.get(container)
        return (
            sorted(self._world.containers[p].name for p in debt.parents if p in self._world.containers) if debt else []
        )

    def _keep(self, child: str, debt: Debt, now: float) -> bool:
        known = self._world.containers.get(child)
        parents = [self._world.containers[p] for p in debt.parents if p in self._world.containers]
        keep = (
            known is not None
            and self._wanted(known, parents)
            and (known.running or self._died_with(known, parents))
            and not (known.stop_asked or self._world.replaced(known, now))
            and any(self._owed(known, parent) for parent in parents)
            and now - debt.since <= self._config.dependency_wait_seconds + DIES_WITHIN_SECONDS
        )
        if not keep:
            self.gone(child)
        return keep

    def _ready(self, child: str, debt: Debt, now: float, busy: Collection[str]) -> bool:
        known = self._world.containers[child]
        # A donor that runs but never turns healthy must not leave its children without a network for good.
        overdue = now - debt.since > self._config.dependency_wait_seconds and bool(known.donors & debt.parents)
        if (
            child in busy
            or self._world.lost_donor(known.donors)
            or not (overdue or following.ready(self.debts, self._world.graph, child, self._world.fulfils, busy))
        ):
            self._ready_since.pop(child, None)
            return False
        return now - self._ready_since.setdefault(child, now) >= debt.grace_seconds

    def _wanted(self, known: Known, parents: list[Known]) -> bool:
        """Ask for a label: the follower's own, or that of what was restarted below it."""
        return self._world.in_reach(known) and any(self._world.watched(each) for each in (known, *parents))

    def _owed(self, known: Known, parent: Known) -> bool:
        """Say whether the child still lives in the parent's former life; whoever restarted it since has paid."""
        since = parent.started_at if parent.id in known.donors else parent.died_at
        return 0 < known.started_at < since

    def _stranded(self, child: str, donor: str) -> bool:
        lower, upper = self._world.containers.get(child), self._world.containers.get(donor)
        if not lower or not upper or donor not in lower.donors:
            return False
        return lower.running and upper.running and 0 < lower.started_at < upper.started_at

    def _died_with(self, known: Known, parents: list[Known]) -> bool:
        """Say whether the child died because the donor of its PID namespace did."""
        donors = known.anatomy.pid_donors if known.anatomy else frozenset()
        return any(
            parent.id in donors and abs(known.died_at - parent.died_at) <= DIES_WITHIN_SECONDS for parent in parents
        )
