"""Engines to test against: one of our own that a test may kill, or the one that is given.

A private engine is a dockerd with data, sockets, cgroup and network namespace of its own. It shares nothing with an
engine of the host, nor with the host's firewall rules, and is gone without a trace when it is closed; one whose test
run was itself killed is swept up by the next run.
"""

import atexit
import fcntl
import io
import json
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from lab import freezing
from lab.wire import call, demand, wait_for
from sidecarkit.engine import DEFAULT_SOCKET, Endpoint, Engine

IMAGE = "sidecars/busybox"
PREFIX = "sidecars-lab-"
_BUSYBOX = Path("/bin/busybox")
_START_SECONDS = 60.0
_STOP_SECONDS = 60.0


class GivenEngine:
    """The engine of DOCKER_HOST, or of the default socket: to be used, not to be stopped."""

    is_private = False

    def __init__(self, url: str) -> None:
        self.url = url
        self.api = Engine(Endpoint(url))

    def answers(self) -> bool:
        try:
            return call(self.url, "GET", "/_ping", timeout_seconds=5.0)[0] == 200
        except OSError:
            return False

    def import_image(self) -> None:
        """Bring in the image of all test containers, without a registry."""
        if call(self.url, "GET", f"/images/{IMAGE}/json")[0] != 200:
            query = {"fromSrc": "-", "repo": IMAGE, "tag": "latest"}
            demand(self.url, "POST", "/images/create", query, body=busybox_image())

    def events(self, since: float, **filters: list[str]) -> list[dict[str, Any]]:
        """Read what the engine's ring of 256 events holds from *since* (Unix time) until now."""
        query = {"since": f"{since:.9f}", "until": f"{time.time():.9f}", "filters": json.dumps(filters)}
        answer = call(self.url, "GET", "/events", query)[1]
        lines = [answer] if isinstance(answer, dict) else [json.loads(line) for line in answer.splitlines()]
        return [line for line in lines if line]

    def close(self) -> None:
        """Leave it as it is."""


