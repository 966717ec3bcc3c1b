"""What a row of the engine's container list says, and Compose's labels on it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
ONE_OFF = "com.docker.compose.oneoff"
REPLACES = "com.docker.compose.replace"

_HEALTH_IN_STATUS = re.compile(r"\((healthy|unhealthy|health: starting)\)")


@dataclass(frozen=True, slots=True)
class Row:
    """One container as listed. `state` such as running, exited, paused; `health` None without a healthcheck."""

    id: str
    name: str
    image: str
    state: str
    health: str | None
    labels: Mapping[str, str]
    network_mode: str
    addresses: tuple[str, ...]
    created_at: float = 0.0  # Unix seconds, the engine's clock

    @property
    def project(self) -> str | None:
        return self.labels.get(PROJECT)

    @property
    def service(self) -> str | None:
        return self.labels.get(SERVICE)


def row(document: Mapping[str, Any]) -> Row:
    """Read a row of GET /containers/json."""
    networks = (document.get("NetworkSettings") or {}).get("Networks") or {}
    return Row(
        id=document["Id"],
        name=_own_name(document.get("Names") or []),
        image=document.get("Image", ""),
        state=document.get("State", ""),
        health=_health(document),
        labels=document.get("Labels") or {},
        network_mode=(document.get("HostConfig") or {}).get("NetworkMode", ""),
        addresses=tuple(
            address
            for network in networks.values()
            for address in ((network or {}).get("IPAddress"), (network or {}).get("GlobalIPv6Address"))
            if address
        ),
        created_at=float(document.get("Created") or 0),
    )


def _own_name(names: list[str]) -> str:
    """Choose the container's own name: links add names such as /other/alias."""
    return next((name[1:] for name in names if name.startswith("/") and "/" not in name[1:]), "")


def _health(document: Mapping[str, Any]) -> str | None:
    """Read the health: a field of its own from API 1.52, before that only in the text of Status."""
    own = (document.get("Health") or {}).get("Status")
    if own:
        return None if own == "none" else str(own)
    found = _HEALTH_IN_STATUS.search(document.get("Status", ""))
    return found[1].removeprefix("health: ") if found else None


def is_true(value: str | None) -> bool:
    """Read a label's truth in any case: Compose v1 writes "True"."""
    return value is not None and value.strip().lower() in {"true", "yes", "on", "1"}


def is_false(value: str | None) -> bool:
    return value is not None and value.strip().lower() in {"false", "no", "off", "0"}
