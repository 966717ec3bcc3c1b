"""What the doctor judges: containers as the engine tells of them, reduced to what a finding may show.

A container's environment and command line hold secrets. Only the few settings named here are taken out of them; of all
other variables no more than the names.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import PurePosixPath
from typing import Any

from certsync.mounts import Mount
from sidecarkit.containers import ONE_OFF, Row, is_true, row
from sidecarkit.masking import Mask

AGENTS = ("autoheal", "certsync", "logban", "stats", "confcheck")
LABELLED = ("autoheal", "certsync", "logban")  # those that containers ask for by a label of this name

# The variables whose values are judged. None of them is a secret; a password in DOCKER_HOST is masked.
_SETTINGS = re.compile(
    r"DOCKER_HOST|DOCKER_SOCK|LOG_LEVEL|ACME_PATH|TRAEFIK_LOG_LEVEL|(AUTOHEAL|CERTSYNC|LOGBAN|STATS|CONFCHECK)_HTTP|"
    r"AUTOHEAL_(CONTAINER_LABEL|SCOPE|DRY_RUN|EXITED)|CERTSYNC_(CONFIG|LABELS)|"
    r"LOGBAN_(CONFIG|BACKEND|DRY_RUN|SOURCE|HTTP)|APPCONF_log_level"
)
_ARGUMENTS = re.compile(r"--(log\.level|configfile|certificatesresolvers\.[\w-]+\.acme\.storage)=\S+", re.IGNORECASE)
_TITLE = "org.opencontainers.image.title"

# The services of the stack, by words in the name of the service or the image; the first that fits.
_KINDS = (
    ("haraka-cert-sync", r"haraka-cert-sync"),
    ("exporter", r"exporter|express"),
    ("prometheus", r"^prometheus"),
    ("alertmanager", r"alertmanager"),
    ("cadvisor", r"cadvisor"),
    ("webmail", r"webmail"),
    ("zonemta", r"zone-?mta"),
    ("haraka", r"haraka"),
    ("rspamd", r"rspamd"),
    ("traefik", r"traefik"),
    ("mongo", r"mongo"),
    ("redis", r"redis|valkey"),
    ("tasks", r"wildduck-tasks"),
    ("wildduck", r"wildduck"),
)


@dataclass(frozen=True, slots=True)
class Port:
    """A port of the container that the host listens on. *host_ip* is empty where it listens on all addresses."""

    private: int
    protocol: str
    host_ip: str
    public: int

    @property
    def to_the_world(self) -> bool:
        """Whether others than this host and its private networks can reach it."""
        try:
            address = ip_address(self.host_ip or "0.0.0.0")  # noqa: S104 - what is looked for, not what is bound
        except ValueError:
            return False
        return address.is_unspecified or address.is_global


@dataclass(frozen=True, slots=True)
class Details:
    """What only an inspection tells."""

    healthcheck: tuple[str, ...]  # its test; empty where there is none
    health_output: str  # what the last probe printed, masked
    settings: Mapping[str, str]
    variables: frozenset[str]  # all names
    arguments: tuple[str, ...]
    ports: tuple[Port, ...]
    log_driver: str
    log_options: Mapping[str, str]
    user: str
    capabilities: frozenset[str]  # of its root; without a loss of some, just ALL
    exit_code: int


@dataclass(frozen=True, slots=True)
class Container:
    """One container. *details* is None when it could not be inspected, or vanished before it was."""

    row: Row
    mounts: tuple[Mount, ...]
    networks: Mapping[str, str]  # name: the container's own IPv6 address in it, or nothing
    listed_ports: tuple[Port, ...] = ()
    details: Details | None = None
    kind: str = ""  # the service of the stack that it is, such as haraka; empty: none that is known
    agent: str = ""  # the agent of ours that it is

    @property
    def name(self) -> str:
        """What a compose file calls it: its service, or else its name."""
        return self.row.service or self.row.name

    @property
    def running(self) -> bool:
        return self.row.state == "running"

    @property
    def ports(self) -> tuple[Port, ...]:
        return self.details.ports if self.details else self.listed_ports

    def setting(self, name: str, default: str = "") -> str:
        """Give one of the variables that are judged."""
        return (self.details.settings.get(name) if self.details else None) or default

    def asks(self, agent: str, label: str | None = None) -> bool:
        """Whether it carries the label of *agent*. One-off containers ask for nothing."""
        return is_true(self.row.labels.get(label or agent)) and not is_true(self.row.labels.get(ONE_OFF))

    def mount_at(self, path: str) -> Mount | None:
        """Find the mount that *path* lies on."""
        pure = PurePosixPath(path)
        holding = (one for one in self.mounts if pure.is_relative_to(one.destination))
        return max(holding, key=lambda one: len(one.destination.parts), default=None)

    @property
    def volumes(self) -> frozenset[str]:
        """The names of its volumes."""
        return frozenset(one.volume for one in self.mounts if one.volume)

    @property
    def holds_socket(self) -> bool:
        """Whether the engine's socket, or the folder that it lies in, is mounted in it."""
        return any(
            not one.volume and (one.source.name == "docker.sock" or str(one.source) in {"/run", "/var/run", "/"})
            for one in self.mounts
        )


