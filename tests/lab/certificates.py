"""Throw-away certificates, as dockerd and its clients have them for TLS."""

import ssl
import subprocess
from pathlib import Path

_NEW = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"


def make(folder: Path, *names: str) -> Path:
    """Make, in *folder*: ca.pem, a server's pair for 127.0.0.1 and *names*, and a client's as cert.pem and key.pem."""
    _openssl(folder, f"{_NEW} -keyout ca-key.pem -out ca.pem -subj /CN=authority")
    server = ",".join(["IP:127.0.0.1", *(f"DNS:{name}" for name in names)])
    for subject, extra in (("server", f"-addext subjectAltName={server}"), ("client", "")):
        _openssl(folder, f"{_NEW} -keyout {subject}-key.pem -out {subject}.pem -subj /CN={subject} "
                 f"-CA ca.pem -CAkey ca-key.pem -addext basicConstraints=critical,CA:FALSE {extra}")  # fmt: skip
    (folder / "client.pem").rename(folder / "cert.pem")
    (folder / "client-key.pem").rename(folder / "key.pem")
    return folder


def server_context(folder: Path) -> ssl.SSLContext:
    """Speak TLS as dockerd does with --tlsverify: without a client's certificate nobody gets in."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=folder / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(folder / "server.pem", folder / "server-key.pem")
    return context


def _openssl(folder: Path, words: str) -> None:
    subprocess.run(["openssl", *words.split()], cwd=folder, check=True, capture_output=True)
