"""The lines of a compose file that mend a finding."""

from sidecars.facts import Container

# Alive means: this process answers. None of them asks for a database or for another server.
_GREETING = (
    "const s=require('net').connect({port},'127.0.0.1');s.setTimeout(4000,()=>process.exit(1));"
    "s.on('error',()=>process.exit(1));s.once('data',d=>{{s.end('{goodbye}\\r\\n');"
    "process.exit(/^{greeting}/.test(d)?0:1)}})"
)


def _greets(port: int, greeting: str, goodbye: str) -> str:
    return f'["CMD", "node", "-e", "{_GREETING.format(port=port, greeting=greeting, goodbye=goodbye)}"]'


HEALTHCHECKS = {
    "mongo": '["CMD", "mongosh", "--quiet", "--eval", "quit(db.runCommand({ping:1}).ok ? 0 : 2)"]',
    "redis": '["CMD-SHELL", "redis-cli -e ping | grep -q PONG"]',
    "wildduck": _greets(143, r"\\* OK", "a LOGOUT"),
    "haraka": _greets(25, "220 ", "QUIT"),
    "zonemta": '["CMD-SHELL", "wget -q -O /dev/null http://127.0.0.1:12080/zones"]',
    "rspamd": '["CMD-SHELL", "wget -q -O- http://127.0.0.1:11334/ping | grep -q pong"]',
    "traefik": '["CMD", "traefik", "healthcheck", "--ping"]  # and --ping=true among the arguments of its command',
    "webmail": '["CMD-SHELL", "wget -q -O /dev/null http://127.0.0.1:3000/favicon.ico"]',
}
_ANY = '["CMD-SHELL", "a command that fails when this process hangs, and asks nobody else"]'
_SLOW = {"mongo": "60s", "rspamd": "60s", "wildduck": "60s"}


def lines(container: Container, *body: str) -> str:
    """Put *body* under the container's service."""
    return "\n".join(("services:", f"  {container.name}:", *(f"    {line}" for line in body)))


def healthcheck(container: Container) -> str:
    """Give the healthcheck for a service of the stack, or the form of one."""
    return lines(
        container,
        "healthcheck:",
        f"  test: {HEALTHCHECKS.get(container.kind, _ANY)}",
        "  interval: 30s",
        "  timeout: 10s" if container.kind == "mongo" else "  timeout: 5s",
        "  retries: 3",
        f"  start_period: {_SLOW.get(container.kind, '30s')}",
    )


def label(container: Container, name: str, value: str) -> str:
    """Give one label."""
    return lines(container, "labels:", f'  {name}: "{value}"')


def environment(container: Container, name: str, value: str) -> str:
    """Give one variable."""
    return lines(container, "environment:", f'  {name}: "{value}"')
