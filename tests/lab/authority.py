"""A throw-away certificate authority, and the shapes in which Traefik stores what it issued."""

import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes, PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

NOW = datetime.now(UTC).replace(microsecond=0)


@cache
def key(kind: str, number: int = 0) -> CertificateIssuerPrivateKeyTypes:
    """Make a key of *kind* (`ec`, `ec384`, `rsa2048` ...), once for each number: they are dear."""
    if kind.startswith("rsa"):
        return rsa.generate_private_key(public_exponent=65537, key_size=int(kind[3:]))
    return ec.generate_private_key({"ec": ec.SECP256R1(), "ec384": ec.SECP384R1(), "ec192": ec.SECP192R1()}[kind])


@dataclass(frozen=True)
class Issued:
    """A leaf with its key and the chain above it."""

    leaf: x509.Certificate
    key: PrivateKeyTypes = field(repr=False)
    intermediate: x509.Certificate
    root: x509.Certificate

    @property
    def serial(self) -> int:
        return self.leaf.serial_number

    @property
    def chain_pem(self) -> bytes:
        return pem(self.leaf, self.intermediate)

    def key_pem(self, form: PrivateFormat = PrivateFormat.TraditionalOpenSSL) -> bytes:
        return self.key.private_bytes(Encoding.PEM, form, NoEncryption())


class Authority:
    """Root, intermediate, and leaves with any date, name and key."""

    def __init__(self, name: str = "Test") -> None:
        self.root_key, self.intermediate_key = key("ec", 9001), ec.generate_private_key(ec.SECP256R1())
        self.root = _signed(f"{name} Root", f"{name} Root", self.root_key, self.root_key, is_authority=True)
        self.intermediate = _signed(
            f"{name} Intermediate", f"{name} Root", self.intermediate_key, self.root_key, is_authority=True
        )

    def issue(
        self,
        *names: str,
        kind: str = "ec",
        number: int = 0,
        days: float = 60,
        starts: float = -1,
        private: PrivateKeyTypes | None = None,
    ) -> Issued:
        private = private or key(kind, number)
        leaf = _signed(
            names[0] if names else "nobody",
            str(self.intermediate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value),
            private,
            self.intermediate_key,
            names=names,
            starts=NOW + timedelta(days=starts),
            ends=NOW + timedelta(days=days),
        )
        return Issued(leaf, private, self.intermediate, self.root)


def _signed(  # noqa: PLR0913 - a certificate has this many parts
    subject: str,
    issuer: str,
    private: Any,
    signer: Any,
    *,
    names: tuple[str, ...] = (),
    starts: datetime = NOW - timedelta(days=400),
    ends: datetime = NOW + timedelta(days=4000),
    is_authority: bool = False,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(starts)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), critical=False
        )
    return builder.sign(signer, hashes.SHA256())


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


def entry(
    issued: Issued,
    form: PrivateFormat = PrivateFormat.TraditionalOpenSSL,
    main: str = "",
    *,
    chain: bytes | None = None,
    key_pem: bytes | None = None,
) -> dict[str, Any]:
    """One certificate as Traefik v2 and v3 store it."""
    return {
        "domain": {"main": main or "asked.example.com"},
        "certificate": base64.b64encode(chain if chain is not None else issued.chain_pem).decode(),
        "key": base64.b64encode(key_pem if key_pem is not None else issued.key_pem(form)).decode(),
        "Store": "default",
    }


ACCOUNT = {
    "Email": "a@example.com",
    "Registration": {"body": {}, "uri": "u"},
    "PrivateKey": "MIIJKA==",
    "KeyType": "4096",
}


def acme_json(**resolvers: list[dict[str, Any]] | None) -> str:
    """acme.json as Traefik v2 and v3 write it."""
    return json.dumps(
        {name: {"Account": ACCOUNT, "Certificates": block} for name, block in resolvers.items()}, indent=2
    )


def acme_json_v1(*issued: Issued) -> str:
    """acme.json as Traefik 1.7 writes it."""
    entries = [entry(one) for one in issued]
    return json.dumps(
        {
            "Account": ACCOUNT,
            "Certificates": [
                {
                    "Domain": {"Main": "asked.example.com", "SANs": None},
                    "Certificate": e["certificate"],
                    "Key": e["key"],
                }
                for e in entries
            ],
            "HTTPChallenges": {},
            "TLSChallenges": {},
        }
    )
