"""The engine's log stream as lines: the inverse of what the engine did to what a container printed.

Asked for timestamps, the engine sends for each line its own time, a blank and the line. Without a terminal each entry
comes in a frame that tells the stream. A line of more than 16 KiB comes as several entries, each with the time of the
first. Lines come out as they went in, with the time before them once and one LF behind, cut at LONGEST_LINE.
"""

from logban.blocks import LONGEST_LINE
from sidecarkit.errors import SidecarError

Line = tuple[int, bytes]  # the stream (1 stdout, 2 stderr), and time, blank, text, LF

STAMP = len("2026-11-22T08:36:00.123456789Z")  # always UTC, always nanoseconds: comparing texts compares times
PREFIX = STAMP + 1
FRAGMENT = 16_384  # the engine's buffer: what is shorter is no fragment but a line
_HEADER = 8
_LF = 10
_ENGINE = 3  # a stream of the engine's own, in which it complains
_LONGEST_FRAME = 1 << 20


class NotFramed(SidecarError):
    """The container has a terminal, or the stream is no log."""


class Frames:
    """The log of a container without a terminal."""

    def __init__(self) -> None:
        self._rest = b""
        self._begun: dict[int, bytes] = {}  # of each stream, the line that has not ended yet
        self._complete: dict[int, bool] = {}  # whether its last fragment was shorter than the engine's buffer

    def feed(self, data: bytes) -> list[Line]:
        """Give the lines that *data* completes, in the engine's order."""
        if self._rest:
            data = self._rest + data
        lines: list[Line] = []
        add, begun = lines.append, self._begun
        at, size = 0, len(data)
        while at + _HEADER <= size:
            end = at + _HEADER + int.from_bytes(data[at + 4 : at + _HEADER], "big")
            if end > size:
                if end - at > _LONGEST_FRAME:
                    raise NotFramed("what the engine sends is no log in frames")
                break
            stream = data[at]
            if data[end - 1] == _LF and not begun and stream < _ENGINE:  # nearly always
                add((stream, data[at + _HEADER : end]))
            elif line := self._joined(stream, data[at + _HEADER : end]):
                add((stream, line))
            at = end
        self._rest = data[at:]
        return lines

    @property
    def torn(self) -> bool:
        """Whether the last line is one of which more must come."""
        return not all(self._complete[stream] for stream in self._begun)

    def end(self) -> list[Line]:
        """Give the last lines of a log that ended, if they had no LF.

        What can only be the beginning of a longer line is left out: the rest of it comes when the log is read again.
        """
        lines = [(stream, line + b"\n") for stream, line in self._begun.items() if self._complete[stream]]
        self._begun.clear()
        self._rest = b""
        return lines

    def _joined(self, stream: int, entry: bytes) -> bytes | None:
        if stream >= _ENGINE:
            return None
        before = self._begun.pop(stream, None)
        text = entry if before is None else entry[PREFIX:]
        line = text if before is None else before + text
        if entry.endswith(b"\n"):
            return line if len(line) <= LONGEST_LINE + 1 else line[:LONGEST_LINE] + b"\n"
        self._begun[stream] = line[:LONGEST_LINE]
        self._complete[stream] = len(entry) - PREFIX < FRAGMENT
        return None


class Terminal:
    """The log of a container with a terminal: one stream, no frames, and CR before each LF."""

    def __init__(self) -> None:
        self._rest = b""
        self._length = 0  # of the line that has not ended yet, however much of it is kept

    def feed(self, data: bytes) -> list[Line]:
        """Give the lines that *data* completes."""
        *ended, rest = data.split(b"\n")
        lines: list[Line] = []
        for part in ended:
            whole = self._rest + part
            self._rest, self._length = b"", 0
            lines.append((1, rejoined(whole)[:LONGEST_LINE] + b"\n"))
        self._length += len(rest)
        # Fragments carry their prefix along until the line is whole.
        self._rest = (self._rest + rest)[: LONGEST_LINE + LONGEST_LINE // FRAGMENT * PREFIX]
        return lines

    @property
    def torn(self) -> bool:
        """Whether the last line is one of which more must come."""
        return self._length > 0 and self._length % (PREFIX + FRAGMENT) == 0

    def end(self) -> list[Line]:
        """Give the last line of a log that ended, as `Frames.end` does."""
        rest, length, torn = self._rest, self._length, self.torn
        self._rest, self._length = b"", 0
        if length <= PREFIX or torn:
            return []
        return [(1, rejoined(rest)[:LONGEST_LINE] + b"\n")]


def rejoined(line: bytes) -> bytes:
    """Take the repeated prefixes of fragments out of a line."""
    if len(line) < 2 * PREFIX + FRAGMENT:
        return line
    prefix, step = line[:PREFIX], PREFIX + FRAGMENT
    pieces = [line[at : at + step] for at in range(0, len(line), step)]
    if any(piece[:PREFIX] != prefix[: len(piece)] for piece in pieces):
        return line  # an engine that puts lines together itself
    return prefix + b"".join(piece[PREFIX:] for piece in pieces)
