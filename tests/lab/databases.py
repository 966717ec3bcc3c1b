"""What ZoneMTA and WildDuck store in: Redis from Debian, and a server that speaks MongoDB's protocol, from PyPI."""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from lab import python_tools
from lab.agent import free_port
from lab.certsync import server

MONGO_STAND_IN = "SecantusDB==0.7.0b3"


def install() -> Path:
    """Fetch what is not here yet; returns where the stand-in for MongoDB is."""
    if shutil.which("redis-server") is None:
        subprocess.run(["apt-get", "install", "-y", "-qq", "redis-server"], check=True, capture_output=True)
    return python_tools.install("mongo", MONGO_STAND_IN) / "secantusd-py"


@contextlib.contextmanager
def redis(folder: Path) -> Iterator[int]:
    """Run a Redis that keeps nothing; lends its port."""
    install()
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
    command = [
        str(install()),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--storage-path",
        ":memory:",
    ]
    with server(command, folder / "mongo", port):
        yield port
