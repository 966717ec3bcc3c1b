"""How an agent ends: told once in order, twice at once, and with a thread of its own that fell over."""

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
while True:  # not one long sleep: a signal that comes just before it would be looked at after it
    time.sleep(0.05)
"""


@pytest.fixture
def process() -> Iterator["subprocess.Popen[str]"]:
    """Run an agent that hears Stop and then does not end."""
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


_FALLING = """
import threading
from queue import SimpleQueue
from sidecarkit.lifecycle import stop_on_signals
stop_on_signals(SimpleQueue())
print("half a line", end="")
"""
_FALLS = """
fallen = threading.Thread(target=lambda: {}["nothing"])
fallen.start()
fallen.join()
"""


@pytest.mark.parametrize(
    ("before", "status"), [("", 1), ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", 0)]
)
def test_a_thread_that_ends_by_an_unexpected_error_says_why_and_ends_the_process_unless_it_is_ending_anyway(
    before: str, status: int
) -> None:
    environ = {**os.environ, "PYTHONPATH": str(Path(lifecycle.__file__).parents[1]), "PYTHONUNBUFFERED": ""}
    code = f"{_FALLING}\n{before}\n{_FALLS}\n"

    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (status, "half a line")
    assert "KeyError: 'nothing'" in done.stderr
