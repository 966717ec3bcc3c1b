"""Asks the running agents for their own view, with the very command that people use: `status --json`."""

import json
from collections.abc import Callable
from typing import Any

from sidecarkit.engine import Engine
from sidecarkit.errors import EngineError
from sidecars.deployment import Blind, Firewall, Said
from sidecars.facts import Container

Tell = Callable[[Blind], None]


def hear(engine: Engine, agents: dict[str, Container], blind: Tell) -> Said:
    """Ask each of *agents* (name: running container)."""
    said = {
        name: _status(engine, one, blind) for name, one in agents.items() if name in {"autoheal", "certsync", "logban"}
    }
    autoheal = said.get("autoheal")
    return Said(
        autoheal=[view for view in autoheal if isinstance(view, dict)] if isinstance(autoheal, list) else None,
        certsync=_document(said.get("certsync")),
        logban=_document(said.get("logban")),
    )


def _document(said: Any) -> dict[str, Any] | None:
    return said if isinstance(said, dict) else None


def _status(engine: Engine, agent: Container, blind: Tell) -> Any:
    what = f"{agent.agent} status --json in {agent.row.name}"
    try:
        # A status of 1 says that something is wrong, and is an answer all the same.
        status, printed = engine.execute(agent.row.id, (agent.agent, "status", "--json"))
        return json.loads(printed)
    except EngineError as error:
        blind(Blind(what, str(error)))
    except ValueError:
        blind(Blind(what, f"it printed no JSON (exit status {status})"))
    return None


def firewall(engine: Engine, logban: Container, info: dict[str, Any], blind: Tell) -> Firewall | None:
    """See where the engine's rules are, with logban's own tools: it is on the host's network and may look."""
    driver = str((info.get("FirewallBackend") or {}).get("Driver") or "")
    found = {"nftables"} if driver.startswith("nftables") else set[str]()
    try:
        _, version = engine.execute(logban.row.id, ("iptables", "--version"))
        for variant in ("iptables-nft", "iptables-legacy"):
            if _has_rules(engine, logban, variant):
                found.add(variant)
    except EngineError as error:
        blind(Blind("the host's firewall", str(error)))
        return None
    called = "iptables-legacy" if b"legacy" in version else "iptables-nft"
    return Firewall(frozenset(found), called)


def _has_rules(engine: Engine, logban: Container, variant: str) -> bool:
    if variant == "iptables-legacy":
        # To ask iptables-legacy for a table makes the table; the kernel's list of tables is looked at first.
        status, tables = engine.execute(logban.row.id, ("cat", "/proc/net/ip_tables_names"))
        if status != 0 or b"nat" not in tables.split():
            return False
    status, printed = engine.execute(logban.row.id, (f"{variant}-save", "-t", "nat"))
    return status == 0 and b"\n:DOCKER " in printed
