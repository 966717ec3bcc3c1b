"""Dicts that do not grow: when there is too much, what came first goes."""

from __future__ import annotations

from itertools import islice
from typing import TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


def drop_oldest(entries: dict[Key, Value], most: int) -> list[Key]:
    """If *entries* are more than *most*, drop an eighth of them, the oldest, and return their keys.

    Not one at a time: a dict finds its first entry by walking over all those deleted before it.
    """
    if len(entries) <= most:
        return []
    oldest = list(islice(entries, most // 8 + 1))
    for key in oldest:
        del entries[key]
    return oldest
