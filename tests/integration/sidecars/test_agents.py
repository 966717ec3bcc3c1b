"""Agents that are broken, absent, or hold too much: one deployment for each finding, and what cannot be looked at."""

import subprocess
from typing import Any

import pytest

from lab.containers import Containers, Health
from lab.doctor import CONTENT, Deployment, inside, program, run
from lab.engine import GivenEngine, PrivateEngine
from lab.recorder import Recorder

pytestmark = pytest.mark.engine

_SOCKET = "/var/run/docker.sock:/var/run/docker.sock"


@pytest.fixture
def stack(engine: GivenEngine, containers: Containers) -> Deployment:
    """Run a stack with a Haraka that asks for all three and lacks nothing; each test brings its agents."""
    stack = Deployment(engine, containers)
    stack.haraka()
    return stack


def all_but(stack: Deployment, *left_out: str) -> None:
    for name in CONTENT:
        if name not in left_out:
            stack.agent(name)


def test_agents_that_are_asked_for_and_are_not_there_are_missed(stack: Deployment) -> None:
    stack.agent("autoheal").stop(0)

    report = stack.doctor()

    missed = [one["evidence"] for one in report.document["findings"] if one["id"] == "agent_absent"]
    assert report.ids == ["agent_absent", "agent_not_running"]
    assert missed == [f"{name} is asked for by haraka, and no container is {name}" for name in ("certsync", "logban")]
    assert report.of("agent_not_running")["evidence"] == "it is exited, exit status 137"


def test_an_agent_that_is_unhealthy_says_why_itself(stack: Deployment) -> None:
    all_but(stack, "autoheal")
    sick = Health(interval=0.2, shell="echo 'the engine is away, token=s3cr3t-canary'; exit 1")
    agent = stack.agent("autoheal", health=sick, env={"NOTIFY_TOKEN": "s3cr3t-canary"})
    agent.wait_for(health="unhealthy")

    report = stack.doctor()

    assert report.ids == ["agent_unhealthy"]
    assert report.of("agent_unhealthy")["evidence"] == "the engine is away, token=***"
    assert "s3cr3t-canary" not in report.printed


def test_an_agent_that_is_there_twice_is_found(stack: Deployment, engine: GivenEngine) -> None:
    all_but(stack)
    with Containers(engine) as others:
        Deployment(engine, others).agent("certsync")

        assert stack.doctor().ids == ["agent_twice"]


def test_an_agent_for_which_nothing_asks_is_found(engine: GivenEngine, containers: Containers) -> None:
    alone = Deployment(engine, containers)
    alone.agent("autoheal", env={"AUTOHEAL_MAX_RESTART": "3", "AUTOHEAL_DRY_RUN": "true", "LOG_LEVEL": "error"})

    report = alone.doctor()

    assert report.ids == ["agent_dry_run", "agent_idle", "log_level", "setting_unknown"]
    assert report.of("setting_unknown")["evidence"].endswith("did you mean AUTOHEAL_MAX_RESTARTS?")


def test_an_engine_without_a_deployment_is_told_of(engine: GivenEngine, containers: Containers) -> None:
    empty = Deployment(engine, containers)
    empty.service("mongo")

    assert (empty.doctor().ids, empty.doctor().status) == (["no_deployment"], 1)


def test_an_agent_with_the_socket_itself_is_found(stack: Deployment) -> None:
    all_but(stack, "logban")
    stack.agent("logban", network_mode="none", host={"Mounts": [_bind("/var/run/docker.sock")]})

    assert stack.doctor().ids == ["logban_off_host", "socket_without_proxy"]


def test_a_proxy_that_others_can_reach_is_found(stack: Deployment) -> None:
    all_but(stack, "autoheal")
    stack.agent("autoheal", network_mode="bridge", env={"DOCKER_HOST": "tcp://autoheal-proxy:2375"})
    stack.service("autoheal-proxy", network_mode="bridge", host={"Mounts": [_bind("/var/run/docker.sock")]})
    guest = stack.service("webmail", network_mode="bridge")

    report = stack.doctor()

    assert report.ids == ["proxy_shared"]
    assert report.of("proxy_shared")["evidence"].startswith(f"{guest.name.partition('-')[0]} can reach autoheal-proxy")


@pytest.mark.parametrize(
    ("lies_there", "finding"),
    [
        ("nothing", "acme_missing"),
        ("folder", "acme_missing"),
        ("single", "acme_single_file"),
        ("private", "acme_unreadable"),
    ],
)
def test_an_acme_json_that_cannot_be_read_is_found(stack: Deployment, lies_there: str, finding: str) -> None:
    all_but(stack, "certsync")
    path = {"nothing": "/traefik/acme.json", "single": "/traefik/acme.json"}.get(lies_there, "/lab/acme.json")
    store = stack.service("traefik").folder / "acme.json"
    store.write_text("{}")
    mounts = [{"Type": "bind", "Source": str(store), "Target": path}] if lies_there == "single" else []
    agent = stack.agent("certsync", env={"ACME_PATH": path}, config={"User": "10001"}, host={"Mounts": mounts})
    (agent.folder / "acme.json").chmod(0o600 if lies_there == "private" else 0o644)
    if lies_there == "folder":
        (agent.folder / "acme.json").unlink()
        (agent.folder / "acme.json").mkdir()

    report = stack.doctor()

    assert report.ids == [finding]
    assert report.of(finding)["service"] == "certsync"


