"""Whether the agents are there, run, and hold no more than they need."""

from collections.abc import Iterable, Iterator

from autoheal.config import Config as AutohealConfig
from certsync.config import Config as CertsyncConfig
from logban.config import Config as LogbanConfig
from sidecarkit import settings
from sidecarkit.containers import is_true
from sidecars import remedy
from sidecars.deployment import Deployment
from sidecars.facts import LABELLED, Container
from sidecars.finding import Finding

_SCHEMAS = {"autoheal": AutohealConfig, "certsync": CertsyncConfig, "logban": LogbanConfig}


def findings(deployment: Deployment) -> Iterator[Finding]:
    """Judge every agent."""
    if not any(one.agent for one in deployment.judged) and not any(map(deployment.asking, LABELLED)):
        told = f"{len(deployment.judged)} containers were looked at"
        yield Finding("no_deployment", None, told, "add compose.sidecars.yml and compose.wildduck.yml to COMPOSE_FILE")
        return
    for name in LABELLED:
        yield from _presence(name, deployment)
    for one in deployment.judged:
        if one.agent:
            yield from _condition(one, deployment)
            yield from _settings(one)
            yield from _socket(one, deployment)


def _presence(name: str, deployment: Deployment) -> Iterator[Finding]:
    asking, agents = deployment.asking(name), deployment.agents(name)
    if asking and not agents:
        told = f"{name} is asked for by {_names(asking)}, and no container is {name}"
        mend = f"docker compose up --detach {name}, with compose.sidecars.yml among the files in COMPOSE_FILE"
        yield Finding("agent_absent", None, told, mend)
    running = [one for one in agents if one.running]
    if len(running) > 1:
        told = f"{_names(running)} are all {name}"
        yield Finding("agent_twice", running[-1], told, f"keep one: docker rm --force {running[-1].row.name}")
    if running and not asking and not _has_other_work(running[0], deployment):
        mend = f'label what it shall work on, for example\nservices:\n  haraka:\n    labels:\n      {name}: "true"'
        yield Finding("agent_idle", running[0], f"no container has the label {name}=true", mend)


def _has_other_work(agent: Container, deployment: Deployment) -> bool:
    """Whether it was told in another way than by labels what to work on."""
    if agent.details is None:
        return True
    if agent.agent == "autoheal":
        return deployment.healing_label == "all"
    if agent.agent == "certsync":
        return bool({"CERT_DOMAIN", "CERTSYNC_CONFIG"} & agent.details.variables or agent.mount_at("/etc/certsync"))
    return "LOGBAN_CONFIG" in agent.details.variables or agent.mount_at("/etc/logban") is not None


def _condition(one: Container, deployment: Deployment) -> Iterator[Finding]:
    if not one.running:
        if any(other.running for other in deployment.agents(one.agent)):
            return  # another one does its work; this is left over
        code = f", exit status {one.details.exit_code}" if one.details and one.row.state != "paused" else ""
        mend = "docker unpause" if one.row.state == "paused" else f"read docker logs {one.row.name}, then docker start"
        yield Finding("agent_not_running", one, f"it is {one.row.state}{code}", f"{mend} {one.row.name}")
    elif one.row.health == "unhealthy":
        told = (one.details.health_output if one.details else "") or "its healthcheck fails"
        yield Finding("agent_unhealthy", one, told, f"read docker logs {one.row.name}")


def _settings(one: Container) -> Iterator[Finding]:
    schema = _SCHEMAS.get(one.agent)
    if one.details is None or schema is None:
        return
    prefix = f"{one.agent.upper()}_"
    for warning in settings.unknown(schema, dict.fromkeys(one.details.variables, ""), prefix):
        yield Finding("setting_unknown", one, warning, "rename the variable, or take it out")
    dry = is_true(one.setting(f"{prefix}DRY_RUN"))
    if dry or (one.agent == "logban" and one.setting("LOGBAN_BACKEND") == "none"):
        name, value = (f"{prefix}DRY_RUN", "false") if dry else ("LOGBAN_BACKEND", "auto")
        yield Finding("agent_dry_run", one, f"{name}={one.setting(name)}", remedy.environment(one, name, value))
    if one.agent == "logban" and one.row.network_mode not in {"host", ""}:
        told = f"its network is {one.row.network_mode}: its rules would guard nobody but itself"
        yield Finding("logban_off_host", one, told, remedy.lines(one, "network_mode: host"))


def _socket(one: Container, deployment: Deployment) -> Iterator[Finding]:
    if one.holds_socket:
        mend = (
            "take compose.direct.yml out of COMPOSE_FILE; where it is there on purpose, this is the price:"
            " whoever breaks into the agent holds the machine"
        )
        yield Finding("socket_without_proxy", one, "the engine's socket is mounted (:ro changes nothing)", mend)
    for proxy, guests in _proxies(one, deployment):
        if guests:
            told = f"{_names(guests)} can reach {proxy.name}, through which {one.name} speaks with the engine"
            network = f"networks: [{one.agent}]  # internal, and of these two alone"
            own = f"networks:\n  {one.agent}: {{internal: true}}"
            yield Finding("proxy_shared", proxy, told, f"{remedy.lines(proxy, network)}\n{own}")


def _proxies(agent: Container, deployment: Deployment) -> Iterator[tuple[Container, list[Container]]]:
    """Find the proxy that an agent speaks through, and who else can reach it: by a network, or by a socket's volume."""
    host, volume = _proxy_address(agent)
    for proxy in deployment.containers:
        if not proxy.holds_socket or proxy.agent:
            continue
        others = [one for one in deployment.containers if not one.agent and not one.holds_socket]
        if host in {proxy.row.service, proxy.row.name, *proxy.row.addresses}:
            networks = set(proxy.networks) - {"host", "none"}
            yield proxy, [one for one in others if networks & set(one.networks)]
        elif volume and volume in proxy.volumes:
            yield proxy, [one for one in others if volume in one.volumes]


def _proxy_address(agent: Container) -> tuple[str, str]:
    """Tell the host that the agent's proxy listens on, or the volume that its socket lies in; both may be empty."""
    scheme, _, rest = agent.setting("DOCKER_HOST").partition("://")
    if scheme == "unix":
        mount = agent.mount_at(rest)
        return "", mount.volume if mount else ""
    return rest.partition("/")[0].rpartition(":")[0] or rest, ""


def _names(containers: Iterable[Container]) -> str:
    return ", ".join(sorted({one.name for one in containers}))
