"""The forms in which servers want a certificate: which bytes go into which file."""

import base64
from enum import StrEnum

from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, pkcs12

from certsync import certificate
from certsync import key as keys
from certsync.certificate import Offer
from certsync.refusal import RefusalError


class Form(StrEnum):
    """What a file holds."""

    CERTIFICATE = "certificate"  # the whole chain, leaf first
    KEY = "key"
    LEAF = "leaf"
    CHAIN = "chain"  # the intermediates alone
    COMBINED = "combined"  # key and whole chain in one file, which alone can be replaced without a torn moment
    PKCS12 = "pkcs12"

    @property
    def secret(self) -> bool:
        """Whether the private key is inside."""
        return self in {Form.KEY, Form.COMBINED, Form.PKCS12}


def render(form: Form, pair: Offer, password: bytes | None = None) -> bytes:
    """Write *pair* in a form. Keys are PKCS#8: a re-encoded key in the source then changes nothing here."""
    chain = pair.certificate.chain
    match form:
        case Form.CERTIFICATE:
            return _certificates(chain)
        case Form.LEAF:
            return _certificates(chain[:1])
        case Form.CHAIN:
            return _certificates(chain[1:])
        case Form.KEY:
            return private_key(pair)
        case Form.COMBINED:  # key first: Postfix insists on it, the others do not mind
            return private_key(pair) + _certificates(chain)
        case Form.PKCS12:
            return _pkcs12(pair, password)


def private_key(pair: Offer) -> bytes:
    """Write the key as PEM."""
    return _block(b"PRIVATE KEY", pair.key)


def holds(form: Form, content: bytes, pair: Offer, password: bytes | None = None) -> bool:
    """Whether a file already holds *pair*, however it is encoded: another writer's PKCS#1 key is the same key."""
    try:
        found_chain, found_key = _taken_apart(form, content, password)
        expected = pair.certificate.chain
        if form in {Form.LEAF, Form.CHAIN}:
            expected = expected[:1] if form is Form.LEAF else expected[1:]
        if form is not Form.KEY and found_chain != expected:
            return False
        if form.secret and (found_key is None or keys.spki(keys.read(found_key).public_key()) != pair.certificate.spki):
            return False
    except (ValueError, TypeError, RefusalError):
        return False
    return True


def read_back(files: dict[Form, bytes], password: bytes | None = None) -> Offer | None:
    """Read the pair that a target has on disk, None when its files do not make one."""
    chain: tuple[bytes, ...] = ()
    key: bytes | None = None
    try:
        for form in (Form.PKCS12, Form.COMBINED, Form.CHAIN, Form.LEAF, Form.CERTIFICATE, Form.KEY):
            if form in files:
                found_chain, found_key = _taken_apart(form, files[form], password)
                chain = found_chain + chain if form is Form.LEAF else found_chain or chain
                key = found_key or key
        return certificate.read("", chain, key) if chain and key is not None else None
    except (ValueError, TypeError, RefusalError):
        return None


def _taken_apart(form: Form, content: bytes, password: bytes | None) -> tuple[tuple[bytes, ...], bytes | None]:
    if form is Form.PKCS12:
        key, leaf, others = pkcs12.load_key_and_certificates(content, password)
        chain = ([leaf] if leaf is not None else []) + others
        found = keys.pkcs8(key) if key is not None else None
        return tuple(one.public_bytes(Encoding.DER) for one in chain), found
    return tuple(certificate.certificates(content)), content if form.secret else None


def _certificates(chain: tuple[bytes, ...]) -> bytes:
    return b"".join(_block(b"CERTIFICATE", der) for der in chain)


def _block(label: bytes, der: bytes) -> bytes:
    text = base64.b64encode(der)
    lines = b"\n".join(text[start : start + 64] for start in range(0, len(text), 64))
    return b"-----BEGIN %b-----\n%b\n-----END %b-----\n" % (label, lines, label)


def _pkcs12(pair: Offer, password: bytes | None) -> bytes:
    chain = [x509.load_der_x509_certificate(der) for der in pair.certificate.chain]
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    name = chain[0].subject.rfc4514_string().encode() or b"certsync"
    key = keys.read(pair.key)
    return pkcs12.serialize_key_and_certificates(name, key, chain[0], chain[1:], encryption)  # type: ignore[arg-type]
