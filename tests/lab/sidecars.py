"""The agents' images and the socket proxy before the engine, run as documented: with nothing that they do not need."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lab.containers import Container, Containers
from lab.engine import GivenEngine
from lab.images import agent_image, haproxy_image
from lab.wire import demand

ALLOW_LISTS = Path(__file__).parents[2] / "contrib/socket-proxy"
PROXY = "proxy"  # by this name it is found on its network
_BARE = {"ReadonlyRootfs": True, "Tmpfs": {"/tmp": ""}, "CapDrop": ["ALL"], "SecurityOpt": ["no-new-privileges"]}


@contextmanager
def network(engine: GivenEngine) -> Iterator[str]:
    """Make a network that leads nowhere; yields its name."""
    name = f"sidecars-lab-{secrets.token_hex(4)}"
    demand(engine.url, "POST", "/networks/create", body={"Name": name, "Internal": True})
    try:
        yield name
    finally:
        demand(engine.url, "DELETE", f"/networks/{name}")


def agent(
    engine: GivenEngine, containers: Containers, name: str, *, files: Mapping[Path, str] | None = None, **further: Any
) -> Container:
    """Run an agent's image without the socket. *files* of the host are mounted, read-only; *further* as for `run`."""
    image = {"Image": agent_image(engine, name), "Cmd": None}
    host = {**_BARE, "Binds": _mounts(files), **further.pop("host", {})}
    return containers.run(name, host=host, config={**image, **further.pop("config", {})}, **further)


def agent_with_socket(engine: GivenEngine, containers: Containers, name: str, **further: Any) -> Container:
    """Run an agent's image with the engine's socket, in the group of that socket, and without a network."""
    return agent(engine, containers, name, host=_socket(engine), network_mode="none", **further)


def proxy(  # noqa: PLR0913 - a container, read by its keywords
    engine: GivenEngine,
    containers: Containers,
    network: str,
    configuration: Path,
    *,
    files: Mapping[Path, str] | None = None,
    config: Mapping[str, Any] | None = None,
    **further: Any,
) -> Container:
    """Run HAProxy with the socket and *configuration*, as nobody; on *network* it is known as PROXY."""
    socket = _socket(engine)
    binds = [*socket["Binds"], *_mounts({configuration: "/etc/haproxy.cfg", **(files or {})})]
    return containers.run(
        "haproxy",
        network_mode=network,
        command=("haproxy", "-f", "/etc/haproxy.cfg"),
        host={**_BARE, **socket, "Binds": binds},
        config={
            "Image": haproxy_image(engine),
            "User": "65534",
            "NetworkingConfig": {"EndpointsConfig": {network: {"Aliases": [PROXY]}}},
            **(config or {}),
        },
        **further,
    )


def _socket(engine: GivenEngine) -> dict[str, Any]:
    socket = Path(urlsplit(engine.url).path)
    return {"Binds": [f"{socket}:/var/run/docker.sock"], "GroupAdd": [str(socket.stat().st_gid)]}


def _mounts(files: Mapping[Path, str] | None) -> list[str]:
    return [f"{file}:{place}:ro" for file, place in (files or {}).items()]
