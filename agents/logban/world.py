"""What a list of the engine's containers says: whose log is read, which ports to guard, whom never to ban. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface
from typing import Any, Literal

from logban.address import Address, Network
from logban.firewall import Fence
from logban.policy import Jail
from logban.rulebook import Rulebook
from sidecarkit import settings
from sidecarkit.containers import SERVICE, Row, is_false, is_true, row
from sidecarkit.identity import Kin

LABEL, FILTERS, JAILS, SOURCE = "logban", "logban.filters", "logban.jails", "logban.source"
SOURCES = ("api", "file")

Protocol = Literal["tcp", "udp"]
Port = tuple[Protocol, int]


@dataclass(frozen=True, slots=True)
class Subject:
    """A container whose log is read. *complaints*: what is wrong about its labels."""

    id: str
    name: str
    label: str  # what metrics call it: the Compose service, or the name
    running: bool
    filters: tuple[str, ...]
    jails: frozenset[str]
    ports: frozenset[Port]
    from_file: bool
    guessed: bool  # the filters are a guess by the image
    complaints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """The networks of all containers, and their gateways with the names of their networks."""

    networks: frozenset[Network]
    gateways: Mapping[Address, str]


def subjects(
    documents: Iterable[Mapping[str, Any]], book: Rulebook, kin: Kin, default_jails: Sequence[str], default_source: str
) -> list[Subject]:
    """Find whose log is read: label `logban=true`, or named in logban.yml and not opted out. Never our own."""
    found = []
    for document in documents:
        listed = row(document)
        named = book.containers.get(listed.name) or book.containers.get(listed.service or "")
        if kin.includes(listed.id, (listed.name, listed.service), listed.addresses):
            continue
        if is_true(listed.labels.get(LABEL)) or (named is not None and not is_false(listed.labels.get(LABEL))):
            found.append(_subject(listed, document, book, default_jails, default_source))
    return found


def _subject(
    listed: Row, document: Mapping[str, Any], book: Rulebook, default_jails: Sequence[str], default_source: str
) -> Subject:
    complaints: list[str] = []
    named = book.containers.get(listed.name) or book.containers.get(listed.service or "")
    wanted = _words(listed, FILTERS) or (named.filters if named else None)
    filters = wanted or tuple(each.name for each in book.guess(listed.image))
    if not filters:
        complaints.append(f"no filter is known for image {listed.image!r}: name one in the label {FILTERS}")
    jails = _words(listed, JAILS) or (named.jails if named else None) or tuple(default_jails)
    complaints += [f"{FILTERS}: there is no filter {name!r}" for name in filters if name not in book.filters]
    complaints += [f"{JAILS}: there is no jail {name!r}" for name in jails if name not in book.jails]
    complaints += [
        f"{JAILS}: jail {name} is off" for name in jails if name in book.jails and not book.jails[name].enabled
    ]
    source = listed.labels.get(SOURCE, default_source).strip().lower()
    if source not in SOURCES:
        complaints.append(f"{SOURCE}={source!r}: expected one of {', '.join(SOURCES)}")
        source = default_source
    return Subject(
        id=listed.id,
        name=listed.name,
        label=listed.labels.get(SERVICE) or listed.name,
        running=listed.state in {"running", "paused"},
        filters=tuple(name for name in filters if name in book.filters),
        jails=frozenset(name for name in jails if name in book.jails),
        ports=_ports(document, on_host_network=listed.network_mode == "host"),
        from_file=source == "file",
        guessed=not wanted,
        complaints=tuple(complaints),
    )


def _words(listed: Row, label: str) -> tuple[str, ...]:
    return settings.words(listed.labels.get(label, ""))


def _ports(document: Mapping[str, Any], *, on_host_network: bool) -> frozenset[Port]:
    """List the ports a client asks for: the published ones, or on the host's network those the image exposes."""
    key = "PrivatePort" if on_host_network else "PublicPort"
    return frozenset(
        (port["Type"], int(port[key]))
        for port in document.get("Ports") or ()
        if port.get(key) and port.get("Type") in {"tcp", "udp"}
    )


def neighbourhood(documents: Iterable[Mapping[str, Any]]) -> Neighbourhood:
    """Find the networks that containers are in, as the containers themselves tell."""
    networks: set[Network] = set()
    gateways: dict[Address, str] = {}
    for document in documents:
        joined = (document.get("NetworkSettings") or {}).get("Networks") or {}
        for name, network in joined.items():
            for address, length, gateway in (
                ("IPAddress", "IPPrefixLen", "Gateway"),
                ("GlobalIPv6Address", "GlobalIPv6PrefixLen", "IPv6Gateway"),
            ):
                if network and network.get(address):
                    networks.add(ip_interface(f"{network[address]}/{network[length]}").network)
                if network and network.get(gateway):
                    gateways[ip_address(network[gateway])] = name
    return Neighbourhood(frozenset(networks), gateways)


def shared_network(documents: Iterable[Mapping[str, Any]], own_ids: Iterable[str]) -> str | None:
    """Give the network mode of the container this process runs in; None outside of one, or if it is not listed."""
    ids = frozenset(own_ids)
    return next((row(document).network_mode for document in documents if document["Id"] in ids), None)


def fences(ports: Iterable[Port], jails: Iterable[Jail]) -> tuple[Fence, ...]:
    """Say what banned sources are kept out of: the watched containers' ports, and the ports of jails that name some."""
    return (
        _fence("", ports),
        *(_fence(jail.name, port_list(jail.ports)) for jail in jails if jail.enabled and jail.ports),
    )


def fence_of(jail: Jail) -> str:
    """Name the fence that a jail bans into."""
    return jail.name if jail.ports else ""


def port_list(texts: Iterable[str]) -> list[Port]:
    """Read ports as a jail names them: `25`, `993/tcp`, `1000-2000/udp`; without a protocol, both."""
    found: list[Port] = []
    for text in texts:
        span, _, protocol = text.partition("/")
        first, _, last = span.partition("-")
        protocols: tuple[Protocol, ...] = ("tcp", "udp") if protocol not in {"tcp", "udp"} else (protocol,)  # type: ignore[assignment]
        found += [(each, port) for each in protocols for port in range(int(first), int(last or first) + 1)]
    return found


def _fence(name: str, ports: Iterable[Port]) -> Fence:
    listed = list(ports)
    return Fence(
        name,
        frozenset(number for protocol, number in listed if protocol == "tcp"),
        frozenset(number for protocol, number in listed if protocol == "udp"),
    )
