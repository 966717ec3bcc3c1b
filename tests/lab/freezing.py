"""Stopping a process where it stands, and letting it go on."""

import os
import signal
from contextlib import suppress
from pathlib import Path

from lab.wire import wait_for


def freeze(pid: int) -> None:
    """SIGSTOP, and wait until every thread stands: on a busy machine one may answer a last request after the call."""
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: _states(pid) <= {"T"}, f"process {pid} stands still")


def thaw(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def _states(pid: int) -> set[str]:
    """Read the states of its threads: T is stopped (proc(5))."""
    states = set()
    for thread in Path(f"/proc/{pid}/task").glob("*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            states.add(thread.read_text().rpartition(") ")[2][0])
    return states
