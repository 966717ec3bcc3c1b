"""Lines as the engine sends them, for the tests that play the engine."""

import struct

from logban.cursor import stamp_at


def entry(at: float, text: str) -> bytes:
    """Write a line with the engine's time."""
    return stamp_at(at) + f" {text}\n".encode()


def framed(at: float, text: str, stream: int = 1) -> bytes:
    """Write it in a frame of the stream."""
    payload = entry(at, text)
    return struct.pack(">B3xL", stream, len(payload)) + payload
