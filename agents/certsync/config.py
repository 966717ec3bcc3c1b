"""All that certsync can be told: its variables, those of haraka-cert-sync, and certsync.yml."""

import os
from dataclasses import dataclass
from pathlib import Path

from certsync import document
from certsync import target as targets
from certsync.document import Document, dhparams
from certsync.forms import Form
from certsync.policy import Wanted
from certsync.reading import Complaints
from certsync.source import AcmeJson, Source
from certsync.target import DEFAULT_MODES, Exec, Output, Reload, Restart, Signal, Target, Touch
from sidecarkit import settings
from sidecarkit.agent import CommonSettings
from sidecarkit.engine import DEFAULT_SOCKET
from sidecarkit.errors import SettingsError
from sidecarkit.settings import Address, setting

DEFAULT_CONFIG = "/etc/certsync/certsync.yml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(CommonSettings):
    """Read once, at start."""

    config: Path = setting(
        "CERTSYNC_CONFIG", settings.path, default=DEFAULT_CONFIG, help="sources and targets; may be absent"
    )
    state: Path = setting(
        "CERTSYNC_STATE",
        settings.path,
        default="/var/lib/certsync",
        help="folder that certsync remembers in; keys pass through it",
    )
    http: Address | None = setting(
        "CERTSYNC_HTTP",
        settings.listen_address,
        default="127.0.0.1:9181",
        empty_counts=True,
        help="where /metrics and /healthz are served; empty: nowhere",
    )
    labels: bool | None = setting(
        "CERTSYNC_LABELS",
        settings.boolean,
        help="serve containers that ask by labels; default: when there is an engine to ask",
    )
    poll_seconds: float = setting(
        "CERTSYNC_POLL",
        settings.positive_duration,
        default="30s",
        help="how often sources and targets are looked at unasked",
    )
    settle_seconds: float = setting(
        "CERTSYNC_SETTLE",
        settings.duration,
        default="1s",
        help="how long a source must be quiet before it is read; 10s at most in a burst",
    )
    probe_seconds: float = setting(
        "CERTSYNC_PROBE",
        settings.positive_duration,
        default="5m",
        help="how often each served certificate is looked at",
    )
    resync_seconds: float = setting(
        "RESYNC", settings.positive_duration, default="60s", help="how often the engine's containers are listed"
    )
    expiry_seconds: float = setting(
        "CERTSYNC_EXPIRY", settings.duration, default="14d", help="a certificate with less time left raises an alarm"
    )
    api_token: str | None = setting(
        "CERTSYNC_API_TOKEN", settings.text, secret=True, help="access token of WildDuck's API, for targets by label"
    )
    acme_path: Path | None = setting(
        "ACME_PATH",
        settings.path,
        help="Traefik's acme.json; default `/traefik/acme.json` where no file names a source",
    )
    cert_resolver: str | None = setting("CERT_RESOLVER", settings.text, help="consider only this resolver of ACME_PATH")
    cert_domain: str | None = setting(
        "CERT_DOMAIN", targets.domain, help="as haraka-cert-sync: deliver the certificate of this name to Haraka"
    )
    cert_out: Path = setting(
        "CERT_OUT", settings.path, default="/haraka/tls_cert.pem", help="with CERT_DOMAIN: Haraka's certificate"
    )
    key_out: Path = setting(
        "KEY_OUT", settings.path, default="/haraka/tls_key.pem", help="with CERT_DOMAIN: Haraka's key"
    )
    zonemta_cert_out: Path | None = setting(
        "ZONEMTA_CERT_OUT", settings.path, help="with CERT_DOMAIN: ZoneMTA's certificate"
    )
    zonemta_key_out: Path | None = setting("ZONEMTA_KEY_OUT", settings.path, help="with CERT_DOMAIN: ZoneMTA's key")
    haraka_container: str | None = setting(
        "HARAKA_CONTAINER",
        settings.text,
        help="with CERT_DOMAIN: restarted when CERT_OUT is not in Haraka's own folder (there it need not be)",
    )
    zonemta_container: str | None = setting(
        "ZONEMTA_CONTAINER",
        settings.text,
        help="with CERT_DOMAIN: restarted unless it serves the new pair within 5s by the plugin",
    )

    @property
    def asks_labels(self) -> bool:
        """Whether containers may ask by labels."""
        if self.labels is not None:
            return self.labels
        return bool(self.docker_host) or Path(DEFAULT_SOCKET).exists()


