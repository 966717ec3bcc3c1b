"""Traefik's acme.json, of any version, to the certificates that somebody wants.

| | v1 | v2, v3 | v2.11.51, v3.6.22, v3.7.6 and later |
|---|---|---|---|
| top level | one object with `Account` and `Certificates` | a map from resolver to such an object | the same |
| keys | `Domain`, `Certificate`, `Key` | `domain`, `certificate`, `key` | the same |
| private key | PKCS#1 or SEC1 | PKCS#1 or SEC1 | PKCS#8 |

Go reads keys in any case, so hand-edited files hold either; they are folded here. `domain` says what was asked for, not
what was issued: names are taken from the certificate itself. The account's key is never read.
"""

import base64
import binascii
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from certsync import certificate
from certsync.certificate import Offer
from certsync.refusal import Reason, RefusalError

# The resolver of a v1 file has no name.
UNNAMED = ""


@dataclass(frozen=True, slots=True)
class Contents:
    """What one reading of acme.json gave."""

    offers: tuple[Offer, ...]
    entries: int  # how many certificates the file holds, wanted or not
    damaged: tuple[str, ...]  # entries that could not be read, as "resolver: name asked for"


def read(text: str, names: Collection[str] | None) -> Contents:
    """Read the certificates that may cover one of *names*, all of them for None.

    Raises `RefusalError`: `source_torn` when the text is not a whole JSON object. Certificates whose DER does not hold
    one of the names are not parsed, which keeps ten thousand of them under a second.
    """
    needles = None if names is None else _needles(names)
    offers: list[Offer] = []
    damaged: list[str] = []
    entries = 0
    for resolver, entry in _entries(_document(text)):
        entries += 1
        try:
            ders = certificate.certificates(_decoded(entry, "certificate"))
            if not ders:
                raise ValueError("no certificate")  # noqa: TRY301 - one more way for an entry to be damaged
            if needles is None or any(certificate.might_name(der, needles) for der in ders):
                offers.append(certificate.read(resolver, ders, _decoded(entry, "key")))
        except (ValueError, RefusalError):
            damaged.append(f"{resolver or 'acme'}: {_asked_for(entry)}")
    return Contents(tuple(offers), entries, tuple(damaged))


def _needles(names: Collection[str]) -> tuple[bytes, ...]:
    wanted = {name.encode() for name in names} | {certificate.wildcard_of(name).encode() for name in names}
    return tuple(sorted(wanted))


def _document(text: str) -> dict[str, Any]:
    if not text.strip("\0 \t\r\n"):
        raise RefusalError(Reason.SOURCE_TORN, "the file is empty: Traefik has not written it yet, or not to its end")
    try:
        document = json.loads(text, object_pairs_hook=_folded)
    except RecursionError:
        raise RefusalError(Reason.SOURCE_TORN, "not an acme.json: nested too deeply") from None
    except ValueError as error:  # the message of JSONDecodeError holds positions, never the text
        raise RefusalError(Reason.SOURCE_TORN, f"not whole JSON ({error}), a write may be under way") from None
    if not isinstance(document, dict):
        raise RefusalError(Reason.SOURCE_TORN, "not an acme.json: the top level is no object")
    return document


def _folded(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Lower the case of the keys that have a meaning; resolvers keep their names."""
    return {(lower if (lower := key.lower()) in _MEANINGFUL else key): value for key, value in pairs}


_MEANINGFUL = frozenset({"account", "certificates", "domain", "certificate", "key", "main", "sans"})


def _entries(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    blocks = {UNNAMED: document} if _is_block(document) else document
    for resolver, block in blocks.items():
        if isinstance(block, dict) and isinstance(listed := block.get("certificates"), list):
            yield from ((resolver, entry) for entry in listed if isinstance(entry, dict))


def _is_block(document: dict[str, Any]) -> bool:
    """Whether this is v1's single object, not a map whose resolver happens to be called `account`."""
    return isinstance(document.get("certificates"), list) or _is_account(document.get("account"))


def _is_account(value: Any) -> bool:
    return isinstance(value, dict) and "PrivateKey" in value


def _decoded(entry: dict[str, Any], field: str) -> bytes:
    value = entry.get(field)
    if not isinstance(value, str):
        raise ValueError(f"{field} is absent")  # noqa: TRY004 - one more way for an entry to be damaged
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise ValueError(f"{field} is not base64") from error


def _asked_for(entry: dict[str, Any]) -> str:
    domain = entry.get("domain")
    return str(domain.get("main") or "?") if isinstance(domain, dict) else "?"
