"""What is known of every container, kept up to date by events and put right by listings and inspections.

Events are hints and may be missed; a listing may be older than an event that was already heard. So whatever an
event changed after a listing was asked for is left alone by it; the next listing repairs what is still wrong.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from autoheal import wishes
from autoheal.config import Config
from autoheal.graph import Graph, Node
from autoheal.health import ENGINE_STOP_SECONDS, Container, Examination
from autoheal.ledger import Subject
from autoheal.policy import Wishes
from sidecarkit.containers import ONE_OFF, PROJECT, REPLACES, SERVICE, Row, is_false, is_true
from sidecarkit.identity import Kin
from sidecarkit.watch import Event

EVENTS = ("create", "start", "die", "kill", "pause", "unpause", "destroy", "rename", "health_status")
STOP_SIGNALS = {"2", "3", "6", "9", "15"}  # INT, QUIT, ABRT, KILL, TERM
_SIGNAL_NUMBERS = {"SIGINT": "2", "SIGQUIT": "3", "SIGABRT": "6", "SIGKILL": "9", "SIGTERM": "15", "SIGHUP": "1",
                   "SIGUSR1": "10", "SIGUSR2": "12", "SIGWINCH": "28", "SIGRTMIN+3": "37"}  # fmt: skip
MISSED_START_SECONDS = 0.5  # an event's time and StartedAt differ by less
# Compose stops the old container as soon as the new one is made. So long after that, and after the time that the stop
# may take, it was interrupted and has left the new one behind.
RECREATION_SECONDS = 300.0


@dataclass(slots=True)
class Known:
    """One container as far as it is known. Times in Unix seconds of the engine's clock, `heard_at` of ours."""

    id: str
    name: str
    labels: Mapping[str, str]
    state: str
    health: str | None = None
    addresses: tuple[str, ...] = ()
    network_donor: str | None = None
    anatomy: Container | None = None
    created_at: float = 0.0
    started_at: float = 0.0
    died_at: float = 0.0
    exit_code: int = 0
    killed_at: float = 0.0  # the last stop signal from anybody
    stop_asked: bool = False  # by somebody else, and no start since
    heard_at: float = 0.0
    complaints: tuple[str, ...] = field(default=())

    @property
    def subject(self) -> Subject:
        return Subject(self.id, self.name, self.labels.get(PROJECT), self.labels.get(SERVICE))

    @property
    def running(self) -> bool:
        return self.state == "running"

    @property
    def donors(self) -> frozenset[str]:
        if self.anatomy:
            return self.anatomy.donors
        return frozenset({self.network_donor} if self.network_donor else ())

    def stops(self, signal: str) -> bool:
        """Say whether *signal* asks this container to stop, as opposed to, say, reload."""
        own = self.anatomy.stop_signal if self.anatomy else "SIGTERM"
        return _number(signal) in STOP_SIGNALS or _number(signal) == _number(own)


def _number(signal: str) -> str:
    """Read a signal as the engine does: a number, or a name with or without SIG."""
    name = signal.upper()
    return _SIGNAL_NUMBERS.get(name if name.startswith("SIG") else f"SIG{name}", signal)


# News: what the ward must know.


@dataclass(frozen=True, slots=True)
class TurnedUnhealthy:
    id: str
    at: float


@dataclass(frozen=True, slots=True)
class TurnedHealthy:
    id: str
    at: float


@dataclass(frozen=True, slots=True)
class Started:
    """A container began a new life; *before*: it had one before."""

    id: str
    at: float
    before: bool


@dataclass(frozen=True, slots=True)
class Died:
    id: str
    at: float


@dataclass(frozen=True, slots=True)
class LookAgain:
    """Something happened after which a container may be sick without an event: an unpause."""

    id: str


@dataclass(frozen=True, slots=True)
class Gone:
    id: str
    subject: Subject


News = TurnedUnhealthy | TurnedHealthy | Started | Died | LookAgain | Gone


def _took_over(known: Known) -> bool:
    return known.labels.get(REPLACES) in {known.id, known.name}


