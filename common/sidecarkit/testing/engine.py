"""A stand-in for the engine, for tests of what an agent decides and does.

It keeps the promises of `Engine` that the agents rely on; the same tests run on it and on a real engine
(tests/integration/sidecarkit/test_engine.py). Time passes as its clock says, and containers do what a test tells them.
"""

import itertools
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sidecarkit.errors import ContainerGone, EngineError
from sidecarkit.testing.events import EventLog, FakeStream, has_labels

_NEVER = "0001-01-01T00:00:00Z"
_SIGNALS = {"SIGHUP": 1, "SIGKILL": 9, "SIGTERM": 15}


@dataclass(slots=True)
class _Container:
    id: str
    name: str
    labels: dict[str, str]
    retries: int
    env: tuple[str, ...]
    network_mode: str
    is_stubborn: bool
    lines: list[tuple[float, bytes]] = field(default_factory=list)  # when it was printed, a line of the log
    state: str = "created"
    health: str | None = None
    streak: int = 0
    probes: list[dict[str, Any]] = field(default_factory=list)
    started_at: str = _NEVER
    finished_at: str = _NEVER
    exit_code: int = 0
    oom_killed: bool = False

    @property
    def is_up(self) -> bool:
        return self.state in {"running", "paused"}

    def row(self) -> dict[str, Any]:
        """Make what the list says: the health is only told in words, and of what runs."""
        health = {None: "", "starting": " (health: starting)"}.get(self.health, f" ({self.health})")
        status = {"running": f"Up 1 second{health}", "paused": "Up 1 second (Paused)", "created": "Created"}
        return {
            "Id": self.id,
            "Names": [f"/{self.name}"],
            "Image": "fake",
            "State": self.state,
            "Status": status.get(self.state, f"Exited ({self.exit_code}) 1 second ago"),
            "Labels": dict(self.labels),
            "HostConfig": {"NetworkMode": self.network_mode},
            "NetworkSettings": {"Networks": {}},
        }

    def document(self) -> dict[str, Any]:
        state: dict[str, Any] = {
            "Status": self.state,
            "Running": self.is_up,
            "Paused": self.state == "paused",
            "OOMKilled": self.oom_killed,
            "ExitCode": self.exit_code,
            "StartedAt": self.started_at,
            "FinishedAt": self.finished_at,
        }
        config: dict[str, Any] = {"Tty": False, "Env": list(self.env), "Labels": dict(self.labels)}
        if self.health is not None:
            state["Health"] = {"Status": self.health, "FailingStreak": self.streak, "Log": list(self.probes)}
            config["Healthcheck"] = {"Test": ["CMD-SHELL", "probe"], "Interval": 10**9, "Retries": self.retries}
        return {
            "Id": self.id,
            "Name": f"/{self.name}",
            "RestartCount": 0,
            "State": state,
            "Config": config,
            "HostConfig": {"NetworkMode": self.network_mode},
        }


