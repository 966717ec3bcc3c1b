"""JSON: WildDuck's roles, Haraka's *.json."""

import json

from confcheck.document import NotReadable, Reading
from confcheck.formats.literals import Cursor, value
from confcheck.placeholder import quoted_where_bare


def read(text: str) -> Reading:
    """Read *text*; a template's bare placeholders count as strings. Raises NotReadable."""
    cursor = Cursor(text, json=True)
    cursor.skip()
    entries = []
    problem: NotReadable | None = None
    try:
        for entry in value(cursor, ()):
            entries.append(entry)  # noqa: PERF402 - what was read before an error counts
    except NotReadable as error:
        problem = error
    try:
        json.loads(quoted_where_bare(text, entries).removeprefix("\ufeff"))
    except json.JSONDecodeError as error:
        raise NotReadable(error.lineno, error.msg) from None
    except (RecursionError, ValueError):  # a number of thousands of digits
        raise NotReadable(1, "nested too deeply, or a number too long") from None
    if problem:
        raise problem
    return Reading(tuple(entries))
