"""Fills the placeholders of one file, each in the way of its format and of the place where it stands.

What comes out is read again: it must hold exactly what was there before, with the values in the placeholders' stead.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from confcheck import formats
from confcheck.document import Document, Entry, NotReadable, Role
from confcheck.placeholder import TOKEN, Value, Values

_UNSEEN = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]")
_EXPANDED = re.compile(r"\$\{?[A-Z]")  # what Rspamd takes for a variable of its own


@dataclass(frozen=True, slots=True)
class Filled:
    """The new text of a file, and how many placeholders it had."""

    text: str
    count: int


class NotFilled(Exception):
    """Why a file cannot be filled: lines with what is wrong there. Holds no value."""

    def __init__(self, complaints: list[tuple[int, str]]) -> None:
        super().__init__(str(complaints))
        self.complaints = complaints


def fill(document: Document, values: Values) -> Filled | None:
    """Fill *document*; None when it has no placeholder. Raises NotFilled."""
    waiting = [each for each in document.reading.entries if TOKEN.search(each.text)]
    if not waiting:
        return None
    complaints: list[tuple[int, str]] = []
    pieces, done = [], 0
    for entry in sorted(waiting, key=lambda entry: entry.span):
        missing = [name for name in TOKEN.findall(entry.text) if name not in values]
        complaints += [(entry.line, f"the map has no value for {name}") for name in missing]
        if missing:
            continue
        try:
            written = _written(document, entry, values)
        except ValueError as error:
            complaints.append((entry.line, f"{TOKEN.findall(entry.text)[0]} {error}"))
            continue
        pieces += [document.text[done : entry.span[0]], written]
        done = entry.span[1]
    if complaints:
        raise NotFilled(complaints)
    text = "".join([*pieces, document.text[done:]])
    _compare(document, text, values)
    return Filled(text, sum(len(TOKEN.findall(entry.text)) for entry in waiting))


def _compare(document: Document, text: str, values: Values) -> None:
    try:
        reading = formats.READERS[document.format](text)
    except NotReadable as error:
        raise NotFilled([(error.line, f"with its values the file cannot be read: {error.reason}")]) from None
    expected = Counter(each for entry in document.reading.entries for each in _substituted(entry, values))
    differs = Counter(entry.text for entry in reading.entries) != expected
    if differs or len(reading.problems) > len(document.reading.problems):
        raise NotFilled([(1, "with its values the file would not read as it should: one cannot be written in it")])


def _substituted(entry: Entry, values: Values) -> Iterator[str]:
    whole = TOKEN.fullmatch(entry.text)
    value = values.get(whole[1]) if whole else None
    if isinstance(value, tuple):
        yield from value
    else:
        yield TOKEN.sub(lambda found: str(values[found[1]]), entry.text)


def _written(document: Document, entry: Entry, values: Values) -> str:
    """Write *entry* with its values. Raises ValueError with the rest of a sentence on the placeholder."""
    whole = TOKEN.fullmatch(entry.text)
    value: Value = values[whole[1]] if whole else ""
    if isinstance(value, tuple) and entry.role is Role.VALUE:
        return _list(document, entry, value)
    if any(isinstance(values[name], tuple) for name in TOKEN.findall(entry.text)):
        raise ValueError("is a list, and a text stands here")
    if document.format == "ucl":
        return _ucl(document, entry, values)
    text = TOKEN.sub(lambda found: str(values[found[1]]), entry.text)
    if document.format in {"ini", "lines"}:
        return _plain(entry, text)
    if entry.quote in {"|", ">"}:
        raise ValueError("stands in a block of several lines, which is not written")
    return _quoted(text)


def _list(document: Document, entry: Entry, value: tuple[str, ...]) -> str:
    if document.format == "lines":
        return _line_end(document).join(_plain(entry, each) for each in value)
    if document.format == "ini":
        raise ValueError("is a list, and this format has none")
    members = [_checked(each) for each in value] if document.format == "ucl" else list(value)
    written = [_quoted(each) for each in members]
    if not entry.listed:
        return f"[{', '.join(written)}]"
    before = document.text[document.text.rfind("\n", 0, entry.span[0]) + 1 : entry.span[0]]
    if document.format == "yaml" and before.strip() == "-":
        return f"{_line_end(document)}{before}".join(written)
    return ", ".join(written)


def _plain(entry: Entry, text: str) -> str:
    if text != text.strip() or "\n" in text or "\r" in text or text.endswith("\\") or text[:1] in {"#", ";"}:
        raise ValueError("has a value that cannot stand on a line of this format")
    if entry.quote:
        raise ValueError("stands on a line that goes on, which is not written")
    return text


def _ucl(document: Document, entry: Entry, values: Values) -> str:
    if entry.quote == '"':
        written = document.text[slice(*entry.span)]
        return TOKEN.sub(lambda found: _quoted(_checked(str(values[found[1]])))[1:-1], written)
    if entry.quote:
        raise ValueError("stands in single quotes or in a block, where not every value can")
    return _quoted(TOKEN.sub(lambda found: _checked(str(values[found[1]])), entry.text))


def _checked(value: str) -> str:
    if _EXPANDED.search(value):
        raise ValueError("has a value with a $ that Rspamd would take for a variable")
    return value


def _quoted(text: str) -> str:
    """Write a string as TOML, JSON, YAML and UCL all read it."""
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))


def _line_end(document: Document) -> str:
    return "\r\n" if "\r\n" in document.text else "\n"
