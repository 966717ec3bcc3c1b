"""The page: the document and the lines, laid out. The template escapes whatever it is given."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from stats import wording
from stats.policy import SERVICES, TITLE_PROBLEMS, State
from stats.snapshot import Snapshot, Trend
from stats.sparkline import sparkline

TITLES = {
    "mongo": "MongoDB",
    "redis": "Redis",
    "zonemta": "ZoneMTA",
    "rspamd": "Rspamd",
    "wildduck": "WildDuck",
    "webmail": "Webmail",
    "opensearch": "OpenSearch",
    "engine": "Docker engine",
    "autoheal": "autoheal",
    "certsync": "certsync",
    "logban": "logban",
    "confcheck": "confcheck",
}
# What stands in a service's row beside its state and latency: words, figure, how it is written.
FIGURES: dict[str, tuple[tuple[str, str, str], ...]] = {
    "mongo": (
        ("operations/s", "operations_per_second", "number"),
        ("mean read", "read_latency_seconds", "latency"),
        ("mean write", "write_latency_seconds", "latency"),
        ("connections", "connections", "number"),
        ("memory", "memory_bytes", "size"),
    ),
    "redis": (
        ("operations/s", "operations_per_second", "number"),
        ("keys", "keys", "number"),
        ("memory", "memory_bytes", "size"),
        ("connections", "connections", "number"),
    ),
    "opensearch": (("cluster", "cluster_status", "text"), ("nodes", "data_nodes", "number")),
}
LINES = {
    "latency_seconds": ("latency", "latency"),
    "operations_per_second": ("operations/s", "number"),
    "queued": ("queued", "number"),
    "delivered_per_minute": ("delivered/min", "number"),
    "scanned_per_minute": ("scanned/min", "number"),
    "scan_time_seconds": ("scan time", "latency"),
}
# How a figure is written, by the words of the template.
WRITERS: dict[str, Callable[[Any], str]] = {
    "span": wording.span,
    "latency": wording.latency,
    "size": wording.size,
    "number": wording.number,
    "percent": wording.percent,
    "moment": wording.moment,
    "image": wording.image,
    "text": lambda value: wording.UNKNOWN if value is None else str(value),
}
# The states as shapes too: colour alone says nothing to some. What is no state of a service is a container's.
MARKS = {
    State.UP: "\N{BLACK CIRCLE}",
    State.DEGRADED: "\N{BLACK UP-POINTING TRIANGLE}",
    State.DOWN: "\N{BLACK SQUARE}",
    State.STALE: "\N{WHITE CIRCLE}",
    State.UNKNOWN: "?",
    State.UNUSED: "\N{EN DASH}",
}


@dataclass(frozen=True, slots=True)
class Line:
    """A drawn line and what it shows."""

    title: str
    drawing: Markup


def context(snapshot: Snapshot, document: dict[str, Any]) -> dict[str, Any]:
    """Give the template all that it needs."""
    return {
        "document": document,
        "services": SERVICES,
        "shown_problems": TITLE_PROBLEMS,
        "titles": TITLES,
        "figures": FIGURES,
        "lines": {name: lines(snapshot, name) for name in SERVICES},
        "write": WRITERS,
        "marks": {state.value: mark for state, mark in MARKS.items()},
    }


def lines(snapshot: Snapshot, name: str) -> tuple[Line, ...]:
    found = []
    for figure, points in snapshot.of(name).trends.items():
        title, style = LINES[figure]
        drawing = sparkline(points, _label(title, style, points, snapshot.interval_seconds))
        if drawing:
            found.append(Line(title, drawing))
    return tuple(found)


def _label(title: str, style: str, points: Trend, interval_seconds: float) -> str:
    known = [point for point in points if point is not None]
    if not known:
        return title
    write = WRITERS[style]
    now = write(points[-1])
    return f"{title}, last {wording.span(len(points) * interval_seconds)}, now {now}, max {write(max(known))}"
