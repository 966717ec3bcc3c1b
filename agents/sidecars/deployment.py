"""A deployment as it was found: its containers, what the agents say of themselves, and what was seen on the wire."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sidecars.facts import LABELLED, Container
from sidecars.finding import Finding
from sidecars.levels import Level


@dataclass(frozen=True, slots=True)
class Blind:
    """Something that could not be looked at, and why."""

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Said:
    """What the running agents' `status --json` said; None where one was not asked or did not answer."""

    autoheal: Sequence[Mapping[str, Any]] | None = None
    certsync: Mapping[str, Any] | None = None
    logban: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Store:
    """What lies at the path of certsync's acme.json. *kind*: file, folder, link, missing or unknown."""

    container: Container
    path: str
    kind: str
    owner: int = 0
    mode: int = 0


@dataclass(frozen=True, slots=True)
class Served:
    """What a consumer shows on the wire, and whether that is what lies in the file that it was given."""

    container: Container
    where: str  # host:port
    serial: str
    not_after: datetime
    on_disk: str | None  # the serial in the consumer's own file; None: not looked at


@dataclass(frozen=True, slots=True)
class Firewall:
    """In which of the host's firewalls the engine keeps its rules: iptables-nft, iptables-legacy, nftables."""

    engine: frozenset[str]
    logban: str  # the iptables that logban's image calls


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Everything that findings are made of. *containers* are all of the engine's, *judged* those that are looked at."""

    now: datetime
    containers: tuple[Container, ...]
    judged: tuple[Container, ...]
    said: Said = field(default_factory=Said)
    stores: tuple[Store, ...] = ()
    served: tuple[Served, ...] = ()
    levels: Mapping[str, Level] = field(default_factory=dict)  # by container's id
    firewall: Firewall | None = None
    public_ipv6: bool | None = None  # whether the host has a public IPv6 address; None: not looked at
    configuration: tuple[Finding, ...] = ()

    def agents(self, name: str) -> tuple[Container, ...]:
        """List the containers of one agent, running ones first."""
        found = [one for one in self.containers if one.agent == name]
        return tuple(sorted(found, key=lambda one: not one.running))

    def agent(self, name: str) -> Container | None:
        """Give the container of one agent."""
        return next(iter(self.agents(name)), None)

    @property
    def healing_label(self) -> str:
        """The label that opts in to autoheal: AUTOHEAL_CONTAINER_LABEL renames it."""
        agent = self.agent("autoheal")
        return agent.setting("AUTOHEAL_CONTAINER_LABEL", "autoheal") if agent else "autoheal"

    def asking(self, agent: str) -> tuple[Container, ...]:
        """List the judged containers that carry an agent's label."""
        label = self.healing_label if agent == "autoheal" else agent
        return tuple(one for one in self.judged if one.asks(agent, label))


def judged(containers: Iterable[Container], projects: Sequence[str]) -> tuple[Container, ...]:
    """Choose whom to look at: the named Compose projects; else those with one of our labels or agents in them.

    Agents are always looked at: one of them serves all projects of an engine.
    """
    everyone = tuple(containers)
    if projects:
        return tuple(one for one in everyone if one.row.project in projects or one.agent)
    ours = [one for one in everyone if one.agent or any(one.asks(name) for name in LABELLED)]
    homes = {one.row.project for one in ours} - {None}
    return tuple(one for one in everyone if one in ours or one.row.project in homes)
