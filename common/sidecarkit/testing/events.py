"""The events of a stand-in for the engine: written down, remembered for a while, streamed to whoever listens."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

REMEMBERED_EVENTS = 256  # what a new subscription can still hear of the past
Filters = Mapping[str, list[str]]


class EventLog:
    """All events so far. Their times never repeat, as the nanoseconds of an engine hardly ever do."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._events: list[dict[str, Any]] = []
        self._cuts = 0

    def publish(self, container: str, action: str, attributes: Mapping[str, str]) -> None:
        with self._changed:
            at = int(self._clock() * 1e9)
            if self._events:
                at = max(at, self._events[-1]["timeNano"] + 1)
            actor = {"ID": container, "Attributes": dict(attributes)}
            event = {"Type": "container", "Action": action, "Actor": actor, "time": at // 10**9, "timeNano": at}
            self._events.append(event)
            self._changed.notify_all()

    def cut(self) -> None:
        """End all streams."""
        with self._changed:
            self._cuts += 1
            self._changed.notify_all()

    def subscribe(self, since: str, filters: Filters) -> "FakeStream":
        """Listen from now on, and to what is remembered from *since* (`seconds.nanoseconds`, inclusive) on."""
        seconds, _, fraction = since.partition(".")
        with self._changed:
            first = max(0, len(self._events) - REMEMBERED_EVENTS)
            return FakeStream(self, int(seconds) * 10**9 + int(fraction.ljust(9, "0")), filters, first, self._cuts)

    def wait_for(self, number: int, is_over: Callable[[int], bool]) -> dict[str, Any] | None:
        """Wait for the event of this number; None when it is over, as *is_over* says of the count of cuts."""
        with self._changed:
            self._changed.wait_for(lambda: is_over(self._cuts) or number < len(self._events))
            return None if is_over(self._cuts) else self._events[number]

    def wake(self) -> None:
        """Let those who wait look again."""
        with self._changed:
            self._changed.notify_all()


class FakeStream:
    """An open stream of events; see `sidecarkit.engine.Stream`."""

    def __init__(self, log: EventLog, since: int, filters: Filters, first: int, cuts: int) -> None:
        self._log, self._since, self._filters, self._next, self._cuts = log, since, filters, first, cuts
        self._is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        while (event := self._log.wait_for(self._next, self._is_over)) is not None:
            self._next += 1
            if event["timeNano"] >= self._since and _fits(event, self._filters):
                yield json.dumps(event).encode() + b"\n"

    def close(self) -> None:
        self._is_closed = True
        self._log.wake()

    def _is_over(self, cuts: int) -> bool:
        return self._is_closed or cuts != self._cuts


def _fits(event: Mapping[str, Any], filters: Filters) -> bool:
    attributes = event["Actor"]["Attributes"]
    names = {event["Actor"]["ID"], attributes["name"]}
    return (
        event["Type"] in filters.get("type", [event["Type"]])
        and _is_wanted(event["Action"], filters.get("event", []))
        and not names.isdisjoint(filters.get("container", names))
        and has_labels(attributes, filters.get("label", []))
    )


def _is_wanted(action: str, wanted: Sequence[str]) -> bool:
    if "health_status" in wanted:  # then the engine takes each of these words for the beginning of one
        return action.startswith(tuple(wanted))
    return not wanted or action in wanted


def has_labels(labels: Mapping[str, str], wanted: Sequence[str]) -> bool:
    """Judge `key` and `key=value`, all of which have to be there."""
    return all(
        key in labels and (not equals or labels[key] == value)
        for key, equals, value in (word.partition("=") for word in wanted)
    )
