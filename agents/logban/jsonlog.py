"""A log read from the engine's own files instead of through it: for hosts under flood.

At its best the engine passes on 165,000 lines a second, and when a log is rotated faster than it reads it, lines are
lost. The files of the json-file driver lose none: a rotated file keeps its inode, and the next one is opened when it is
read to its end. The folder of the containers must be mounted where the engine has it, read-only.
"""

import json
import os
from pathlib import Path
from typing import BinaryIO

from logban.blocks import LONGEST_LINE
from logban.frames import Line

_READ_BYTES = 1 << 20
_STREAMS = {"stdout": 1, "stderr": 2}
_STAMP_DIGITS = 9


class JsonLog:
    """One log with its rotated files."""

    def __init__(self, path: Path, from_stamp: bytes) -> None:
        """Begin in the newest file that reaches back to *from_stamp*. Raises OSError."""
        self.path = path
        self._rest = b""
        self._begun: dict[int, bytes] = {}
        self._file = self._first(from_stamp)

    def close(self) -> None:
        self._file.close()

    def read(self) -> list[Line]:
        """Give the lines that were written since the last time. Raises OSError."""
        data = self._file.read(_READ_BYTES)
        if not data:
            if os.fstat(self._file.fileno()).st_size < self._file.tell():
                self._file.seek(0)  # it was truncated
            following = self._next()
            if following is None:
                return []
            data = self._file.read(_READ_BYTES)  # what came between the last read and the rotation
            if not data:
                self._file.close()
                self._file, self._rest = following, b""
                return self.read()
            following.close()
        *ended, self._rest = (self._rest + data).split(b"\n")
        return [line for text in ended if (line := self._line(text))]

    def end(self) -> list[Line]:
        """Give the last lines of a log that ended, if they had no LF."""
        lines = [(stream, line + b"\n") for stream, line in self._begun.items()]
        self._begun.clear()
        return lines

    def _line(self, text: bytes) -> Line | None:
        try:
            entry = json.loads(text)
            stream, stamp = _STREAMS[entry["stream"]], _fixed(entry["time"])
            said = entry["log"].encode("utf-8", "surrogateescape")
        except (ValueError, KeyError, TypeError, AttributeError):
            return None  # torn by a crash of the engine
        before = self._begun.pop(stream, None)
        line = stamp + b" " + said if before is None else before + said
        if said.endswith(b"\n"):
            return stream, line if len(line) <= LONGEST_LINE + 1 else line[:LONGEST_LINE] + b"\n"
        self._begun[stream] = line[:LONGEST_LINE]
        return None

    def _files(self) -> list[Path]:
        """List the files of this log that can be read, the oldest first."""
        rotated = [
            (int(number), file)
            for file in self.path.parent.glob(f"{self.path.name}.*")
            if (number := file.name.removeprefix(f"{self.path.name}.")).isdigit()
        ]
        return [*(file for _, file in sorted(rotated, reverse=True)), self.path]

    def _first(self, from_stamp: bytes) -> BinaryIO:
        files = self._files()
        for file in reversed(files[1:]):
            opened = file.open("rb", buffering=0)
            begins = self._line(opened.readline(2 * LONGEST_LINE))
            self._begun.clear()
            opened.seek(0)
            if begins is not None and begins[1] <= from_stamp:
                return opened
            opened.close()
        return files[0].open("rb", buffering=0)

    def _next(self) -> BinaryIO | None:
        """Open the file that follows the present one; None while the present one is the last."""
        present = os.fstat(self._file.fileno()).st_ino
        files = self._files()
        try:
            inodes = [file.stat().st_ino for file in files]
            place = inodes.index(present) + 1 if present in inodes else 0
            return files[place].open("rb", buffering=0) if place < len(files) else None
        except FileNotFoundError:
            return None  # in the middle of a rotation


def _fixed(time: str) -> bytes:
    """Write a time with all its nanoseconds, as it comes from the engine: the file leaves zeros at the end out."""
    whole, _, fraction = time.removesuffix("Z").partition(".")
    return f"{whole}.{fraction.ljust(_STAMP_DIGITS, '0')}Z".encode()