@dataclass(frozen=True, slots=True)
class Plan:
    """What goes where."""

    sources: tuple[Source, ...]
    targets: tuple[Target, ...]

    @property
    def needs_engine(self) -> bool:
        """Whether a target cannot be reloaded without the engine."""
        return any(isinstance(one.reload, (Restart, Signal, Exec)) for one in self.targets)


def plan(config: Config) -> Plan:
    """Put the three ways together. Raises SettingsError with everything that is wrong."""
    complaints: list[str] = []
    written = _document(config.config, complaints)
    if bool(config.zonemta_cert_out) != bool(config.zonemta_key_out):
        complaints.append("ZONEMTA_CERT_OUT and ZONEMTA_KEY_OUT: expected both or neither")
    dropped_in = _dropped_in(config) if config.cert_domain else []
    complaints.extend(
        f"targets.{twice}: CERT_DOMAIN makes a target of this name: expected it once"
        for twice in sorted({one.name for one in written.targets} & {one.name for one in dropped_in})
    )
    sources = _sources(config, written, complaints)
    found = (*written.targets, *dropped_in)
    if not found and not config.asks_labels and not complaints:
        complaints.append(f"nothing to do: expected CERT_DOMAIN, targets in {config.config}, or an engine to ask")
    complaints.extend(_collisions(found))
    if complaints:
        raise SettingsError(tuple(complaints))
    return Plan(sources, found)


def _document(path: Path, complaints: list[str]) -> Document:
    try:
        return document.read(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if str(path) != DEFAULT_CONFIG:
            complaints.append(f"CERTSYNC_CONFIG={str(path)!r}: expected a file that exists")
    except (OSError, UnicodeDecodeError) as error:
        complaints.append(f"{path}: expected a readable file ({getattr(error, 'strerror', None) or 'not UTF-8 text'})")
    except Complaints as error:
        complaints.extend(f"{path}: {complaint}" for complaint in error.complaints)
    return Document()


def _sources(config: Config, written: Document, complaints: list[str]) -> tuple[Source, ...]:
    needed = config.acme_path is not None or config.cert_domain is not None or not written.sources
    if not needed:
        return written.sources
    if any(one.name == "acme" for one in written.sources):
        complaints.append("sources.acme: ACME_PATH makes a source of this name: expected another")
    return (*written.sources, AcmeJson("acme", config.acme_path or Path("/traefik/acme.json"), config.cert_resolver))


def _dropped_in(config: Config) -> list[Target]:
    wanted = Wanted((config.cert_domain or "",))
    haraka = Target(
        name="haraka",
        wanted=wanted,
        outputs=_two(config.cert_out, config.key_out),
        source="acme",
        reload=_haraka_reload(config),
        dhparams=dhparams(str(config.cert_out.with_name("dhparams.pem"))),
    )
    if not config.zonemta_cert_out or not config.zonemta_key_out:
        return [haraka]
    restart = Restart(config.zonemta_container, patience_seconds=5.0) if config.zonemta_container else None
    outputs = _two(config.zonemta_cert_out, config.zonemta_key_out)
    return [haraka, Target(name="zonemta", wanted=wanted, outputs=outputs, source="acme", reload=restart)]


def _haraka_reload(config: Config) -> Reload:
    """Touch tls.ini where that reaches Haraka: beside its other configuration. Else restart it, as upstream does."""
    folder = config.cert_out.parent
    own = any((folder / name).exists() for name in ("tls.ini", "smtp.ini", "plugins", "connection.ini"))
    if config.haraka_container and not own:
        return Restart(config.haraka_container)
    return Touch(str(folder / "tls.ini"))


def _two(certificate: Path, key: Path) -> tuple[Output, ...]:
    pairs = ((Form.CERTIFICATE, certificate), (Form.KEY, key))
    return tuple(Output(form, str(path), DEFAULT_MODES[form]) for form, path in pairs)


def _collisions(found: tuple[Target, ...]) -> list[str]:
    owner: dict[str, str] = {}
    complaints = []
    for one in found:
        for output in one.outputs:
            real = os.path.realpath(output.path)
            if real in owner and owner[real] != one.name:
                complaints.append(f"{output.path}: expected one writer, not both {owner[real]} and {one.name}")
            owner[real] = one.name
    return complaints
