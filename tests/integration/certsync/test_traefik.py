"""Real Traefik with a real ACME server: what it obtains and renews arrives, whatever its version writes."""

import subprocess
from pathlib import Path

import pytest

from lab import traefik
from lab.certsync import Certsync

NAME = "mail.example.com"


@pytest.mark.parametrize(("version", "key_type"), [("3.6.7", "RSA2048"), ("3.7.15", "EC256")])
def test_what_traefik_obtains_and_renews_arrives_in_order_and_with_its_key(
    tmp_path: Path, version: str, key_type: str
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with traefik.acme(tmp_path / "acme") as (directory, root):
        one = traefik.Traefik(version, tmp_path, directory, root, (NAME,), key_type)
        document = f"""
sources: {{traefik: {{acme_json: {one.store}, resolver: le}}}}
targets: {{mail: {{domains: [{NAME}], certificate: {out}/c.pem, key: {out}/k.pem}}}}
"""
        with Certsync(tmp_path, document, env={"CERTSYNC_EXPIRY": "1d"}) as certsync:
            serials, keys = set(), set()
            for start in range(3):
                with one.running():
                    delivered = certsync.wait_for("certificate_delivered", count=start + 1, deadline=120.0)
                serials.add(delivered["serial"])
                keys.add(_public_key(out / "k.pem"))
                assert _public_key(out / "k.pem") == _public_key_of_certificate(out / "c.pem")
                assert _verified(root, out / "c.pem")
                assert (out / "c.pem").read_bytes().count(b"BEGIN CERTIFICATE") == 2
            assert len(serials) == 3
            assert len(keys) == 1  # Traefik renews with the key it has
            assert [line["tlsa"] for line in certsync.lines("certificate_delivered")] == [
                "first",
                "unchanged",
                "unchanged",
            ]


def _openssl(*words: str) -> bytes:
    return subprocess.run(["openssl", *words], check=True, capture_output=True).stdout


def _public_key(key: Path) -> bytes:
    return _openssl("pkey", "-in", str(key), "-pubout")


def _public_key_of_certificate(certificate: Path) -> bytes:
    return _openssl("x509", "-in", str(certificate), "-noout", "-pubkey")


def _verified(root: Path, chain: Path) -> bool:
    """Whether OpenSSL, given nothing but the root, accepts the chain as delivered."""
    return b": OK" in _openssl("verify", "-CAfile", str(root), "-untrusted", str(chain), str(chain))
