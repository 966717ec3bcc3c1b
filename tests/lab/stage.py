"""A stage for autoheal without an engine: containers played by hand, hands that only write down what was ordered.

The play drives the real ward, world and ledger as the loop does, on a clock that moves only when told.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from autoheal.config import Config
from autoheal.hands import Answered, Examined, Hands, LogFetched, Order
from autoheal.health import Container, Examination, examine
from autoheal.ledger import Ledger, read_records
from autoheal.metrics import Metrics
from autoheal.script import PostRestartScript
from autoheal.tools import Tools
from autoheal.ward import Ward
from autoheal.world import World
from sidecarkit import logs, settings, state
from sidecarkit.containers import Row
from sidecarkit.errors import ContainerGone, EngineError, EngineUnavailable
from sidecarkit.identity import Kin
from sidecarkit.notify import Notice, Notifier
from sidecarkit.watch import Event

NOON = 1_700_000_000.0  # when every play begins, Unix time
PROBE = {"Test": ["CMD", "true"], "Interval": 10**9, "Timeout": 2 * 10**9, "Retries": 3, "StartPeriod": 0}
CYCLE_SECONDS = 3.0  # of PROBE: interval and timeout
_LOG = logs.get("autoheal")


def container_id(name: str) -> str:
    """Make 64 hex digits out of a name."""
    return (name.encode().hex() + "0" * 64)[:64]


def stamp(at: float) -> str:
    """Write a Unix time as the engine does; 0 is its zero time."""
    if not at:
        return "0001-01-01T00:00:00Z"
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


def config(**environ: str) -> Config:
    """Read settings, given without their prefix: `config(backoff="1s")` is AUTOHEAL_BACKOFF."""
    return settings.read(Config, {f"AUTOHEAL_{name.upper()}": value for name, value in environ.items()})


@dataclass
class Actor:
    """One container of the play, as the engine sees it."""

    name: str
    labels: dict[str, str] = field(default_factory=dict)
    state: str = "running"
    health: str | None = "healthy"
    streak: int = 0
    outputs: list[str] = field(default_factory=list)  # of the failed probes since the last good one
    created_at: float = NOON
    started_at: float = NOON - 3600
    died_at: float = 0.0
    exit_code: int = 0
    oom_killed: bool = False
    restart_count: int = 0
    healthcheck: Mapping[str, Any] | None = field(default_factory=lambda: PROBE)
    network_mode: str = "mail_default"
    pid_mode: str = ""
    environment: tuple[str, ...] = ()
    stop_timeout: int | None = None
    failed_at: list[float] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return container_id(self.name)

    def row(self) -> Row:
        health = self.health if self.state in {"running", "paused"} else None
        return Row(
            self.id, self.name, "image", self.state, health, dict(self.labels), self.network_mode, (), self.created_at
        )

    def document(self) -> dict[str, Any]:
        """Answer an inspection."""
        probes = [
            {"Start": stamp(at - 0.1), "End": stamp(at), "ExitCode": 1, "Output": output}
            for at, output in zip(self.failed_at, self.outputs, strict=True)
        ]
        health = {"Health": {"Status": self.health, "FailingStreak": self.streak, "Log": probes[-5:]}}
        return {
            "Id": self.id,
            "Name": f"/{self.name}",
            "RestartCount": self.restart_count,
            "State": {
                "Status": self.state,
                "ExitCode": self.exit_code,
                "OOMKilled": self.oom_killed,
                "StartedAt": stamp(self.started_at),
                "FinishedAt": stamp(self.died_at),
                **(health if self.health else {}),
            },
            "Config": {
                "Labels": dict(self.labels),
                "Env": list(self.environment),
                "StopTimeout": self.stop_timeout,
                **({"Healthcheck": dict(self.healthcheck)} if self.healthcheck else {}),
            },
            "HostConfig": {"NetworkMode": self.network_mode, "PidMode": self.pid_mode, "IpcMode": "private"},
            **self.extra,
        }

    def examination(self, at: float) -> Examination:
        return examine(self.document(), at)


class WrittenOrders(Hands):
    """Hands that do nothing but remember what was asked of them."""

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.to_examine: list[str] = []
        self.logs_asked: list[int] = []
        self.looks = 0

    def look(self) -> None:
        self.looks += 1

    def examine(self, container: str) -> None:
        self.to_examine.append(container)

    def act(self, order: Order) -> None:
        self.orders.append(order)

    def fetch_log(self, record: int, examination: Examination, tail: int, until: float) -> None:
        self.logs_asked.append(record)


class WrittenNotices(Notifier):
    """A notifier that keeps what it was told."""

    def __init__(self) -> None:
        super().__init__((), _LOG)
        self.told: list[Notice] = []

    def tell(self, notice: Notice) -> None:
        self.told.append(notice)

    def titles(self, event: str) -> list[str]:
        return [notice.title for notice in self.told if notice.event == event]


class WrittenRuns(PostRestartScript):
    """A script that is never run, but counted."""

    def __init__(self) -> None:
        super().__init__(None, _LOG)
        self.runs: list[tuple[str, int | None]] = []

    def run(self, container: Container, stop_seconds: int | None) -> None:
        self.runs.append((container.name, stop_seconds))


class Stage:
    """The play: actors, the clock, and the ward that watches them."""

    def __init__(self, folder: Path, kin: Kin | None = None, **environ: str) -> None:
        self.now = NOON
        self.folder, self.config = folder, config(**environ)
        self.actors: dict[str, Actor] = {}
        self.kin = kin or Kin(frozenset(), None, frozenset())
        self.told = WrittenNotices()
        self.begin()

    def begin(self) -> None:
        """Raise autoheal on what its state folder remembers; called again, it is a restart after kill -9."""
        self.hands, self.script = WrittenOrders(), WrittenRuns()
        self.world = World(self.config, self.kin, None)
        self.ledger = Ledger(self.folder, _LOG)
        self.ledger._database.execute("PRAGMA synchronous = OFF")  # a play needs no disk that survives a power cut
        self.metrics = Metrics(CollectorRegistry())
        self.ward = Ward(
            Tools(
                config=self.config,
                world=self.world,
                ledger=self.ledger,
                hands=self.hands,
                notifier=self.told,
                metrics=self.metrics,
                script=self.script,
                log=_LOG,
                clock=lambda: self.now,
            )
        )

    # The cast

    def enter(self, *names: str, service: str | None = None, **facts: Any) -> Actor:
        """Put healthy, labelled containers of the project `mail` on the stage; returns the last."""
        labels = {"autoheal": "true", **facts.pop("labels", {})}
        for name in names:
            compose = {"com.docker.compose.project": "mail", "com.docker.compose.service": service or name}
            self.actors[name] = Actor(name, {**compose, **labels}, **facts)
        return self.actors[names[-1]]

    # What the ward hears. Each ends with the ward's conclusions.

    def look(self) -> None:
        """Have everything listed, and what was asked for inspected."""
        rows = [actor.row() for actor in self.actors.values()]
        self.ward.hear(self.world.see(rows, self.now), self.now)
        self.ward.listed(self.now)
        self.consider()

    def consider(self) -> None:
        """Let the ward decide until it asks for nothing more."""
        self.ward.consider(self.now)
        for _ in range(20):
            if not self.hands.to_examine:
                return
            self._inspect_all()
            self.ward.consider(self.now)
        raise AssertionError("the ward asks for inspections without end")

    def _inspect_all(self) -> None:
        asked, self.hands.to_examine[:] = list(dict.fromkeys(self.hands.to_examine)), []
        for container in asked:
            self.ward.examined(self._inspect(container), self.now)

    def _inspect(self, container: str) -> Examined:
        actor = next((each for each in self.actors.values() if each.id == container), None)
        if actor is None:
            return Examined(container, None, ContainerGone("inspect: no such container (404)", 404))
        return Examined(container, actor.examination(self.now))

    def hear(self, name: str, action: str, **attributes: str) -> None:
        """Tell of an event without changing the actor."""
        actor = self.actors[name]
        event = Event(
            "container", action, actor.id, {"name": name, **actor.labels, **attributes}, round(self.now * 1e9)
        )
        ours = self.ward.care.awaits_stop(actor.id)
        self.ward.hear(self.world.hear(event, self.now, ours=ours), self.now)

    def replay(self, name: str, action: str, at: float, **attributes: str) -> None:
        """Tell of an event of the past, as the engine does after a subscription."""
        present, self.now = self.now, at
        self.hear(name, action, **attributes)
        self.now = present

    def look_and_adopt(self) -> None:
        """Look for the first time, and take over what a former autoheal left open, as the loop does."""
        rows = [actor.row() for actor in self.actors.values()]
        self.ward.hear(self.world.see(rows, self.now), self.now)
        self.ward.listed(self.now)
        self._inspect_all()
        self.ward.care.adopt(self.now)
        self.consider()

    def fail_inspections(self) -> None:
        """Answer every inspection that is asked for, and one more for each patient, with an engine that is away."""
        away = EngineUnavailable("inspect: connection refused")
        for container in {*self.hands.to_examine, *self.ward.patients}:
            self.ward.examined(Examined(container, None, away), self.now)

    def pause(self, name: str, seconds: float | None = None) -> None:
        self.ledger.pause(name, None if seconds is None else self.now + seconds)
        self.recall_pauses()

    def resume(self, name: str) -> None:
        self.ledger.resume(name, [known.subject for known in self.world.containers.values()])
        self.recall_pauses()
        self.ward.care.recall()
        self.consider()

    def recall_pauses(self) -> None:
        self.ward.pauses = self.ledger.pauses(self.now)

    def later(self, seconds: float) -> None:
        """Let time pass, with a look at everything at its end."""
        self.now += seconds
        self.look()

    def wait(self, seconds: float) -> None:
        """Let time pass without news."""
        self.now += seconds
        self.consider()

    # The plot

    def fail(self, name: str, *, output: str = "connection refused", heard: bool = True) -> None:
        """Have all retries of the probe fail."""
        actor = self.actors[name]
        actor.health, actor.streak = "unhealthy", 3
        actor.failed_at, actor.outputs = [self.now - 2, self.now - 1, self.now], [output] * 3
        if heard:
            self.hear(name, "health_status: unhealthy")
        self.consider()

    def fail_at_once(self, *names: str) -> None:
        """Have several fail before the ward considers any of them."""
        for name in names:
            actor = self.actors[name]
            actor.health, actor.streak = "unhealthy", 3
            actor.failed_at, actor.outputs = [self.now] * 3, ["connection refused"] * 3
            self.hear(name, "health_status: unhealthy")
        self.consider()

    def recover(self, name: str, *, heard: bool = True) -> None:
        actor = self.actors[name]
        actor.health, actor.streak, actor.failed_at, actor.outputs = "healthy", 0, [], []
        if heard:
            self.hear(name, "health_status: healthy")
        self.consider()

    def stop(self, name: str, exit_code: int = 0, *, signal: str = "15") -> None:
        """Have somebody, or the engine for us, stop it: signal and death."""
        self.hear(name, "kill", signal=signal)
        self.die(name, exit_code)

    def die(self, name: str, exit_code: int = 1) -> None:
        actor = self.actors[name]
        actor.state, actor.died_at, actor.exit_code = "exited", self.now, exit_code
        self.hear(name, "die", exitCode=str(exit_code))
        self.consider()

    def start(self, name: str, *, heard: bool = True) -> None:
        actor = self.actors[name]
        actor.state, actor.started_at, actor.streak = "running", self.now, 0
        actor.failed_at, actor.outputs = [], []
        actor.health = "starting" if actor.healthcheck else None
        if heard:
            self.hear(name, "start")
        self.consider()

    def restart_by_hand(self, name: str) -> None:
        self.stop(name)
        self.now += 0.1
        self.start(name)

    def remove(self, name: str) -> None:
        self.hear(name, "destroy")
        del self.actors[name]
        self.consider()

    # What the engine answers

    @property
    def ordered(self) -> list[str]:
        """Say whom the ward has had acted on so far, in order."""
        names = {actor.id: name for name, actor in self.actors.items()}
        return [names.get(order.container, order.container) for order in self.hands.orders]

    def perform(self, name: str, *, seconds: float = 0.2) -> None:
        """Carry out the last order for a container: its events, then the answer."""
        order = self._last_order(name)
        self.now += seconds
        if self.actors[name].state == "running":
            self.stop(name, 137)
        if order.action == "restart":
            self.now += 0.01
            self.start(name)
        self.ward.answered(Answered(order, self.now, 204), self.now)
        self.consider()

    def answer(self, name: str, error: EngineError) -> None:
        """Have the last order for a container fail."""
        self.ward.answered(Answered(self._last_order(name), self.now, error.status, error), self.now)
        self.consider()

    def _last_order(self, name: str) -> Order:
        return next(order for order in reversed(self.hands.orders) if order.container == container_id(name))

    def heal(self, name: str) -> None:
        """Carry out the last order, and have the container well again a second later."""
        self.perform(name)
        self.now += 1.0
        self.recover(name)

    def heal_in_vain(self, name: str) -> None:
        """Carry out the last order, and have the container fail again three seconds later."""
        self.perform(name)
        self.now += 3.0
        self.fail(name)

    def fetch_log(self, record: int, lines: list[bytes] | None, *environment: str) -> None:
        error = EngineError("logs: forbidden (403)", 403) if lines is None else None
        self.ward.care.log_fetched(LogFetched(record, lines, environment, error))

    # What is remembered

    def records(self, name: str | None = None) -> list[dict[str, Any]]:
        """Read what is on the disk, oldest first, as another process would."""
        database = state.open_read_only(self.folder / "autoheal.db")
        try:
            return read_records(database, container=name, limit=1000)[::-1]
        finally:
            database.close()

    def decisions(self, name: str | None = None) -> list[tuple[str, str]]:
        return [(record["decision"], record["reason"]) for record in self.records(name)]

    def outcomes(self, name: str | None = None) -> list[str | None]:
        return [record["outcome"] for record in self.records(name) if record["decision"] == "heal"]


def with_probe(**nanoseconds: int) -> dict[str, Any]:
    """Change PROBE, as in `with_probe(Interval=30 * 10**9)`."""
    return {**PROBE, **nanoseconds}


def with_haraka(stage: Stage) -> Stage:
    """Put one healthy container on the stage, listed and inspected."""
    stage.enter("haraka")
    stage.look()
    return stage