class World:
    """All containers. Changed by the loop's thread only."""

    def __init__(self, config: Config, kin: Kin, own_project: str | None) -> None:
        self._config, self._kin = config, kin
        self.own_project = own_project
        self.containers: dict[str, Known] = {}
        self.listed = False
        self._graph: Graph | None = None
        self._replacements: dict[str, float] | None = None  # whose name is to be taken over, and since when

    @property
    def graph(self) -> Graph:
        if self._graph is None:
            self._graph = Graph(
                Node(known.id, known.name, known.labels, known.donors, self.wishes(known).depends_on)
                for known in self.containers.values()
                if REPLACES not in known.labels or known.started_at
            )
        return self._graph

    def replaced(self, known: Known, now: float) -> bool:
        """Say whether Compose is putting a new container in its place: made beside it, and to take over its name."""
        if self._replacements is None:
            self._replacements = {}
            for each in self.containers.values():
                target = each.labels.get(REPLACES)
                if target and not _took_over(each):
                    self._replacements[target] = max(each.created_at, self._replacements.get(target, 0.0))
        made = [self._replacements[name] for name in (known.id, known.name) if name in self._replacements]
        stop_seconds = known.anatomy.stop_seconds if known.anatomy else ENGINE_STOP_SECONDS
        return bool(made) and (stop_seconds < 0 or now < max(made) + stop_seconds + RECREATION_SECONDS)

    def wishes(self, known: Known) -> Wishes:
        wanted, known.complaints = wishes.read(known.labels, self._config)
        return wanted

    def in_reach(self, known: Known) -> bool:
        """Say whether the container may be touched at all: in scope, not opted out, not ourselves, not one-off."""
        if self._config.scope == "project" and known.labels.get(PROJECT) != (self.own_project or ""):
            return False
        if is_true(known.labels.get(ONE_OFF)) or self._is_kin(known):
            return False
        own_label = self._config.label if self._config.label != "all" else "autoheal"
        return not (is_false(known.labels.get(own_label)) or is_false(known.labels.get("autoheal")))

    def watched(self, known: Known) -> bool:
        if not self.in_reach(known):
            return False
        if self._config.label == "all":
            return known.health is not None or bool(known.anatomy and known.anatomy.healthcheck)
        return is_true(known.labels.get(self._config.label))

    def _is_kin(self, known: Known) -> bool:
        return self._kin.includes(known.id, (known.name, known.labels.get(SERVICE)), known.addresses)

    # Events

    def hear(self, event: Event, now: float, *, ours: bool) -> list[News]:
        """Take in an event. *ours*: an action of ours on this container is in flight."""
        known = self.containers.get(event.id)
        if event.action == "destroy":
            return self._forget(event.id)
        if known is None:
            known = self._meet(event)
        known.heard_at = now
        action, _, detail = event.action.partition(": ")
        if action == "health_status":
            return self._health_changed(known, detail, event.seconds)
        if action == "kill":
            self._killed(known, event, ours=ours)
            return []
        if action == "rename":
            known.name = event.attributes.get("name", known.name)
            self._regroup()
            return []
        return self._life_changed(known, action, event)

    def _meet(self, event: Event) -> Known:
        labels = dict(event.attributes)  # the labels stand among the attributes
        known = Known(event.id, event.attributes.get("name", ""), labels, "created", created_at=event.seconds)
        self.containers[event.id] = known
        self._regroup()
        return known

    def _regroup(self) -> None:
        """Forget what was worked out from who is there, and how they are called and labelled."""
        self._graph = self._replacements = None

    def _health_changed(self, known: Known, health: str, at: float) -> list[News]:
        known.health = health
        if health == "unhealthy":
            return [TurnedUnhealthy(known.id, at)]
        return [TurnedHealthy(known.id, at)] if health == "healthy" else []

    def _killed(self, known: Known, event: Event, *, ours: bool) -> None:
        if known.stops(event.attributes.get("signal", "15")):
            known.killed_at = event.seconds
            known.stop_asked = known.stop_asked or not ours

    def _life_changed(self, known: Known, action: str, event: Event) -> list[News]:
        if action == "start":
            before = known.started_at > 0 or known.died_at > 0
            known.state, known.stop_asked = "running", False
            if event.seconds <= known.started_at + MISSED_START_SECONDS and known.died_at <= known.started_at:
                return []  # an inspection was quicker to tell of this life
            known.started_at = event.seconds
            known.health = "starting" if known.health or (known.anatomy and known.anatomy.healthcheck) else None
            return [Started(known.id, event.seconds, before)]
        if action == "die":
            known.state, known.died_at = "exited", event.seconds
            known.exit_code = int(event.attributes.get("exitCode") or 0)
            return [Died(known.id, event.seconds)]
        if action == "pause":
            known.state = "paused"
        if action == "unpause":
            known.state = "running"
            return [LookAgain(known.id)]
        return []

    def _forget(self, container: str) -> list[News]:
        known = self.containers.pop(container, None)
        self._regroup()
        return [Gone(known.id, known.subject)] if known else []

    # Listings and inspections

    def see(self, rows: Iterable[Row], asked_at: float) -> list[News]:
        """Take in a listing that was asked for at *asked_at*, our clock."""
        news: list[News] = []
        present = set()
        for row in rows:
            present.add(row.id)
            news += self._see_one(row, asked_at)
        missing = [
            known.id for known in self.containers.values() if known.id not in present and known.heard_at < asked_at
        ]
        for container in missing:
            news += self._forget(container)
        self.listed = True
        return news

    def _see_one(self, row: Row, asked_at: float) -> list[News]:
        known = self.containers.get(row.id)
        if known is None or known.name != row.name or known.labels != row.labels:
            self._regroup()
        if known is None:
            known = self.containers[row.id] = Known(row.id, row.name, row.labels, row.state)
        known.name, known.labels, known.addresses = row.name, row.labels, row.addresses
        known.created_at = row.created_at or known.created_at
        donor = row.network_mode.removeprefix("container:") if row.network_mode.startswith("container:") else None
        if donor != known.network_donor:
            known.network_donor, self._graph = donor, None
        if known.heard_at >= asked_at:
            return []
        news: list[News] = []
        if row.health == "healthy" and known.health != "healthy":
            news.append(TurnedHealthy(row.id, asked_at))
        if row.state == "running" and row.health == "unhealthy":
            news.append(LookAgain(row.id))  # when it turned so is known only after an inspection
        if row.state in {"exited", "dead"} and known.state not in {"exited", "dead"}:
            news.append(Died(row.id, 0.0))
        known.state, known.health = row.state, row.health
        return news

    def learn(self, examination: Examination) -> list[News]:
        """Take in an inspection. A start that no event told of is news."""
        container, condition = examination.container, examination.condition
        known = self.containers.get(container.id)
        if known is None:
            return []
        if known.anatomy is None or known.anatomy.donors != container.donors:
            self._graph = None
        known.anatomy = container
        another = condition.started_at > condition.finished_at > known.started_at
        missed = bool(known.started_at) and (another or condition.started_at > known.started_at + MISSED_START_SECONDS)
        if known.heard_at < examination.at:
            known.state, known.health = condition.state, condition.health
            known.exit_code = condition.exit_code
        known.died_at = max(known.died_at, condition.finished_at)
        known.started_at = max(known.started_at, condition.started_at)
        if missed:
            known.stop_asked = False
            return [Started(known.id, condition.started_at, before=True)]
        return []

    # Questions

    def fulfils(self, container: str, condition: str) -> bool:
        """Say whether a dependency is in *condition*, as Compose names it; empty: healthy, or running if not probed."""
        known = self.containers.get(container)
        if known is None:
            return False
        if condition == "service_completed_successfully":
            return known.state == "exited" and known.exit_code == 0
        if not known.running or known.stop_asked:
            return False
        if condition == "service_healthy" or (not condition and known.health is not None):
            return known.health == "healthy"
        return True

    def well(self, container: str, condition: str) -> bool:
        """Say whether a dependency is nobody's root cause: it fulfils its condition and is not sick either."""
        known = self.containers.get(container)
        return self.fulfils(container, condition) and known is not None and known.health != "unhealthy"

    def lost_donor(self, donors: Iterable[str]) -> tuple[str, str] | None:
        """Name the first donor whose namespaces cannot be joined: (needs_recreation or donor_stopped, its name)."""
        for donor in sorted(donors):
            known = self.containers.get(donor)
            if known is None and self.listed:
                return "needs_recreation", donor[:12]
            if known is not None and known.state not in {"running", "paused"}:
                return "donor_stopped", known.name
        return None