class FakeEngine:
    """An engine whose containers are scripted.

    *before* is called with the operation and the container ("" for none) ahead of each call: it may block, as an
    engine that is slow, or raise, as one that is away. `calls` are all operations and containers, in order.
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.time, before: Callable[[str, str], None] = lambda *_: None
    ) -> None:
        self.before = before
        self.calls: list[tuple[str, str]] = []
        self._clock = clock
        self._lock = threading.Lock()
        self._containers: dict[str, _Container] = {}
        self._log = EventLog(clock)
        self._ids = (f"{number:064x}" for number in itertools.count(1))

    # What a test tells it

    def add(  # noqa: PLR0913 - a container, read by its keywords
        self,
        name: str,
        *,
        labels: Mapping[str, str] | None = None,
        health: str | None = None,
        retries: int = 1,
        env: Sequence[str] = (),
        network_mode: str = "bridge",
        is_stubborn: bool = False,
        is_started: bool = True,
    ) -> str:
        """Make a container and return its id. A *health* such as `starting` gives it a healthcheck.

        A stubborn one does not end on SIGTERM.
        """
        container = _Container(
            next(self._ids), name, dict(labels or {}), retries, tuple(env), network_mode, is_stubborn
        )
        with self._lock:
            self._containers[container.id] = container
            self._emit(container, "create")
            if is_started:
                self._start(container)
            container.health = health
        return container.id

    def turn(self, container: str, health: str, output: str = "") -> None:
        """Let its probes end so that it is `healthy` or `unhealthy`. Only a change is an event."""
        with self._lock:
            found = self._find("turn", container)
            failed = health == "unhealthy"
            found.streak = max(found.streak + 1, found.retries) if failed else 0
            stamp = self._stamp()
            found.probes = [
                *found.probes[-4:],
                {"Start": stamp, "End": stamp, "ExitCode": int(failed), "Output": output},
            ]
            if found.health != health:
                found.health = health
                self._emit(found, f"health_status: {health}")

    def finish(self, container: str, exit_code: int, *, oom_killed: bool = False) -> None:
        """Let its main process end by itself."""
        with self._lock:
            found = self._find("finish", container)
            found.oom_killed = oom_killed
            self._die(found, exit_code)

    def start(self, container: str) -> None:
        with self._lock:
            self._start(self._find("start", container))

    def pause(self, container: str) -> None:
        with self._lock:
            found = self._find("pause", container)
            found.state = "paused"
            self._emit(found, "pause")

    def unpause(self, container: str) -> None:
        with self._lock:
            found = self._find("unpause", container)
            found.state = "running"
            self._emit(found, "unpause")

    def remove(self, container: str) -> None:
        with self._lock:
            found = self._find("remove", container)
            if found.is_up:
                self._signal(found, 9)
            del self._containers[found.id]
            self._emit(found, "destroy")

    def print(self, container: str, line: bytes) -> None:
        """Let it print a line."""
        with self._lock:
            self._find("print", container).lines.append((self._clock(), line))

    def cut(self) -> None:
        """End all streams, as an engine that stops does."""
        self._log.cut()

    # What agents ask of it

    def ping(self) -> float:
        self._called("ping")
        return float(int(self._clock()))

    def version(self) -> dict[str, Any]:
        self._called("version")
        return {"Version": "0", "ApiVersion": "1.41"}

    def containers(self, filters: Mapping[str, list[str]] | None = None) -> list[dict[str, Any]]:
        """List all, the newest first. Of the filters it knows `label` and `status`."""
        self._called("list")
        wanted = filters or {}
        with self._lock:
            return [
                found.row()
                for found in reversed(self._containers.values())
                if has_labels(found.labels, wanted.get("label", []))
                and ("status" not in wanted or found.state in wanted["status"])
            ]

    def inspect(self, container: str) -> dict[str, Any]:
        self._called("inspect", container)
        with self._lock:
            return self._find("inspect", container).document()

    def restart(self, container: str, stop_seconds: int | None, patience_seconds: float) -> int:  # noqa: ARG002 - Engine's
        self._called("restart", container)
        with self._lock:
            found = self._find("restart", container)
            self._stop(found)
            self._start(found)
            self._emit(found, "restart")
        return 204

    def stop(self, container: str, stop_seconds: int | None, patience_seconds: float) -> int:  # noqa: ARG002 - Engine's
        self._called("stop", container)
        with self._lock:
            found = self._find("stop", container)
            if not found.is_up:
                return 304
            self._stop(found)
        return 204

    def kill(self, container: str, signal: str = "SIGKILL") -> int:
        self._called("kill", container)
        with self._lock:
            found = self._find("kill", container)
            if not found.is_up:
                raise EngineError(f"kill: Cannot kill container: {container} is not running (409)", 409)
            self._signal(found, _SIGNALS[signal])
        return 204

    def logs(self, container: str, *, tail: int, until: float, tty: bool) -> list[bytes]:  # noqa: ARG002 - Engine's
        self._called("logs", container)
        with self._lock:
            lines = self._find("logs", container).lines
            return [line for printed_at, line in lines if printed_at < until][-tail:]

    def events(self, since: str, filters: Mapping[str, list[str]]) -> FakeStream:
        self._called("events")
        return self._log.subscribe(since, filters)

    # How it works

    def _called(self, operation: str, container: str = "") -> None:
        with self._lock:
            self.calls.append((operation, container))
        self.before(operation, container)

    def _find(self, operation: str, container: str) -> _Container:
        found = self._containers.get(container)
        if found is None:
            raise ContainerGone(f"{operation}: No such container: {container} (404)", 404)
        return found

    def _start(self, container: _Container) -> None:
        container.state, container.started_at = "running", self._stamp()
        container.exit_code, container.oom_killed = 0, False
        if container.health is not None:
            container.health, container.streak = "starting", 0
        self._emit(container, "start")

    def _stop(self, container: _Container) -> None:
        if not container.is_up:
            return
        self._emit(container, "kill", signal="15")
        if container.state == "paused":
            container.state = "running"
            self._emit(container, "unpause")
        if container.is_stubborn:
            self._signal(container, 9)
        else:
            self._die(container, 0)
        self._emit(container, "stop")

    def _signal(self, container: _Container, signal: int) -> None:
        self._emit(container, "kill", signal=str(signal))
        if signal == 9:
            self._die(container, 137)
        elif signal == 15 and container.state == "running" and not container.is_stubborn:
            self._die(container, 0)

    def _die(self, container: _Container, exit_code: int) -> None:
        container.state, container.exit_code, container.finished_at = "exited", exit_code, self._stamp()
        if container.health is not None:
            container.health, container.streak = "unhealthy", 0  # without an event: what does not run is not healthy
        self._emit(container, "die", exitCode=str(exit_code))

    def _emit(self, container: _Container, action: str, **attributes: str) -> None:
        self._log.publish(container.id, action, {**container.labels, "name": container.name, **attributes})

    def _stamp(self) -> str:
        return datetime.fromtimestamp(self._clock(), UTC).isoformat().replace("+00:00", "Z")
