"""Both back ends before a real engine: every way a port gets published, and the engine's own rules."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lab.agent import AgentProcess
from lab.containers import Container, Containers
from lab.engine import PrivateEngine
from lab.logban import PROBES, Logban, Speaker, speaker
from lab.mailhost import (
    EVIL,
    FENCE,
    GOOD,
    HOST,
    OWN_PORT,
    PUBLISHED,
    SAME_PORT,
    connect,
    evil,
    lacking,
    open_firewall,
    source,
)
from lab.network import Client, Echo, Namespace, NewNamespace, eventually, reaches
from logban.firewall import Ban, Firewall

HOUR = 3600.0
STOCK: dict[str, Any] = {}  # IPv6 clients come through docker-proxy
IPV6: dict[str, Any] = {"ipv6": True, "fixed-cidr-v6": "fd99:d::/64", "ip6tables": True, "experimental": True}
PORTS = {"25/tcp": PUBLISHED, "25/udp": PUBLISHED, "993/tcp": SAME_PORT}
PATHS = [
    (family, kind, port)
    for family in (4, 6)
    for kind, port in (("tcp", PUBLISHED), ("udp", PUBLISHED), ("tcp", SAME_PORT), ("tcp", OWN_PORT))
]


@dataclass
class Dock:
    """A host with an engine, a container that publishes ports, one on the host's network, and the internet."""

    engine: PrivateEngine
    internet: Namespace
    host: Namespace
    mail: Container
    mail_log: Speaker
    proxy: Container

    @contextmanager
    def serving(self) -> Iterator[Namespace]:
        """Have servers run in the container, as long as this life of its lasts."""
        inside = network_of(self.mail)
        with Echo(inside, "::", 25), Echo(inside, "::", SAME_PORT):
            for family, kind, port in PATHS:
                assert eventually(partial(reaches, self.internet, GOOD[family], HOST[family], port, kind))
            yield inside


def network_of(container: Container) -> Namespace:
    return Namespace(Path(f"/proc/{container.inspect()['State']['Pid']}/ns/net"))


def address_of(container: Container) -> str:
    address: str = container.inspect()["NetworkSettings"]["IPAddress"]
    return address


@pytest.fixture(scope="module", params=[STOCK, IPV6], ids=["userland-proxy", "ip6tables"])
def dock(request: pytest.FixtureRequest) -> Iterator[Dock]:
    if lacking():
        pytest.skip(f"needs {lacking()}")
    with ExitStack() as stack:
        engine = stack.enter_context(PrivateEngine(request.param))
        containers = stack.enter_context(Containers(engine))
        internet = stack.enter_context(NewNamespace("internet"))
        host = Namespace(Path("/run/netns") / engine.namespace)
        connect(host, internet)
        bindings = {port: [{"HostPort": str(published)}] for port, published in PORTS.items()}
        mail = speaker(
            containers,
            "mail",
            restart="always",
            host={"PortBindings": bindings},
            config={"ExposedPorts": {port: {} for port in PORTS}},
        )
        proxy = containers.run("proxy", network_mode="bridge", restart="always")
        for address in HOST.values():  # what a container on the host's network does
            stack.enter_context(Echo(host, address, OWN_PORT))
        for address in EVIL.values():
            stack.enter_context(Echo(internet, address, 25))
        yield Dock(engine, internet, host, mail.container, mail, proxy)


@pytest.fixture
def firewall(dock: Dock, backend: str) -> Iterator[Firewall]:
    with dock.host.entered():
        opened = open_firewall(backend)
        try:
            opened.guard([FENCE])
            yield opened
        finally:
            opened.uninstall()
            opened.close()


def test_every_published_port_is_closed_to_the_banned_on_open_and_new_connections(
    dock: Dock, firewall: Firewall
) -> None:
    with dock.serving(), ExitStack() as stack:
        clients = []
        for family, kind, port in PATHS:
            client = stack.enter_context(Client(dock.internet, EVIL[family], HOST[family], port, kind))
            assert client.connects() and client.hears()
            clients.append(client)

        for family in (4, 6):
            firewall.ban(Ban(evil(family), HOUR))

        for path, client in zip(PATHS, clients, strict=True):
            family, kind, port = path
            assert not client.hears(), path
            assert not reaches(dock.internet, EVIL[family], HOST[family], port, kind), path
            assert reaches(dock.internet, GOOD[family], HOST[family], port, kind), path


