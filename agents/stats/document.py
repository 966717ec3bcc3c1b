"""What others' documents say, taken for what it should be or for unknown: no page must fail for it."""

import math

LONGEST_TEXT = 200


def number(value: object) -> int | float | None:
    """Take a finite number; anything else is unknown."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if math.isfinite(value) else None


def text(value: object) -> str | None:
    """Take a short text that can be written as UTF-8: JSON may hold halves of a surrogate pair."""
    if not isinstance(value, str):
        return None
    return value[:LONGEST_TEXT].encode("utf-8", "replace").decode()
