"""Containers for tests: tiny, with a health that the test decides by a file, and gone when the test is over."""

import json
import os
import secrets
import shutil
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from lab.engine import IMAGE, GivenEngine
from lab.wire import call, demand, wait_for

LABEL = "sidecars.lab"  # on all of them, so that leftovers can be found
# Ends at once on SIGTERM, and with the status that is written into the pipe /lab/exit.
OBEDIENT = ("sh", "-c", 'trap "exit 0" TERM; cat /lab/exit >/tmp/status & wait $!; exit "$(cat /tmp/status)"')
# As process 1 it has no handler for SIGTERM, and the kernel then drops the signal.
STUBBORN = ("sleep", "86400")
_SICK_WHEN_FILE = "if [ -e /lab/sick ]; then cat /lab/sick; exit 1; fi"


@dataclass(frozen=True, slots=True)
class Health:
    """A healthcheck, in seconds. Engines take intervals down to a millisecond; each probe costs 50 ms of a core."""

    interval: float = 0.5
    retries: int = 1
    start_period: float = 0.0
    timeout: float = 5.0
    shell: str = _SICK_WHEN_FILE

    def document(self) -> dict[str, Any]:
        return {
            "Test": ["CMD-SHELL", self.shell],
            "Interval": int(self.interval * 1e9),
            "Timeout": int(self.timeout * 1e9),
            "StartPeriod": int(self.start_period * 1e9),
            "Retries": self.retries,
        }


class Container:
    """One container. `folder` is a folder of the host that the container sees as /lab."""

    def __init__(self, url: str, identity: str, name: str, folder: Path) -> None:
        self._url, self.id, self.name, self.folder = url, identity, name, folder

    def __repr__(self) -> str:
        return f"<{self.name} {self.id[:12]}>"

    # Its health and end

    def make_sick(self, output: str = "sick") -> None:
        """Let its probe fail from now on, printing *output*."""
        (self.folder / "sick").write_text(output)

    def make_well(self) -> None:
        (self.folder / "sick").unlink(missing_ok=True)

    def exit(self, status: int) -> None:
        """Let its main process end by itself (the default command only)."""

        def written() -> bool:
            # Without a reader (it starts just now) opening the pipe fails.
            with suppress(OSError):
                pipe = os.open(self.folder / "exit", os.O_WRONLY | os.O_NONBLOCK)
                try:
                    return os.write(pipe, str(status).encode()) > 0
                finally:
                    os.close(pipe)
            return False

        wait_for(written, f"{self.name} listens for its end")

    # What a person would do

    def start(self) -> None:
        self._post("start")

    def stop(self, seconds: int | None = None) -> None:
        self._post("stop", {} if seconds is None else {"t": seconds})

    def restart(self, seconds: int | None = None) -> None:
        self._post("restart", {} if seconds is None else {"t": seconds})

    def kill(self, signal: str = "SIGKILL") -> None:
        self._post("kill", {"signal": signal})

    def pause(self) -> None:
        self._post("pause")

    def unpause(self) -> None:
        self._post("unpause")

    def remove(self) -> None:
        """Remove it by force; one that is gone is fine."""
        status, answer = call(self._url, "DELETE", f"/containers/{self.id}", {"force": 1, "v": 1})
        if status not in {204, 404, 409}:  # 409: it is being removed already
            raise AssertionError(f"{self.name}: {status} {answer}")

    def run(self, *command: str) -> tuple[int, str]:
        """Run *command* in it; returns exit status and output."""
        body = {"Cmd": list(command), "AttachStdout": True, "AttachStderr": True, "Tty": True}
        process = demand(self._url, "POST", f"/containers/{self.id}/exec", body=body)["Id"]
        how = {"Detach": False, "Tty": True}
        output = demand(self._url, "POST", f"/exec/{process}/start", body=how, decoded=False)
        return int(demand(self._url, "GET", f"/exec/{process}/json")["ExitCode"]), str(output)

    def _post(self, action: str, query: Mapping[str, Any] | None = None) -> None:
        demand(self._url, "POST", f"/containers/{self.id}/{action}", query, timeout_seconds=120.0)

    # What it is like

    def inspect(self) -> dict[str, Any]:
        document: dict[str, Any] = demand(self._url, "GET", f"/containers/{self.id}/json")
        return document

    @property
    def state(self) -> str:
        """The engine's word: created, running, paused, restarting, removing, exited or dead."""
        return str(self.inspect()["State"]["Status"])

    @property
    def health(self) -> str | None:
        health = self.inspect()["State"].get("Health")
        return str(health["Status"]) if health else None

    @property
    def started_at(self) -> str:
        return str(self.inspect()["State"]["StartedAt"])

    def wait_for(self, *, state: str | None = None, health: str | None = None, deadline: float = 30.0) -> None:
        wanted = (state, health)

        def reached() -> bool:
            return (state is None or self.state == state) and (health is None or self.health == health)

        try:
            wait_for(reached, f"{self.name} {' '.join(filter(None, wanted))}", deadline=deadline)
        except AssertionError as error:
            error.add_note(f"the engine says: {json.dumps(self.inspect()['State'])}")
            raise


