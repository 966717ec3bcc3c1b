"""POST_RESTART_SCRIPT, as docker-autoheal calls it, but never in the way and never for ever."""

import subprocess
from pathlib import Path

from autoheal.health import Container
from sidecarkit import logs
from sidecarkit.crew import Crew

LONGEST_SECONDS = 60.0


class PostRestartScript:
    """Runs the script with: name, short id, state, stop timeout. No *path*: does nothing."""

    def __init__(self, path: Path | None, log: logs.Log) -> None:
        self._path, self._log = path, log
        self._crew = Crew("script", 2)

    def run(self, container: Container, stop_seconds: int | None) -> None:
        if self._path:
            seconds = container.stop_seconds if stop_seconds is None else stop_seconds
            command = (str(self._path), container.name, container.id[:12], "running", str(seconds))
            self._crew.do(lambda: self._run(command))

    def _run(self, command: tuple[str, ...]) -> None:
        try:
            done = subprocess.run(  # noqa: S603 - the operator's own script, given as a list
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=LONGEST_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            self._log.error("post_restart_script_stopped", container=command[1], after_seconds=LONGEST_SECONDS)
        except OSError as error:
            self._log.error("post_restart_script_failed", container=command[1], reason=error.strerror)
        else:
            log = self._log.info if done.returncode == 0 else self._log.error
            log("post_restart_script_ended", container=command[1], exit_code=done.returncode)
