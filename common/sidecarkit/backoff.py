"""Waits that double up to a cap."""

from collections.abc import Iterator


def doubling(first_seconds: float, cap_seconds: float) -> Iterator[float]:
    """Yield waits in seconds for ever: first, twice that, four times that, up to the cap.

    >>> waits = doubling(1.0, 5.0)
    >>> [next(waits) for _ in range(4)]
    [1.0, 2.0, 4.0, 5.0]
    """
    wait = first_seconds
    while True:
        yield min(wait, cap_seconds)
        wait = min(wait * 2, cap_seconds)