class Containers:
    """Makes containers on an engine and removes them all on exit."""

    def __init__(self, engine: GivenEngine) -> None:
        self._url = engine.url
        self._folder = Path(tempfile.mkdtemp(prefix="sidecars-containers-"))
        self.mark = secrets.token_hex(4)
        self._lock = threading.Lock()
        self._all: list[Container] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.remove_all()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def create(  # noqa: PLR0913 - a container, read by its keywords
        self,
        name: str = "box",
        *,
        labels: Mapping[str, str] | None = None,
        health: Health | None = None,
        command: Sequence[str] = OBEDIENT,
        env: Mapping[str, str] | None = None,
        network_mode: str = "none",
        restart: str = "no",
        binds: Sequence[str] = (),
        host: Mapping[str, Any] | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> Container:
        """Create it without starting it. Its name gets a suffix that is unique to this test.

        *network_mode* is `none`, `bridge` or `container:<id>`: without a network it starts in half the time.
        *restart* is a restart policy such as `always` or `on-failure:2`. *binds* come beside that of /lab. *host* and
        *config* are laid over the HostConfig and the configuration in the engine's own words:
        `host={"PidMode": "container:..."}`.
        """
        full_name = f"{name}-{self.mark}"
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self._folder))
        os.mkfifo(folder / "exit")
        policy, _, attempts = restart.partition(":")
        body = {
            "Image": IMAGE,
            "Cmd": list(command),
            "Labels": {LABEL: self.mark, **(labels or {})},
            "Env": [f"{key}={value}" for key, value in (env or {}).items()],
            "Healthcheck": health.document() if health else None,
            "HostConfig": {
                "Binds": [f"{folder}:/lab", *binds],
                "NetworkMode": network_mode,
                "RestartPolicy": {"Name": policy, "MaximumRetryCount": int(attempts or 0)},
                **(host or {}),
            },
            **(config or {}),
        }
        answer = demand(self._url, "POST", "/containers/create", {"name": full_name}, body=body)
        container = Container(self._url, answer["Id"], full_name, folder)
        with self._lock:
            self._all.append(container)
        return container

    def run(self, name: str = "box", **further: Any) -> Container:
        """Create a container as `create` does, and start it."""
        container = self.create(name, **further)
        container.start()
        return container

    def run_many(self, count: int, name: str = "box", **further: Any) -> list[Container]:
        """Run *count* containers, four at a time."""
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(lambda number: self.run(f"{name}{number}", **further), range(count)))

    def remove_all(self) -> None:
        """Remove all that were made, also those whose creation was not heard of."""
        filters = f'{{"label": ["{LABEL}={self.mark}"]}}'
        rows = demand(self._url, "GET", "/containers/json", {"all": 1, "filters": filters})
        left = [Container(self._url, row["Id"], row["Id"], self._folder) for row in rows]
        self._for_all(left)

    @staticmethod
    def _for_all(containers: Iterable[Container]) -> None:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(Container.remove, containers))
