"""What the deployment's socket proxies let through, byte for byte, asked from where a broken-in agent would sit."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from lab.containers import Container, Containers
from lab.deployment import AGENTS, ROOT, Deployment
from lab.engine import PrivateEngine
from lab.intruder import DANGEROUS, disguised
from lab.wire import demand

pytestmark = pytest.mark.engine

# Sends each request as it is and tells the status of each answer.
ASKING = """
import json, socket, sys
statuses = []
for request in json.load(sys.stdin):
    proxy = socket.socket(socket.AF_UNIX)
    proxy.settimeout(20)
    proxy.connect("/run/engine/engine.sock")
    proxy.sendall(request.encode("latin-1"))
    statuses.append(int(proxy.recv(65536).split(b" ", 2)[1]))
    proxy.close()
print(json.dumps(statuses))
"""


def asked(deployment: Deployment, agent: str, requests: Sequence[str]) -> list[int]:
    done = deployment.run(agent, "python3", "-c", ASKING, stdin=json.dumps(list(requests)))
    assert done.returncode == 0, done.stderr
    statuses: list[int] = json.loads(done.stdout)
    return statuses


def request(method: str, target: str, *headers: str, body: str = "") -> str:
    """Write a request down; a body comes with its length, where no header tells of one."""
    lines = [f"{method} {target} HTTP/1.1", "Host: engine", "Connection: close", *headers]
    if not any(header.startswith("Transfer-Encoding") for header in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines) + "\r\n\r\n" + body


def documented(agent: str) -> list[tuple[str, str]]:
    """Read in the agent's page what it asks of the engine."""
    text = (ROOT / f"docs/{agent}.md").read_text()
    if agent == "autoheal":
        return re.findall(r"^\| `(GET|POST)` \| `(/\S+)` \|", text, re.MULTILINE)
    if agent == "certsync":
        lines = re.findall(r"^(GET|POST) +(/.*)$", text, re.MULTILINE)
        return [(method, path) for method, paths in lines for path in paths.split()]
    (sentence,) = re.findall(r"Only reading: (.*?)\.\n", text, re.DOTALL)
    return [("GET", path) for path in re.findall(r"`(/\S+)`", sentence)]


@pytest.fixture(scope="module")
def box(host: PrivateEngine) -> Iterator[Container]:
    """Run a container that opted in to everything."""
    with Containers(host) as containers:
        yield containers.run("box", labels={"autoheal": "true", "certsync": "true", "logban": "true"})


QUERIES = {"/events": "?until=1", "/logs": "?stdout=1&tail=10", "/kill": "?signal=URG", "/restart": "?t=0", "/stop": ""}


@pytest.mark.parametrize("agent", AGENTS)
def test_a_proxy_lets_through_what_its_agent_is_documented_to_ask(
    deployment: Deployment, box: Container, agent: str
) -> None:
    listed = documented(agent)
    assert ("GET", "/containers/{id}/json") in listed
    for method, path in listed:
        query = next((query for end, query in QUERIES.items() if path.endswith(end)), "")
        target = path.format(id=box.id) + query
        if path.endswith("/kill"):
            box.start()

        statuses = asked(deployment, agent, [request(method, version + target) for version in ("", "/v1.41")])

        assert set(statuses) <= {200, 204, 304}, (method, target, statuses)


@pytest.mark.parametrize("agent", AGENTS)
def test_a_proxy_refuses_everything_else_however_it_is_written(
    deployment: Deployment, host: PrivateEngine, box: Container, agent: str
) -> None:
    before = everything(host)
    targets = [(method, target.replace("ID", box.id)) for method, path in DANGEROUS for target in disguised(path)]

    statuses = asked(deployment, agent, [request(method, target) for method, target in targets])

    wrong = [(*target, status) for target, status in zip(targets, statuses, strict=True) if status not in {400, 403}]
    assert wrong == []
    assert statuses.count(403) > len(statuses) * 0.9  # the rest are not even HTTP
    assert everything(host) == before


def everything(host: PrivateEngine) -> list[object]:
    """Name all that an engine keeps."""
    paths = {"/containers/json?all=1": "", "/images/json": "", "/volumes": "Volumes", "/networks": ""}
    answers = [(demand(host.url, "GET", path), key) for path, key in paths.items()]
    lists = [answer[key] if key else answer for answer, key in answers]
    return [sorted(str(one.get("Id") or one.get("Name")) for one in each) for each in lists]


