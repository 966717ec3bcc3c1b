"""Gathers everything about a deployment. What cannot be looked at is noted, and the rest is looked at all the same."""

import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

from sidecarkit.engine import Engine
from sidecarkit.errors import ContainerGone, EngineError, SettingsError
from sidecarkit.masking import Mask
from sidecars import certificates, deployment, facts, files, levels, voices, wire
from sidecars.deployment import Blind, Deployment, Firewall, Store
from sidecars.facts import Container
from sidecars.finding import Finding
from sidecars.levels import Level
from sidecars.voices import Tell

_AT_ONCE = 8
_LONGEST_FILE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Seen:
    """What was gathered, and what could not be. *mask* hides what the containers' environments hold as secrets."""

    deployment: Deployment
    blind: tuple[Blind, ...]
    mask: Mask


def look(engine: Engine, projects: Sequence[str], configuration: Sequence[Finding], now: datetime) -> Seen:
    """Look at everything once. Raises EngineError where not even the list is to be had, SettingsError for a project."""
    blind: list[Blind] = []
    rows = engine.containers()
    known = {name for one in rows if (name := (one.get("Labels") or {}).get("com.docker.compose.project"))}
    if strange := [name for name in projects if name not in known]:
        names = ", ".join(sorted(known)) or "none at all"
        raise SettingsError(tuple(f"--project {name}: there is no such project; there are {names}" for name in strange))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        inspected = list(pool.map(lambda one: _inspected(engine, one, blind.append), rows))
        mask = Mask(line for one in inspected if one for line in (one.get("Config") or {}).get("Env") or [])
        everyone = tuple(facts.container(row, one, mask) for row, one in zip(rows, inspected, strict=True))
        judged = deployment.judged(everyone, projects)
        found = {one.agent: one for one in sorted(everyone, key=lambda one: one.running) if one.agent}
        agents = {name: one for name, one in found.items() if one.running}
        consumers = [one for one in judged if one.asks("certsync") and one.running]
        logging = [one for one in judged if one.asks("logban") and one.kind in levels.FILES]
        told = list(pool.map(lambda one: _level(engine, one, blind.append), logging))
        served = list(pool.map(lambda one: wire.look(engine, one, blind.append), consumers))
    gathered = Deployment(
        now=now,
        containers=everyone,
        judged=judged,
        said=voices.hear(engine, agents, blind.append),
        stores=_stores(engine, found.get("certsync"), blind.append),
        served=tuple(one for one in served if one),
        levels={one.row.id: level for one, level in zip(logging, told, strict=True) if level},
        firewall=_firewall(engine, agents.get("logban"), blind.append),
        public_ipv6=_public_ipv6() if _beside_the_engine(rows) else None,
        configuration=tuple(configuration),
    )
    return Seen(gathered, tuple(blind), mask)


def _inspected(engine: Engine, row: dict[str, Any], blind: Tell) -> dict[str, Any] | None:
    name = (row.get("Names") or ["?"])[0].lstrip("/")
    try:
        return engine.inspect(row["Id"])
    except ContainerGone:
        blind(Blind(f"container {name}", "it vanished in between"))
    except EngineError as error:
        blind(Blind(f"container {name}", str(error)))
    return None


def _stores(engine: Engine, certsync: Container | None, blind: Tell) -> tuple[Store, ...]:
    path = certificates.store_path(certsync) if certsync else None
    if certsync is None or path is None:
        return ()
    try:
        entry = files.look(engine, certsync.row.id, path)
    except EngineError as error:
        # The engine says 404 of a file that is not there, and of a container that went in the meantime.
        if isinstance(error, ContainerGone) and "No such container" not in str(error):
            return (Store(certsync, path, "missing"),)
        blind(Blind(f"{path} in {certsync.name}", str(error)))
        return (Store(certsync, path, "unknown"),)  # how it is mounted is known all the same
    return (Store(certsync, path, entry.kind, entry.owner, entry.mode),)


def _level(engine: Engine, one: Container, blind: Tell) -> Level | None:
    """Find the log level of one of the mail servers: wild-config's variable comes before its files."""
    if told := one.setting("APPCONF_log_level"):
        return Level(told.lower(), "APPCONF_log_level")

    def content(path: str) -> str | None:
        with suppress(ContainerGone):
            return files.read(engine, one.row.id, path, _LONGEST_FILE).decode(errors="replace")
        return None

    try:
        return levels.first(levels.FILES[one.kind], content)
    except EngineError as error:
        blind(Blind(f"the log level of {one.name}", str(error)))
        return None


def _firewall(engine: Engine, logban: Container | None, blind: Tell) -> Firewall | None:
    if logban is None:
        return None
    info: dict[str, Any] = {}
    try:
        info = engine.get_json("info", "/info")
    except EngineError as error:
        blind(Blind("the engine's own word on its firewall", str(error)))
    return voices.firewall(engine, logban, info, blind)


def _beside_the_engine(rows: Sequence[dict[str, Any]]) -> bool:
    """Whether a container network's gateway is an address of ours: then the host's interfaces are those seen here."""
    gateways = {
        (network or {}).get("Gateway")
        for row in rows
        for network in ((row.get("NetworkSettings") or {}).get("Networks") or {}).values()
    }
    return any(_is_ours(address) for address in gateways if address)


def _is_ours(address: str) -> bool:
    with suppress(OSError), socket.socket() as probe:
        probe.bind((address, 0))
        return True
    return False


def _public_ipv6(table: Path = Path("/proc/net/if_inet6")) -> bool:
    """Whether an interface has a public address (proc_net(5): the address in hex comes first)."""
    try:
        lines = table.read_text().splitlines()
    except OSError:
        return False
    return any(IPv6Address(bytes.fromhex(line.split()[0])).is_global for line in lines)
