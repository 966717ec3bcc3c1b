"""The mail host's namespace and each firewall in it; a mail host with an engine, and agents at work there."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab import mailhost
from lab.agent import AgentProcess
from lab.containers import Containers
from lab.logban import Logban, Site, Speaker, speaker
from lab.mailhost import FENCE, GOOD, Net, open_firewall
from lab.network import Echo, Namespace, eventually
from logban.firewall import Firewall

BACKENDS = ["nftables", "iptables-nft", "iptables-legacy"]


@pytest.fixture(scope="session")
def net() -> Iterator[Net]:
    if mailhost.lacking():
        pytest.skip(f"needs {mailhost.lacking()}")
    with mailhost.built() as net:
        yield net


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def firewall(backend: str, net: Net) -> Iterator[Firewall]:
    """Each back end in the host's namespace, guarding its published ports, gone afterwards."""
    with net.host.entered():
        opened = open_firewall(backend)
        try:
            opened.guard([FENCE])
            yield opened
        finally:
            opened.uninstall()
            opened.close()


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    if mailhost.lacking():
        pytest.skip(f"needs {mailhost.lacking()}")
    with Site.built() as built:
        yield built


@pytest.fixture
def containers(site: Site) -> Iterator[Containers]:
    with Containers(site.engine) as made:
        yield made


@pytest.fixture
def logban(site: Site, agent: Callable[..., AgentProcess]) -> Iterator[Callable[..., Logban]]:
    """Start a logban in the engine's namespace; what it installed there is removed with it."""
    started: list[Logban] = []

    def start(docker_host: str = "", **env: str) -> Logban:
        settings = {"LOGBAN_BACKEND": "nftables", "RESYNC": "5s", **env}
        process = agent(
            "logban", docker_host=docker_host or site.engine.url, prefix=site.engine.inside(), http=True, env=settings
        )
        started.append(Logban(process))
        process.wait_for("logban_started")
        return started[-1]

    yield start
    for each in started:
        each.process.close()
    for each in started[:1]:
        assert each.process.command("uninstall").returncode == 0


@pytest.fixture
def haraka(containers: Containers) -> Speaker:
    return speaker(containers)


@pytest.fixture
def served(site: Site, haraka: Speaker) -> Iterator[Speaker]:
    """Have the published port answer, as seen from the internet."""
    inside = Namespace(Path(f"/proc/{haraka.container.inspect()['State']['Pid']}/ns/net"))
    with Echo(inside, "::", 25):
        assert eventually(lambda: site.serves(GOOD[4]))
        yield haraka
