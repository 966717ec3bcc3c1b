"""What a line of a log can tell: facts, one for each connection that deserves a word."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from logban.address import Address

# Only a probe or a hopelessly old client does these.
STRONG_KINDS = ("legacy_tls", "plaintext_on_tls", "no_shared_cipher", "malformed")
# Innocent clients do this too: it weighs only beside a strong offence of the same source.
WEAK_KINDS = ("aborted",)
KINDS = (*STRONG_KINDS, *WEAK_KINDS, "auth_failure")
# Of a line that is kept as evidence.
EVIDENCE_BYTES = 400

_SECRETS = (
    re.compile(r"(?i)\b(AUTH(?:ENTICATE)? +[A-Z0-9-]+ +)[A-Za-z0-9+/=]{4,}"),
    re.compile(r"(?i)\b(PASS +)\S+"),
    re.compile(r'(?i)\b(LOGIN +(?:"(?:[^"\\]|\\.)*"|\S+) +)(?:"(?:[^"\\]|\\.)*"|\S+)'),
    re.compile(r"(?i)\b(pass(?:word|wd)?[\"']?[=:] *)(?:\"(?:[^\"\\]|\\.)*\"|\S+)"),
)


class Offence(NamedTuple):
    """One connection that did something a jail may count; *at* is the line's own time in seconds, or None."""

    address: Address
    kind: str
    reason: str
    filter: str
    line: int
    at: float | None
    text: bytes

    @property
    def evidence(self) -> str:
        """The line, or the block of lines, as it may be shown and stored: short, printable, without passwords."""
        text = self.text.decode("utf-8", "replace")
        for secret in _SECRETS:
            text = secret.sub(r"\1***", text)
        return "".join(character if character.isprintable() else "·" for character in text)


class Success(NamedTuple):
    """A good login or an accepted mail of *address*: the opposite of an offence."""

    address: Address
    filter: str
    line: int
    at: float | None


class Proxy(NamedTuple):
    """*address* speaks for others: the log shows it as the sender of a PROXY header."""

    address: Address
    filter: str
    line: int
    at: float | None


Event = Offence | Success | Proxy