def test_a_container_still_sends_mail_to_a_banned_host(dock: Dock, firewall: Firewall) -> None:
    with dock.serving() as container:
        for family in (4, 6):
            firewall.ban(Ban(evil(family), HOUR))

        assert reaches(container, "0.0.0.0", EVIL[4], 25)
        if dock.engine.options == IPV6:
            assert reaches(container, "::", EVIL[6], 25)


def test_a_proxy_still_reaches_the_container_behind_it_even_if_it_was_banned(dock: Dock, firewall: Firewall) -> None:
    firewall.ban(Ban(source(address_of(dock.proxy)), HOUR))

    with dock.serving():
        assert reaches(network_of(dock.proxy), "0.0.0.0", address_of(dock.mail), SAME_PORT)


def test_the_engines_own_rules_are_the_same_before_with_and_after_ours(dock: Dock, backend: str) -> None:
    with dock.host.entered():
        before = _rules(dock.host)
        firewall = open_firewall(backend)
        firewall.guard([FENCE])
        firewall.ban(Ban(evil(4), HOUR))
        assert _appended(_rules(dock.host)) == _appended(before)

        firewall.uninstall()
        firewall.close()

        assert _rules(dock.host) == before


def test_bans_hold_through_a_restart_of_the_engine(dock: Dock, firewall: Firewall) -> None:
    for family in (4, 6):
        firewall.ban(Ban(evil(family), HOUR))

    dock.engine.restart()
    dock.mail.wait_for(state="running")

    with dock.serving():
        assert not any(reaches(dock.internet, EVIL[family], HOST[family], port) for family, _, port in PATHS)
        assert firewall.check([Ban(evil(4), HOUR)])


@pytest.mark.parametrize(("backend", "network"), [("nftables", "2001:db8:0:668"), ("iptables", "2001:db8:0:669")])
def test_an_agent_bans_an_ipv6_client_by_its_log_with_all_the_addresses_of_its_network(
    dock: Dock, agent: Callable[..., AgentProcess], backend: str, network: str
) -> None:
    """With the engine's own IPv6, and through its userland proxy, which would hide the client from the container."""
    attacker, neighbour = f"{network}::1", f"{network}:ffff::1"
    dock.internet.address("eth0", f"{attacker}/32", f"{neighbour}/32")
    url, inside = dock.engine.url, dock.engine.inside()
    process = agent("logban", docker_host=url, prefix=inside, env={"LOGBAN_BACKEND": backend})
    try:
        process.wait_for("ports_guarded", fences={"published": sorted({PUBLISHED, SAME_PORT})})
        Logban(process).wait_reading(dock.mail_log)
        with dock.serving(), Client(dock.internet, attacker, HOST[6], PUBLISHED) as open_connection:
            assert open_connection.connects() and open_connection.hears()

            dock.mail_log.probe(attacker, PROBES)
            process.wait_for("ip_banned", ip=f"{network}::/64")

            assert not open_connection.hears()
            for address in (attacker, neighbour):
                assert not reaches(dock.internet, address, HOST[6], PUBLISHED)
                assert not reaches(dock.internet, address, HOST[6], PUBLISHED, "udp")
                assert not reaches(dock.internet, address, HOST[6], SAME_PORT)
            assert reaches(dock.internet, GOOD[6], HOST[6], PUBLISHED)
            assert reaches(dock.internet, EVIL[4], HOST[4], PUBLISHED)
    finally:
        process.stop()
        assert process.command("uninstall").returncode == 0


def _appended(rules: list[str]) -> list[str]:
    return [line for line in rules if line.startswith("-A") and "LOGBAN" not in line]


def _rules(host: Namespace) -> list[str]:
    """Every rule of either generation, without counters, and without tables of legacy iptables that hold no rule."""
    lines: list[str] = []
    for tool in ("iptables-nft-save", "ip6tables-nft-save"):
        lines += [line.split(" [")[0] for line in host.run(tool).splitlines() if not line.startswith("#")]
    for tool in ("iptables-legacy-save", "ip6tables-legacy-save"):
        lines += [line for line in host.run(tool).splitlines() if line.startswith("-A")]
    return lines
