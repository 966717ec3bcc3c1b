"""How far a container's log was read: what makes each line count once, however often it is read.

The engine stamps the lines of one stream in the order in which it reads them, so within a stream times do not go
backwards; between the two streams they do, by up to 20 ms measured. So there is a cursor for each stream: a line is new
if its time is later, or if it is the same and the line another one. Whoever reads again begins OVERLAP_SECONDS before.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from logban.frames import PREFIX, STAMP, Line

STREAMS = (1, 2)
OVERLAP_SECONDS = 3.0
# So far ahead of the clock no line is stamped: the clock was set back.
STEP_SECONDS = 5.0
_END_OF_STAMP = b"Z "


@dataclass(frozen=True, slots=True)
class Mark:
    """How far one stream was read: the last time as the engine writes it, and digests of the lines of that time."""

    stamp: bytes = b""
    digests: tuple[bytes, ...] = ()


class Cursor:
    """Tells new lines from known ones."""

    def __init__(self, marks: Mapping[int, Mark] | None = None) -> None:
        """Go on from where *marks* says."""
        self._stored = {stream: (marks or {}).get(stream, Mark()) for stream in STREAMS}
        self._stamps = {stream: mark.stamp for stream, mark in self._stored.items()}
        self._latest: dict[int, list[bytes]] = {stream: [] for stream in STREAMS}  # the lines of that time

    @property
    def stamp(self) -> bytes:
        """The latest time of any line; empty before the first."""
        return max(self._stamps.values())

    @property
    def at(self) -> float:
        """That time as Unix time; 0 before the first line."""
        return seconds(self.stamp) if self.stamp else 0.0

    @property
    def from_stamp(self) -> bytes:
        """The time from which on reading again misses nothing; empty: from the start."""
        return stamp_at(seconds(self.stamp) - OVERLAP_SECONDS) if self.stamp else b""

    def read_to(self, stream: int) -> bytes:
        """Give the time of the latest line of one stream; empty before the first."""
        return self._stamps[stream]

    def sift(self, lines: Iterable[Line]) -> tuple[list[bytes], list[bytes]]:
        """Sort lines into known and new ones, and count the new ones as read."""
        known: list[bytes] = []
        new: list[bytes] = []
        add = new.append
        stamps, latest = self._stamps, self._latest
        for stream, line in lines:
            stamp = line[:STAMP]
            if line[STAMP - 1 : PREFIX] != _END_OF_STAMP:
                continue  # without a time nobody could tell whether it was read before; no engine sends that
            if stamp > stamps[stream]:
                stamps[stream] = stamp
                latest[stream] = [line]
                add(line)
            elif stamp < stamps[stream] or line in latest[stream] or digest(line) in self._stored_now(stream):
                known.append(line)
            else:
                latest[stream].append(line)
                add(line)
        return known, new

    def marks(self) -> dict[int, Mark]:
        """Give what has to be stored."""
        return {
            stream: Mark(stamp, (*self._stored_now(stream), *map(digest, self._latest[stream])))
            for stream, stamp in self._stamps.items()
        }

    def set_back(self, now: float) -> bool:
        """Come back from a future that was the clock's mistake. Whether that was necessary."""
        wrong = [stream for stream, stamp in self._stamps.items() if stamp > stamp_at(now + STEP_SECONDS)]
        for stream in wrong:
            self._stamps[stream], self._latest[stream] = stamp_at(now), []
        return bool(wrong)

    def _stored_now(self, stream: int) -> tuple[bytes, ...]:
        mark = self._stored[stream]
        return mark.digests if mark.stamp == self._stamps[stream] else ()


def digest(line: bytes) -> bytes:
    """Stand for a line where the line itself would be too long to keep."""
    return hashlib.blake2b(line, digest_size=8).digest()


def stamp_at(at: float) -> bytes:
    """Write a Unix time as the engine does; to the microsecond."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S.%f}000Z".encode()


def seconds(stamp: bytes) -> float:
    """Read the engine's time as Unix time. Raises ValueError."""
    return datetime.fromisoformat(stamp.decode("ascii")).timestamp()