@pytest.mark.parametrize("agent", AGENTS)
def test_what_is_allowed_is_refused_in_another_form(deployment: Deployment, box: Container, agent: str) -> None:
    chunked = "Transfer-Encoding: chunked"
    forms = [
        request("GET", "http://engine/containers/json"),
        request("GET", "/containers//json"),
        request("GET", "/%63ontainers/json"),
        request("GET", "/containers/json", body="{}"),
        request("GET", "/containers/json", chunked, body="2\r\n{}\r\n0\r\n\r\n"),
        request("POST", "/containers/json"),
        request("PUT", "/_ping"),
        request("DELETE", f"/containers/{box.id}/json"),
        request("POST", f"/containers/{box.id}/json", "X-HTTP-Method-Override: GET"),
    ]

    assert asked(deployment, agent, forms) == [403] * len(forms)


@pytest.mark.parametrize("agent", ["autoheal", "certsync"])
def test_an_action_says_how_long_or_which_signal_and_nothing_more(
    deployment: Deployment, box: Container, agent: str
) -> None:
    chunked = "Transfer-Encoding: chunked"
    restart, kill = f"/containers/{box.id}/restart", f"/containers/{box.id}/kill"
    forms = [
        request("POST", restart + "?t=0&signal=KILL"),
        request("POST", restart + "?checkpoint=x"),
        request("POST", restart + "?t=0%26x=1"),
        request("POST", restart + "?t="),
        request("POST", restart + "?t=0", body='{"HostConfig":{"Binds":["/:/host"]}}'),
        request("POST", restart + "?t=0", chunked, body="2\r\n{}\r\n0\r\n\r\n"),
        request("POST", restart.replace("/restart", "/start")),
        request("POST", kill + "?signal=HUP&t=1"),
        request("POST", kill + "?signal=%48UP"),
        request("POST", kill + "?other=HUP"),
    ]
    started = box.started_at

    assert asked(deployment, agent, forms) == [403] * len(forms)
    assert box.started_at == started


def test_logban_can_change_nothing_at_all(deployment: Deployment, box: Container) -> None:
    forms = [request("POST", f"/containers/{box.id}/{action}") for action in ("restart", "stop", "kill", "pause")]

    assert asked(deployment, "logban", forms) == [403] * len(forms)


@pytest.mark.parametrize("labels", [{"certsync": "true"}, {"certsync": "True"}, {"certsync.reload-allowed": "true"}])
def test_certsync_may_restart_and_signal_what_opted_in(
    deployment: Deployment, host: PrivateEngine, labels: dict[str, str]
) -> None:
    with Containers(host) as containers:
        willing = containers.run("willing", labels=labels)
        forms = [
            request("POST", f"/v1.41/containers/{willing.id}/restart?t=0"),
            request("POST", f"/containers/{willing.id}/kill?signal=URG"),
        ]

        assert asked(deployment, "certsync", forms) == [204, 204]


@pytest.mark.parametrize(
    "labels",
    [{}, {"certsync": "false"}, {"certsync.domains": "mail.example.com"}, {"other": 'x","certsync":"true'}],
    ids=["unlabelled", "opted out", "half", "forged"],
)
def test_certsync_may_touch_no_container_that_did_not_opt_in(
    deployment: Deployment, host: PrivateEngine, labels: dict[str, str]
) -> None:
    with Containers(host) as containers:
        unwilling = containers.run("unwilling", labels=labels)
        started = unwilling.started_at
        forms = [
            request("POST", f"/containers/{unwilling.id}/restart?t=0"),
            request("POST", f"/v1.41/containers/{unwilling.id}/kill?signal=KILL"),
            request("POST", f"/containers/{unwilling.name}/restart?t=0"),
            request("POST", f"/containers/{unwilling.id[:12]}/restart?t=0"),
        ]

        assert asked(deployment, "certsync", forms) == [403] * len(forms)
        assert unwilling.started_at == started


def test_a_container_that_opted_in_is_named_by_its_whole_id_only(deployment: Deployment, box: Container) -> None:
    """A name, or the beginning of an id, may be another container's."""
    forms = [request("POST", f"/containers/{name}/restart?t=0") for name in (box.name, box.id[:63], box.id[:12])]

    assert asked(deployment, "certsync", forms) == [403] * len(forms)


def test_the_stock_configuration_of_a_proxy_is_the_one_in_its_image(deployment: Deployment) -> None:
    for agent in AGENTS:
        shipped = deployment.run(f"{agent}-proxy", "cat", f"/etc/haproxy/{agent}.cfg").stdout
        assert shipped == Path(ROOT / f"contrib/socket-proxy/{agent}.cfg").read_text()
