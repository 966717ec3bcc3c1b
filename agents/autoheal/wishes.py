"""What the labels on a container ask for, over the settings' defaults."""

from collections.abc import Callable, Mapping
from typing import Any

from autoheal.config import ACTIONS, Config, whole_seconds
from autoheal.policy import Wishes
from sidecarkit import settings

LABELS: dict[str, tuple[str, Callable[[str], Any], str]] = {
    # label: (field of Wishes, converter, meaning for the documentation)
    "autoheal.action": (
        "action",
        settings.choice(*ACTIONS),
        "`restart`, `stop`, `kill` or `notify` (tell, touch nothing)",
    ),
    "autoheal.stop.timeout": (
        "stop_seconds",
        whole_seconds,
        "seconds between SIGTERM and SIGKILL; default the container's own",
    ),
    "autoheal.hold": ("hold_seconds", settings.duration, "act only when unhealthy for this long"),
    "autoheal.max-restarts": (
        "max_restarts",
        settings.whole_number(minimum=1),
        "give up after so many failed heals within the window",
    ),
    "autoheal.window": ("window_seconds", settings.positive_duration, "the window of that budget"),
    "autoheal.backoff": (
        "backoff_seconds",
        settings.duration,
        "wait before the second heal, doubling to 5m; forgotten after 10 healthy minutes",
    ),
    "autoheal.exited": (
        "exited",
        settings.boolean,
        "also heal it when it exited with an error, was OOM-killed or is dead, and was not stopped by hand",
    ),
    "autoheal.depends-on": ("depends_on", settings.words, "services to heal first, beside Compose's `depends_on`"),
}


def read(labels: Mapping[str, str], config: Config) -> tuple[Wishes, tuple[str, ...]]:
    """Read a container's labels: (wishes, complaints). A wrong label is complained about and its default taken."""
    values: dict[str, Any] = {
        "action": config.action,
        "stop_seconds": config.default_stop_timeout_seconds,
        "hold_seconds": config.hold_seconds,
        "max_restarts": config.max_restarts,
        "window_seconds": config.window_seconds,
        "backoff_seconds": config.backoff_seconds,
        "exited": config.exited,
        "depends_on": config.depends_on,
    }
    complaints = []
    for label, (field, convert, _) in LABELS.items():
        if label in labels:
            try:
                values[field] = convert(labels[label])
            except ValueError as error:
                complaints.append(f"{label}={labels[label]!r}: expected {error}")
    values["depends_on"] = tuple(dict.fromkeys((*config.depends_on, *values["depends_on"])))
    return Wishes(**values), tuple(complaints)
