"""What autoheal asks of the engine is what docs/autoheal.md says, and what the socket proxy lets through."""

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab import sidecars
from lab.autoheal import CURABLE, OPTED_IN, Autoheal
from lab.containers import Container, Containers, Health
from lab.engine import GivenEngine
from lab.recorder import Recorder
from lab.wire import wait_for

Start = Callable[..., Autoheal]
DOCUMENT = Path(__file__).parents[3] / "docs/autoheal.md"
PULSE = Health(interval=0.5)


def documented() -> set[tuple[str, str]]:
    """Read the table of requests: (method, path)."""
    table = DOCUMENT.read_text().partition("<!-- requests:begin -->")[2].partition("<!-- requests:end -->")[0]
    return set(re.findall(r"^\| `(GET|POST)` \| `(/\S+)` \|", table, re.MULTILINE))


def test_autoheal_sends_what_is_documented_and_nothing_else(
    containers: Containers, autoheal: Start, recorder: Recorder
) -> None:
    healer = autoheal()
    boxes = {
        action: containers.run(action, labels={**OPTED_IN, "autoheal.action": action}, health=PULSE, command=CURABLE)
        for action in ("restart", "stop", "kill")
    }
    for box in boxes.values():
        box.wait_for(health="healthy")
        box.make_sick()
    for action, outcome in (("restart", "recovered"), ("stop", "stopped"), ("kill", "stopped")):
        healer.process.wait_for("heal_ended", container=boxes[action].name, outcome=outcome)
    assert healer.process.command("check").returncode == 0

    sent = {(request.method, re.sub("[0-9a-f]{64}", "{id}", request.path)) for request in recorder.requests()}

    assert sent == documented()


def test_a_proxy_that_keeps_logs_to_itself_hinders_no_heal_and_the_evidence_says_so(
    containers: Containers, autoheal: Start, recorder: Recorder
) -> None:
    recorder.refuse("GET", "/logs$")
    healer = autoheal()
    box = containers.run(labels=OPTED_IN, health=PULSE, command=CURABLE)
    box.wait_for(health="healthy")
    box.make_sick()

    healer.wait_healed(box)

    (record,) = healer.records(box)
    assert record["log_lines"] == ["(not available: logs: refused by the recorder (403))"]


def test_no_log_is_asked_for_where_none_is_to_be_kept(
    containers: Containers, autoheal: Start, recorder: Recorder
) -> None:
    healer = autoheal(AUTOHEAL_EVIDENCE_LINES="0")
    box = containers.run(labels=OPTED_IN, health=PULSE, command=CURABLE)
    box.wait_for(health="healthy")
    box.make_sick()

    healer.wait_healed(box)

    assert not recorder.requests("GET", "/logs$")


# The proxy


@pytest.fixture(scope="module")
def proxy(engine: GivenEngine) -> Iterator[Container]:
    with sidecars.network(engine) as network, Containers(engine) as containers:
        made = sidecars.proxy(engine, containers, network, sidecars.ALLOW_LISTS / "autoheal.cfg")
        port = f":{2375:04X} "
        wait_for(lambda: port in made.run("cat", "/proc/net/tcp", "/proc/net/tcp6")[1], "the proxy listens")
        yield made


def asked(proxy: Container, method: str, path: str) -> int:
    """Ask the proxy from within its container, byte for byte; returns the status."""
    request = f"{method} {path} HTTP/1.1\\r\\nHost: engine\\r\\nConnection: close\\r\\nContent-Length: 0\\r\\n\\r\\n"
    command = f"printf %b {shlex.quote(request)} | nc 127.0.0.1 2375 | head -n 1"
    output = proxy.run("sh", "-c", command)[1]
    return int(output.split(" ")[1])


def test_the_proxy_lets_through_what_is_documented(proxy: Container) -> None:
    for method, path in documented():
        query = {"/events": "?until=1", "/containers/{id}/logs": "?stdout=1"}.get(path, "")
        target = path.format(id="nobody") + query
        for version in ("", "/v1.41"):
            assert asked(proxy, method, version + target) in {200, 404}, (method, path)


FORBIDDEN = [
    ("GET", "/info"),
    ("GET", "/containers/nobody/archive?path=/etc"),
    ("GET", "/containers/nobody/export"),
    ("GET", "/containers/nobody/json/../../../info"),
    ("GET", "/containers/nobody%2f..%2f..%2finfo/json"),
    ("GET", "/containers/nobody/restart"),
    ("GET", "/images/json"),
    ("GET", "/secrets"),
    ("HEAD", "/info"),
    ("POST", "/_ping"),
    ("POST", "/containers/create"),
    ("POST", "/containers/nobody/exec"),
    ("POST", "/containers/nobody/start"),
    ("POST", "/containers/nobody/update"),
    ("POST", "/containers/nobody/../create/restart"),
    ("POST", "/containers/prune"),
    ("POST", "/build"),
    ("PUT", "/containers/nobody/archive?path=/"),
    ("DELETE", "/containers/nobody"),
]


@pytest.mark.parametrize(("method", "path"), FORBIDDEN)
def test_the_proxy_refuses_everything_else(proxy: Container, method: str, path: str) -> None:
    assert {asked(proxy, method, version + path) for version in ("", "/v1.41")} == {403}
