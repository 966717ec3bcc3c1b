"""What people are told, in words. Bans are told together: a storm of them is one notice a minute."""

import socket
from collections.abc import Callable, Iterable, Sequence

from logban.store import BanRecord
from sidecarkit.notify import Notice

GATHER_SECONDS = 60.0
REPEAT_SECONDS = 3600.0
_NAMED = 10


class Notices:
    """Gathers bans, and tells the same trouble once an hour at most."""

    def __init__(self, tell: Callable[[Notice], None]) -> None:
        self._tell = tell
        self._gathered: list[BanRecord] = []
        self._tell_at = 0.0
        self._told: dict[str, float] = {}

    def bans(self, records: Iterable[BanRecord]) -> None:
        self._gathered.extend(records)

    def trouble(self, what: str, title: str, body: str, now: float) -> None:
        """Tell of something that a person should look at."""
        if now - self._told.get(what, float("-inf")) >= REPEAT_SECONDS:
            self._told[what] = now
            self._tell(Notice(what, title, body, failure=True, facts={"host": socket.gethostname()}))

    def tick(self, now: float) -> None:
        """Tell of the bans since the last time: the first one at once, those that follow together."""
        if self._gathered and now >= self._tell_at:
            gathered, self._gathered = self._gathered, []
            self._tell_at = now + GATHER_SECONDS
            self._tell(_banned(gathered))


def _banned(records: Sequence[BanRecord]) -> Notice:
    lines = [
        f"{record.address or record.source} by {record.jail} for {record.until - record.at:.0f} s: {record.reason}"
        + (" (dry run)" if record.dry_run else "")
        for record in records[:_NAMED]
    ]
    if len(records) > _NAMED:
        lines.append(f"and {len(records) - _NAMED} more")
    title = f"{records[0].address or records[0].source} was banned" if len(records) == 1 else f"{len(records)} bans"
    facts = {"bans": len(records), "sources": [str(record.source) for record in records[:_NAMED]]}
    return Notice("banned", title, "\n".join(lines), failure=False, facts={**facts, "host": socket.gethostname()})
