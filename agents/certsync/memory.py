"""Gives memory back to the system: glibc keeps what a large store took to read, and a daemon would for weeks."""

import ctypes
import gc
from collections.abc import Callable


def _finder() -> Callable[[int], int] | None:
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except AttributeError:  # musl has no such function, and returns memory by itself
        return None
    return trim


_trim = _finder()


def give_back() -> None:
    """Return what is free. Some milliseconds after a large reading, next to nothing else."""
    gc.collect()
    if _trim is not None:
        _trim(0)