def container(listed: Mapping[str, Any], inspected: Mapping[str, Any] | None, mask: Mask) -> Container:
    """Read a row of the list and the inspection that belongs to it."""
    line = row(listed)
    joined = (listed.get("NetworkSettings") or {}).get("Networks") or {}
    return Container(
        row=line,
        mounts=tuple(Mount.read(one) for one in listed.get("Mounts") or []),
        networks={name: (network or {}).get("GlobalIPv6Address") or "" for name, network in joined.items()},
        listed_ports=tuple(_listed_ports(listed.get("Ports") or [])),
        details=_details(inspected, mask) if inspected else None,
        kind=_kind(line),
        agent=_agent(line, inspected),
    )


def _details(document: Mapping[str, Any], mask: Mask) -> Details:
    config, host = document.get("Config") or {}, document.get("HostConfig") or {}
    state = document.get("State") or {}
    environment = dict(line.partition("=")[::2] for line in config.get("Env") or [])
    test = tuple((config.get("Healthcheck") or {}).get("Test") or ())
    probes = (state.get("Health") or {}).get("Log") or []
    logs = host.get("LogConfig") or {}
    words = [*(config.get("Entrypoint") or []), *(config.get("Cmd") or [])]
    return Details(
        healthcheck=() if test[:1] == ("NONE",) else tuple(mask(word) for word in test),
        health_output=mask(str((probes[-1] if probes else {}).get("Output", ""))).strip()[:500],
        settings={name: mask(value) for name, value in environment.items() if _SETTINGS.fullmatch(name)},
        variables=frozenset(environment),
        arguments=tuple(mask(word) for word in words if _ARGUMENTS.fullmatch(word)),
        ports=tuple(_bound_ports(document)),
        log_driver=str(logs.get("Type") or "json-file"),
        log_options=dict(logs.get("Config") or {}),
        user=str(config.get("User") or ""),
        capabilities=_capabilities(host),
        exit_code=int(state.get("ExitCode") or 0),
    )


def _capabilities(host: Mapping[str, Any]) -> frozenset[str]:
    """Tell which capabilities root has in it, as far as they matter here: ALL, or those that were added."""
    if host.get("Privileged") or "ALL" not in map(str.upper, host.get("CapDrop") or []):
        return frozenset({"ALL"})
    return frozenset(str(one).upper().removeprefix("CAP_") for one in host.get("CapAdd") or [])


def _listed_ports(ports: Iterable[Mapping[str, Any]]) -> Iterable[Port]:
    for one in ports:
        if one.get("PublicPort"):
            yield Port(int(one["PrivatePort"]), str(one.get("Type")), str(one.get("IP") or ""), int(one["PublicPort"]))


def _bound_ports(document: Mapping[str, Any]) -> Iterable[Port]:
    """Read what is bound now, or of a stopped container what would be."""
    now = (document.get("NetworkSettings") or {}).get("Ports") or {}
    bindings = now if any(now.values()) else (document.get("HostConfig") or {}).get("PortBindings") or {}
    for name, bound in bindings.items():
        private, _, protocol = name.partition("/")
        for one in bound or []:
            yield Port(int(private), protocol, str(one.get("HostIp") or ""), int(one.get("HostPort") or 0))


def _kind(line: Row) -> str:
    image = line.image.partition("@")[0].rpartition("/")[2].partition(":")[0]
    if _image_of(line):
        return ""
    if image in {"autoheal", "docker-autoheal"}:
        return "other-healer"
    for name in (line.service or "", image):
        for kind, pattern in _KINDS:
            if re.search(pattern, name.lower()):
                return kind
    return ""


def _agent(line: Row, inspected: Mapping[str, Any] | None) -> str:
    """Name the agent that it is: it has the agent's image, and runs the agent, too."""
    name = _image_of(line)
    if not name or is_true(line.labels.get(ONE_OFF)):
        return ""
    if inspected is None:
        return name
    config = inspected.get("Config") or {}
    words = " ".join([*(config.get("Entrypoint") or []), *(config.get("Cmd") or [])])
    return name if re.search(rf"(?:^|[\s/]){name}(?:\s|$)", words) else ""


def _image_of(line: Row) -> str:
    """Name the agent whose image it has, by the title that our images carry, or by the name of the image."""
    title = line.labels.get(_TITLE, "")
    if title.startswith("wildduck-sidecars "):
        word = title.partition(" ")[2]
    else:
        found = re.search(r"(?:^|/)wildduck-sidecars[/-]([a-z]+)(?:[:@]|$)", line.image)
        word = found[1] if found else ""
    return word if word in AGENTS else ""
