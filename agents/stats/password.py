"""Passwords: which are good enough, how they are kept, and how a given one is compared without telling anything."""

import hashlib
import hmac
import re
import secrets
import threading
from typing import Protocol

SHORTEST = 12
# One guess costs 50 ms and 16 MiB, so that few are made; nothing above this is taken from a setting.
_COST, _BLOCK, _LARGEST_BYTES = 2**14, 8, 64 * 2**20
_WELL_KNOWN = re.compile(
    r"(?:change|me|please|password|passwort|passwd|passw0rd|pass|admin|administrator|root|user|secret|default|"
    r"letmein|welcome|qwerty|qwertz|example|test|demo|stats|wildduck|mail|grafana|[\W\d_])+"
)
_HASH = re.compile(r"scrypt:(\d{1,7}):(\d{1,2}):(\d{1,2})\$([0-9a-f]{16,64})\$([0-9a-f]{64})", re.ASCII)


def chosen(value: str) -> str:
    """Take a password that somebody chose. Raises ValueError for one that would soon be guessed."""
    if len(value) < SHORTEST:
        raise ValueError(f"{SHORTEST} characters or more")
    if len(value) <= 64 and (_WELL_KNOWN.fullmatch(value.lower()) or len(set(value)) < 4):
        raise ValueError("a password that is not a default one, nor made of well-known words and digits")
    return value


def hashed(value: str) -> str:
    """Take what `make_hash` made."""
    found = _HASH.fullmatch(value.strip())
    if found is None:
        raise ValueError("what `stats hash` prints")
    cost, block, parallel = (int(part) for part in found.groups()[:3])
    if cost < 2 or cost & (cost - 1) or not block or not parallel or 128 * cost * block * parallel > _LARGEST_BYTES:
        raise ValueError("what `stats hash` prints")
    return value.strip()


def make_hash(value: str) -> str:
    """Hash a password to keep: `scrypt:N:r:p$salt$digest`."""
    salt = secrets.token_hex(16)
    return f"scrypt:{_COST}:{_BLOCK}:1${salt}${_scrypt(value, _COST, _BLOCK, 1, salt)}"


class Verifier(Protocol):
    """Something that knows whether a password is the right one, and takes as long for a wrong one."""

    def is_right(self, value: str) -> bool: ...


class Plain:
    """A password that is known. Digests are compared, since comparing texts tells their lengths."""

    def __init__(self, value: str) -> None:
        self._digest = _digest(value)

    def is_right(self, value: str) -> bool:
        return hmac.compare_digest(_digest(value), self._digest)


class Hashed:
    """A password of which only the hash is known. One guess at a time: memory is short here."""

    def __init__(self, kept: str) -> None:
        head, self._salt, self._expected = kept.split("$")
        self._cost, self._block, self._parallel = (int(part) for part in head.split(":")[1:])
        self._lock = threading.Lock()
        # Whoever was right is right again, and the page shall not take 50 ms each time: kept under a key of this
        # process, so that it is worth nothing outside of it.
        self._key = secrets.token_bytes(32)
        self._accepted: bytes = secrets.token_bytes(32)

    def is_right(self, value: str) -> bool:
        mark = hmac.digest(self._key, value.encode("utf-8", "surrogatepass"), "sha256")
        if hmac.compare_digest(mark, self._accepted):
            return True
        with self._lock:
            found = _scrypt(value, self._cost, self._block, self._parallel, self._salt)
        if not hmac.compare_digest(found, self._expected):
            return False
        self._accepted = mark
        return True


def _digest(value: str) -> bytes:
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).digest()


def _scrypt(value: str, cost: int, block: int, parallel: int, salt: str) -> str:
    return hashlib.scrypt(
        value.encode("utf-8", "surrogatepass"),
        salt=salt.encode("ascii"),
        n=cost,
        r=block,
        p=parallel,
        maxmem=2 * _LARGEST_BYTES,
        dklen=32,
    ).hex()