def test_acme_json_is_looked_at_also_while_certsync_does_not_run(stack: Deployment) -> None:
    all_but(stack, "certsync")
    stack.agent("certsync", env={"ACME_PATH": "/traefik/acme.json"}).stop(0)

    assert stack.doctor().ids == ["acme_missing", "agent_not_running"]


SAID: dict[str, tuple[str, Any]] = {
    "given_up": ("autoheal", [{"container": "haraka", "given_up": True, "restarts_spent": 5, "max_restarts": 5}]),
    "acme_unreadable": ("certsync", {"sources": [{"name": "acme", "reason": "source_torn", "detail": "cut off"}]}),
    "certificate_refused": (
        "certsync",
        {"targets": [{"name": "haraka", "state": "refused", "reason": "expired", "detail": "it ended"}]},
    ),
    "certificate_served_differs": (
        "certsync",
        {"targets": [{"name": "haraka", "state": "failing", "reason": "verify_failed", "detail": "serves serial 1"}]},
    ),
    "clients_hidden": (
        "logban",
        {"hidden_clients": [{"address": "172.18.0.1", "network": "mail", "offences": 7, "advice": "enable ip6tables"}]},
    ),
}


@pytest.mark.parametrize("finding", SAID)
def test_what_an_agent_says_is_wrong_is_passed_on(stack: Deployment, finding: str) -> None:
    name, said = SAID[finding]
    all_but(stack, name)
    stack.agent(name, says=said)

    assert stack.doctor().ids == [finding]


def test_rules_in_different_firewalls_are_found(stack: Deployment) -> None:
    all_but(stack, "logban")
    agent = stack.agent("logban", says={**CONTENT["logban"], "backend": "iptables"})
    program(agent, "iptables", "echo 'iptables v1.8.9 (legacy)'")
    program(agent, "iptables-nft-save", "printf '*nat\\n:DOCKER - [0:0]\\n'")

    report = stack.doctor()

    assert report.ids == ["firewall_mismatch"]
    assert (
        report.of("firewall_mismatch")["evidence"]
        == "the engine's rules are in iptables-nft, logban's in iptables-legacy"
    )


# What is half broken


def test_an_agent_that_does_not_answer_is_named_and_the_rest_is_looked_at(stack: Deployment) -> None:
    all_but(stack, "certsync")
    program(stack.agent("certsync"), "certsync", "echo Traceback; exit 1")
    stack.service("redis", labels={"autoheal": "true"}, health=None)

    report = stack.doctor()

    assert report.ids == ["no_healthcheck"]
    (unseen,) = report.document["not_looked_at"]
    assert unseen["why"] == "it printed no JSON (exit status 1)"


@pytest.mark.parametrize(("status", "why"), [(500, "(500)"), (404, "it vanished in between")])
def test_a_container_that_cannot_be_inspected_is_named(
    stack: Deployment, recorder: Recorder, status: int, why: str
) -> None:
    all_but(stack)
    stack.service("redis", labels={"autoheal": "true"}, health=None)
    vanishing = stack.service("rspamd", labels={"autoheal": "true"}, health=None)
    recorder.refuse("GET", f"/containers/{vanishing.id}/json", status)

    report = run("doctor", "--json", "--project", stack.project, url=recorder.url)

    assert report.ids == ["no_healthcheck"]
    assert report.of("no_healthcheck")["service"] == "redis"
    (unseen,) = report.document["not_looked_at"]
    assert unseen["what"] == f"container {vanishing.name}"
    assert why in unseen["why"]


def test_through_a_proxy_that_only_reads_the_doctor_says_what_it_could_not_ask(
    stack: Deployment, recorder: Recorder
) -> None:
    all_but(stack)
    recorder.refuse("POST")
    recorder.refuse("GET", "/archive")

    report = run("doctor", "--json", "--project", stack.project, url=recorder.url)

    assert (report.status, report.ids) == (0, [])
    assert sorted(one["what"].partition(" in ")[0] for one in report.document["not_looked_at"]) == [
        "/lab/acme.json",
        "autoheal status --json",
        "certsync status --json",
        "logban status --json",
        "the host's firewall",
        "the log level of haraka",
    ]


def test_the_doctor_changes_nothing(stack: Deployment, recorder: Recorder) -> None:
    all_but(stack)

    run("doctor", "--project", stack.project, url=recorder.url)

    asked = {(one.method, one.path.rpartition("/")[2]) for one in recorder.requests("POST")}
    assert asked == {("POST", "exec"), ("POST", "start")}


def test_clients_over_ipv6_are_hidden_on_a_host_that_has_it(stack: Deployment, engine: GivenEngine) -> None:
    if not isinstance(engine, PrivateEngine):
        pytest.skip("needs a private engine, whose host's addresses are ours")
    all_but(stack)
    binding = {"25/tcp": [{"HostIp": "::", "HostPort": ""}]}
    stack.service("zonemta", network_mode="bridge", host={"PortBindings": binding})
    subprocess.run([*inside(engine), "ip", "-6", "address", "add", "2600::1/128", "dev", "lo"], check=True)
    try:
        report = stack.doctor()
    finally:
        subprocess.run([*inside(engine), "ip", "-6", "address", "del", "2600::1/128", "dev", "lo"], check=True)

    assert report.ids == ["clients_hidden"]


def _bind(path: str) -> dict[str, str]:
    return {"Type": "bind", "Source": path, "Target": path}
