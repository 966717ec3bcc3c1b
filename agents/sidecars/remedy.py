"""The lines of a compose file that mend a finding."""

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType

from sidecars.facts import Container, Port

# As in compose.wildduck.yml. Alive means: this process answers. None of them asks for a database or another server.
_GREETS = (
    'process.exitCode = 1; const s = require("net").connect(%d, "127.0.0.1"); s.setTimeout(3500, () => process.exit());'
    ' s.on("error", () => process.exit());'
    ' s.once("data", d => { if (/^%s/.test(d)) process.exitCode = 0; s.end("%s\\r\\n").resume(); });'
)
HEALTHCHECKS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "mongo": ("CMD", "mongosh", "--quiet", "--eval", "quit(db.runCommand({ping:1}).ok ? 0 : 2)"),
        "redis": ("CMD-SHELL", "timeout 4 redis-cli -e ping | grep -q PONG"),
        "wildduck": ("CMD", "node", "-e", _GREETS % (143, r"\* OK", "A LOGOUT")),
        "haraka": ("CMD", "node", "-e", _GREETS % (25, "220[ -]", "QUIT")),
        "zonemta": ("CMD", "node", "-e", _GREETS % (587, "220[ -]", "QUIT")),
        "rspamd": ("CMD-SHELL", "timeout 4 wget -q -O- http://127.0.0.1:11334/ping | grep -q pong"),
        "traefik": ("CMD", "traefik", "healthcheck", "--ping"),  # needs --ping=true among its own flags
        "webmail": ("CMD", "timeout", "4", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:3000/favicon.ico"),
    }
)
_ANY = ("CMD-SHELL", "a command that fails when this process hangs, and asks nobody else")
_SLOW = {"mongo", "redis", "rspamd", "wildduck"}


def lines(container: Container, *body: str) -> str:
    """Put *body* under the container's service."""
    return "\n".join(("services:", f"  {container.name}:", *(f"    {line}" for line in body)))


def healthcheck(container: Container) -> str:
    """Give the healthcheck for a service of the stack, or the form of one."""
    return lines(
        container,
        "healthcheck:",
        f"  test: {json.dumps(HEALTHCHECKS.get(container.kind, _ANY))}",
        "  interval: 30s",
        "  timeout: 10s" if container.kind == "mongo" else "  timeout: 5s",
        "  retries: 3",
        f"  start_period: {'60s' if container.kind in _SLOW else '30s'}",
    )


def label(container: Container, name: str, value: str) -> str:
    """Give one label."""
    return lines(container, "labels:", f'  {name}: "{value}"')


def environment(container: Container, name: str, value: str) -> str:
    """Give one variable."""
    return lines(container, "environment:", f'  {name}: "{value}"')


def ports(container: Container, address: Callable[[Port], str]) -> str:
    """Publish all its ports anew, each on the address of the host that *address* gives."""
    # Another file only adds to a list of ports, so the list is replaced, and has to hold what stays as it is.
    places: dict[tuple[int, int, str], set[str]] = {}
    for one in container.ports:
        places.setdefault((one.public, one.private, one.protocol), set()).add(address(one))
    written = [_published(*port, host) for port, hosts in places.items() for host in sorted(_merged(hosts))]
    return lines(container, f"ports: !override [{', '.join(map(json.dumps, written))}]")


def _merged(hosts: set[str]) -> set[str]:
    """Write both families' "all addresses" as Compose does: as none."""
    everywhere = {"0.0.0.0", "::"}  # noqa: S104 - what is read, not what is bound
    return hosts - everywhere | {""} if everywhere <= hosts else hosts


def _published(public: int, private: int, protocol: str, host: str) -> str:
    shown = f"[{host}]:" if ":" in host else f"{host}:" if host else ""
    # Without a number the engine chooses one; the colon before the container's port has to stay only behind an address.
    place = f"{public}:{private}" if public else f":{private}" if host else f"{private}"
    return f"{shown}{place}" + ("" if protocol == "tcp" else f"/{protocol}")
