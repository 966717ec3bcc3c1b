"""Whether logban can read the logs that it shall read, and find addresses in them."""

from collections.abc import Iterator
from typing import Any

from logban import rulebook
from logban.rulebook import Rulebook
from sidecarkit import settings
from sidecars import levels, remedy
from sidecars.deployment import Deployment
from sidecars.facts import Container
from sidecars.finding import Finding
from sidecars.levels import Level

_REMOTE = {"syslog", "gelf", "fluentd", "awslogs", "splunk", "gcplogs", "etwlogs", "logentries"}
_JSON_LINES = ("logging:", "  driver: json-file", '  options: {max-size: 10m, max-file: "3"}')
_MAIL = {"haraka", "zonemta", "wildduck", "traefik"}


def findings(deployment: Deployment) -> Iterator[Finding]:
    """Judge every log that logban shall read, and the agents' own."""
    book = rulebook.load(None)
    told = {str(one.get("container_id")): one for one in _views(deployment)}
    for one in deployment.asking("logban"):
        yield from _driver(one, deployment)
        yield from _traefik_level(one)
        yield from _level(one, deployment.levels.get(one.row.id))
        view = told.get(one.row.id)
        if view is not None:
            for problem in view.get("problems") or []:
                yield from _problem(one, str(problem))
            for group in view.get("unattributed") or []:
                told_of = f"{group.get('count')} offences of kind {group.get('kind')} without an address"
                yield Finding("offences_unattributed", one, told_of, str(group.get("advice")))
        elif not _own_rules(deployment):
            yield from _filters(one, book)
    for one in deployment.judged:
        if one.agent and one.setting("LOG_LEVEL").lower() in {"warning", "error"}:
            evidence = f"LOG_LEVEL={one.setting('LOG_LEVEL')}: heals, deliveries and bans are logged at info"
            yield Finding("log_level", one, evidence, remedy.environment(one, "LOG_LEVEL", "info"))
    yield from _hidden(deployment)


def _views(deployment: Deployment) -> list[dict[str, Any]]:
    document = deployment.said.logban or {}
    return [one for one in document.get("containers") or [] if isinstance(one, dict)]


def _own_rules(deployment: Deployment) -> bool:
    """Whether a logban.yml may know more filters than the shipped ones."""
    agent = deployment.agent("logban")
    if agent is None:
        return False
    named = agent.details is None or "LOGBAN_CONFIG" in agent.details.variables
    return named or agent.mount_at("/etc/logban") is not None


def _driver(one: Container, deployment: Deployment) -> Iterator[Finding]:
    if one.details is None:
        return
    driver, options = one.details.log_driver, one.details.log_options
    agent = deployment.agent("logban")
    source = one.row.labels.get("logban.source") or (agent.setting("LOGBAN_SOURCE") if agent else "") or "api"
    if driver == "none":
        why = "the engine keeps nothing of it"
    elif driver in _REMOTE and options.get("cache-disabled", "").lower() == "true":
        why = "with cache-disabled the engine keeps no copy that can be read"
    elif source.lower() == "file" and driver != "json-file":
        why = "logban.source=file needs json-file"
    else:
        return
    yield Finding("log_unreadable", one, f"its log driver is {driver}: {why}", remedy.lines(one, *_JSON_LINES))


def _traefik_level(one: Container) -> Iterator[Finding]:
    if one.kind != "traefik" or one.details is None:
        return
    given = {word.partition("=")[0].lower().lstrip("-"): word.partition("=")[2] for word in one.details.arguments}
    by_file = (
        "configfile" in given or one.mount_at("/etc/traefik/traefik.yml") or one.mount_at("/etc/traefik/traefik.toml")
    )
    level = given.get("log.level") or one.setting("TRAEFIK_LOG_LEVEL") or ("" if by_file else "ERROR")
    if not level or level.upper() in {"DEBUG", "TRACE"}:
        return
    told = f"its log level is {level.upper()}: Traefik logs failed TLS handshakes, and whose they are, at DEBUG only"
    if one.setting("TRAEFIK_LOG_LEVEL"):
        mend = remedy.environment(one, "TRAEFIK_LOG_LEVEL", "DEBUG")
    else:
        mend = remedy.lines(one, "command:  # beside the arguments that stand there", '  - "--log.level=DEBUG"')
    yield Finding("log_level", one, told, mend)


