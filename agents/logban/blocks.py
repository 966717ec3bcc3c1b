"""A stream of bytes as blocks of whole lines, bounded however long a line is."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK_BYTES = 262_144
# Of a longer line only the beginning is kept. No server's own text is that long; what follows is a client's.
LONGEST_LINE = 65_536


class Lines:
    """Cuts what is fed to it into blocks that end with LF; keeps the beginning of a line that has not ended yet."""

    def __init__(self) -> None:
        self._rest = b""
        self._skipping = False

    def feed(self, data: bytes) -> bytes:
        """Give all lines that *data* completes."""
        if self._skipping:
            end = data.find(b"\n")
            if end < 0:
                return b""
            data, self._skipping = data[end:], False
        cut = data.rfind(b"\n") + 1
        if not cut:
            self._keep(self._rest + data)
            return b""
        whole = self._rest + data[:cut]
        self._keep(data[cut:])
        return whole

    def end(self) -> bytes:
        """Give the last line, if it had no LF, with one."""
        rest, self._rest = self._rest, b""
        return rest + b"\n" if rest else b""

    def _keep(self, rest: bytes) -> None:
        self._skipping = len(rest) > LONGEST_LINE
        self._rest = rest[:LONGEST_LINE]


def read(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the blocks of *stream*, to its end."""
    lines = Lines()
    while data := stream.read(BLOCK_BYTES):
        if block := lines.feed(data):
            yield block
    if block := lines.end():
        yield block
