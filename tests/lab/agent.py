"""An agent as a process of its own, started as its image starts it, with its log lines as they come."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Self

from lab import freezing

_ROOT = Path(__file__).parents[2]
_LINES_SHOWN = 100


class AgentProcess:
    """Runs `python -m NAME` in an environment of its own: nothing of the test's environment reaches it but PATH.

    *docker_host* names the engine. *env* are further variables; *http* gives it a free loopback port (see `address`),
    otherwise it has none. *prefix* is a command to run it with, such as `engine.inside()`.
    """

    def __init__(  # noqa: PLR0913 - a process, read by its keywords
        self,
        name: str,
        folder: Path,
        *,
        docker_host: str = "unix:///nowhere/docker.sock",
        env: Mapping[str, str] | None = None,
        http: bool = False,
        prefix: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.state = folder / f"{name}-state"
        self.address = f"127.0.0.1:{free_port()}" if http else ""
        upper = name.upper()
        self.env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "PYTHONPATH": f"{_ROOT / 'agents'}:{_ROOT / 'common'}",
            "DOCKER_HOST": docker_host,
            "LOG_FORMAT": "json",
            f"{upper}_STATE": str(self.state),
            f"{upper}_HTTP": self.address,
            **(env or {}),
        }
        self._prefix = tuple(prefix)
        self._heard = threading.Condition()
        self._lines: list[dict[str, Any]] = []
        self._stderr: list[str] = []
        self._process: subprocess.Popen[str] | None = None
        self._readers: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Its life

    def start(self) -> Self:
        """Start it. The lines of an earlier run are forgotten, its state is not."""
        with self._heard:
            self._lines.clear()
            self._stderr.clear()
        self._process = subprocess.Popen(
            self._command("run"),
            env=self.env,
            cwd="/",
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._readers = [
            threading.Thread(target=read, args=(stream,), name=self.name, daemon=True)
            for read, stream in ((self._read_log, self._process.stdout), (self._read_stderr, self._process.stderr))
        ]
        for reader in self._readers:
            reader.start()
        return self

    def stop(self, deadline: float = 15.0) -> int:
        """SIGTERM and wait; returns the exit status."""
        self.process.terminate()
        return self.wait(deadline)

    def wait(self, deadline: float = 15.0) -> int:
        """Wait for its end by itself; returns the exit status."""
        try:
            status = self.process.wait(deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {deadline:g} s\n{self.report()}") from None
        for reader in self._readers:
            reader.join(5.0)
        return status

    def kill9(self) -> None:
        """SIGKILL and wait."""
        self.process.kill()
        self.wait()

    def restart(self) -> Self:
        """Stop it, if it runs, and start it again with the same state."""
        if self.running:
            self.stop()
        return self.start()

    def freeze(self) -> None:
        freezing.freeze(self.pid)

    def thaw(self) -> None:
        freezing.thaw(self.pid)

    def close(self) -> None:
        """End it, whatever it does."""
        if self.running:
            self.kill9()

    @property
    def process(self) -> "subprocess.Popen[str]":
        if self._process is None:
            raise AssertionError(f"{self.name} was not started")
        return self._process

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def rss(self) -> int:
        """Its resident memory, in bytes."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS:"))

    @property
    def cpu_seconds(self) -> float:
        """What it has used of processors so far, its threads and its ended children too."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(int(fields[at]) for at in (11, 12, 13, 14)) / os.sysconf("SC_CLK_TCK")

    # What it says

    def lines(self, event: str | None = None, **facts: Any) -> list[dict[str, Any]]:
        """List its log lines so far: those of *event* with all of these *facts*."""
        with self._heard:
            return [line for line in self._lines if _fits(line, event, facts)]

    def wait_for(self, event: str, *, deadline: float = 20.0, count: int = 1, **facts: Any) -> dict[str, Any]:
        """Wait for the *count*-th line of *event* with all of these *facts*, in this run; returns the line."""
        end = time.monotonic() + deadline
        with self._heard:
            while True:
                found = [line for line in self._lines if _fits(line, event, facts)]
                if len(found) >= count:
                    return found[count - 1]
                left = end - time.monotonic()
                if left <= 0 or not (self.running or any(reader.is_alive() for reader in self._readers)):
                    break
                self._heard.wait(min(left, 0.5))
        wanted = " ".join([event, *(f"{key}={value!r}" for key, value in facts.items())])
        raise AssertionError(f"{len(found)} of {count} x {wanted} within {deadline:g} s\n{self.report()}")

    def report(self) -> str:
        """Say how it is and what it said last, for a failing test."""
        status = "running" if self.running else f"ended with {self.process.returncode}"
        with self._heard:
            lines = [json.dumps(line) for line in self._lines[-_LINES_SHOWN:]]
            return "\n".join([f"{self.name} is {status}; its last lines:", *lines, *self._stderr[-_LINES_SHOWN:]])

    @property
    def stderr(self) -> str:
        with self._heard:
            return "".join(self._stderr)

    def _read_log(self, stream: IO[str]) -> None:
        for text in stream:
            line: dict[str, Any] = {"event": None, "text": text.rstrip("\n")}  # what is no JSON
            with suppress(ValueError):
                decoded = json.loads(text)
                line = decoded if isinstance(decoded, dict) else line
            with self._heard:
                self._lines.append(line)
                self._heard.notify_all()

    def _read_stderr(self, stream: IO[str]) -> None:
        for text in stream:
            with self._heard:
                self._stderr.append(text)

    # Its other commands

    def command(self, *words: str, timeout: float = 30.0) -> "subprocess.CompletedProcess[str]":
        """Run another of its commands in the same environment: `agent.command("history", "--json").stdout`."""
        return subprocess.run(
            self._command(*words), env=self.env, cwd="/", text=True, capture_output=True, timeout=timeout, check=False
        )

    def _command(self, *words: str) -> list[str]:
        return [*self._prefix, sys.executable, "-m", self.name, *words]


def free_port() -> int:
    """Find a TCP port of the loopback interface that is free at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _fits(line: Mapping[str, Any], event: str | None, facts: Mapping[str, Any]) -> bool:
    return (event is None or line.get("event") == event) and all(
        key in line and line[key] == value for key, value in facts.items()
    )
