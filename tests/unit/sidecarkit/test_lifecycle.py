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


def test_a_thread_that_ends_by_an_unexpected_error_takes_the_process_along_and_says_why() -> None:
    code = """
import threading
from sidecarkit.lifecycle import end_with_threads
end_with_threads()
print("half a line", end="")
threading.Thread(target=lambda: {}["nothing"]).start()
threading.Event().wait(30)
"""
    environ = {**os.environ, "PYTHONPATH": str(Path(lifecycle.__file__).parents[1]), "PYTHONUNBUFFERED": ""}

    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (1, "half a line")
    assert "KeyError: 'nothing'" in done.stderr
