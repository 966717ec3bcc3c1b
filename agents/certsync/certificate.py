"""A certificate as a fact: names, dates, serial, public key, and its chain put in order."""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding

from certsync import key as keys
from certsync.refusal import Reason, Refusal, RefusalError

# RFC 7468: text may stand between the blocks; inside one, only base64 and white space.
_CERTIFICATE_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----")
_WEAK_HASHES = frozenset({"md5", "sha1"})


@dataclass(frozen=True, slots=True)
class Certificate:
    """What is known of one leaf and the chain that follows it."""

    names: tuple[str, ...]  # DNS names of the subjectAltName, lower case; "*.example.com" covers one label
    serial: int
    not_before: datetime
    not_after: datetime
    chain_not_after: datetime  # the earliest end among the intermediates, the leaf's own when there are none
    issuer: str
    spki: str  # SHA-256 of the public key, hex
    fingerprint: str  # SHA-256 of the leaf, hex
    chain: tuple[bytes, ...] = field(repr=False)  # DER, leaf first, each issued by the next, without the root
    staging: bool = False  # from a CA that issues for tests only

    def covers(self, name: str) -> bool:
        """Whether *name* is among the names; a wildcard stands for exactly one label (RFC 9525, 6.3)."""
        return name in self.names or wildcard_of(name) in self.names

    def days_left(self, now: datetime) -> float:
        """Days until expiry, negative after it. RFC 5280, 4.1.2.5: notAfter itself is still valid."""
        return (self.not_after - now).total_seconds() / 86400

    @property
    def serial_hex(self) -> str:
        """The serial as OpenSSL prints it."""
        digits = f"{self.serial:X}"
        return digits if len(digits) % 2 == 0 else "0" + digits


@dataclass(frozen=True, slots=True)
class Offer:
    """A certificate with its key, as an entry of a source holds it or as a target has it on disk."""

    resolver: str  # the block of acme.json that held it; empty elsewhere
    certificate: Certificate
    key: bytes = field(repr=False)  # PKCS#8 DER
    flaw: Refusal | None = None  # why it can serve nobody, whatever the time and the target

    @property
    def identity(self) -> str:
        """What makes two deliveries the same: leaf, chain and public key, never how the key is encoded."""
        digest = hashlib.sha256()
        for der in self.certificate.chain:
            digest.update(hashlib.sha256(der).digest())
        return digest.hexdigest()


def wildcard_of(name: str) -> str:
    """Name the wildcard that would cover *name*: `*.example.com` for `mail.example.com`."""
    return "*." + name.partition(".")[2]


def certificates(pem: bytes) -> list[bytes]:
    """Decode each certificate of a PEM text, as they stand. Raises `ValueError` when one is damaged or cut."""
    blocks = _CERTIFICATE_BLOCK.findall(pem)
    if len(blocks) != pem.count(b"-----BEGIN CERTIFICATE-----"):
        raise ValueError("a certificate block is cut short or damaged")
    try:
        return [base64.b64decode(b"".join(block.split()), validate=True) for block in blocks]
    except binascii.Error as error:
        raise ValueError("a certificate block is not base64") from error


def might_name(der: bytes, needles: Sequence[bytes]) -> bool:
    """Whether a certificate may hold one of the names in *needles* (lower case).

    Names stand in the DER as plain ASCII. Looking for them costs microseconds where X.509 parsing costs a hundred.
    """
    folded = der.lower()
    return any(needle in folded for needle in needles)


def read(resolver: str, ders: Iterable[bytes], key_data: bytes) -> Offer:
    """Read certificates and a key that belong together into one offer, flawed ones included.

    Raises `RefusalError` with `no_certificate` when there is not even a leaf to name.
    """
    parsed = _parse(ders)
    try:
        private = keys.read(key_data)
    except RefusalError as error:
        return _described(resolver, _likely_leaf(parsed), parsed, b"", error.refusal)
    identity = keys.spki(private.public_key())
    leaf = _leaf_of(parsed, identity)
    if leaf is None:
        flaw = Refusal(Reason.KEY_MISMATCH, "the key belongs to another certificate")
        return _described(resolver, _likely_leaf(parsed), parsed, b"", flaw)
    return _described(resolver, leaf, parsed, keys.pkcs8(private), None)


