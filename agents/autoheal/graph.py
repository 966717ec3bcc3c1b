"""Who depends on whom: Compose's labels, ours, and shared namespaces. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sidecarkit.containers import ONE_OFF, PROJECT, SERVICE, is_true

COMPOSE_DEPENDS_ON = "com.docker.compose.depends_on"
STARTED, HEALTHY, COMPLETED = "service_started", "service_healthy", "service_completed_successfully"


@dataclass(frozen=True, slots=True)
class Edge:
    """A dependant needs *service* in *condition*; `restart`: it wants to be restarted after it.

    An empty condition means: healthy if it has a healthcheck, else running.
    """

    service: str
    condition: str
    restart: bool


@dataclass(frozen=True, slots=True)
class Node:
    """A container as the graph sees it."""

    id: str
    name: str
    labels: Mapping[str, str]
    donors: frozenset[str]
    depends_on: tuple[str, ...]  # the label autoheal.depends-on


def edges(node: Node) -> tuple[Edge, ...]:
    """Read what a container depends on. Compose writes `service:condition:restart`, the last since v2.17."""
    found: dict[str, Edge] = {service: Edge(service, "", restart=False) for service in node.depends_on}
    for entry in node.labels.get(COMPOSE_DEPENDS_ON, "").split(","):
        service, *rest = entry.strip().split(":")
        if service:
            condition = rest[0] if rest and rest[0] else STARTED
            found[service] = Edge(service, condition, restart=len(rest) < 2 or rest[1].lower() == "true")
    return tuple(found.values())


@dataclass(frozen=True, slots=True)
class Dependency:
    """A resolved edge: the container *on* must be in *condition*."""

    on: str
    condition: str
    restart: bool
    donor: bool = False


class Graph:
    """The edges between the containers that exist now."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._nodes = {node.id: node for node in nodes}
        self._by_service: dict[tuple[str | None, str], list[str]] = {}
        for node in self._nodes.values():
            service = node.labels.get(SERVICE)
            if service and not is_true(node.labels.get(ONE_OFF)):
                self._by_service.setdefault((node.labels.get(PROJECT), service), []).append(node.id)
            self._by_service.setdefault((None, node.name), []).append(node.id)
        self._direct = {node.id: self._resolve(node) for node in self._nodes.values()}
        self._followers: dict[str, list[str]] = {}
        for id_, dependencies in self._direct.items():
            for dependency in dependencies:
                if dependency.restart or dependency.donor:
                    self._followers.setdefault(dependency.on, []).append(id_)

    def direct(self, id_: str) -> tuple[Dependency, ...]:
        """Say what a container needs, one entry for each container. Donors of namespaces come first."""
        return self._direct.get(id_, ())

    def all(self, id_: str) -> tuple[Dependency, ...]:
        """Say what a container needs, directly and through others. A container never needs itself."""
        found: dict[str, Dependency] = {}
        todo = list(self.direct(id_))
        while todo:
            dependency = todo.pop(0)
            if dependency.on != id_ and dependency.on not in found:
                found[dependency.on] = dependency
                todo.extend(self.direct(dependency.on))
        return tuple(found.values())

    def followers(self, id_: str) -> tuple[str, ...]:
        """Who must be restarted after *id_* was: those in its namespaces, and dependants with `restart: true`."""
        return tuple(self._followers.get(id_, ()))

    def _resolve(self, node: Node) -> tuple[Dependency, ...]:
        found = {donor: Dependency(donor, STARTED, restart=True, donor=True) for donor in sorted(node.donors)}
        project = node.labels.get(PROJECT)
        for edge in edges(node):
            for on in self._named(project, edge):
                if on != node.id:
                    donor = on in node.donors
                    found[on] = Dependency(on, edge.condition, restart=edge.restart or donor, donor=donor)
        return tuple(found.values())

    def _named(self, project: str | None, edge: Edge) -> list[str]:
        """Find the containers of a service. Our own label may also name a container outside of Compose."""
        in_project = self._by_service.get((project, edge.service), []) if project else []
        by_hand = not edge.condition
        return in_project or (self._by_service.get((None, edge.service), []) if by_hand else [])
