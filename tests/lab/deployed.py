"""Deployments as facts, without an engine."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sidecarkit.masking import Mask
from sidecars import facts, policy
from sidecars.deployment import Deployment, judged
from sidecars.facts import Container
from sidecars.finding import Finding

NOW = datetime(2026, 6, 1, tzinfo=UTC)
HEALTHY = ["CMD", "true"]


def container(  # noqa: PLR0913 - a container, read by its keywords
    name: str,
    *,
    image: str | None = None,
    labels: Mapping[str, str] | None = None,
    state: str = "running",
    status: str = "Up 2 minutes",
    mounts: Sequence[Mapping[str, Any]] = (),
    networks: Mapping[str, Any] | None = None,
    mode: str = "mail",
    config: Mapping[str, Any] | None = None,
    host: Mapping[str, Any] | None = None,
    ports: Mapping[str, Any] | None = None,
    health: Mapping[str, Any] | None = None,
    env: Sequence[str] = (),
    inspected: bool = True,
) -> Container:
    """Make a container from the engine's two documents about it."""
    marks = {"com.docker.compose.project": "mail", "com.docker.compose.service": name, **(labels or {})}
    row = {
        "Id": name.ljust(64, "0"),
        "Names": [f"/mail-{name}-1"],
        "Image": image or f"lab/{name}",
        "State": state,
        "Status": status,
        "Labels": marks,
        "Mounts": list(mounts),
        "HostConfig": {"NetworkMode": mode},
        "NetworkSettings": {"Networks": networks or {}},
    }
    document = {
        "Config": {"Env": list(env), "Healthcheck": {"Test": HEALTHY}, **(config or {})},
        "HostConfig": {"LogConfig": {"Type": "json-file", "Config": {}}, **(host or {})},
        "State": {"ExitCode": 0, "Health": health},
        "NetworkSettings": {"Ports": ports or {}},
    }
    return facts.container(row, document if inspected else None, Mask(env))


def agent(name: str, **further: Any) -> Container:
    """Make an agent's container."""
    labels = {"org.opencontainers.image.title": f"wildduck-sidecars {name}", **further.pop("labels", {})}
    further.setdefault("mode", "host" if name == "logban" else "sidecars")
    config = {"Entrypoint": [name], **(further.pop("config", None) or {})}
    return container(name, labels=labels, config=config, **further)


def deployment(*containers: Container, projects: Sequence[str] = (), **further: Any) -> Deployment:
    """Put containers together as a survey does."""
    return Deployment(now=NOW, containers=containers, judged=judged(containers, projects), **further)


def examine(*containers: Container, **further: Any) -> tuple[Finding, ...]:
    """Give the findings about containers."""
    return policy.examine(deployment(*containers, **further))


def ids(*containers: Container, **further: Any) -> list[str]:
    """Give the ids of the findings about containers."""
    return [one.id for one in examine(*containers, **further)]
