"""INI as Haraka reads it: sections, `name = value`, whole lines of comment, a backslash to go on."""

import re

from confcheck.document import Entry, Key, Problem, Reading, Role

_SECTION = re.compile(r"[^\S\n]*\[([^\]\n]*)\]\s*")
_VALUE = re.compile(r"(\s*)([\w@:._+\-/\[\]]+)\s*(?:=[^\S\n]*(.*?)\s*)?", re.ASCII)
_COMMENT = re.compile(r"\s*([;#].*)?")
_GOES_ON = re.compile(r"\\[ \t]*$")


def read(text: str) -> Reading:
    """Read *text*. A line that Haraka leaves out, or takes for something else, is a problem of the file."""
    entries: list[Entry] = []
    problems: list[Problem] = []
    section: Key = ("main",)
    at = 1 if text.startswith("\ufeff") else 0
    begun = ""
    for number, whole in enumerate(text[at:].split("\n"), start=1):
        line = whole.removesuffix("\r")
        if _COMMENT.fullmatch(line):
            pass
        elif found := _SECTION.fullmatch(line):
            section = (found[1].strip(),)
            entries.append(_entry(section, found[1], at + found.start(1), number, Role.NAME))
        elif _GOES_ON.search(line):
            begun += _GOES_ON.sub("", line)
        else:
            problems += _parameter(begun, line, at, number, section, entries)
            begun = ""
        at += len(whole) + 1
    return Reading(tuple(entries), problems=tuple(problems))


def _parameter(  # noqa: PLR0913, PLR0917 - one line, where it stands, and where it goes
    begun: str, line: str, at: int, number: int, section: Key, entries: list[Entry]
) -> list[Problem]:
    found = _VALUE.fullmatch(begun + line)
    if not found:
        return [Problem("syntax", number, "neither a section nor a name with a value: Haraka leaves this line out")]
    if found[2].startswith("["):
        return [Problem("syntax", number, "a section that is not closed: Haraka takes it for a name")]
    key = (*section, found[2].removesuffix("[]"))
    if not begun:
        entries.append(_entry(key, found[2], at + found.start(2), number, Role.NAME))
    start = at + max(0, found.start(3) - len(begun)) if found[3] else at + len(line)
    entries.append(Entry(key, found[3] or "", (start, at + len(line.rstrip())), number, "\\" if begun else ""))
    return []


def _entry(key: Key, text: str, start: int, line: int, role: Role) -> Entry:
    return Entry(key, text, (start, start + len(text)), line, role=role)
