"""Tells a consumer to read its files again. What is asked for twice is done once: a restart in between counts."""

import contextlib
import datetime as dt
import os
import re
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from certsync import wildduck
from certsync.certificate import Offer
from certsync.refusal import Reason, RefusalError
from certsync.target import Command, Exec, Http, Restart, Signal, Target, Touch, objection_to_signal
from sidecarkit.containers import Row, row
from sidecarkit.errors import ContainerGone, EngineError
from sidecarkit.masking import Mask

RESTART_PATIENCE_SECONDS = 120.0  # a consumer that takes long to stop is waited for


class Engine(Protocol):
    """What certsync needs of the engine, and no more."""

    def containers(self) -> list[dict[str, Any]]: ...
    def inspect(self, container: str) -> dict[str, Any]: ...
    def restart(self, container: str, stop_seconds: int | None, patience_seconds: float) -> int: ...
    def kill(self, container: str, signal: str = ...) -> int: ...
    def post(self, operation: str, path: str, *, body: Any = ...) -> int: ...
    def post_json(self, operation: str, path: str, body: Any) -> Any: ...
    def get_json(self, operation: str, path: str) -> Any: ...


@dataclass(frozen=True, slots=True)
class Reloader:
    """Carries reloads out. Without an *engine* only those that need none."""

    engine: Engine | None
    api_token: str | None = None  # for WildDuck's API, where a target names no file of its own
    command_seconds: float = 30.0  # how long a command may take

    def perform(self, target: Target, pair: Offer, written_at: float) -> str:
        """Reload *target*, whose files were written at Unix time *written_at*; say what was done.

        Raises `RefusalError` with `reload_failed`, or `container_missing` when there is nobody to tell.
        """
        match target.reload:
            case None:
                done = "nobody is told"
            case Touch(path):
                done = _touch(path)
            case Http() as call:
                done = wildduck.call(call, target, pair, self.api_token)
            case Command(command):
                done = _run(command, target, self.command_seconds)
            case Restart() as restart:
                done = self._on_each(restart.container, lambda one: self._restart(restart, one, written_at))
            case Signal() as send:
                done = self._on_each(send.container, lambda one: self._signal(send, one))
            case Exec() as run:
                done = self._on_each(run.container, lambda one: self._exec(run, one))
        return done

    def _on_each(self, name: str, act: Callable[[Row], str]) -> str:
        if self.engine is None:
            raise RefusalError(Reason.RELOAD_FAILED, f"{name} cannot be reached: there is no Docker engine to ask")
        try:
            containers = [one for one in map(row, self.engine.containers()) if _is_called(one, name)]
            running = [one for one in containers if one.state == "running"]
            if not running:
                state = containers[0].state if containers else "absent"
                raise RefusalError(Reason.CONTAINER_MISSING, f"{name} is {state}; it reads the new pair when it starts")
            return ", ".join(act(one) for one in running)
        except ContainerGone:
            raise RefusalError(Reason.CONTAINER_MISSING, f"{name} is gone") from None
        except EngineError as error:
            raise RefusalError(Reason.RELOAD_FAILED, str(error)) from None

    def _restart(self, restart: Restart, one: Row, written_at: float) -> str:
        engine = _present(self.engine)
        if _started_at(engine.inspect(one.id)) > written_at:
            return f"{one.name} has started since by itself"
        engine.restart(one.id, restart.stop_seconds, RESTART_PATIENCE_SECONDS)
        return f"restarted {one.name}"

    def _signal(self, send: Signal, one: Row) -> str:
        if objection := objection_to_signal(send.name, one.name, one.service or "", one.image):
            raise RefusalError(Reason.RELOAD_FAILED, objection)
        _present(self.engine).kill(one.id, send.name)
        return f"sent {send.name} to {one.name}"

    def _exec(self, run: Exec, one: Row) -> str:
        engine = _present(self.engine)
        asked = {"Cmd": list(run.command), "AttachStdout": True, "AttachStderr": True}
        made = engine.post_json("exec_create", f"/containers/{one.id}/exec", asked)["Id"]
        engine.post("exec_start", f"/exec/{made}/start", body={"Detach": False, "Tty": False})
        status = engine.get_json("exec_inspect", f"/exec/{made}/json")["ExitCode"]
        if status != 0:
            raise RefusalError(Reason.RELOAD_FAILED, f"{run.command[0]} in {one.name} ended with status {status}")
        return f"ran {run.command[0]} in {one.name}"


def _present(engine: Engine | None) -> Engine:
    if engine is None:
        raise RefusalError(Reason.RELOAD_FAILED, "there is no Docker engine to ask")
    return engine


def _is_called(one: Row, name: str) -> bool:
    return name in {one.name, one.service} or (len(name) >= 12 and one.id.startswith(name))


def _started_at(document: dict[str, Any]) -> float:
    """When the container started, Unix time. The engine gives nine digits of a second, Python reads six."""
    text = str(document.get("State", {}).get("StartedAt", ""))
    found = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,6})?\d*(Z|[+-]\d\d:\d\d)", text)
    if found is None:
        return 0.0
    moment = dt.datetime.fromisoformat(f"{found[1]}{found[2] or ''}{found[3].replace('Z', '+00:00')}")
    return moment.timestamp()


def _touch(path: str) -> str:
    try:
        with contextlib.suppress(FileNotFoundError):
            os.utime(path)
            return "touched its file"
        directory = os.stat(os.path.dirname(path))  # noqa: PTH116, PTH120 - plain strings as in the store
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
        with contextlib.closing(os.fdopen(descriptor)), contextlib.suppress(PermissionError):
            os.fchown(descriptor, directory.st_uid, directory.st_gid)
    except OSError as error:
        raise RefusalError(Reason.RELOAD_FAILED, f"{path}: {error.strerror}") from None
    return "made its file"


def _run(command: tuple[str, ...], target: Target, seconds: float) -> str:
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "CERTSYNC_TARGET": target.name,
        "CERTSYNC_DOMAINS": " ".join(target.wanted.domains),
        **{f"CERTSYNC_{one.form.upper()}": one.path for one in target.outputs},
    }
    try:
        process = subprocess.Popen(  # noqa: S603 - the operator's own command, a list that no shell reads
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise RefusalError(Reason.RELOAD_FAILED, f"{command[0]}: {error.strerror}") from None
    with process:
        try:
            _, complaint = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise RefusalError(
                Reason.RELOAD_FAILED, f"{command[0]} took longer than {seconds:g} s and was killed"
            ) from None
    if process.returncode != 0:
        last = Mask()(complaint[-4096:].decode(errors="replace")).strip().rpartition("\n")[2][:200]
        raise RefusalError(Reason.RELOAD_FAILED, f"{command[0]} ended with status {process.returncode}: {last}")
    return f"ran {command[0]}"
