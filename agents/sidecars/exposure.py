"""What is open to the world, and whose firewall holds the rules."""

from collections.abc import Iterator

from sidecars import remedy
from sidecars.deployment import Deployment
from sidecars.facts import AGENTS, Container, Port
from sidecars.finding import Finding

# Ports that nobody else needs: (port in the container, of which service; empty: of any, what can be done there).
_PRIVATE = (
    (27017, "", "MongoDB: all mail, without a password in the upstream stack"),
    (6379, "", "Redis: sessions and queues, and commands"),
    (11332, "rspamd", "Rspamd's milter worker"),
    (11333, "rspamd", "Rspamd's scanner"),
    (11334, "", "Rspamd's controller: statistics and, with its password, its rules"),
    (12080, "", "ZoneMTA's API: send, read and delete mail without a password"),
    (8080, "wildduck", "WildDuck's API: every mailbox, with one token"),
    (8081, "wildduck", "WildDuck's metrics"),
    (8080, "traefik", "Traefik's dashboard and metrics"),
    (2375, "", "the engine's API: the whole machine"),
    (2376, "", "the engine's API"),
    (9200, "", "OpenSearch: an index of all mail"),
    (9090, "prometheus", "Prometheus: all figures, without a password"),
    (9093, "alertmanager", "Alertmanager: whoever reaches it silences alerts"),
    (8080, "cadvisor", "cAdvisor: all containers of the host"),
    (9100, "exporter", "figures of the host"),
    (9121, "exporter", "figures of Redis"),
    (9216, "exporter", "figures of MongoDB"),
)
_AGENT_PORTS = {9180: "autoheal", 9181: "certsync", 9182: "logban", 9183: "stats", 9184: "confcheck"}


def findings(deployment: Deployment) -> Iterator[Finding]:
    """Judge every published port, and the agents that live on the host's network."""
    for one in deployment.judged:
        seen = set[tuple[int, str]]()
        for port in one.ports:
            what = _what(one, port)
            if what and port.to_the_world and (port.private, port.protocol) not in seen:
                seen.add((port.private, port.protocol))
                yield _open(one, port, what)
        if one.agent in AGENTS and one.row.network_mode == "host":
            yield from _listens(one)
    yield from _firewall(deployment)


def _what(one: Container, port: Port) -> str | None:
    for number, kind, what in _PRIVATE:
        if port.private == number and kind in {"", one.kind}:
            return what
    if one.agent and port.private in _AGENT_PORTS:
        return f"{_AGENT_PORTS[port.private]}'s metrics and health"
    if one.holds_socket and "proxy" in one.row.image:
        return "a way to the engine's socket"
    return None


def _open(one: Container, port: Port, what: str) -> Finding:
    where = f"[{port.host_ip}]" if ":" in port.host_ip else port.host_ip or "0.0.0.0"  # noqa: S104 - shown
    told = f"{where}:{port.public} leads to port {port.private}: {what}"
    lines = remedy.ports(one, lambda each: "127.0.0.1" if each.to_the_world and _what(one, each) else each.host_ip)
    mend = f"publish it to nobody (services reach each other without), or to this machine:\n{lines}"
    return Finding("port_open", one, told, mend)


def _listens(one: Container) -> Iterator[Finding]:
    name = f"{one.agent.upper()}_HTTP"
    host, _, port = one.setting(name).rpartition(":")
    # An address of a container network, as Prometheus needs one, is the world's as little as loopback is.
    if host and Port(0, "tcp", host.strip("[]"), 0).to_the_world:
        told = f"{name}={host}:{port} on the host's network"
        yield Finding("port_open", one, told, remedy.environment(one, name, f"127.0.0.1:{port}"))


def _firewall(deployment: Deployment) -> Iterator[Finding]:
    walls, agent = deployment.firewall, deployment.agent("logban")
    if walls is None or agent is None:
        return
    backend = str((deployment.said.logban or {}).get("backend") or agent.setting("LOGBAN_BACKEND", "auto"))
    if len(walls.engine) > 1:
        told = f"the engine's chains are in {' and in '.join(sorted(walls.engine))}: those of one are left over"
        mend = "choose one (update-alternatives --set iptables /usr/sbin/iptables-nft), then restart the host"
        yield Finding("firewall_mismatch", agent, told, mend)
    elif backend == "iptables" and walls.engine and walls.logban not in walls.engine:
        told = f"the engine's rules are in {', '.join(walls.engine)}, logban's in {walls.logban}"
        yield Finding("firewall_mismatch", agent, told, remedy.environment(agent, "LOGBAN_BACKEND", "nftables"))
