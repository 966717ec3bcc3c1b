"""BSON, the form of MongoDB's documents: what a monitor sends and what it reads.

https://bsonspec.org/spec.html
"""

import struct
from collections.abc import Mapping
from typing import Any

DEEPEST = 32

# Types whose value is of no interest here, and how many bytes it takes.
_SKIPPED = {0x06: 0, 0x07: 12, 0x09: 8, 0x0A: 0, 0x11: 8, 0x13: 16, 0x7F: 0, 0xFF: 0}
_NUMBERS = {0x01: "<d", 0x08: "<?", 0x10: "<i", 0x12: "<q"}
_TEXTS = {0x02, 0x0D, 0x0E}


def encode(document: Mapping[str, Any]) -> bytes:
    """Write a document of texts, truths, whole numbers, bytes and documents."""
    body = b"".join(_element(name, value) for name, value in document.items())
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def _element(name: str, value: Any) -> bytes:
    key = name.encode() + b"\0"
    if isinstance(value, bool):
        return b"\x08" + key + struct.pack("<?", value)
    if isinstance(value, int):
        return b"\x12" + key + struct.pack("<q", value)
    if isinstance(value, str):
        text = value.encode() + b"\0"
        return b"\x02" + key + struct.pack("<i", len(text)) + text
    if isinstance(value, bytes):
        return b"\x05" + key + struct.pack("<iB", len(value), 0) + value
    return b"\x03" + key + encode(value)


def decode(data: bytes) -> dict[str, Any]:
    """Read a document; what a monitor does not need, such as dates, is None. Raises ValueError for anything else."""
    try:
        return dict(_Reader(data).document(DEEPEST))
    except (struct.error, IndexError) as error:
        raise ValueError("no BSON") from error


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def document(self, depth: int) -> list[tuple[str, Any]]:
        """Read a document, or an array, whose names are numbers."""
        if depth == 0:
            raise ValueError("BSON too deep")
        self._number("<i")
        elements = []
        while kind := self._bytes(1)[0]:
            name = self._name()
            elements.append((name, self._value(kind, depth)))
        return elements

    def _value(self, kind: int, depth: int) -> Any:
        if kind in _NUMBERS:
            return self._number(_NUMBERS[kind])
        if kind in _TEXTS:
            return self._bytes(self._number("<i"))[:-1].decode("utf-8", "replace")
        if kind == 0x03:
            return dict(self.document(depth - 1))
        if kind == 0x04:
            return [value for _, value in self.document(depth - 1)]
        if kind == 0x05:
            length = self._number("<i")
            self._bytes(1)
            return self._bytes(length)
        if kind == 0x0B:  # a regular expression: pattern and flags
            self._name()
            self._name()
            return None
        if kind not in _SKIPPED:
            raise ValueError("BSON of a type that a status does not hold")
        self._bytes(_SKIPPED[kind])
        return None

    def _name(self) -> str:
        end = self._data.find(b"\0", self._at)
        if end < 0:
            raise IndexError
        return self._bytes(end + 1 - self._at)[:-1].decode("utf-8", "replace")

    def _number(self, layout: str) -> Any:
        return struct.unpack(layout, self._bytes(struct.calcsize(layout)))[0]

    def _bytes(self, length: int) -> bytes:
        if length < 0 or self._at + length > len(self._data):
            raise IndexError
        self._at += length
        return self._data[self._at - length : self._at]