def describe(ders: Iterable[bytes]) -> Certificate:
    """Describe a chain whose key is not at hand, such as one that a server sent, leaf first."""
    parsed = _parse(ders)
    return _described("", parsed[0], parsed, b"", None).certificate


def _parse(ders: Iterable[bytes]) -> list[x509.Certificate]:
    try:
        parsed = [x509.load_der_x509_certificate(der) for der in ders]
        for one in parsed:  # some damage shows only when a field is read
            _ = one.extensions, one.public_key(), one.issuer, one.subject
    except (ValueError, TypeError) as error:
        raise RefusalError(Reason.NO_CERTIFICATE, "a certificate is damaged") from error
    if not parsed:
        raise RefusalError(Reason.NO_CERTIFICATE, "there is no certificate block")
    return parsed


def _leaf_of(parsed: list[x509.Certificate], identity: str) -> x509.Certificate | None:
    matching = [one for one in parsed if keys.spki(one.public_key()) == identity]
    return max(matching, key=lambda one: one.not_valid_after_utc, default=None)


def _likely_leaf(parsed: list[x509.Certificate]) -> x509.Certificate:
    return next((one for one in parsed if not _is_authority(one)), parsed[0])


def _described(
    resolver: str, leaf: x509.Certificate, parsed: list[x509.Certificate], key: bytes, flaw: Refusal | None
) -> Offer:
    chain = _in_order(leaf, parsed)
    fact = Certificate(
        names=_names(leaf),
        serial=leaf.serial_number,
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
        chain_not_after=min(one.not_valid_after_utc for one in chain[1:] or [leaf]),
        issuer=leaf.issuer.rfc4514_string(),
        spki=keys.spki(leaf.public_key()),
        fingerprint=hashlib.sha256(_der(leaf)).hexdigest(),
        chain=tuple(_der(one) for one in chain),
        staging=any(_is_staging(one) for one in chain),
    )
    return Offer(resolver, fact, key, flaw or _flaw(leaf, chain, parsed))


def _der(one: x509.Certificate) -> bytes:
    return one.public_bytes(Encoding.DER)


def _names(leaf: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    return tuple(dict.fromkeys(name.lower() for name in extension.value.get_values_for_type(x509.DNSName)))


def _in_order(leaf: x509.Certificate, pool: list[x509.Certificate]) -> list[x509.Certificate]:
    """Leaf first, each followed by the one that signed it; a self-signed root and strangers are left out."""
    chain = [leaf]
    while (issuer := _issuer_of(chain[-1], pool)) is not None and issuer not in chain:
        if issuer.issuer == issuer.subject:
            break  # clients have their own copy of the root, or do not trust it
        chain.append(issuer)
    return chain


def _issuer_of(child: x509.Certificate, pool: list[x509.Certificate]) -> x509.Certificate | None:
    # Of two cross-signed issuers with one key, the one that lasts longer.
    for parent in sorted(pool, key=lambda one: one.not_valid_after_utc, reverse=True):
        if parent is child or parent.subject != child.issuer or not _is_authority(parent):
            continue
        try:
            child.verify_directly_issued_by(parent)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return parent
    return None


def _is_authority(one: x509.Certificate) -> bool:
    try:
        return one.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _is_staging(one: x509.Certificate) -> bool:
    """Whether a test CA signed it: Let's Encrypt's say `(STAGING)`, earlier ones `Fake LE`, Pebble its own name."""
    issuer = one.issuer.rfc4514_string()
    return "(STAGING)" in issuer or "Fake LE " in issuer or "Pebble Intermediate" in issuer


def _flaw(leaf: x509.Certificate, chain: list[x509.Certificate], parsed: list[x509.Certificate]) -> Refusal | None:
    if (weak := keys.weakness(leaf.public_key())) is not None:
        return Refusal(Reason.WEAK_KEY, weak)
    for one in chain:
        algorithm = one.signature_hash_algorithm
        if algorithm is not None and algorithm.name in _WEAK_HASHES and one.issuer != one.subject:
            return Refusal(Reason.WEAK_KEY, f"signed with {algorithm.name}, which clients refuse")
    if len(chain) == 1 and len(parsed) > 1 and leaf.issuer != leaf.subject and _issuer_of(leaf, parsed) is None:
        return Refusal(Reason.CHAIN_BROKEN, "none of the certificates beside the leaf has issued it")
    return None
