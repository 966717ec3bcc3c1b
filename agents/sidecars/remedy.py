"""The lines of a compose file that mend a finding."""

import json
from collections.abc import Mapping
from types import MappingProxyType

from sidecars.facts import Container

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
