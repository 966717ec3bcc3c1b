"""Whether the agent does its work: named conditions, a heartbeat file, and the answer for Docker's HEALTHCHECK.

The healthcheck command starts a new Python every 30 s, so it must stay cheap: this module imports little.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

STALLED_SECONDS = 20.0  # a loop that beats every second and has not for this long hangs
BEAT_SECONDS = 5.0  # how often the heartbeat reaches the disk


class Liveness:
    """Gathers what is wrong. A condition counts only when it has lasted for its grace period."""

    def __init__(self, file: Path | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._file, self._clock = file, clock
        self._lock = threading.Lock()
        self._wrong: dict[str, tuple[str, float]] = {}  # condition: reason, when it starts to count
        self._beaten_at = clock()
        self._written_at = float("-inf")
        self._written: list[str] | None = None

    def wrong(self, condition: str, reason: str, *, grace_seconds: float = 0.0) -> None:
        """Say that *condition* does not hold. Said again, it keeps its first time."""
        with self._lock:
            counts_from = self._wrong.get(condition, ("", self._clock() + grace_seconds))[1]
            self._wrong[condition] = (reason, counts_from)

    def right(self, condition: str) -> None:
        with self._lock:
            self._wrong.pop(condition, None)

    def beat(self) -> None:
        """Say that the loop turns; called at least every few seconds by the loop itself."""
        now = self._beaten_at = self._clock()
        reasons = self.reasons()
        if self._file and (now - self._written_at >= BEAT_SECONDS or reasons != self._written):
            self._written_at, self._written = now, reasons
            write_heartbeat(self._file, reasons)

    def reasons(self) -> list[str]:
        """Say what is wrong now; empty when all is well."""
        now = self._clock()
        with self._lock:
            reasons = [reason for reason, counts_from in self._wrong.values() if now >= counts_from]
        if now - self._beaten_at > STALLED_SECONDS:
            reasons.append(f"the loop has not turned for {now - self._beaten_at:.0f} s")
        return reasons


def write_heartbeat(file: Path, reasons: list[str]) -> None:
    temporary = file.with_suffix(".new")
    try:
        temporary.write_text(json.dumps({"at": time.time(), "pid": os.getpid(), "reasons": reasons}))
        temporary.replace(file)
    except OSError:
        pass  # an old heartbeat says it: the state folder is what cannot be written


def healthcheck(file: Path) -> int:
    """Docker's HEALTHCHECK: 0 when the agent beats and nothing is wrong, else 1 with the reasons on stdout."""
    try:
        beat = json.loads(file.read_text())
        age = time.time() - float(beat["at"])
        reasons = list(beat["reasons"])
    except (OSError, ValueError, KeyError, TypeError):
        age, reasons = 0.0, [f"no heartbeat at {file}"]
    if not -STALLED_SECONDS <= age <= STALLED_SECONDS:  # the clock may have been set back, too
        reasons.append(f"the last heartbeat is {age:.0f} s old")
    sys.stdout.write("\n".join(reasons) + "\n" if reasons else "healthy\n")
    return 1 if reasons else 0


def run_healthcheck(agent: str) -> int:
    """Answer for *agent*, whose state folder its usual variable names, without reading any other setting."""
    return healthcheck(Path(os.environ.get(f"{agent.upper()}_STATE") or f"/var/lib/{agent}") / "heartbeat.json")
