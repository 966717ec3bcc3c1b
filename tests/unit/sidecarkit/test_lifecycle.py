"""How an agent is told to stop: once in order, twice at once."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecarkit import lifecycle

_AGENT = """
import time
from queue import SimpleQueue
from sidecarkit.lifecycle import stop_on_signals
inbox = SimpleQueue()
stop_on_signals(inbox)
print("ready", flush=True)
print(inbox.get(timeout=30), flush=True)
time.sleep(30)
"""


@pytest.fixture
def process() -> Iterator["subprocess.Popen[str]"]:
    """Run an agent that hears Stop and then takes half a minute to end."""
    environ = {**os.environ, "PYTHONPATH": str(Path(lifecycle.__file__).parents[1])}
    with subprocess.Popen([sys.executable, "-c", _AGENT], env=environ, stdout=subprocess.PIPE, text=True) as started:
        assert said(started) == "ready"
        yield started
        started.kill()


def said(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    return process.stdout.readline().rstrip()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_a_message_and_the_second_one_ends_the_process(
    process: "subprocess.Popen[str]", number: signal.Signals
) -> None:
    process.send_signal(number)
    assert said(process) == f"Stop(signal={int(number)})"
    assert process.poll() is None

    process.send_signal(number)

    assert process.wait(10.0) == 128 + number
