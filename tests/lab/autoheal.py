"""An autoheal at work behind a recorder that knows every call it made, and what tests ask of them."""

import json
from typing import Any

from lab.agent import AgentProcess
from lab.containers import OBEDIENT, Container, Health
from lab.recorder import Recorder, Request
from lab.wire import wait_for

# What is sick gets well by a restart, as most sick programs do.
CURABLE = (*OBEDIENT[:2], f"rm -f /lab/sick; {OBEDIENT[2]}")
OPTED_IN = {"autoheal": "true"}
SLOW_PULSE = Health(interval=2.0)  # for crowds: each probe costs 50 ms of a core


class Autoheal:
    """The agent, the recorder before its engine, and the questions tests ask of them."""

    def __init__(self, process: AgentProcess, recorder: Recorder) -> None:
        self.process, self.recorder = process, recorder

    def restarts(self, container: Container | None = None) -> list[Request]:
        """List the restart calls made for one container, or for all."""
        found = self.recorder.requests("POST", r"^/containers/[^/]+/restart$")
        return [each for each in found if container is None or container.id in each.path]

    def actions(self, container: Container) -> list[Request]:
        """List every call that changed anything about *container*."""
        return self.recorder.requests("POST", container.id)

    def wait_healed(self, *containers: Container, deadline: float = 60.0) -> None:
        for container in containers:
            self.process.wait_for("heal_ended", container=container.name, outcome="recovered", deadline=deadline)

    def records(self, container: Container) -> list[dict[str, Any]]:
        """Read the history of *container*, newest first."""
        done = self.process.command("history", "--json", "--container", container.name)
        assert done.returncode == 0, done.stderr
        return list(json.loads(done.stdout))

    def status(self, container: Container) -> dict[str, Any]:
        views = json.loads(self.process.command("status", "--json").stdout)
        return next((view for view in views if view["container"] == container.name), {})

    def wait_standing(self, container: Container, standing: str, deadline: float = 30.0) -> dict[str, Any]:
        """Wait until `status` gives *container* this standing; returns what it says then."""

        def found() -> dict[str, Any]:
            view = self.status(container)
            return view if view.get("standing") == standing else {}

        return wait_for(found, f"{container.name} is {standing}", deadline=deadline, pause=0.2)

    def has_looked(self, times: int = 1) -> None:
        """Wait until everything was listed anew *times* times from now on, and judged."""
        seen = len([each for each in self.recorder.requests("GET", "^/containers/json$") if each.ended])
        wait_for(
            lambda: (
                len([r for r in self.recorder.requests("GET", "^/containers/json$") if r.ended]) >= seen + times + 1
            ),
            "autoheal has listed everything",
        )
