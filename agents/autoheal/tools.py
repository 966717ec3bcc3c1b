"""What the loop's rooms work with, handed to each as one thing."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from autoheal.config import Config
from autoheal.hands import Hands
from autoheal.ledger import Ledger
from autoheal.metrics import Metrics
from autoheal.script import PostRestartScript
from autoheal.world import World
from sidecarkit import logs
from sidecarkit.notify import Notifier


@dataclass(frozen=True, slots=True)
class Tools:
    """Used by the loop's thread only, so nothing in it needs a lock."""

    config: Config
    world: World
    ledger: Ledger
    hands: Hands
    notifier: Notifier
    metrics: Metrics
    script: PostRestartScript
    log: logs.Log
    clock: Callable[[], float] = time.time  # Unix time, ours
