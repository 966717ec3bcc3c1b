"""The seam between what a log holds and what it goes on to say: no line falls into it, and none is counted twice.

Both are asked for beside each other, so that they overlap, or seem not to: then the past is asked for once more.
"""

from dataclasses import dataclass, field

from logban.cursor import STREAMS, Cursor, seconds
from logban.frames import STAMP, Line

FIRST_TAIL, LONGEST_TAIL = 1_000, 256_000  # lines
MORE_LINES, LEAST_GROWTH, BLIND_GROWTH = 1.25, 4, 16
MOST_HELD_BYTES = 16 << 20


@dataclass(slots=True)
class Seam:
    """What was said while the past was being read, held back until it can be joined to it."""

    caught_up: bool = False  # the past is read to its end
    joined: bool = False  # all that is said from now on is new
    overflows: bool = False
    _asked_again: bool = False
    _held: list[Line] = field(default_factory=list)
    _held_bytes: int = 0

    def hold(self, lines: list[Line]) -> None:
        """Keep what is said. If it becomes too much nothing is kept: once the past is read, all begins anew."""
        self._held += lines
        self._held_bytes += sum(len(line) for _, line in lines)
        if self._held_bytes > MOST_HELD_BYTES and not self.caught_up:
            self.overflows = True
            self._held.clear()

    def join(self, cursor: Cursor) -> list[Line]:
        """Let go of what was held, if its first line is one that the past held too, as *cursor* tells.

        Else something may lie between them: the past is not caught up with any more. One that was asked for twice
        holds all there is.
        """
        if not (self.caught_up and self._held):
            return []
        stream, first = self._held[0]
        if first[:STAMP] > cursor.read_to(stream) and not self._asked_again:
            self.caught_up, self._asked_again = False, True
            return []
        self.joined = True
        held, self._held = self._held, []
        return _without_known_ends(held, cursor)


def _without_known_ends(held: list[Line], cursor: Cursor) -> list[Line]:
    """Leave out the first line of each stream if it can only be the end of a long one, of which the whole is known."""
    fresh, kept = set(STREAMS), []
    for stream, line in held:
        if stream not in fresh or line[:STAMP] != cursor.read_to(stream):
            kept.append((stream, line))
        fresh.discard(stream)
    return kept


def longer_tail(tail: int | None, lines: list[Line], from_stamp: bytes) -> int | None:
    """Estimate how many lines reach back to *from_stamp*, when *tail* of them begin with *lines*; None: better all.

    Lines are taken to have come as fast before as these did, and a quarter more are asked for.
    """
    if tail is None or not from_stamp:
        return None
    first, last = (seconds(line[:STAMP]) for _, line in (lines[0], lines[-1]))
    lacking = first - seconds(from_stamp)
    estimate = tail + MORE_LINES * lacking * len(lines) / (last - first) if last > first else tail * BLIND_GROWTH
    longer = max(tail * LEAST_GROWTH, round(estimate))
    return longer if longer <= LONGEST_TAIL else None
