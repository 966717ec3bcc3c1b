"""Real Prometheus and its tools, as Debian ships them."""

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from lab.agent import free_port
from lab.certsync import server
from lab.wire import wait_for

MONITORING = Path(__file__).parents[2] / "monitoring"
PACKAGES = {"promtool": "prometheus", "prometheus": "prometheus", "amtool": "prometheus-alertmanager"}


def program(name: str) -> str:
    """Find promtool, prometheus or amtool. Where Debian's package is missing, the test is not run, and fails in CI."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed here: apt-get install {PACKAGES[name]}")
    return found


def run(name: str, *arguments: str | Path, text: str | None = None) -> "subprocess.CompletedProcess[str]":
    """Run one of the tools, with *text* as its input."""
    command = [program(name), *map(str, arguments)]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=120)


class Prometheus:
    """A Prometheus that answers on loopback."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def is_ready(self) -> bool:
        with contextlib.suppress(OSError), urlopen(f"{self.url}/-/ready", timeout=10) as answer:
            return bool(answer.status == 200)
        return False

    def get(self, path: str, **query: str) -> Any:
        """Ask its API; returns the `data` of the answer."""
        with urlopen(f"{self.url}/api/v1/{path}?{urlencode(query)}", timeout=10) as answer:
            return json.load(answer)["data"]

    def targets(self) -> dict[str, str]:
        """Give the health of each job's target: `up` or `unknown`, or else why it is down."""
        return {
            each["labels"]["job"]: each["lastError"] or each["health"] for each in self.get("targets")["activeTargets"]
        }

    def query(self, expression: str) -> dict[str, float]:
        """Evaluate an expression now; values by the label `job`."""
        return {
            each["metric"].get("job", ""): float(each["value"][1])
            for each in self.get("query", query=expression)["result"]
        }


@contextlib.contextmanager
def prometheus(folder: Path, configuration: Path) -> Iterator[Prometheus]:
    """Run Prometheus with this configuration until the block ends."""
    port = free_port()
    command = [
        program("prometheus"),
        f"--config.file={configuration}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with server(command, folder, port):
        running = Prometheus(port)
        wait_for(running.is_ready, "Prometheus is ready", deadline=60.0)
        yield running
