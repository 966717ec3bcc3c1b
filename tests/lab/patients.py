"""Containers that turn sick in the very moment they are told to, and cost nothing until then.

A probe that asks every second costs 50 ms of a core each time; 150 of them keep two cores busy. Here the first probe
of a life says at once how that life begins, and the second waits at a pipe until the test writes to it: a crowd is
idle while it is well, and all of it can turn sick within milliseconds.
"""

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from lab.containers import Container, Containers, Health
from lab.wire import wait_for

OPTED_IN = {"autoheal": "true"}
_BEGIN_LIFE = "rm -f /tmp/born /lab/waits; echo >>/lab/lives;"
# Ends at once on SIGTERM.
PROMPT = ("sh", "-c", f'{_BEGIN_LIFE} trap "exit 0" TERM; sleep 86400 & wait $!')
# As process 1 without a handler it never hears SIGTERM.
DEAF = ("sh", "-c", f"{_BEGIN_LIFE} exec sleep 86400")
_PROBE = (
    "if [ ! -e /tmp/born ]; then touch /tmp/born;"
    ' [ "$(wc -l </lab/lives)" != "$(cat /lab/sick-life 2>/dev/null)" ]; exit; fi;'
    " touch /lab/waits; cat /lab/cough; exit 1"
)
FIRST_PROBE_SECONDS = 0.3


def patient(
    containers: Containers,
    name: str = "patient",
    *,
    deaf: bool = False,
    labels: Mapping[str, str] | None = None,
    first_probe_seconds: float = FIRST_PROBE_SECONDS,
    **further: Any,
) -> Container:
    """Run one that is healthy soon after each start, until `fall_sick`."""
    health = Health(interval=first_probe_seconds, timeout=3600.0, shell=_PROBE)
    command = DEAF if deaf else PROMPT
    made = containers.create(name, labels={**OPTED_IN, **(labels or {})}, health=health, command=command, **further)
    os.mkfifo(made.folder / "cough")
    made.start()
    return made


def fall_sick(patients: Iterable[Container], output: str = "no answer", *, deadline: float = 30.0) -> None:
    """Let each turn unhealthy now, or as soon as its probe waits; its next life is well again."""
    waiting = list(patients)

    def all_told() -> bool:
        waiting[:] = [each for each in waiting if not _tell(each.folder / "cough", output)]
        return not waiting

    try:
        wait_for(all_told, "the probes wait at their pipes", deadline=deadline)
    except AssertionError as error:
        for each in waiting:
            error.add_note(f"the engine says of {each}: {json.dumps(each.inspect()['State'])}")
        raise


def sick_in_next_life(patients: Iterable[Container]) -> None:
    """Let each be unhealthy from the first probe of its next life on, and well in the life after that."""
    for each in patients:
        (each.folder / "sick-life").write_text(str(lives(each) + 1))


def lives(container: Container) -> int:
    """Count how often it was started."""
    with suppress(FileNotFoundError):
        return len((container.folder / "lives").read_text())
    return 0


def wait_healthy(patients: Iterable[Container], *, deadline: float = 60.0) -> None:
    for each in patients:
        each.wait_for(health="healthy", deadline=deadline)


def wait_listening(patients: Iterable[Container], *, deadline: float = 30.0) -> None:
    """Wait until the probe of each is at its pipe: from now on `fall_sick` works even while the engine stands still."""
    for each in patients:
        wait_for((each.folder / "waits").exists, f"the probe of {each.name} is at its pipe", deadline=deadline)


def _tell(pipe: Path, output: str) -> bool:
    # Without a reader, which is a probe that waits, opening the pipe fails.
    with suppress(OSError):
        end = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        try:
            return os.write(end, output.encode()) > 0
        finally:
            os.close(end)
    return False
