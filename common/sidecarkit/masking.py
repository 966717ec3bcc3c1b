"""Keeps secrets out of everything that is stored, logged or sent."""

import re
from collections.abc import Iterable

MASK = "***"
_SECRET_NAME = re.compile(
    r"PASS|PWD|SECRET|TOKEN|CREDENTIAL|PRIVATE|APIKEY|ACCESS|AUTH|SALT|COOKIE|SESSION|DSN|(^|_)KEY($|_)",
    re.IGNORECASE,
)
# From `://` on, not from the scheme: looking for the scheme's end after each dot takes minutes in a line of dots.
_URL_PASSWORD = re.compile(r"(://[^\s/:@]*:)[^\s/@]+(?=@)")
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
_AUTHORIZATION = re.compile(r"(\b(?:bearer|basic)\s+)[A-Za-z0-9+/=._~-]{8,}", re.IGNORECASE)
_SHORTEST_SECRET = 4  # a shorter one would blank half of the text
_NO_SECRET = re.compile(r"(true|false|none|null|localhost|default|\d{1,5})", re.IGNORECASE)  # nor would these tell much


class Mask:
    """Replaces the values of secret-looking environment variables, passwords in URLs, and private keys by `***`."""

    def __init__(self, environment: Iterable[str] = ()) -> None:
        """*environment*: `NAME=value` lines as in a container's Config.Env."""
        secrets = set[str]()
        for line in environment:
            name, _, value = line.partition("=")
            secrets.update(_secrets(name, value))
        # Longest first: a secret that contains another must go as a whole.
        ordered = sorted(secrets, key=len, reverse=True)
        self._values = re.compile("|".join(re.escape(secret) for secret in ordered)) if ordered else None

    def __call__(self, text: str) -> str:
        text = _PRIVATE_KEY.sub(MASK, text)
        if self._values:
            text = self._values.sub(MASK, text)
        text = _URL_PASSWORD.sub(rf"\g<1>{MASK}", text)
        return _AUTHORIZATION.sub(rf"\g<1>{MASK}", text)


def _secrets(name: str, value: str) -> Iterable[str]:
    if _SECRET_NAME.search(name):
        # A secret of several lines reaches a log line by line.
        parts = {value, *value.splitlines()}
        yield from (part for part in parts if len(part) >= _SHORTEST_SECRET and not _NO_SECRET.fullmatch(part))
    yield from (found for found in re.findall(r"://[^\s/:@]*:([^\s/@]+)@", value) if len(found) >= _SHORTEST_SECRET)
