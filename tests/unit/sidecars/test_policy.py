"""What is wrong with a deployment: the cases that need no engine."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import yaml

from lab.deployed import NOW, agent, container, deployment, examine, ids
from sidecars import policy
from sidecars.deployment import Firewall, Said, Served, Store
from sidecars.facts import Container
from sidecars.finding import RULES, Finding, Severity

ASKS = {"autoheal": "true", "logban": "true"}


def haraka(**further: Any) -> Container:
    return container("haraka", labels={**ASKS, **further.pop("labels", {})}, **further)


def well() -> tuple[Container, ...]:
    return haraka(), agent("autoheal"), agent("logban")


def test_a_deployment_without_flaws_has_no_finding() -> None:
    assert ids(*well()) == []


def test_findings_come_worst_first_and_each_once() -> None:
    found = examine(agent("autoheal", env=["AUTOHEAL_DRY_RUN=true", "LOG_LEVEL=error"]), haraka())

    assert [one.severity for one in found] == sorted((one.severity for one in found), key=list(Severity).index)
    assert [one.id for one in found] == ["agent_absent", "log_level", "agent_dry_run"]


def test_what_is_good_to_know_makes_nothing_wrong() -> None:
    info, warning = (Finding(name, None, "", "") for name in ("agent_dry_run", "log_level"))

    assert policy.is_well([info])
    assert not policy.is_well([info, warning])


def test_of_two_containers_of_an_agent_the_one_that_runs_counts() -> None:
    old = agent("autoheal", state="exited", env=["AUTOHEAL_CONTAINER_LABEL=heal.me"])

    assert ids(old, *well()) == []
    assert "agent_not_running" in ids(old)


# autoheal


@pytest.mark.parametrize("test", [[], ["NONE"]])
def test_a_healthcheck_that_is_switched_off_is_none(test: list[str]) -> None:
    sick = haraka(config={"Healthcheck": {"Test": test}})

    assert ids(sick, agent("autoheal"), agent("logban")) == ["no_healthcheck"]


def test_a_container_that_is_watched_for_its_end_needs_no_healthcheck() -> None:
    by_label = container("tasks", labels={"autoheal": "true", "autoheal.exited": "TRUE"}, config={"Healthcheck": None})
    by_default = container("tasks", labels={"autoheal": "true"}, config={"Healthcheck": None})

    assert ids(by_label, agent("autoheal")) == []
    assert ids(by_default, agent("autoheal", env=["AUTOHEAL_EXITED=true"])) == []


def test_a_renamed_label_is_the_one_that_counts() -> None:
    named = agent("autoheal", env=["AUTOHEAL_CONTAINER_LABEL=heal.me"])
    sick = container("redis", labels={"heal.me": "true"}, config={"Healthcheck": None})

    assert ids(sick, named) == ["no_healthcheck"]
    assert ids(container("redis", labels={"autoheal": "true"}), named) == ["agent_idle"]


def test_a_one_off_container_asks_for_nothing() -> None:
    run = container("haraka", labels={**ASKS, "com.docker.compose.oneoff": "True"})

    assert ids(run, agent("autoheal", env=["AUTOHEAL_CONTAINER_LABEL=all"])) == []


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ({"autoheal.window": "soon"}, "autoheal.window='soon': expected a duration such as 30s, 10m, 4h or 7d"),
        ({"autoheal.max_restarts": "3"}, "autoheal.max_restarts is no label of autoheal"),
    ],
)
def test_a_label_that_autoheal_cannot_read_is_told_of_in_its_own_words(labels: dict[str, str], told: str) -> None:
    (found,) = examine(haraka(labels=labels), agent("autoheal"), agent("logban"))

    assert (found.id, found.evidence.startswith(told)) == ("label_unreadable", True)


@pytest.mark.parametrize(
    ("name", "test", "wrong"),
    [
        ("wildduck", "wget -q http://127.0.0.1:8080/health", True),
        ("wildduck", "node -e connect(143)", False),
        ("webmail", "wget -q -O /dev/null http://127.0.0.1:3000/", True),
        ("webmail", "wget -q -O /dev/null http://127.0.0.1:3000", True),
        ("webmail", "wget -q -O /dev/null http://127.0.0.1:3000/favicon.ico", False),
        ("redis", "redis-cli ping", True),
        ("redis", "redis-cli -e ping | grep -q PONG", False),
    ],
)
def test_a_healthcheck_that_asks_for_more_than_its_own_process_is_found(name: str, test: str, wrong: bool) -> None:
    one = container(name, labels={"autoheal": "true"}, config={"Healthcheck": {"Test": ["CMD-SHELL", test]}})

    assert ids(one, agent("autoheal")) == (["healthcheck_of_others"] if wrong else [])


def test_a_healthcheck_is_not_shown_since_a_password_may_be_in_it() -> None:
    test = ["CMD-SHELL", "redis-cli -a c4nary ping"]

    found = examine(
        container("redis", labels={"autoheal": "true"}, config={"Healthcheck": {"Test": test}}), agent("autoheal")
    )

    assert [one.id for one in found] == ["healthcheck_of_others"]
    assert "c4nary" not in repr([(one.evidence, one.remedy) for one in found])


# certsync


CERTSYNC = {"certsync": "true", "certsync.domains": "mail.example.com"}


def certsync(**further: Any) -> Container:
    return agent("certsync", mounts=[{"Source": "/srv/haraka", "Destination": "/targets"}], **further)


def test_a_consumer_without_a_shared_mount_gets_the_line_to_add() -> None:
    alone = container("haraka", labels={**CERTSYNC, "certsync.preset": "haraka"})

    (found,) = examine(alone, certsync())

    assert found.id == "certificate_undeliverable"
    assert "`- certs-haraka:/app/config` under haraka" in found.remedy


def test_a_consumer_with_a_shared_mount_is_well() -> None:
    mounts = [{"Source": "/srv/haraka", "Destination": "/app/config"}]

    assert ids(container("haraka", labels={**CERTSYNC, "certsync.preset": "haraka"}, mounts=mounts), certsync()) == []


def test_what_certsync_says_of_a_target_counts_more_than_what_its_labels_promise() -> None:
    alone = container("haraka", labels={**CERTSYNC, "certsync.preset": "haraka"})
    said = {"targets": [{"name": "haraka", "state": "in_sync", "reason": None}]}

    assert ids(alone, certsync(), said=Said(certsync=said)) == []


def test_a_label_of_certsync_that_cannot_be_read_is_told_of_in_its_own_words() -> None:
    (found,) = examine(container("haraka", labels={**CERTSYNC, "certsync.preset": "harake"}), certsync())

    assert found.id == "label_unreadable"
    assert (
        found.evidence == "certsync.preset='harake': expected one of haraka, zonemta, wildduck, postfix, dovecot, nginx"
    )


@pytest.mark.parametrize(
    ("serial", "on_disk", "days", "found"),
    [
        ("AA", "AA", 60, []),
        ("AA", None, 60, []),
        ("AA", "BB", 60, ["certificate_served_differs"]),
        ("AA", "AA", 13, ["certificate_expiring"]),
        ("AA", "AA", -1, ["certificate_expired"]),
    ],
)
def test_what_is_served_is_compared_with_the_file_and_the_calendar(
    serial: str, on_disk: str | None, days: int, found: list[str]
) -> None:
    consumer = container("haraka", labels={**CERTSYNC, "certsync.reload": "http://haraka/certs"})
    served = Served(consumer, "10.0.0.5:25", serial, NOW + timedelta(days=days), on_disk)

    assert ids(consumer, certsync(), served=(served,)) == found


def test_without_the_file_what_is_served_is_compared_with_what_certsync_has_written() -> None:
    consumer = container("haraka", labels={**CERTSYNC, "certsync.reload": "http://haraka/certs"})
    served = Served(consumer, "10.0.0.5:25", "AA", NOW + timedelta(days=60), None)
    said = {"targets": [{"name": "haraka", "on_disk": {"serial": "BB"}}]}

    assert ids(consumer, certsync(), served=(served,), said=Said(certsync=said)) == ["certificate_served_differs"]


@pytest.mark.parametrize(
    ("user", "owner", "mode", "capabilities", "readable"),
    [
        ("10001", 0, 0o600, None, False),
        ("10001:10001", 10001, 0o600, None, True),
        ("10001", 0, 0o640, None, True),
        ("", 1000, 0o600, {}, True),
        ("0:0", 1000, 0o600, {"CapDrop": ["ALL"]}, False),
        ("0:0", 1000, 0o600, {"CapDrop": ["ALL"], "CapAdd": ["CAP_DAC_READ_SEARCH"]}, True),
        ("10001", 1000, 0o600, {"CapDrop": ["ALL"], "CapAdd": ["DAC_READ_SEARCH"]}, False),
    ],
)
def test_who_may_read_acme_json_is_decided_as_the_kernel_does(
    user: str, owner: int, mode: int, capabilities: dict[str, Any] | None, readable: bool
) -> None:
    mounts = [{"Source": "/srv/traefik", "Destination": "/traefik"}]
    one = agent("certsync", mounts=mounts, config={"User": user}, host=capabilities or {})
    asking = container("haraka", labels={**CERTSYNC, "certsync.reload": "http://haraka/certs"})

    store = Store(one, "/traefik/acme.json", "file", owner, mode)

    assert ids(one, asking, stores=(store,)) == ([] if readable else ["acme_unreadable"])


def test_two_writers_are_found_only_while_both_run() -> None:
    old = container("haraka-cert-sync")
    asking = container("haraka", labels={**CERTSYNC, "certsync.reload": "http://haraka/certs"})

    assert ids(old, asking, certsync()) == ["two_writers"]
    assert ids(replace(old, row=replace(old.row, state="exited")), asking, certsync()) == []


# logban


@pytest.mark.parametrize(
    ("arguments", "env", "mounts", "found"),
    [
        ([], [], [], ["log_level"]),
        (["--log.level=INFO"], [], [], ["log_level"]),
        (["--LOG.LEVEL=debug"], [], [], []),
        ([], ["TRAEFIK_LOG_LEVEL=DEBUG"], [], []),
        ([], ["TRAEFIK_LOG_LEVEL=WARN"], [], ["log_level"]),
        (["--configfile=/x.yml"], [], [], []),
        ([], [], [{"Source": "/srv/traefik", "Destination": "/etc/traefik"}], []),
    ],
)
def test_a_traefik_that_does_not_log_failed_handshakes_is_found_unless_a_file_may_say_otherwise(
    arguments: list[str], env: list[str], mounts: list[dict[str, str]], found: list[str]
) -> None:
    traefik = container("traefik", labels={"logban": "true"}, config={"Cmd": arguments}, env=env, mounts=mounts)

    assert ids(traefik, agent("logban")) == found


@pytest.mark.parametrize(
    ("driver", "options", "label", "found"),
    [
        ("local", {}, "api", []),
        ("journald", {}, "api", []),
        ("gelf", {}, "api", []),
        ("gelf", {"cache-disabled": "true"}, "api", ["log_unreadable"]),
        ("none", {}, "api", ["log_unreadable"]),
        ("local", {}, "file", ["log_unreadable"]),
    ],
)
def test_a_log_that_the_engine_does_not_keep_is_found(
    driver: str, options: dict[str, str], label: str, found: list[str]
) -> None:
    host = {"LogConfig": {"Type": driver, "Config": options}}

    assert ids(haraka(labels={"logban.source": label}, host=host), agent("autoheal"), agent("logban")) == found


def test_filters_and_jails_are_judged_by_the_shipped_rules_unless_logban_has_its_own() -> None:
    odd = container("haraka", labels={"logban": "true", "logban.filters": "mine", "logban.jails": "mine"})
    own = agent("logban", mounts=[{"Source": "/srv/logban", "Destination": "/etc/logban"}])

    assert ids(odd, agent("logban")) == ["label_unreadable", "label_unreadable"]
    assert ids(odd, own) == []


def test_what_logban_says_of_a_container_is_passed_on() -> None:
    mta = container("mta", labels={"logban": "true"})
    view = {
        "container_id": mta.row.id,
        "problems": ["no filter is known for image 'mta': name one", "the log cannot be read"],
        "unattributed": [{"kind": "legacy_tls", "count": 3, "advice": "publish the port"}],
    }

    found = ids(mta, agent("logban"), said=Said(logban={"containers": [view]}))

    assert found == ["filter_not_guessed", "log_unreadable", "offences_unattributed"]


@pytest.mark.parametrize(
    ("networks", "mode", "public", "found"),
    [
        ({"mail": {"IPAddress": "172.18.0.5"}}, "mail", True, ["clients_hidden"]),
        ({"mail": {"IPAddress": "172.18.0.5"}}, "mail", False, ["clients_may_hide"]),
        ({"mail": {"IPAddress": "172.18.0.5"}}, "mail", None, ["clients_may_hide"]),
        ({"mail": {"GlobalIPv6Address": "fd00::5"}}, "mail", True, []),
        ({}, "host", True, []),
    ],
)
def test_clients_over_ipv6_are_hidden_where_the_network_has_none(
    networks: dict[str, Any], mode: str, public: bool | None, found: list[str]
) -> None:
    ports = {"25/tcp": [{"HostIp": "0.0.0.0", "HostPort": "25"}, {"HostIp": "::", "HostPort": "25"}]}
    mail = haraka(networks=networks, mode=mode, ports=ports)

    assert ids(mail, agent("autoheal"), agent("logban"), public_ipv6=public) == found


# The firewall, and what is open


@pytest.mark.parametrize(
    ("engine", "ours", "backend", "found"),
    [
        ({"iptables-nft"}, "iptables-nft", "iptables", []),
        ({"iptables-legacy"}, "iptables-nft", "nftables", []),
        ({"iptables-legacy"}, "iptables-nft", "iptables", ["firewall_mismatch"]),
        ({"iptables-legacy", "iptables-nft"}, "iptables-nft", "nftables", ["firewall_mismatch"]),
        ({"nftables"}, "iptables-nft", "iptables", ["firewall_mismatch"]),
        (set(), "iptables-nft", "iptables", []),
    ],
)
def test_rules_in_another_firewall_than_the_engines_are_found(
    engine: set[str], ours: str, backend: str, found: list[str]
) -> None:
    walls, said = Firewall(frozenset(engine), ours), Said(logban={"backend": backend})

    assert ids(*well(), firewall=walls, said=said) == found


@pytest.mark.parametrize(
    ("name", "port", "address", "found"),
    [
        ("mongo", 27017, "", ["port_open"]),
        ("mongo", 27017, "127.0.0.1", []),
        ("rspamd", 11334, "::", ["port_open"]),
        ("wildduck", 8080, "0.0.0.0", ["port_open"]),
        ("prometheus", 9090, "::", ["port_open"]),
        ("cadvisor", 8080, "", ["port_open"]),
        ("redis-exporter", 9121, "", ["port_open"]),
        ("webmail", 8080, "0.0.0.0", []),
        ("zonemta", 12080, "0.0.0.0", ["port_open"]),
        ("haraka", 25, "0.0.0.0", []),
    ],
)
def test_a_port_that_is_nobody_elses_business_is_found_when_it_is_open(
    name: str, port: int, address: str, found: list[str]
) -> None:
    ports = {f"{port}/tcp": [{"HostIp": address, "HostPort": "1234"}, {"HostIp": "::1", "HostPort": "1234"}]}

    assert ids(*well(), container(name, ports=ports)) == found


def test_an_agents_http_is_private_on_the_hosts_network_too() -> None:
    open_one = agent("logban", env=["LOGBAN_HTTP=0.0.0.0:9182"])

    assert ids(haraka(), agent("autoheal"), open_one) == ["port_open"]
    assert ids(haraka(), agent("autoheal"), agent("logban", env=["LOGBAN_HTTP=[::1]:9182"])) == []


def test_a_volume_with_a_proxys_socket_is_shared_by_nobody_else() -> None:
    volume = {"Type": "volume", "Name": "mail_engine", "Source": "/data", "Destination": "/run/engine"}
    socket = {"Source": "/var/run/docker.sock", "Destination": "/var/run/docker.sock"}
    speaker = agent("autoheal", mounts=[volume], env=["DOCKER_HOST=unix:///run/engine/engine.sock"])
    proxy = container("autoheal-proxy", mounts=[volume, socket], mode="none")

    assert ids(haraka(), agent("logban"), speaker, proxy) == []
    assert ids(haraka(mounts=[volume]), agent("logban"), speaker, proxy) == ["proxy_shared"]


def test_who_merely_shares_a_volume_with_somebody_who_holds_the_socket_reaches_no_proxy() -> None:
    socket = {"Source": "/var/run/docker.sock", "Destination": "/var/run/docker.sock"}
    engine = {"Type": "volume", "Name": "engine", "Source": "/e", "Destination": "/run/engine"}
    store = {"Type": "volume", "Name": "traefik", "Source": "/t", "Destination": "/traefik"}
    speaker = agent("autoheal", mounts=[engine, store], env=["DOCKER_HOST=unix:///run/engine/engine.sock"])
    proxy = container("autoheal-proxy", mounts=[engine, socket], mode="none")
    traefik = container("traefik", mounts=[socket, store])

    assert ids(haraka(mounts=[store]), agent("logban"), speaker, proxy, traefik) == []


# What could not be inspected


def test_a_container_that_could_not_be_inspected_is_not_accused() -> None:
    unseen = [
        container("haraka", labels={**ASKS, **CERTSYNC, "certsync.reload": "http://haraka/certs"}, inspected=False),
        *(agent(name, inspected=False) for name in ("autoheal", "certsync", "logban")),
    ]

    assert ids(*unseen) == []


def test_answers_of_another_shape_than_ours_do_no_harm() -> None:
    said = Said(autoheal=[{}], certsync={"targets": [None, {}], "sources": None}, logban={"containers": ["x"]})

    assert ids(*well(), said=said) == []


# What a remedy looks like


def test_every_remedy_with_lines_for_a_compose_file_is_yaml() -> None:
    ports = {"27017/tcp": [{"HostIp": "", "HostPort": "27017"}]}
    found = examine(
        container("mongo", labels={"autoheal": "true"}, config={"Healthcheck": None}, ports=ports),
        container("mta", labels={"logban": "true"}, host={"LogConfig": {"Type": "none"}}),
        container("traefik", labels={"logban": "true"}),
        *(
            container(name, labels={"autoheal": "true"}, config={"Healthcheck": None})
            for name in ("wildduck", "haraka")
        ),
        agent("autoheal"),
        agent("logban", mode="bridge", env=["LOGBAN_DRY_RUN=true"]),
    )
    yaml.SafeLoader.add_constructor("!override", yaml.SafeLoader.construct_sequence)

    with_lines = [one.remedy[one.remedy.index("services:") :] for one in found if "services:" in one.remedy]

    assert len(with_lines) >= 9
    assert all("services" in yaml.safe_load(lines) for lines in with_lines)


def test_only_known_findings_are_made() -> None:
    assert deployment(*well()).judged
    assert all(rule.meaning for rule in RULES.values())
