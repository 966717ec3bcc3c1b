"""What the tests of recognition share: a log read as the agent reads it."""

from __future__ import annotations

from functools import cache

from logban import rules
from logban.offence import Event, Offence
from logban.recognition import Log, Recogniser


@cache
def recogniser(*names: str) -> Recogniser:
    """All shipped filters, or those of these *names*."""
    shipped = rules.shipped()
    return Recogniser([shipped[name] for name in names] or shipped.values())


def read(text: str | bytes, *names: str, stamped: bool = False) -> list[Event]:
    """Read a whole log."""
    data = text.encode() if isinstance(text, str) else text
    return Log(recogniser(*names), stamped=stamped).feed(data)


def offences(text: str | bytes, *names: str) -> list[tuple[str, str]]:
    """Give address and kind of each offence in a whole log."""
    return [(str(each.address), each.kind) for each in read(text, *names) if isinstance(each, Offence)]
