"""POST_RESTART_SCRIPT, as docker-autoheal calls it, but never in the way and never for ever."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from autoheal.health import Container
from sidecarkit import logs
from sidecarkit.crew import Crew

LONGEST_SECONDS = 60.0


class PostRestartScript:
    """Runs the script with: name, short id, state, stop timeout. No *path*: does nothing.

    What it prints goes to our stderr as it comes: stdout holds the log, and a flood must not be kept in memory.
    """

    def __init__(self, path: Path | None, log: logs.Log, *, longest_seconds: float = LONGEST_SECONDS) -> None:
        self._path, self._log, self._longest_seconds = path, log, longest_seconds
        self._crew = Crew("script", 2)

    def run(self, container: Container, stop_seconds: int | None) -> None:
        if self._path:
            seconds = container.stop_seconds if stop_seconds is None else stop_seconds
            command = (str(self._path), container.name, container.id[:12], "running", str(seconds))
            self._crew.do(lambda: self._run(command))

    def _run(self, command: tuple[str, ...]) -> None:
        try:
            # A session of its own, so that what the script has started ends with it.
            process = subprocess.Popen(  # noqa: S603 - the operator's own script, given as a list
                command, stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True
            )
        except OSError as error:
            self._log.error("post_restart_script_failed", container=command[1], reason=error.strerror)
            return
        try:
            status = process.wait(self._longest_seconds)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            self._log.error("post_restart_script_stopped", container=command[1], after_seconds=self._longest_seconds)
        else:
            log = self._log.info if status == 0 else self._log.error
            log("post_restart_script_ended", container=command[1], exit_code=status)
