"""Targets that containers ask for themselves, by labels. Their paths are the container's own."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TypeVar

from certsync import document, mounts
from certsync import target as targets
from certsync.forms import Form
from certsync.mounts import Mount, NotShared
from certsync.policy import Wanted
from certsync.reading import NAME
from certsync.refusal import Reason, Refusal
from certsync.target import DEFAULT_MODES, Http, Output, Reload, Restart, Target, Touch
from sidecarkit.containers import Row, is_true

T = TypeVar("T")

PREFIX = "certsync."
# The last one is for the socket proxy, which lets certsync touch no container without a label.
KNOWN = (
    *("domains", "preset", "certificate", "key", "combined", "owner", "reload", "verify", "resolver"),
    "reload-allowed",
)


@dataclass(frozen=True, slots=True)
class Preset:
    """What is known of a consumer. Paths are those inside its container."""

    certificate: str = ""
    key: str = ""
    reload: str = "none"
    verify: str = "none"
    dhparams: str = ""
    patience_seconds: float = 0.0


PRESETS = {
    # Reads its TLS files anew 5 s after tls.ini was touched; nothing is restarted.
    "haraka": Preset(
        "/app/config/tls_cert.pem",
        "/app/config/tls_key.pem",
        "touch:/app/config/tls.ini",
        ":25/smtp",
        dhparams="/app/config/dhparams.pem",
    ),
    # With the plugin from contrib/zonemta-certsync it serves the new pair by itself; without, it is restarted.
    "zonemta": Preset(
        "/app/config/keys/tls_cert.pem", "/app/config/keys/tls_key.pem", "restart", ":587/smtp", patience_seconds=5.0
    ),
    # Over its API: every client that sends a server name gets the new pair with its next handshake.
    "wildduck": Preset(reload="http://{host}:8080/certs"),
    # These three read their files again on SIGHUP to their main process.
    "postfix": Preset("/etc/postfix/tls/cert.pem", "/etc/postfix/tls/key.pem", "signal:HUP", ":25/smtp"),
    "dovecot": Preset("/etc/dovecot/tls/cert.pem", "/etc/dovecot/tls/key.pem", "signal:HUP", ":143/imap"),
    "nginx": Preset("/etc/nginx/tls/cert.pem", "/etc/nginx/tls/key.pem", "signal:HUP", ":443"),
}


@dataclass(frozen=True, slots=True)
class Consumer:
    """A container as far as it matters here."""

    row: Row
    mounts: tuple[Mount, ...]
    namesake: bool = False  # a service of another project has the same name

    @property
    def name(self) -> str:
        """What its target is called: the Compose service, which survives a recreation, else the container's name."""
        if self.namesake and self.row.service:
            return f"{self.row.project}-{self.row.service}"
        return self.row.service or self.row.name

    @property
    def host(self) -> str:
        """By which name it is reached on a network that it shares with certsync."""
        return self.row.service if self.row.service and not self.namesake else self.row.name


@dataclass(frozen=True, slots=True)
class Asked:
    """A target that a container asks for. With a refusal it cannot be served as it asks."""

    target: Target
    refusal: Refusal | None = None


def is_consumer(row: Row) -> bool:
    """Whether the container asks for a certificate."""
    return is_true(row.labels.get("certsync")) and row.labels.get("com.docker.compose.oneoff", "").lower() != "true"


def read(consumer: Consumer, ours: Iterable[Mount] | None) -> Asked:
    """Read a container's labels. *ours* are certsync's own mounts, None when it runs on the host itself."""
    labels = {
        key.removeprefix(PREFIX): value
        for key, value in consumer.row.labels.items()
        if key.startswith(PREFIX) and value
    }
    name = consumer.name if NAME.fullmatch(consumer.name) else consumer.row.id[:12]
    empty = Target(name=name, wanted=Wanted(()))
    complaints = [f"certsync.{key} is not a label; known: {', '.join(KNOWN)}" for key in labels if key not in KNOWN]
    try:
        target = _target(name, consumer, labels)
    except ValueError as error:
        complaints.append(str(error))
    if complaints:
        return Asked(empty, Refusal(Reason.UNDELIVERABLE, "; ".join(complaints)))
    return _translated(target, consumer, ours)