class PrivateEngine(GivenEngine):
    """A dockerd of our own. Needs root. *options* is the content of its daemon.json, such as `{"live-restore": True}`.

    `start` and `stop` wait until it answers or is gone; `kill` leaves behind what a crash leaves behind.
    """

    is_private = True

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        sweep()
        self.root = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._owner: int | None = _own(self.root)
        self.namespace = self.root.name
        self.socket = self.root / "docker.sock"
        self.log_file = self.root / "dockerd.log"
        self.options = dict(options or {})
        self._process: subprocess.Popen[bytes] | None = None
        super().__init__(f"unix://{self.socket}")
        atexit.register(self.close)
        _run("ip", "netns", "add", self.namespace)
        _run(*self.inside("ip", "link", "set", "lo", "up"))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start it and wait until it answers; the image is there then."""
        # cgroupfs, because a cgroup of our own has to be a slice for the other driver.
        options = {"exec-opts": ["native.cgroupdriver=cgroupfs"], **self.options}
        configuration = self.root / "daemon.json"
        configuration.write_text(json.dumps(options))
        folders = {"--data-root": "data", "--exec-root": "exec", "--pidfile": "dockerd.pid"}
        arguments = [word for option, name in folders.items() for word in (option, str(self.root / name))]
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self.inside(
                    *("dockerd", "--config-file", str(configuration), "--host", self.url),
                    *("--cgroup-parent", f"/{self.namespace}", *arguments),
                ),
                stdout=log,
                stderr=log,
                start_new_session=True,  # an interrupted test run stops it in order, not the terminal
            )
        wait_for(self._has_started, "dockerd answers", deadline=_START_SECONDS)
        self.import_image()

    def _has_started(self) -> bool:
        if self.process.poll() is not None:
            last_lines = "\n".join(self.log_file.read_text(errors="replace").splitlines()[-15:])
            raise AssertionError(f"dockerd ended with {self.process.returncode}:\n{last_lines}")
        return self.answers()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise AssertionError("the engine was not started")
        return self._process

    @property
    def pid(self) -> int:
        """The process id of dockerd: nsenter has become it."""
        return self.process.pid

    def inside(self, *command: str) -> tuple[str, ...]:
        """Make *command* run in the engine's network namespace (and no other one: the file system is the host's)."""
        return ("nsenter", f"--net=/run/netns/{self.namespace}", *command)

    def stop(self) -> None:
        """SIGTERM, as the host's service manager does, and wait for the full exit."""
        self.thaw()
        self.process.terminate()
        self.process.wait(_STOP_SECONDS)
        # Its containerd ends a moment later, and a start before that would talk to the dying one.
        wait_for(lambda: not self._containerds(), "containerd is gone", deadline=_STOP_SECONDS)

    def kill(self) -> None:
        """SIGKILL: shims, containers, mounts and files stay behind, and the next start has to cope with them."""
        self.process.kill()
        self.process.wait(_STOP_SECONDS)
        # containerd dies with it. Where process 1 is slow to bury its dead, the next dockerd would wait for a corpse.
        wait_for(lambda: not self._containerds(), "containerd is gone", deadline=_STOP_SECONDS)
        (self.root / "exec/containerd/containerd.pid").unlink(missing_ok=True)

    def restart(self) -> None:
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Stop dockerd where it stands (SIGSTOP): connections are accepted by the kernel and nobody answers."""
        freezing.freeze(self.pid)

    def thaw(self) -> None:
        freezing.thaw(self.pid)

    def _containerds(self) -> list[int]:
        return [pid for pid, words in _commands_naming(self.root) if Path(words[0]).name == "containerd"]

    def close(self) -> None:
        """End it and remove every trace; may be called again."""
        atexit.unregister(self.close)
        if self._process is not None:
            self._process.kill()  # in order would take as long as its most stubborn container
            self._process.wait(_STOP_SECONDS)
        _remove_traces(self.root)
        if self._owner is not None:
            os.close(self._owner)
            self._owner = None


def given_engine() -> GivenEngine | None:
    """Find the engine of DOCKER_HOST or of the default socket; None when it does not answer."""
    engine = GivenEngine(os.environ.get("DOCKER_HOST") or f"unix://{DEFAULT_SOCKET}")
    return engine if engine.answers() else None


def busybox_image(further: Iterable[Path] = ()) -> bytes:
    """Make a root file system of Debian's static busybox, 2 MB, as a tar; *further* files lie where they do here."""
    applets = subprocess.run([_BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", dereference=True) as archive:
        for folder in ("bin", "etc", "tmp", "lab"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            archive.addfile(entry)
        archive.add(_BUSYBOX, "bin/busybox")
        for applet in applets:
            if applet != "busybox":
                entry = tarfile.TarInfo(f"bin/{applet}")
                entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
                archive.addfile(entry)
        users = b"root:x:0:0:root:/:/bin/sh\n"
        entry = tarfile.TarInfo("etc/passwd")
        entry.size = len(users)
        archive.addfile(entry, io.BytesIO(users))
        for file in further:
            archive.add(file)
    return buffer.getvalue()


def sweep() -> None:
    """Remove the private engines of test runs that were killed: nobody holds the lock of their folder."""
    for root in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError), (root / "owner").open("r+") as owner:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove_traces(root)


def _own(root: Path) -> int:
    """Hold the lock of *root* for as long as this process lives. The file appears with its lock already taken."""
    new = root / "owner.new"
    owner = os.open(new, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(owner, fcntl.LOCK_EX)
    new.rename(root / "owner")
    return owner


def _remove_traces(root: Path) -> None:
    """Remove what an engine in *root* left: processes, containers, mounts, cgroups, namespace and files."""
    for _ in range(100):
        left = {pid for pid, _ in _commands_naming(root)} | set(_contained(root.name))
        if not left:
            break
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    for mount in _mounts_below(root):
        subprocess.run(["umount", "--lazy", mount], check=False, capture_output=True)
    for cgroup in _cgroups(root.name):
        for folder, _, _ in os.walk(cgroup, topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()
    subprocess.run(["ip", "netns", "delete", root.name], check=False, capture_output=True)
    shutil.rmtree(root, ignore_errors=True)


def _commands_naming(root: Path) -> Iterable[tuple[int, list[str]]]:
    """Yield processes whose program is the engine's and whose arguments name *root*: dockerd, containerd and shims."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue  # it has ended meanwhile
        if Path(words[0]).name.startswith(("dockerd", "containerd")) and any(str(root) in word for word in words):
            yield int(entry.name), words


def _cgroups(name: str) -> list[Path]:
    top = Path("/sys/fs/cgroup")  # v2 has one tree, v1 one for each controller
    return [path for path in (top / name, *top.glob(f"*/{name}")) if path.is_dir()]


def _contained(name: str) -> Iterable[int]:
    for cgroup in _cgroups(name):
        for processes in cgroup.rglob("cgroup.procs"):
            with suppress(OSError):
                yield from (int(pid) for pid in processes.read_text().split())


def _mounts_below(root: Path) -> list[str]:
    points = [line.split(" ")[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return sorted((point for point in points if point.startswith(f"{root}/")), reverse=True)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
