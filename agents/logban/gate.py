"""The gate: finds the few lines of a block of log that can matter, in one pass over its bytes.

All plain texts of all patterns are looked for at once by one automaton, so the cost of a line that holds none of them
hardly depends on the number of patterns, and no Python runs for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from logban.expression import GATE_BYTES, Expression

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Item = TypeVar("Item")


class Gate(Generic[Item]):
    """Knows which items may match a line: those of which it holds a plain text."""

    def __init__(self, items: Iterable[tuple[Sequence[bytes], Item]]) -> None:
        """Each item comes with its plain texts; their order is the order in which a line's items are given."""
        ordered = list(items)
        # Longest first: of texts that start at one place the automaton takes the first.
        texts = sorted({text for own, _ in ordered for text in own}, key=lambda text: (-len(text), text))
        self._order = {id(item): place for place, (_, item) in enumerate(ordered)}
        # The automaton goes on behind a match, so a match brings along what lies inside it or begins in it.
        self._found_with = {
            found: tuple(item for own, item in ordered if any(text in found for text in own)) for found in texts
        }
        overlaps = {
            found: tuple((cut, text) for text in texts for cut in range(1, len(found)) if text.startswith(found[cut:]))
            for found in texts
        }
        self._overlaps = {found: cuts for found, cuts in overlaps.items() if cuts}
        self._automaton = Expression("|".join(map(_quote, texts)), GATE_BYTES) if texts else None

    def lines(self, data: bytes, position: int = 0) -> Iterator[tuple[int, int, Sequence[Item]]]:
        """Start, end (of its LF) and items of each line of *data* from *position* on that holds a plain text."""
        if self._automaton is None:
            return
        find, found_with, overlaps = self._automaton.find, self._found_with, self._overlaps
        start, end, size = position, -1, len(data)
        items: Sequence[Item] = ()
        seen: set[bytes] = set()  # texts of this line beside its first: a line can hold thousands of them
        ((begin, stop),) = find(data, position, size)
        while begin >= 0:
            text = data[begin:stop]
            if begin >= end:
                if end >= 0:
                    yield start, end, items
                start = data.rfind(b"\n", position, begin) + 1 or position
                end = data.find(b"\n", stop)
                if end < 0:
                    end = size
                items = found_with[text]
                if seen:
                    seen.clear()
            elif text not in seen:
                seen.add(text)
                items = self._both(items, found_with[text])
            if text in overlaps:
                items = self._with_overlapping(items, seen, data, begin, overlaps[text])
            ((begin, stop),) = find(data, stop, size)
        if end >= 0:
            yield start, end, items

    def _with_overlapping(
        self, items: Sequence[Item], seen: set[bytes], data: bytes, begin: int, cuts: Iterable[tuple[int, bytes]]
    ) -> Sequence[Item]:
        """Add the items of texts that begin so far behind *begin*, within a text found there, and end behind it."""
        for cut, hidden in cuts:
            if hidden not in seen and data.startswith(hidden, begin + cut):
                seen.add(hidden)
                items = self._both(items, self._found_with[hidden])
        return items

    def _both(self, some: Sequence[Item], others: Sequence[Item]) -> Sequence[Item]:
        unique = {id(item): item for item in (*some, *others)}
        return sorted(unique.values(), key=lambda item: self._order[id(item)])


def _quote(text: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in text)
