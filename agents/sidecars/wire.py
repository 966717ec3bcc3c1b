"""Looks at what the labelled consumers really serve, and at the file that it should be."""

from certsync import certificate, probe
from certsync.probe import ProbeError
from certsync.refusal import RefusalError
from certsync.target import Endpoint
from sidecarkit.engine import Engine
from sidecarkit.errors import EngineError
from sidecars import certificates, files
from sidecars.deployment import Blind, Served
from sidecars.facts import Container
from sidecars.voices import Tell

_PATIENCE_SECONDS = 5.0
_LONGEST_FILE = 256 * 1024


def look(engine: Engine, one: Container, blind: Tell) -> Served | None:
    """Shake hands with a running consumer where its labels say that it serves; None: nowhere, or it did not work."""
    target = certificates.target_of(one)
    endpoint = _reached(target.verify, one) if target.verify else None
    if endpoint is None:
        return None
    where = f"{endpoint.host}:{endpoint.port}"
    try:
        served = probe.look(endpoint, target.wanted.domains[0], _PATIENCE_SECONDS).certificate
    except ProbeError as error:
        blind(Blind(f"what {one.name} serves", f"{error}"))
        return None
    return Served(one, where, served.serial_hex, served.not_after, _on_disk(engine, one, blind))


def _reached(endpoint: Endpoint, one: Container) -> Endpoint | None:
    """Find the way from here: the names of services mean something only on their own network."""
    if endpoint.host != one.name:
        return endpoint
    host = "127.0.0.1" if one.row.network_mode == "host" else next(iter(one.row.addresses), "")
    return Endpoint(host, endpoint.port, endpoint.starttls) if host else None


def _on_disk(engine: Engine, one: Container, blind: Tell) -> str | None:
    path = certificates.certificate_file(one)
    if path is None:
        return None
    try:
        pem = files.read(engine, one.row.id, path, _LONGEST_FILE)
        return certificate.describe(certificate.certificates(pem)).serial_hex
    except (EngineError, RefusalError) as error:
        blind(Blind(f"{path} in {one.name}", str(error)))
        return None
