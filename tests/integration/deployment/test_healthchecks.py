"""The probes of compose.wildduck.yml, run as they are written, on the real services, with the tools of their images."""

import json
import os
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import stack as services
from lab.compose import PROGRAM
from lab.stack import Stack
from lab.wire import wait_for

OVERLAY = Path(__file__).parents[3] / "compose.wildduck.yml"
PROBED = ("mongo", "redis", "wildduck", "wildduck-webmail", "haraka", "zonemta", "rspamd", "traefik")
DEPENDENT = ("wildduck", "wildduck-webmail", "haraka", "zonemta", "rspamd")
GREETING = {"wildduck": 143, "haraka": 25, "zonemta": 587}
ELSEWHERE = "203.0.113.9"


class Probes:
    """The healthchecks by service, as Compose would hand them to the engine."""

    def __init__(self, folder: Path) -> None:
        named = yaml.safe_load(OVERLAY.read_text())["services"]
        (folder / "stack.yml").write_text(json.dumps({"services": {name: {"image": "any"} for name in named}}))
        command = [PROGRAM, "-f", folder / "stack.yml", "-f", OVERLAY, "config", "--format", "json"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        self._services = json.loads(done.stdout)["services"]
        self._tools = services.tools(folder / "tools")
        self._folder = folder

    def healthcheck(self, service: str) -> dict[str, Any]:
        found: dict[str, Any] = self._services[service].get("healthcheck", {})
        return found

    def run(self, service: str) -> bool:
        """Run one to its end, with nothing but its image's tools; whether it is green."""
        kind, *words = self.healthcheck(service)["test"]
        command = ["sh", "-c", *words] if kind == "CMD-SHELL" else words
        environ = {"PATH": str(self._tools), "HOME": str(self._folder)}
        done = subprocess.run(command, env=environ, capture_output=True, timeout=60, check=False)
        return done.returncode == 0


@pytest.fixture(scope="module")
def probes(tmp_path_factory: pytest.TempPathFactory) -> Probes:
    if os.geteuid() != 0:
        pytest.skip("needs a network of its own, which needs root")
    services.install()
    return Probes(tmp_path_factory.mktemp("probes"))


@pytest.fixture(scope="module")
def stack(probes: Probes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with services.network(), Stack(tmp_path_factory.mktemp("stack")) as running:
        yield running


def test_every_service_that_listens_is_probed_twice_a_minute_and_given_time_to_start(probes: Probes) -> None:
    for name in PROBED:
        figures = {key: value for key, value in probes.healthcheck(name).items() if key != "test"}
        start = "1m0s" if name in {"mongo", "redis", "wildduck", "rspamd"} else "30s"
        timeout = "10s" if name == "mongo" else "5s"
        assert figures == {"interval": "30s", "timeout": timeout, "retries": 3, "start_period": start}, name
    assert probes.healthcheck("wildduck-tasks") == {}


@pytest.mark.parametrize("name", PROBED)
def test_a_probe_is_green_while_its_service_lives(name: str, stack: Stack, probes: Probes) -> None:
    service = stack[name]
    wait_for(lambda: probes.run(name), f"{name} is up", deadline=60.0, pause=0.2)
    assert service.process.poll() is None


@pytest.mark.parametrize("name", PROBED)
def test_a_probe_ends_by_itself_and_is_red_while_its_service_stands_still(
    name: str, stack: Stack, probes: Probes
) -> None:
    with stack[name].frozen():
        assert not probes.run(name)
    wait_for(lambda: probes.run(name), f"{name} goes on", pause=0.2)


@pytest.mark.parametrize("name", DEPENDENT)
def test_a_probe_is_green_while_only_what_its_service_needs_stands_still(
    name: str, stack: Stack, probes: Probes
) -> None:
    service = stack[name]
    wait_for(lambda: probes.run(name), f"{name} is up", deadline=60.0, pause=0.2)
    with stack["redis"].frozen(), stack["mongo"].frozen():
        assert [probes.run(name) for _ in range(3)] == [True] * 3
    assert service.process.poll() is None


@pytest.mark.parametrize("name", ["haraka", "zonemta", "wildduck", "traefik"])
def test_logban_would_ban_nobody_for_probes_even_from_elsewhere(
    name: str, stack: Stack, probes: Probes, tmp_path: Path
) -> None:
    service = stack[name]
    assert all(probes.run(name) for _ in range(12))
    if name in GREETING:
        wait_for(lambda: "127.0.0.1" in service.log, "the log tells of the probes")
    (tmp_path / "log").write_text(service.log.replace("127.0.0.1", ELSEWHERE))
    words = ["logban", "test", "--filter", name, "--json", str(tmp_path / "log")]
    done = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True, check=True)
    assert [source for source in json.loads(done.stdout)["sources"] if source["would_ban"]] == []


def test_the_webmails_probe_makes_no_session(stack: Stack, probes: Probes) -> None:
    """Proven on what the webmail is made of, in its order: the webmail itself is on no registry."""
    assert stack["wildduck-webmail"].process.poll() is None
    count = ["redis-cli", "dbsize"]
    before = subprocess.check_output(count)
    assert [probes.run("wildduck-webmail") for _ in range(3)] == [True] * 3
    assert subprocess.check_output(count) == before
    with urllib.request.urlopen("http://127.0.0.1:3000/account/login") as page:
        page.read()
    assert subprocess.check_output(count) != before


@pytest.mark.parametrize("name", PROBED)
def test_a_probe_is_red_where_nobody_listens(name: str, probes: Probes) -> None:
    with services.network():
        assert not probes.run(name)


@pytest.mark.parametrize("said", [b"", b"421 go away\r\n", b"* BYE\r\n"])
@pytest.mark.parametrize("name", GREETING)
def test_a_probe_is_red_where_somebody_hangs_up_without_a_greeting(name: str, said: bytes, probes: Probes) -> None:
    with services.network(), socket.create_server(("127.0.0.1", GREETING[name])) as listener:

        def hang_up() -> None:
            client, _ = listener.accept()
            with client:
                client.sendall(said)

        server = threading.Thread(target=hang_up, daemon=True)
        server.start()
        assert not probes.run(name)
        server.join()
