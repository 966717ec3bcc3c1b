"""Patterns of filters: RE2 expressions with placeholders, and the plain text that every match must hold.

RE2 matches in time linear in the line, so no pattern, however written, can hang the agent. The plain text is what the
gate (gate.py) looks for; a pattern is tried only on lines that hold it.
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from typing import TYPE_CHECKING

from logban import onepass
from logban.expression import Expression, ExpressionError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# A gate text shorter than this occurs by chance in too many lines.
SHORTEST_LITERAL = 4

_BUILT_IN = {
    "ADDR": r"(?P<addr>[0-9A-Fa-f:.]{2,45}(?:%[0-9A-Za-z._-]{1,16})?)",
    "REASON": r"(?P<reason>[^\"'\n]+?)",
    # Optional: the time that some servers can be told to print, or that a collector put in front.
    "TIME": r"(?:[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.,]+(?:Z|[+-][0-9]{2}:?[0-9]{2})? )?",
    # What OpenSSL calls an error, whichever version and file it comes from; only the reason is kept.
    "OPENSSL": r"(?:[0-9A-Fa-f]+:)?error:[0-9A-Fa-f]{8}:SSL routines:[^:\n]*:(?P<reason>[^:,()\"'\\\n]+)",
}
_PLACEHOLDER = re.compile(r"<([A-Z][A-Z0-9_]*)>")
_DEFAULT_ID = r"[0-9A-Za-z._-]{1,64}"
_QUANTIFIED = re.compile(r"[*?]|\{0")
_NO_LETTERS = string.punctuation.encode() + b" "
_ESCAPED_PUNCTUATION = re.compile(r"[^A-Za-z0-9]")


class PatternError(ValueError):
    """A pattern that cannot be used, and why."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled pattern. A match holds one of the *literals*; the three numbers are groups, 0 where it has none."""

    text: str
    expanded: str
    literals: tuple[bytes, ...]
    regex: Expression
    # The same, faster, for those that leave no choice (see onepass.py).
    quick: onepass.Match | None
    addr: int
    id: int
    reason: int


def compile_pattern(
    text: str, definitions: Mapping[str, str], literals: Sequence[str] = (), *, gated: bool = True
) -> Pattern:
    """Compile *text*, its placeholders replaced by *definitions* or the built-in ones.

    *literals*: every match holds one of them; without, the longest plain text of the pattern is taken. One that is not
    *gated* needs none: it is tried on blocks, which other patterns find.
    Every pattern starts at ``^``: an address or a kind is taken by position, so text a client chose cannot pose as one.
    """
    if not text.startswith("^"):
        raise PatternError("it must start with ^, so that text chosen by a client cannot pose as the server's")
    try:
        expanded = _expand(text, definitions)
        regex = Expression(expanded)
    except ExpressionError as error:
        raise PatternError(str(error)) from None
    # Without what follows the last letter or digit: then hardly any text begins where another one ends (see gate.py).
    plain = tuple(
        each.rstrip(_NO_LETTERS) for each in (map(str.encode, literals) if literals else [_longest_literal(text)])
    )
    if gated and min(map(len, plain)) < SHORTEST_LITERAL:
        raise PatternError(
            f"it has no plain text of {SHORTEST_LITERAL} characters or more that every match holds; "
            "say it in 'literal', or write one into the pattern"
        )
    quick = onepass.matcher(expanded) if gated else None
    return Pattern(
        text, expanded, plain, regex, quick, *(regex.names.get(name, 0) for name in ("addr", "id", "reason"))
    )


def _expand(text: str, definitions: Mapping[str, str]) -> str:
    """*text* with every placeholder replaced; a definition may use the built-in ones, not its neighbours."""
    known = {**_BUILT_IN, "ID": f"(?P<id>{definitions.get('ID', _DEFAULT_ID)})"}
    own = {name: _replace(value, known) for name, value in definitions.items() if name != "ID"}
    return _replace(text, {**known, **own})


def _replace(text: str, values: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        try:
            return values[found[1]]
        except KeyError:
            raise PatternError(f"<{found[1]}> is not defined; known are {', '.join(sorted(values))}") from None

    return _PLACEHOLDER.sub(value, text)


def _longest_literal(text: str) -> bytes:
    """Find the longest run of plain characters outside groups, classes and alternatives: a match cannot be without it.

    Reads the pattern before its placeholders are replaced, so each of them ends a run.
    """
    if "(?i" in text:
        return b""
    runs = [""]
    depth = 0
    position = 1  # behind the ^
    while position < len(text):
        character, width, plain = _next_token(text, position)
        depth += {"(": 1, ")": -1}.get(character if not plain else "", 0)
        if character == "|" and not plain and depth == 0:
            return b""
        position += width
        optional = position < len(text) and _QUANTIFIED.match(text, position)
        repeated = position < len(text) and text[position] in "+{"
        if plain and depth == 0 and not optional:
            runs[-1] += character
        if not plain or depth or optional or repeated:
            runs.append("")
    return max(runs, key=len).encode()


def _next_token(text: str, position: int) -> tuple[str, int, bool]:
    """Give the character at *position*, how much of the pattern it takes, and whether it stands for itself."""
    character = text[position]
    if character == "\\":
        following = text[position + 1 : position + 2]
        return following, 2, bool(_ESCAPED_PUNCTUATION.match(following))
    if character == "[":
        end = text.find("]", position + 2)
        return character, (end if end > 0 else len(text)) + 1 - position, False
    if placeholder := _PLACEHOLDER.match(text, position):
        return character, len(placeholder[0]), False
    if character == "{":
        return character, text.find("}", position) + 1 - position or 1, False
    return character, 1, character not in "^$.|()*+?"
