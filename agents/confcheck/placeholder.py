"""Placeholders: `__NAME__` in capitals, digits and single underscores, no letter, digit or underscore beside it."""

import re
from collections.abc import Iterable, Mapping

from confcheck.document import Entry

NAME = re.compile(r"[A-Z0-9]+(?:_[A-Z0-9]+)*", re.ASCII)
TOKEN = re.compile(rf"(?<![A-Za-z0-9_])__({NAME.pattern})__(?![A-Za-z0-9_])", re.ASCII)

Value = str | tuple[str, ...]  # what a placeholder is filled with: a text, or a list of texts
Values = Mapping[str, Value]


def quoted_where_bare(text: str, entries: Iterable[Entry]) -> str:
    """Make strings of the bare placeholders among *entries*, of the same length, so that a strict parser takes them."""
    pieces, done = [], 0
    for entry in sorted(entries, key=lambda entry: entry.span):
        start, end = entry.span
        if entry.quote or entry.role is entry.role.NAME or start < done or not TOKEN.fullmatch(text[start:end]):
            continue
        pieces += [text[done:start], '"', "x" * (end - start - 2), '"']
        done = end
    return "".join([*pieces, text[done:]])