def _target(name: str, consumer: Consumer, labels: Mapping[str, str]) -> Target:
    if "preset" in labels and labels["preset"] not in PRESETS:
        raise ValueError(f"certsync.preset={labels['preset']!r}: expected one of {', '.join(PRESETS)}")
    preset = PRESETS.get(labels.get("preset", ""), Preset())
    domains = tuple(dict.fromkeys(_each(labels, "domains", targets.domain)))
    if not domains:
        raise ValueError("certsync.domains is missing: name the hosts, separated by commas")
    reload = _reload(consumer, labels, preset)
    files = {Form.CERTIFICATE: preset.certificate, Form.KEY: preset.key, Form.COMBINED: ""}
    if "combined" in labels and not {"certificate", "key"} & set(labels):
        files = {Form.COMBINED: ""}  # in place of the preset's two files
    outputs = tuple(
        Output(form, path, DEFAULT_MODES[form])
        for form, default in files.items()
        if (path := labels.get(form, default))
    )
    if not outputs and not isinstance(reload, Http):
        raise ValueError("nothing says where the files go: certsync.preset, .certificate and .key, or .combined")
    if wrong := [one.path for one in outputs if not _names_a_file(one.path)]:
        raise ValueError(f"expected the absolute path of a file, found {', '.join(wrong)}")
    if len({one.path for one in outputs}) < len(outputs):
        raise ValueError(
            "expected a path of its own for each file (certsync.combined holds key and certificate in one)"
        )
    return Target(
        name=name,
        wanted=Wanted(domains, labels.get("resolver")),
        outputs=outputs,
        owner=next(iter(_each(labels, "owner", targets.owner)), None),
        reload=reload,
        verify=_converted(
            "verify", labels.get("verify", preset.verify), lambda text: targets.endpoint(text, consumer.host)
        ),
        dhparams=document.dhparams(preset.dhparams) if preset.dhparams else None,
    )


def _names_a_file(path: str) -> bool:
    """Whether a path says where a file is without leading out again of where it has led."""
    return path.startswith("/") and not path.endswith("/") and ".." not in PurePosixPath(path).parts


def _reload(consumer: Consumer, labels: Mapping[str, str], preset: Preset) -> Reload:
    text = labels.get("reload", preset.reload).replace("{host}", consumer.host)
    names = (consumer.name, consumer.row.image, labels.get("preset", ""))
    found = _converted("reload", text, lambda text: targets.reload(text, consumer.row.name, *names))
    if isinstance(found, Touch) and not _names_a_file(found.path):
        raise ValueError(f"certsync.reload={text!r}: expected touch: and the absolute path of a file")
    if isinstance(found, Restart) and "reload" not in labels:
        return Restart(found.container, patience_seconds=preset.patience_seconds)
    return found


def _each(labels: Mapping[str, str], label: str, convert: Callable[[str], T]) -> list[T]:
    return [_converted(label, word, convert) for word in labels.get(label, "").replace(",", " ").split()]


def _converted(label: str, text: str, convert: Callable[[str], T]) -> T:
    try:
        return convert(text)
    except ValueError as error:
        raise ValueError(f"certsync.{label}={text!r}: expected {error}") from None


def _translated(target: Target, consumer: Consumer, ours: Iterable[Mount] | None) -> Asked:
    """Give every path of the target as certsync reaches it."""
    ours = (_HOST,) if ours is None else tuple(ours)
    refusals: list[Refusal] = []

    def shared(output: Output) -> Output:
        found = mounts.translate(output.path, consumer.mounts, ours, consumer.name)
        if isinstance(found, NotShared):
            refusals.append(Refusal(Reason.UNDELIVERABLE, found.detail))
            return output
        if not found.writable:
            detail = f"certsync mounts {found.root} read-only: take `:ro` off in its volumes"
            refusals.append(Refusal(Reason.TARGET_READ_ONLY, detail))
        return replace(output, path=found.path, root=found.root)

    outputs = tuple(shared(one) for one in target.outputs)
    reload = target.reload
    if isinstance(reload, Touch):
        reload = Touch(shared(Output(Form.CERTIFICATE, reload.path, 0)).path)
    dhparams = shared(target.dhparams) if target.dhparams else None
    reached = replace(target, outputs=outputs, reload=reload, dhparams=dhparams)
    return Asked(reached, refusals[0] if refusals else None)


# certsync on the host itself reaches every bind mount under its own path.
_HOST = Mount(PurePosixPath("/"), "", PurePosixPath("/"), writable=True)
