"""logban at work: a real engine's logs, the kernel of a namespace of its own, and clients that come by wire."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.agent import AgentProcess
from lab.containers import Containers
from lab.engine import PrivateEngine
from lab.logban import PORT, PROBES, Logban, Site, Speaker, speaker
from lab.mailhost import EVIL, EVIL_NEIGHBOUR, GOOD, HOST
from lab.network import Client, Echo, eventually
from lab.recorder import Recorder
from lab.wire import wait_for

STRANGER = "203.0.113.9"


@pytest.mark.parametrize("backend", ["nftables", "iptables"])
def test_a_probe_in_a_log_is_dropped_by_the_kernel_and_nobody_else_is(
    site: Site, served: Speaker, logban: Callable[..., Logban], backend: str
) -> None:
    agent = logban(LOGBAN_BACKEND=backend)
    agent.wait_reading(served)
    agent.process.wait_for("ports_guarded", fences={"published": [PORT]})
    with Client(site.internet, EVIL[4], HOST[4], PORT) as open_connection:
        assert open_connection.connects() and open_connection.hears()
        served.probe(EVIL[4], PROBES - 1)
        assert open_connection.hears()

        served.probe(EVIL[4])
        agent.process.wait_for("ip_banned", ip=EVIL[4])

        assert not open_connection.hears()
        assert not site.serves(EVIL[4]) and not site.serves(EVIL[4], "udp")
        assert site.serves(GOOD[4]) and site.serves(GOOD[4], "udp")


def test_an_ipv6_client_is_banned_with_all_its_addresses(
    site: Site, haraka: Speaker, logban: Callable[..., Logban]
) -> None:
    agent = logban()
    agent.wait_reading(haraka)
    with Echo(site.host, "::", PORT + 1):  # what a container on the host's network does
        pass
    haraka.probe(EVIL[6], PROBES)
    agent.process.wait_for("ip_banned", ip="2001:db8:0:666::/64")

    assert f"{EVIL_NEIGHBOUR}" not in agent.bans()
    assert set(agent.bans()) == {"2001:db8:0:666::/64"}
    assert "2001:db8:0:666::" in site.host.run("nft", "list", "set", "inet", "logban", "logban6")


def test_bans_stand_while_the_agent_is_dead_and_are_known_when_it_is_back(
    site: Site, served: Speaker, logban: Callable[..., Logban]
) -> None:
    agent = logban()
    agent.wait_reading(served)
    served.probe(EVIL[4], PROBES)
    agent.process.wait_for("ip_banned")

    agent.process.kill9()  # at once: perhaps nothing is on disk yet

    assert not site.serves(EVIL[4])
    agent.process.start()
    agent.wait_banned(f"{EVIL[4]}/32")
    assert not site.serves(EVIL[4])


@pytest.mark.parametrize(
    "damage",
    [
        ("nft", "flush", "ruleset"),
        ("nft", "delete", "table", "inet", "logban"),
        ("nft", "flush", "set", "inet", "logban", "logban4"),
        ("nft", "flush", "chain", "inet", "logban", "prerouting"),
    ],
    ids=" ".join,
)
def test_a_damaged_firewall_is_repaired_within_two_seconds(
    site: Site, haraka: Speaker, logban: Callable[..., Logban], damage: tuple[str, ...]
) -> None:
    agent = logban()
    agent.wait_reading(haraka)
    haraka.probe(EVIL[4], PROBES)
    agent.wait_banned(f"{EVIL[4]}/32")
    before = site.host.run("nft", "--stateless", "list", "table", "inet", "logban")

    site.host.run(*damage)

    agent.process.wait_for("firewall_repaired", deadline=2.5)
    assert EVIL[4] in site.host.run("nft", "list", "set", "inet", "logban", "logban4")
    after = site.host.run("nft", "--stateless", "list", "table", "inet", "logban")
    assert [line for line in before.splitlines() if "elements" not in line] == [
        line for line in after.splitlines() if "elements" not in line
    ]
    if damage == ("nft", "flush", "ruleset"):
        site.engine.restart()  # Docker's own rules went as well


def test_a_person_bans_asks_why_and_lets_in_again(site: Site, served: Speaker, logban: Callable[..., Logban]) -> None:
    agent = logban()
    agent.wait_reading(served)
    ask = agent.process.command
    assert ask("ban", GOOD[4], "--for", "2h", "--reason", "a try").returncode == 0
    assert not site.serves(GOOD[4])
    assert "a try" in ask("why", GOOD[4]).stdout

    assert ask("unban", GOOD[4]).returncode == 0

    assert eventually(lambda: site.serves(GOOD[4]))
    assert ask("unban", GOOD[4]).returncode == 1
    assert ask("ban", "172.17.0.1").returncode == 1
    assert ask("ban", HOST[4]).returncode == 1
    assert ask("ban", "no-address").returncode == 2


def test_without_an_agent_the_commands_do_it_themselves(
    site: Site, served: Speaker, logban: Callable[..., Logban]
) -> None:
    agent = logban()
    agent.wait_reading(served)
    agent.process.wait_for("ports_guarded", fences={"published": [PORT]})
    served.probe(EVIL[4], PROBES)
    agent.process.wait_for("ip_banned")
    agent.process.stop()
    ask = agent.process.command

    assert ask("unban", EVIL[4]).returncode == 0
    assert ask("ban", GOOD[4]).returncode == 0

    assert eventually(lambda: site.serves(EVIL[4]))
    assert not site.serves(GOOD[4])
    agent.process.start()
    agent.process.wait_for("logban_started", bans=1)
    assert set(agent.bans()) == {f"{GOOD[4]}/32"}
    served.probe(EVIL[4], PROBES)  # what was held against it before is forgotten
    agent.process.wait_for("ip_banned", ip=EVIL[4])


def test_why_tells_jail_container_and_lines_without_passwords(haraka: Speaker, logban: Callable[..., Logban]) -> None:
    agent = logban()
    agent.wait_reading(haraka)
    haraka.probe(EVIL[4], PROBES)
    agent.process.wait_for("ip_banned")

    told = json.loads(agent.process.command("why", EVIL[4], "--json").stdout)
    said = agent.process.command("why", EVIL[4]).stdout

    assert told["banned"]
    assert told["bans"][0]["jail"] == "wildduck-legacytls"
    assert told["bans"][0]["kinds"] == {"legacy_tls": PROBES}
    assert told["bans"][0]["container"] == haraka.name
    assert len(told["offences"]) == PROBES
    assert "unsupported protocol" in said and haraka.name in said
    assert agent.process.command("why", STRANGER).returncode == 1


def test_a_new_a_recreated_and_a_restarted_container_are_followed(
    containers: Containers, haraka: Speaker, logban: Callable[..., Logban]
) -> None:
    agent = logban()
    agent.wait_reading(haraka)
    other = speaker(containers, "second", host={}, config={})
    other.probe("203.0.113.1", PROBES)
    agent.process.wait_for("ip_banned", ip="203.0.113.1")

    haraka.container.restart(1)
    haraka.probe("203.0.113.2", PROBES)
    agent.process.wait_for("ip_banned", ip="203.0.113.2")

    haraka.container.remove()
    again = speaker(containers, "haraka2")
    again.probe("203.0.113.3", PROBES)
    agent.process.wait_for("ip_banned", ip="203.0.113.3")
    wait_for(lambda: not agent.status(haraka.name), "the removed one is forgotten")


def test_what_was_printed_while_the_agent_was_dead_counts(haraka: Speaker, logban: Callable[..., Logban]) -> None:
    agent = logban()
    agent.wait_reading(haraka)
    haraka.probe(EVIL[4], PROBES - 2)
    agent.wait_lines(haraka.container, 2 * (PROBES - 2))
    agent.process.kill9()
    haraka.probe(EVIL[4], 2)
    haraka.container.stop(1)

    agent.process.start()

    agent.process.wait_for("ip_banned", ip=EVIL[4])
    agent.wait_lines(haraka.container, 2 * PROBES)
    wait_for(lambda: agent.status(haraka.name).get("reading") == "container is not running", "it is read to its end")


def test_an_engine_that_restarts_is_read_on(
    own_engine: PrivateEngine, own_containers: Containers, agent: Callable[..., AgentProcess]
) -> None:
    said = speaker(own_containers, restart="always")
    process = agent("logban", docker_host=own_engine.url, prefix=own_engine.inside(), env={"LOGBAN_BACKEND": "none"})
    logban = Logban(process)
    logban.wait_reading(said)
    said.probe(EVIL[4], PROBES - 1)
    logban.wait_lines(said.container, 2 * (PROBES - 1))

    own_engine.restart()
    said.container.wait_for(state="running")
    said.probe(EVIL[4])

    process.wait_for("ip_banned", ip=EVIL[4], kinds={"legacy_tls": PROBES})
    logban.wait_lines(said.container, 2 * PROBES)


@pytest.mark.parametrize("terminal", [False, True])
def test_whatever_a_container_prints_the_next_line_is_read(
    containers: Containers, logban: Callable[..., Logban], terminal: bool
) -> None:
    said = speaker(containers, config={"Tty": terminal}, host={})
    agent = logban()
    agent.wait_reading(said)
    for length in (16_383, 16_384, 16_385, 40_000):
        said.say(b"x" * length + b"\n")
    said.say(b"\0\0 NUL \xff\xfe not UTF-8 \x1b[31mred\x1b[0m\r\n")
    said.say(b"y" * (16 << 20) + b"\n")
    said.say("".join(line.replace("[INFO]", "\x1b[32m[INFO]\x1b[0m") for line in said.probes(EVIL[4], PROBES)))

    agent.process.wait_for("ip_banned", ip=EVIL[4])
    agent.wait_lines(said.container, 6 + 2 * PROBES)
    assert agent.process.rss < 80 << 20


def test_no_log_can_have_anybody_banned_who_may_not_be(
    site: Site, haraka: Speaker, logban: Callable[..., Logban]
) -> None:
    agent = logban(LOGBAN_IGNOREIP="192.0.2.0/24", LOGBAN_PROXIES="203.0.113.80")
    agent.wait_reading(haraka)
    address = haraka.container.inspect()["NetworkSettings"]["IPAddress"]
    spared = [
        *("127.0.0.1", "::1", "10.1.2.3", "172.17.0.1", address, HOST[4], HOST[6], "192.0.2.7", "203.0.113.80"),
        *("169.254.1.1", "224.0.0.1", "0.0.0.0", "fe80::1", "::ffff:127.0.0.1", "client.example.com"),
    ]
    for each in spared:
        haraka.probe(each, 2 * PROBES)
    for number in range(2_000):  # a client's own words
        haraka.say(f"[INFO] [AAAAAAAA-0000-0000-0001-{number:012X}] [core] HELO connect ip={EVIL[4]} client connection"
                   f" error: Error: error:0A000102:SSL routines::unsupported protocol: ip={EVIL[4]}\n")  # fmt: skip
    haraka.probe(STRANGER, PROBES)

    agent.process.wait_for("ip_banned", ip=STRANGER)
    assert set(agent.bans()) == {f"{STRANGER}/32"}
    assert len(agent.process.lines("clients_hidden", ip="172.17.0.1")) == 1
    assert len(agent.process.lines("offences_ignored", ip="192.0.2.7", reason="ignoreip")) == 1
    hidden = wait_for(lambda: agent.fact("status")["hidden_clients"], "hidden clients are told of")
    assert [each["address"] for each in hidden] == ["172.17.0.1"]


def test_uninstall_leaves_no_trace_and_stopping_leaves_everything(
    site: Site, haraka: Speaker, logban: Callable[..., Logban]
) -> None:
    before = site.rules()
    agent = logban()
    agent.wait_reading(haraka)
    haraka.probe(EVIL[4], PROBES)
    agent.process.wait_for("ip_banned")
    assert agent.process.command("uninstall").returncode == 1  # it would come back
    assert agent.process.stop() == 0
    assert EVIL[4] in site.rules()

    assert agent.process.command("uninstall").returncode == 0

    assert site.rules() == before


def test_told_to_the_agent_takes_its_bans_along_and_brings_them_back(
    site: Site, haraka: Speaker, logban: Callable[..., Logban]
) -> None:
    agent = logban(LOGBAN_FLUSH_ON_STOP="true")
    agent.wait_reading(haraka)
    haraka.probe(EVIL[4], PROBES)
    agent.process.wait_for("ip_banned")

    agent.process.stop()
    assert "logban" not in site.rules()

    agent.process.start()
    agent.process.wait_for("logban_started", bans=1)
    assert EVIL[4] in site.rules()


def test_a_dry_run_touches_nothing(site: Site, haraka: Speaker, logban: Callable[..., Logban]) -> None:
    before = site.rules()
    agent = logban(LOGBAN_DRY_RUN="true")
    agent.wait_reading(haraka)
    haraka.probe(EVIL[4], PROBES)

    agent.process.wait_for("ip_would_be_banned", ip=EVIL[4])
    assert site.rules() == before


def test_nothing_is_asked_of_the_engine_but_what_its_proxy_allows(
    site: Site, haraka: Speaker, logban: Callable[..., Logban]
) -> None:
    with Recorder(site.engine.url) as recorder:
        agent = logban(recorder.url)
        agent.wait_reading(haraka)
        haraka.probe(EVIL[4], PROBES)
        agent.process.wait_for("ip_banned")
        asked = {(each.method, each.path.replace(haraka.container.id, "ID")) for each in recorder.requests()}

        assert asked <= {
            ("GET", "/_ping"),
            ("GET", "/events"),
            ("GET", "/containers/json"),
            ("GET", "/containers/ID/json"),
            ("GET", "/containers/ID/logs"),
        }

        recorder.refuse("GET", "/logs$")
        recorder.cut("/logs$")
        wait_for(lambda: agent.process.command("healthcheck").returncode == 1, "it says that it is deaf", deadline=20.0)
        recorder.obey()
        wait_for(lambda: agent.process.command("healthcheck").returncode == 0, "it hears again", deadline=20.0)


ALLOW_LIST = Path(__file__).parents[3] / "contrib/socket-proxy/logban.cfg"


def test_the_socket_proxy_lets_everything_through_that_logban_needs(
    site: Site, haraka: Speaker, logban: Callable[..., Logban], tmp_path: Path
) -> None:
    if not shutil.which("haproxy"):
        pytest.skip("needs HAProxy")
    configuration = tmp_path / "haproxy.cfg"
    configuration.write_text(ALLOW_LIST.read_text().replace("/var/run/docker.sock", str(site.engine.socket)))
    with subprocess.Popen(site.engine.inside("haproxy", "-db", "-f", str(configuration))) as proxy:
        try:
            agent = logban("tcp://127.0.0.1:2375")
            agent.wait_reading(haraka)
            haraka.probe(EVIL[4], PROBES)
            agent.process.wait_for("ip_banned", ip=EVIL[4])
        finally:
            proxy.terminate()
