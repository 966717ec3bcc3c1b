"""Private keys: read in any encoding, named by their public half, proven by one signature.

Validating an RSA key on loading costs 40 ms (2048 bits) to 360 ms (4096 bits) of CPU. A source may hold ten thousand,
so reading skips that, the public halves are compared, and `prove` tests the one key that is about to be delivered.
"""

import hashlib

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_pem_private_key,
)

from certsync.refusal import Reason, RefusalError

# What OpenSSL at its default security level, and so every consumer here, still accepts in a handshake.
LEAST_RSA_BITS = 2048
LEAST_CURVE_BITS = 256


def read(data: bytes) -> PrivateKeyTypes:
    """Read a key in PKCS#1, SEC1 or PKCS#8, as PEM or DER.

    Raises `RefusalError` with a sentence of our own: OpenSSL's may quote what it could not read.
    """
    load = load_pem_private_key if b"-----BEGIN" in data else load_der_private_key
    try:
        return load(data, None, unsafe_skip_rsa_key_validation=True)
    except TypeError:
        raise RefusalError(Reason.KEY_MISMATCH, "the key is encrypted, certsync reads plain keys") from None
    except (ValueError, UnsupportedAlgorithm):
        raise RefusalError(Reason.KEY_MISMATCH, "the key is damaged or of an unknown kind") from None


def pkcs8(key: PrivateKeyTypes) -> bytes:
    """Encode *key* as PKCS#8 DER, the one form that all consumers read, WildDuck's API included."""
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def spki(public: PublicKeyTypes) -> str:
    """Hash the SubjectPublicKeyInfo (SHA-256, hex): a key's identity, and the data of a TLSA `3 1 1` record."""
    return hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def weakness(public: PublicKeyTypes) -> str | None:
    """Say why servers and clients would refuse the key, None when they would not."""
    if isinstance(public, rsa.RSAPublicKey):
        short = public.key_size < LEAST_RSA_BITS
        return f"RSA key of {public.key_size} bits, {LEAST_RSA_BITS} is the least" if short else None
    if isinstance(public, ec.EllipticCurvePublicKey):
        short = public.curve.key_size < LEAST_CURVE_BITS
        return f"curve {public.curve.name}, {LEAST_CURVE_BITS} bits are the least" if short else None
    if isinstance(public, (ed25519.Ed25519PublicKey, ed448.Ed448PublicKey)):
        return None
    return "a kind of key that TLS does not use"


def prove(key: bytes) -> None:
    """Sign and verify once with a key in PKCS#8 DER; raise `RefusalError` when it cannot. About 5 ms for RSA-4096."""
    try:
        _sign_and_verify(read(key))
    except (InvalidSignature, TypeError, ValueError, UnsupportedAlgorithm):
        raise RefusalError(Reason.KEY_MISMATCH, "its signatures do not fit its own public half") from None


def _sign_and_verify(key: PrivateKeyTypes) -> None:
    message = b"certsync"
    if isinstance(key, rsa.RSAPrivateKey):
        signature = key.sign(message, padding.PKCS1v15(), SHA256())
        key.public_key().verify(signature, message, padding.PKCS1v15(), SHA256())
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        key.public_key().verify(key.sign(message, ec.ECDSA(SHA256())), message, ec.ECDSA(SHA256()))
    elif isinstance(key, (ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey)):
        key.public_key().verify(key.sign(message), message)