def _level(one: Container, level: Level | None) -> Iterator[Finding]:
    if level is None:
        return
    if wrong := levels.complaint(one.kind, level):
        told, better = wrong
        line = f"[main]: level={better}" if level.said_in.endswith(".ini") else f'[log]: level = "{better}"'
        by_file = f"in {level.said_in}, under {line}; then docker restart {one.row.name}"
        mend = by_file if "/" in level.said_in else remedy.environment(one, level.said_in, better)
        yield Finding("log_level", one, told, mend)
    if level.elsewhere:
        told = f"{level.said_in} sends what it tells of logins to a GELF server, and no longer to its log"
        mend = f"in {level.said_in}, under [log.gelf]: enabled = false; then docker restart {one.row.name}"
        yield Finding("log_level", one, told, mend)


def _problem(one: Container, problem: str) -> Iterator[Finding]:
    if problem.startswith("no filter is known"):
        yield _not_guessed(one, problem, ", ".join(rulebook.load(None).filters))
    elif "logban." in problem:
        yield Finding("label_unreadable", one, problem, "correct the label as it says")
    else:
        yield Finding("log_unreadable", one, problem, remedy.lines(one, *_JSON_LINES))


def _filters(one: Container, book: Rulebook) -> Iterator[Finding]:
    known = ", ".join(book.filters)
    named = settings.words(one.row.labels.get("logban.filters", ""))
    for name in named:
        if name not in book.filters:
            yield Finding("label_unreadable", one, f"logban.filters: there is no filter {name!r}", f"known are {known}")
    for name in settings.words(one.row.labels.get("logban.jails", "")):
        if name not in book.jails:
            jails = ", ".join(book.jails)
            yield Finding("label_unreadable", one, f"logban.jails: there is no jail {name!r}", f"known are {jails}")
    if not named and not book.guess(one.row.image):
        yield _not_guessed(one, f"no filter is known for image {one.row.image!r}", known)


def _not_guessed(one: Container, told: str, known: str) -> Finding:
    kind = one.kind if one.kind in _MAIL else "NAME"
    mend = remedy.label(one, "logban.filters", kind)
    return Finding("filter_not_guessed", one, told, f"{mend}  # one of {known}" if kind == "NAME" else mend)


def _hidden(deployment: Deployment) -> Iterator[Finding]:
    v6 = '{"ipv6": true, "ip6tables": true, "experimental": true, "fixed-cidr-v6": "fd00:d0c::/64"}'
    for seen in (deployment.said.logban or {}).get("hidden_clients") or []:
        told = f"{seen.get('offences')} offences came from {seen.get('address')}, the gateway of {seen.get('network')}"
        yield Finding("clients_hidden", None, told, str(seen.get("advice")))
    for one in deployment.judged:
        ports = sorted({port.public for port in one.ports if port.host_ip == "::"})
        counts = one.asks("logban") or one.kind in _MAIL
        if not (one.running and counts and ports) or any(one.networks.values()) or one.row.network_mode == "host":
            continue
        rule = "clients_hidden" if deployment.public_ipv6 else "clients_may_hide"
        shown = ", ".join(map(str, ports))
        told = f"ports {shown} are published on [::], and none of its networks has IPv6: it sees the gateway's address"
        mend = (
            f"give its network IPv6 (networks: {{default: {{enable_ipv6: true}}}}, and /etc/docker/daemon.json {v6}),"
            " or publish on IPv4 only:\n"
            + remedy.ports(one, lambda port: "0.0.0.0" if port.host_ip in {"::", ""} else port.host_ip)  # noqa: S104
        )
        yield Finding(rule, one, told, mend)
