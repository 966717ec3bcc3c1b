"""RE2 expressions over bytes, with the least work per match.

google-re2's own Python layer builds a generator and a match object for each search, three times the cost of the search
itself, which decides how many lines a second an agent can read. This speaks to the binding underneath.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import re2

if TYPE_CHECKING:
    from collections.abc import Callable

# Memory for the states of one automaton, which hostile text can make many; RE2 starts anew when there is no more.
PATTERN_BYTES = 1 << 20
GATE_BYTES = 8 << 20
_SEARCH = re2._re2.RE2.Anchor.UNANCHORED  # noqa: SLF001 -- see above; tests/unit/logban/test_expression.py guards it

Span = tuple[int, int]


class ExpressionError(ValueError):
    """RE2 refuses the expression; the text says why in its words."""


class Expression:
    """A compiled expression. Its groups are numbered from 1; `names` gives the numbers of the named ones."""

    __slots__ = ("find", "names")

    def __init__(self, text: str, memory: int = PATTERN_BYTES) -> None:
        options = re2.Options()
        options.encoding = re2.Options.Encoding.LATIN1
        options.max_mem = memory
        options.log_errors = False
        try:
            compiled = re2.compile(text.encode(), options)
        except re2.error as error:
            message = error.args[0]
            raise ExpressionError(message.decode() if isinstance(message, bytes) else str(message)) from None
        self.names: dict[str, int] = {name.decode(): number for name, number in compiled.groupindex.items()}
        # find(data, start, end): the spans of the first match and of its groups. (-1, -1) stands for a group that took
        # no part, and for the match itself when there is none.
        self.find: Callable[[bytes, int, int], list[Span]] = partial(compiled._regexp.Match, _SEARCH)  # noqa: SLF001

    def search(self, data: bytes) -> list[Span] | None:
        """Give the spans of the first match in *data* and of its groups; None when there is none."""
        spans = self.find(data, 0, len(data))
        return spans if spans[0][0] >= 0 else None

    def matches(self, data: bytes) -> bool:
        """Tell whether there is a match in *data*."""
        return self.find(data, 0, len(data))[0][0] >= 0
