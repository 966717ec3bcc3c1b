"""Stands in for Traefik: issues a certificate for a name and stores it as Traefik does. Arguments: name, days.

Its authority and the key live beside acme.json, so that a renewal has the same issuer and, as Traefik's, the same key.
"""

import base64
import json
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

FOLDER = Path(os.environ.get("TRAEFIK_FOLDER", "/traefik"))


def key(name: str) -> ec.EllipticCurvePrivateKey:
    """Give the key of that name, made when first asked for."""
    file = FOLDER / f"{name}.key"
    if not file.exists():
        made = ec.generate_private_key(ec.SECP256R1())
        file.write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    loaded = load_pem_private_key(file.read_bytes(), None)
    assert isinstance(loaded, ec.EllipticCurvePrivateKey)
    return loaded


def certificate(subject: str, days: float, *, is_authority: bool) -> x509.Certificate:
    """Sign a certificate with the authority's key."""
    now = datetime.now(UTC)
    own = key("authority" if is_authority else "leaf")
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Demonstration Authority")]))
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )
    if not is_authority:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(subject)]), critical=False)
    return builder.sign(key("authority"), SHA256())


def main() -> None:
    """Issue and store: truncate, write, close, in place."""
    name, days = sys.argv[1], float(sys.argv[2])
    chain = [
        certificate(name, days, is_authority=False),
        certificate("Demonstration Authority", 3650, is_authority=True),
    ]
    secret = key("leaf").private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    entry = {
        "domain": {"main": name},
        "certificate": base64.b64encode(b"".join(one.public_bytes(Encoding.PEM) for one in chain)).decode(),
        "key": base64.b64encode(secret).decode(),
        "Store": "default",
    }
    (FOLDER / "acme.json").touch(mode=0o600)
    (FOLDER / "acme.json").write_text(json.dumps({"letsencrypt": {"Account": None, "Certificates": [entry]}}, indent=2))
    print(f"stored a certificate for {name}, serial {chain[0].serial_number:X}, valid {days:g} days")


main()
