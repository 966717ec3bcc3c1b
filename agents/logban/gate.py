"""The gate: finds the few lines of a block of log that can matter, in one pass over its bytes.

All plain texts of all patterns are looked for at once by one automaton, so the cost of a line that holds none of them
hardly depends on the number of patterns, and no Python runs for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from logban.pattern import compile_regex

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Item = TypeVar("Item")


class Gate(Generic[Item]):
    """Knows which items may match a line, by the plain text each of them needs."""

    def __init__(self, items: Iterable[tuple[bytes, Item]]) -> None:
        """Each item comes with its plain text; their order is the order in which a line's items are given."""
        ordered = list(items)
        texts = sorted({text for text, _ in ordered}, key=lambda text: (-len(text), text))
        self._order = {id(item): place for place, (_, item) in enumerate(ordered)}
        # The automaton goes on behind a match, so a match brings along what lies inside it or begins in it.
        self._found_with = {found: tuple(item for text, item in ordered if text in found) for found in texts}
        self._overlaps = {
            found: tuple((cut, text) for text in texts for cut in range(1, len(found)) if text.startswith(found[cut:]))
            for found in texts
        }
        self._automaton = compile_regex("|".join(_quote(text) for text in texts)) if texts else None

    def lines(self, data: bytes, position: int = 0) -> Iterator[tuple[int, int, Sequence[Item]]]:
        """Start, end (of its LF) and items of each line of *data* from *position* on that holds a plain text."""
        if self._automaton is None:
            return
        start, end = position, -1
        items: Sequence[Item] = ()
        for hit in self._automaton.finditer(data, position):
            begin, stop = hit.span()
            text = data[begin:stop]
            found = self._found_with[text]
            for cut, hidden in self._overlaps[text]:
                if data.startswith(hidden, begin + cut):
                    found = self._both(found, self._found_with[hidden])
            if begin < end:
                if found is not items:
                    items = self._both(items, found)
                continue
            if end >= 0:
                yield start, end, items
            start = data.rfind(b"\n", position, begin) + 1 or position
            end = data.find(b"\n", stop)
            if end < 0:
                end = len(data)
            items = found
        if end >= 0:
            yield start, end, items

    def _both(self, some: Sequence[Item], others: Sequence[Item]) -> Sequence[Item]:
        unique = {id(item): item for item in (*some, *others)}
        return sorted(unique.values(), key=lambda item: self._order[id(item)])


def _quote(text: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in text)
