"""How the few slots for actions are shared, so that slow stops do not make the others wait. Pure."""

from collections.abc import Mapping, Sequence

SLOW_SECONDS = 3.0  # a stop that takes longer is slow: the process does not listen to SIGTERM


def choose(
    queue: Sequence[str], known_seconds: Mapping[str, float], running: Mapping[str, float], slots: int
) -> list[str]:
    """Choose who is acted on next, in order.

    *queue*: who is ready, most urgent first. *known_seconds*: how long the last stop of each took, where known.
    *running*: how long each action in flight has taken so far. Slow ones, those known and those found out, leave one
    of several *slots* to the others.
    """
    free = slots - len(running)
    slow_running = sum(max(seconds, known_seconds.get(who, 0.0)) >= SLOW_SECONDS for who, seconds in running.items())
    slow_allowed = max(slots - 1, 1) - slow_running
    chosen: list[str] = []
    for slow in (False, True):
        for who in queue:
            if (known_seconds.get(who, 0.0) >= SLOW_SECONDS) != slow or len(chosen) >= free:
                continue
            if slow and slow_allowed <= 0:
                break
            chosen.append(who)
            slow_allowed -= slow
    return chosen
