"""What the loop works with, handed to it as one thing."""

from dataclasses import dataclass

from logban.config import Config
from logban.court import Court
from logban.guard import Guard
from logban.hands import Hands
from logban.metrics import Metrics
from logban.notices import Notices
from logban.rulebook import Rulebook
from logban.store import Store
from logban.tail import Tail
from sidecarkit import logs
from sidecarkit.identity import Kin


@dataclass(frozen=True, slots=True)
class Tools:
    """Used by the loop's thread only, so nothing in it needs a lock."""

    config: Config
    book: Rulebook
    court: Court
    guard: Guard
    tail: Tail
    hands: Hands
    store: Store
    metrics: Metrics
    notices: Notices
    kin: Kin
    log: logs.Log
