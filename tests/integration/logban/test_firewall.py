"""Both back ends on the real kernel: who is kept out, who is not, and what survives whom."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address

import pytest

from lab.mailhost import (
    CONTAINER,
    CONTAINER_PORT,
    EVIL,
    EVIL_NEIGHBOUR,
    FENCE,
    GOOD,
    HOST,
    OWN_PORT,
    PROXY,
    PUBLISHED,
    SAME_PORT,
    UNGUARDED,
    Net,
    evil,
    open_firewall,
    source,
)
from lab.network import PATIENCE_SECONDS, Client, Echo, Namespace, NewNamespace, eventually, reaches
from logban.backends import choose, sweep
from logban.firewall import Ban, Fence, Firewall, FirewallError, Source, reconcile
from logban.host import own_addresses
from logban.iptables import Iptables
from logban.nftables import Nftables

HOUR = 3600.0
GUARDED_PORTS = (OWN_PORT, PUBLISHED, SAME_PORT)
FAMILIES = (4, 6)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ["tcp", "udp"])
@pytest.mark.parametrize("port", GUARDED_PORTS)
def test_a_banned_source_is_dropped_on_open_and_new_connections(
    firewall: Firewall, net: Net, port: int, kind: str, family: int
) -> None:
    with Client(net.internet, EVIL[family], HOST[family], port, kind) as open_connection:
        assert open_connection.connects() and open_connection.hears()

        firewall.ban(Ban(evil(family), HOUR))

        assert not open_connection.hears()
        assert not reaches(net.internet, EVIL[family], HOST[family], port, kind)
        firewall.unban(evil(family))
        assert eventually(open_connection.hears)


@pytest.mark.parametrize("family", FAMILIES)
def test_nobody_else_is_harmed_and_no_other_port(firewall: Firewall, net: Net, family: int) -> None:
    firewall.ban(Ban(evil(family), HOUR))

    assert all(reaches(net.internet, GOOD[family], HOST[family], port) for port in GUARDED_PORTS)
    assert reaches(net.internet, EVIL[family], HOST[family], UNGUARDED)


def test_a_ban_of_one_ipv6_address_holds_for_its_whole_64(firewall: Firewall, net: Net) -> None:
    firewall.ban(Ban(evil(6), HOUR))

    assert not reaches(net.internet, EVIL_NEIGHBOUR, HOST[6], PUBLISHED)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_stack_still_reaches_a_banned_host(firewall: Firewall, net: Net, family: int) -> None:
    firewall.ban(Ban(evil(family), HOUR))

    assert reaches(net.container, CONTAINER[family], EVIL[family], 25)
    assert reaches(net.host, HOST[family], EVIL[family], 25)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_proxy_still_reaches_its_back_end_even_if_it_was_banned(firewall: Firewall, net: Net, family: int) -> None:
    firewall.ban(Ban(source(PROXY[family]), HOUR))

    assert reaches(net.proxy, PROXY[family], CONTAINER[family], CONTAINER_PORT)
    assert reaches(net.proxy, PROXY[family], CONTAINER[family], SAME_PORT)


def test_a_ban_ends_by_the_kernels_own_clock(firewall: Firewall, net: Net) -> None:
    firewall.ban(Ban(evil(4), 1.0))
    assert not reaches(net.internet, EVIL[4], HOST[4], PUBLISHED)

    assert eventually(lambda: reaches(net.internet, EVIL[4], HOST[4], PUBLISHED))
    assert list(firewall.standing()) == []


def test_banning_again_gives_the_new_time_whether_longer_or_shorter(firewall: Firewall) -> None:
    for seconds in (60.0, HOUR, 60.0):
        firewall.ban(Ban(evil(6), seconds))

        (standing,) = firewall.standing()
        assert standing.source == evil(6)
        assert seconds - 10 < standing.seconds <= seconds


def test_a_ban_longer_than_the_kernel_can_count_is_armed_for_as_long_as_it_can(firewall: Firewall) -> None:
    firewall.ban(Ban(evil(4), 60 * 86_400.0))

    (standing,) = firewall.standing()
    assert 2_147_483 - 10 < standing.seconds <= 2_147_483


def test_unbanning_says_whether_there_was_a_ban(firewall: Firewall) -> None:
    firewall.ban(Ban(evil(4), HOUR))

    assert firewall.unban(evil(4))
    assert not firewall.unban(evil(4))


def test_unban_all_lets_everybody_in(firewall: Firewall, net: Net) -> None:
    for family in FAMILIES:
        firewall.ban(Ban(evil(family), HOUR))

    firewall.unban_all()

    assert firewall.count() == {4: 0, 6: 0}
    assert all(reaches(net.internet, EVIL[family], HOST[family], PUBLISHED) for family in FAMILIES)


def test_restore_makes_the_bans_given_all_there_are(firewall: Firewall) -> None:
    firewall.ban(Ban(evil(4), HOUR))

    assert firewall.restore([Ban(evil(6), HOUR), Ban(IPv4Network("192.0.2.1"), 60.0)]) == ()

    assert {(ban.source, ban.seconds > 60) for ban in firewall.standing()} == {
        (evil(6), True),
        (IPv4Network("192.0.2.1"), False),
    }
    assert firewall.count() == {4: 1, 6: 1}


def test_a_fence_of_its_own_keeps_out_of_its_own_ports_only(firewall: Firewall, net: Net) -> None:
    strict = Fence("mail-auth", tcp=frozenset({UNGUARDED}))
    firewall.guard([FENCE, strict])

    firewall.ban(Ban(evil(4), HOUR, fence="mail-auth"))

    assert not reaches(net.internet, EVIL[4], HOST[4], UNGUARDED)
    assert reaches(net.internet, EVIL[4], HOST[4], PUBLISHED)
    assert [ban.fence for ban in firewall.standing()] == ["mail-auth"]
    firewall.guard([FENCE])
    assert reaches(net.internet, EVIL[4], HOST[4], UNGUARDED)
    assert "mail-auth" not in net.host.run("nft", "list", "sets") + net.host.run("ipset", "list", "-n")
    with pytest.raises(FirewallError, match="mail-auth"):
        firewall.ban(Ban(evil(4), HOUR, fence="mail-auth"))


def test_more_ports_than_one_rule_can_name_are_all_guarded(firewall: Firewall, net: Net) -> None:
    odd = frozenset(range(1, 80, 2))
    firewall.guard([Fence(tcp=odd | {OWN_PORT}, udp=frozenset(range(5000, 6000)))])

    firewall.ban(Ban(evil(4), HOUR))

    assert not reaches(net.internet, EVIL[4], HOST[4], OWN_PORT)
    assert firewall.check()


def test_new_ports_leave_the_bans_standing(firewall: Firewall, net: Net) -> None:
    firewall.guard([Fence(tcp=frozenset({OWN_PORT}))])
    firewall.ban(Ban(evil(4), HOUR))
    assert reaches(net.internet, EVIL[4], HOST[4], PUBLISHED)

    firewall.guard([FENCE])

    assert not reaches(net.internet, EVIL[4], HOST[4], PUBLISHED)


def test_bans_outlive_the_process_that_made_them(firewall: Firewall, net: Net) -> None:
    firewall.ban(Ban(evil(4), HOUR))
    successor = _another(firewall)

    successor.guard([FENCE])

    assert [ban.source for ban in successor.standing()] == [evil(4)]
    assert not reaches(net.internet, EVIL[4], HOST[4], PUBLISHED)
    successor.close()


def test_a_command_beside_the_agent_works_with_what_the_agent_installed(firewall: Firewall, net: Net) -> None:
    firewall.ban(Ban(evil(4), HOUR))
    beside = _another(firewall)
    beside.adopt([FENCE])

    assert [ban.source for ban in beside.standing()] == [evil(4)]
    assert beside.unban(evil(4))

    assert reaches(net.internet, EVIL[4], HOST[4], PUBLISHED)
    assert firewall.check()
    beside.close()


def test_neither_banning_nor_a_look_at_unchanged_rules_starts_a_program(
    firewall: Firewall, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert firewall.check()
    with monkeypatch.context() as nowhere:
        nowhere.setenv("PATH", "/nowhere")

        firewall.ban(Ban(evil(4), HOUR))
        firewall.restore([Ban(evil(4), HOUR), Ban(evil(6), HOUR)])
        assert firewall.unban(evil(4))
        assert [ban.source for ban in firewall.standing()] == [evil(6)]
        firewall.unban_all()
        assert firewall.count() == {4: 0, 6: 0}
        if not is_legacy(firewall):  # which has no other way to tell whether its rules changed
            assert firewall.check()


# Who else changes rules


def flush_our_chain(net: Net, firewall: Firewall) -> None:
    if isinstance(firewall, Nftables):
        net.host.run("nft", "flush", "chain", "inet", "logban", "prerouting")
        return
    for tool in _tools(firewall):
        net.host.run(tool, "-t", "raw", "-F", "LOGBAN")


def remove_our_chain(net: Net, firewall: Firewall) -> None:
    if isinstance(firewall, Nftables):
        net.host.run("nft", "flush", "chain", "inet", "logban", "prerouting")
        net.host.run("nft", "delete", "chain", "inet", "logban", "prerouting")
        return
    flush_our_chain(net, firewall)
    for tool in _tools(firewall):
        net.host.run(tool, "-t", "raw", "-D", "PREROUTING", "-j", "LOGBAN")
        net.host.run(tool, "-t", "raw", "-X", "LOGBAN")


def remove_our_jump(net: Net, firewall: Firewall) -> None:
    if isinstance(firewall, Nftables):
        net.host.run("nft", "add table inet logban { flags dormant; }")  # the like: all there, nothing asked
        return
    for tool in _tools(firewall):
        net.host.run(tool, "-t", "raw", "-D", "PREROUTING", "-j", "LOGBAN")


def destroy_our_sets(net: Net, firewall: Firewall) -> None:
    flush_our_chain(net, firewall)
    for name in ("logban4", "logban6"):
        command = ("nft", "delete", "set", "inet", "logban") if isinstance(firewall, Nftables) else ("ipset", "destroy")
        assert eventually(lambda name=name, command=command: _succeeds(net.host, *command, name))


def empty_our_sets(net: Net, firewall: Firewall) -> None:
    for name in ("logban4", "logban6"):
        command = ("nft", "flush", "set", "inet", "logban") if isinstance(firewall, Nftables) else ("ipset", "flush")
        net.host.run(*command, name)


def put_a_rule_of_theirs_into_our_chain(net: Net, firewall: Firewall) -> None:
    if isinstance(firewall, Nftables):
        net.host.run("nft", "insert", "rule", "inet", "logban", "prerouting", "accept")
        return
    for tool in _tools(firewall):
        net.host.run(tool, "-t", "raw", "-I", "LOGBAN", "-j", "ACCEPT")


@dataclass(frozen=True)
class FixedBook:
    bans: tuple[Ban, ...]

    def sample(self) -> Iterable[Ban]:
        return self.bans[:1]

    def all(self) -> Iterable[Ban]:
        return self.bans


EVIL_BANS = FixedBook(tuple(Ban(evil(family), HOUR) for family in FAMILIES))


@pytest.mark.parametrize(
    "vandalise",
    [
        flush_our_chain,
        remove_our_chain,
        remove_our_jump,
        destroy_our_sets,
        empty_our_sets,
        put_a_rule_of_theirs_into_our_chain,
    ],
)
def test_what_others_take_away_is_put_back_at_the_next_look(
    firewall: Firewall, net: Net, vandalise: Callable[[Net, Firewall], None]
) -> None:
    firewall.restore(EVIL_BANS.all())
    assert reconcile(firewall, [FENCE], EVIL_BANS)
    vandalise(net, firewall)
    assert all(reaches(net.internet, EVIL[family], HOST[family], PUBLISHED) for family in FAMILIES)

    check = reconcile(firewall, [FENCE], EVIL_BANS)

    assert check.drift
    assert not any(reaches(net.internet, EVIL[family], HOST[family], PUBLISHED) for family in FAMILIES)
    assert reconcile(firewall, [FENCE], EVIL_BANS)


def test_bans_return_after_every_rule_of_the_host_was_flushed(firewall: Firewall, net: Net) -> None:
    firewall.restore(EVIL_BANS.all())
    host_rules = net.host.run("iptables-nft-save"), net.host.run("ip6tables-nft-save")
    try:
        net.host.run("nft", "flush", "ruleset")

        reconcile(firewall, [FENCE], EVIL_BANS)

        assert not any(reaches(net.internet, EVIL[family], HOST[family], OWN_PORT) for family in FAMILIES)
    finally:
        firewall.uninstall()
        for tool, saved in zip(("iptables-nft-restore", "ip6tables-nft-restore"), host_rules, strict=True):
            kept = [line for line in saved.splitlines() if "LOGBAN" not in line]
            net.host.run(tool, stdin="\n".join([*kept, ""]))


def test_a_look_sees_nothing_while_others_mind_their_own_rules(firewall: Firewall, net: Net) -> None:
    firewall.restore(EVIL_BANS.all())

    net.host.run("iptables-nft", "-t", "raw", "-I", "PREROUTING", "-p", "tcp", "--dport", "7", "-j", "DROP")
    net.host.run("iptables-nft", "-t", "raw", "-D", "PREROUTING", "-p", "tcp", "--dport", "7", "-j", "DROP")

    assert firewall.check(EVIL_BANS.sample())


def test_others_rules_stay_as_they_are_and_uninstalling_leaves_no_trace(net: Net, backend: str) -> None:
    before = _everything(net.host)
    with net.host.entered():
        firewall = open_firewall(backend)
        firewall.guard([FENCE, Fence("of-its-own", tcp=frozenset({1}))])
        firewall.restore(EVIL_BANS.all())
        flush_our_chain(net, firewall)
        reconcile(firewall, [FENCE], EVIL_BANS)
        assert _everything(net.host, but="logban") == before

        firewall.uninstall()

    assert _everything(net.host) == before


def test_uninstalling_takes_a_raw_table_along_that_was_made_for_our_chain(backend: str) -> None:
    with NewNamespace("bare") as host, host.entered():
        host.run("iptables-nft", "-A", "FORWARD", "-j", "ACCEPT")
        before = _everything(host)
        firewall = open_firewall(backend)
        firewall.guard([FENCE])

        firewall.uninstall()

        after = _everything(host)
        if backend == "iptables-legacy":  # a legacy table, once used, stays until the module is unloaded; it is empty
            after, before = (tuple(part for part in whole if "-A " in part) for whole in (after, before))
        assert after == before


def test_uninstalling_where_nothing_is_installed_is_no_error(net: Net, backend: str) -> None:
    with net.host.entered():
        firewall = open_firewall(backend)
        firewall.uninstall()
        firewall.close()


def test_no_packet_slips_through_while_sets_and_rules_are_replaced(firewall: Firewall, net: Net) -> None:
    others = [Ban(IPv4Network(0x0B000000 + number), HOUR) for number in range(20_000)]
    with Echo(net.host, HOST[4], 4444) as server:
        firewall.guard([Fence(udp=frozenset({4444}))])
        assert reaches(net.internet, EVIL[4], HOST[4], 4444, "udp")
        firewall.restore([Ban(evil(4), HOUR), *others])
        heard = server.datagrams
        with flood(net, 4444) as sent:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while sent() < 5_000 and time.monotonic() < deadline:
                firewall.restore([Ban(evil(4), HOUR), *others])
                firewall.guard([Fence(udp=frozenset({4444, 1 + sent() % 1000}))])
        assert server.datagrams == heard
        assert sent() >= 5_000


def test_another_capacity_is_taken_up_by_what_is_installed_already(net: Net, backend: str) -> None:
    with small(net, backend, capacity=2) as installed, net.host.entered():
        installed.restore([Ban(each, HOUR) for each in _sources(4, 2)])
        roomier = open_firewall(backend, capacity=4)

        roomier.guard([FENCE])
        roomier.restore([Ban(each, HOUR) for each in _sources(4, 3)])

        assert roomier.ban(Ban(_sources(4, 4)[3], HOUR)) == ()
        assert len(roomier.ban(Ban(evil(4), HOUR))) == 1
        roomier.close()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_full_set_lets_go_whoever_expires_first(net: Net, backend: str, family: int) -> None:
    sources = _sources(family, 8)
    with small(net, backend, capacity=5) as firewall:
        for each, seconds in zip(sources, (500.0, 100.0, 400.0, 200.0, 300.0), strict=False):
            assert firewall.ban(Ban(each, seconds)) == ()

        assert firewall.ban(Ban(sources[5], 50.0)) == (sources[1],)
        assert firewall.ban(Ban(sources[6], HOUR)) == (sources[5],)
        assert firewall.unban(sources[3])
        assert firewall.ban(Ban(sources[7], HOUR)) == ()
        assert firewall.ban(Ban(sources[1], HOUR)) == (sources[4],)
        assert {ban.source for ban in firewall.standing()} == {sources[i] for i in (0, 1, 2, 6, 7)}


def test_a_ban_can_be_prolonged_in_a_full_set(net: Net, backend: str) -> None:
    sources = _sources(4, 3)
    with small(net, backend, capacity=3) as firewall:
        for seconds, each in enumerate(sources, start=100):
            firewall.ban(Ban(each, seconds))

        firewall.ban(Ban(sources[2], HOUR))

        assert sources[2] in {ban.source for ban in firewall.standing() if ban.seconds > 1000}


def test_restoring_more_than_there_is_room_for_leaves_out_whoever_expires_first(net: Net, backend: str) -> None:
    sources = _sources(4, 6)
    with small(net, backend, capacity=4) as firewall:
        for _ in range(2):  # the second time into sets that are full
            left_out = firewall.restore(Ban(each, 100.0 + i) for i, each in enumerate(sources))

            assert {ban.source for ban in left_out} == set(sources[:2])
            assert {ban.source for ban in firewall.standing()} == set(sources[2:])


def test_a_hundred_thousand_bans_are_in_force_after_a_cold_start(net: Net, backend: str) -> None:
    bans = [Ban(IPv4Network(0x0B000000 + i), HOUR + i % 100) for i in range(80_000)]
    bans += [Ban(IPv6Network(((0x20010DB9 << 96) + (i << 64), 64)), HOUR) for i in range(20_000)]
    with net.host.entered():
        firewall = open_firewall(backend)
        try:
            started = time.perf_counter()
            firewall.guard([FENCE])
            firewall.restore([*bans, Ban(evil(4), HOUR)])
            restored = time.perf_counter()
            firewall.ban(Ban(evil(6), HOUR))
            banned = time.perf_counter()
            assert not any(reaches(net.internet, EVIL[family], HOST[family], PUBLISHED) for family in FAMILIES)
            looked = time.perf_counter()
            assert firewall.check([bans[0]])
            print(  # noqa: T201 - figures for whoever runs with -s
                f"{backend}: 100,000 bans {restored - started:.2f} s, one more {(banned - restored) * 1e6:.0f} us, "
                f"a look {(time.perf_counter() - looked) * 1e6:.0f} us"
            )
            assert firewall.count() == {4: 80_001, 6: 20_001}
            firewall.unban_all()
            assert firewall.count() == {4: 0, 6: 0}
        finally:
            firewall.uninstall()
            firewall.close()


# Which back end


def test_auto_takes_nftables_where_the_kernel_can_do_it(net: Net) -> None:
    before = _everything(net.host)
    with net.host.entered():
        chosen = choose("auto")
        chosen.close()

    assert chosen.name == "nftables"
    assert _everything(net.host) == before


def test_iptables_and_none_can_be_asked_for_by_name(net: Net) -> None:
    with net.host.entered():
        assert [choose("iptables").name, choose("none").name] == ["iptables", "none"]


def test_changing_the_back_end_removes_what_the_last_one_left(net: Net, backend: str) -> None:
    before = _everything(net.host)
    with net.host.entered():
        for earlier in ("nftables", "iptables-nft", "iptables-legacy"):
            open_firewall(earlier).guard([FENCE])
        firewall = open_firewall(backend)
        firewall.guard([FENCE])
        firewall.restore(EVIL_BANS.all())

        sweep(firewall)

        assert firewall.check(EVIL_BANS.sample())
        assert not reaches(net.internet, EVIL[4], HOST[4], PUBLISHED)
        firewall.unban_all()
        assert reaches(net.internet, EVIL[4], HOST[4], PUBLISHED)
        firewall.uninstall()
    assert _everything(net.host) == before


def test_sweeping_with_nothing_kept_removes_every_back_end(net: Net) -> None:
    before = _everything(net.host)
    with net.host.entered():
        for name in ("nftables", "iptables-nft", "iptables-legacy"):
            open_firewall(name).guard([FENCE])

        sweep()

    assert _everything(net.host) == before


BAN_ONE = """
import sys
from ipaddress import IPv4Network
from lab.mailhost import FENCE, open_firewall
from logban.firewall import Ban
firewall = open_firewall(sys.argv[1])
firewall.guard([FENCE])
firewall.restore([Ban(IPv4Network("192.0.2.1"), 60.0)])
print(firewall.count()[4])
firewall.uninstall()
"""


@pytest.mark.parametrize(
    ("backend", "capabilities"), [("nftables", "+net_admin"), ("iptables-nft", "+net_admin,+net_raw")]
)
def test_a_back_end_needs_no_other_capability(net: Net, backend: str, capabilities: str) -> None:
    contained = ("setpriv", f"--bounding-set=-all,{capabilities}", "--inh-caps=-all", "--no-new-privs")
    path = ("env", f"PYTHONPATH={os.pathsep.join(sys.path)}")

    assert net.host.run(*contained, *path, sys.executable, "-c", BAN_ONE, backend).strip() == "1"


def test_the_hosts_own_addresses_are_known(net: Net) -> None:
    with net.host.entered():
        own = own_addresses()

    assert {ip_address(address) for address in HOST.values()} <= own
    assert ip_address(EVIL[4]) not in own


@contextmanager
def small(net: Net, backend: str, capacity: int) -> Iterator[Firewall]:
    with net.host.entered():
        firewall = open_firewall(backend, capacity)
        firewall.guard([FENCE])
        try:
            yield firewall
        finally:
            firewall.uninstall()
            firewall.close()


@contextmanager
def flood(net: Net, port: int) -> Iterator[Callable[[], int]]:
    """Send datagrams from the banned address all the while; yields how many there were so far."""
    stop, sent = threading.Event(), [0]

    def send() -> None:
        with Client(net.internet, EVIL[4], HOST[4], port, "udp") as client:
            client.connects()
            while not stop.wait(0.0003):
                sent[0] += client.sends()

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield lambda: sent[0]
    finally:
        stop.set()
        sender.join()


def _sources(family: int, number: int) -> list[Source]:
    texts = [f"192.0.2.{i + 1}" if family == 4 else f"2001:db8:9:{i + 1}::1" for i in range(number)]
    return [source(text) for text in texts]


def _another(firewall: Firewall) -> Firewall:
    if isinstance(firewall, Iptables):
        return Iptables("-nft" if firewall.on_nf_tables else "-legacy")
    return Nftables()


def is_legacy(firewall: Firewall) -> bool:
    return isinstance(firewall, Iptables) and not firewall.on_nf_tables


def _tools(firewall: Firewall) -> Sequence[str]:
    assert isinstance(firewall, Iptables)
    variant = "-nft" if firewall.on_nf_tables else "-legacy"
    return (f"iptables{variant}", f"ip6tables{variant}")


def _succeeds(host: Namespace, *command: str) -> bool:
    try:
        host.run(*command)
    except AssertionError:
        return False
    return True


def _everything(host: Namespace, but: str = "") -> tuple[str, ...]:
    """All rules and sets of the namespace, line by line, without counters; without lines that speak of *but*."""
    lines: list[str] = []
    for tool in ("iptables-nft-save", "ip6tables-nft-save", "iptables-legacy-save", "ip6tables-legacy-save"):
        saved = host.run(tool).splitlines()
        lines += [f"{tool} {line.split(' [')[0]}" for line in saved if not line.startswith("#")]
    tables = host.run("nft", "list", "tables").splitlines()
    lines += [*tables, *host.run("ipset", "list", "-n").splitlines()]
    return tuple(line for line in lines if not but or but not in line.lower())
