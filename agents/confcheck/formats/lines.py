"""Plain lists: Haraka's `plugins`, `me`, `host_list`, Rspamd's maps. One value a line, comments from # or ; on."""

import re

from confcheck.document import Entry, Reading

_COMMENT = re.compile(r"\s*([;#].*)?")


def read(text: str) -> Reading:
    """Read *text*: each line that is neither blank nor a comment."""
    entries: list[Entry] = []
    at = 1 if text.startswith("\ufeff") else 0
    for number, whole in enumerate(text[at:].split("\n"), start=1):
        line = whole.removesuffix("\r")
        if not _COMMENT.fullmatch(line):
            start = at + len(line) - len(line.lstrip())
            stripped = line.strip()
            key = (str(len(entries)),)
            entries.append(Entry(key, stripped, (start, start + len(stripped)), number, listed=True))
        at += len(whole) + 1
    return Reading(tuple(entries))
