"""SCRAM-SHA-256, by which MongoDB knows a user and a user knows MongoDB. RFC 5802 and RFC 7677."""

import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode

_FEWEST, _MOST = 4096, 200_000  # rounds: fewer protect nothing, and more would be a way to keep us busy


class Exchange:
    """One login. Raises ValueError when the server's part is not as it should be."""

    def __init__(self, user: str, password: str, nonce: str | None = None) -> None:
        self._password = password.encode()
        self._nonce = nonce or b64encode(secrets.token_bytes(24)).decode()
        name = user.replace("=", "=3D").replace(",", "=2C")
        self._bare = f"n={name},r={self._nonce}"
        self._signature = b""

    def first(self) -> bytes:
        return f"n,,{self._bare}".encode()

    def final(self, challenge: bytes) -> bytes:
        """Prove, by the server's challenge, that the password is known, without telling it."""
        parts = _parts(challenge)
        nonce, salt, rounds = parts["r"], b64decode(parts["s"], validate=True), int(parts["i"])
        if not nonce.startswith(self._nonce) or not _FEWEST <= rounds <= _MOST:
            raise ValueError("a challenge that is none")
        unproven = f"c=biws,r={nonce}"
        signed = f"{self._bare},{challenge.decode()},{unproven}".encode()
        salted = hashlib.pbkdf2_hmac("sha256", self._password, salt, rounds)
        key = _mac(salted, b"Client Key")
        proof = bytes(a ^ b for a, b in zip(key, _mac(hashlib.sha256(key).digest(), signed), strict=True))
        self._signature = _mac(_mac(salted, b"Server Key"), signed)
        return f"{unproven},p={b64encode(proof).decode()}".encode()

    def check(self, answer: bytes) -> None:
        """Make sure that the server knows the password too."""
        given = b64decode(_parts(answer).get("v", ""), validate=True)
        if not hmac.compare_digest(given, self._signature):
            raise ValueError("a server that does not know the password")


def _parts(message: bytes) -> dict[str, str]:
    return dict(part.split("=", 1) for part in message.decode("ascii").split(",") if "=" in part)


def _mac(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, "sha256")
