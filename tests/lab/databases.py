"""What ZoneMTA and WildDuck store in: Redis from Debian, and a server that speaks MongoDB's protocol, from PyPI."""

import contextlib
import fcntl
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from lab.agent import free_port
from lab.certsync import server
from lab.npm import CACHE

MONGO_STAND_IN = "SecantusDB==0.7.0b3"


@contextlib.contextmanager
def redis(folder: Path) -> Iterator[int]:
    """Run a Redis that keeps nothing; lends its port."""
    if shutil.which("redis-server") is None:
        subprocess.run(["apt-get", "install", "-y", "-qq", "redis-server"], check=True, capture_output=True)
    port = free_port()
    (folder / "redis").mkdir()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with server(command, folder / "redis", port):
        yield port


@contextlib.contextmanager
def mongo(folder: Path) -> Iterator[int]:
    """Run the stand-in for MongoDB; lends its port."""
    port = free_port()
    (folder / "mongo").mkdir()
    command = [str(_mongo_program()), "--host", "127.0.0.1", "--port", str(port), "--storage-path", ":memory:"]
    with server(command, folder / "mongo", port):
        yield port


def _mongo_program() -> Path:
    """Install the stand-in into an environment of its own, once: it brings much that no other test needs."""
    folder = CACHE / MONGO_STAND_IN
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock_file:
        fcntl.flock(lock_file, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, capture_output=True)
            pip = [str(folder / "bin" / "pip"), "install", "--quiet", MONGO_STAND_IN]
            subprocess.run(pip, check=True, capture_output=True)
            (folder / "complete").touch()
    return folder / "bin" / "secantusd-py"
