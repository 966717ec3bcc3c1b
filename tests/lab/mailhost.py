"""A small internet: an attacker, an innocent client, and a mail host that publishes ports as Docker does."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Network, IPv6Network

from lab.network import Echo, Namespace, NewNamespace, cable, eventually, reaches
from logban.firewall import Fence, Firewall, Source
from logban.iptables import Iptables
from logban.nftables import Nftables

PROGRAMS = ("ip", "nft", "ipset", "iptables-nft", "ip6tables-nft", "iptables-legacy", "ip6tables-legacy")


def lacking() -> str:
    """Name what this machine lacks for it, or nothing."""
    if os.geteuid() != 0:
        return "root"
    return ", ".join(program for program in PROGRAMS if not shutil.which(program))


HOST = {4: "198.51.100.1", 6: "2001:db8::1"}
EVIL = {4: "198.51.100.66", 6: "2001:db8:0:666::66"}
EVIL_NEIGHBOUR = "2001:db8:0:666:ffff::1"  # another address of the same /64
GOOD = {4: "198.51.100.77", 6: "2001:db8:0:777::77"}
CONTAINER = {4: "172.30.0.2", 6: "fd30::2"}
PROXY = {4: "172.31.0.2", 6: "fd31::2"}

OWN_PORT = 587  # a process of the host's, or a container on the host's network
PUBLISHED = 2525  # published from the container's port 25
CONTAINER_PORT = 25
SAME_PORT = 993  # published from the same port of the container
UNGUARDED = 2222
GUARDED = frozenset({OWN_PORT, PUBLISHED, SAME_PORT})
FENCE = Fence(tcp=GUARDED, udp=GUARDED)


@dataclass(frozen=True)
class Net:
    internet: Namespace
    host: Namespace
    container: Namespace
    proxy: Namespace


def source(address: str) -> Source:
    """Tell what is banned for an address."""
    return IPv6Network((address, 64), strict=False) if ":" in address else IPv4Network(address)


def evil(family: int) -> Source:
    return source(EVIL[family])


def open_firewall(name: str, capacity: int = 1_048_576) -> Firewall:
    if name == "nftables":
        return Nftables(capacity)
    return Iptables("-nft" if name == "iptables-nft" else "-legacy", capacity)


@contextmanager
def built() -> Iterator[Net]:
    """Hand out the network until the block ends."""
    with ExitStack() as stack:
        net = Net(*(stack.enter_context(NewNamespace(role)) for role in ("internet", "host", "container", "proxy")))
        _wire(net)
        _publish(net.host)
        for port in (CONTAINER_PORT, SAME_PORT):
            stack.enter_context(Echo(net.container, "::", port))
        for address in HOST.values():
            for port in (OWN_PORT, UNGUARDED):
                stack.enter_context(Echo(net.host, address, port))
        for address in EVIL.values():
            stack.enter_context(Echo(net.internet, address, 25))  # an attacker may be someone we send mail to
        for family in (4, 6):  # IPv6 takes a second or two until it carries anything
            paths = (
                (net.internet, EVIL[family], HOST[family], PUBLISHED),
                (net.proxy, PROXY[family], CONTAINER[family], CONTAINER_PORT),
                (net.container, CONTAINER[family], EVIL[family], 25),
            )
            assert all(eventually(partial(reaches, *path)) for path in paths)
        yield net


def connect(host: Namespace, internet: Namespace) -> None:
    """Put a host on the internet, where the attacker and the innocent are."""
    cable(host, "wan0", internet, "eth0")
    host.address("wan0", f"{HOST[4]}/24", f"{HOST[6]}/32")
    internet.address("eth0", f"{EVIL[4]}/24", f"{GOOD[4]}/24")
    internet.address("eth0", f"{EVIL[6]}/32", f"{EVIL_NEIGHBOUR}/32", f"{GOOD[6]}/32")


def _wire(net: Net) -> None:
    connect(net.host, net.internet)
    cable(net.host, "br0", net.container, "eth0")
    cable(net.host, "br1", net.proxy, "eth0")
    net.host.address("br0", "172.30.0.1/24", "fd30::1/64")
    net.host.address("br1", "172.31.0.1/24", "fd31::1/64")
    net.container.address("eth0", f"{CONTAINER[4]}/24", f"{CONTAINER[6]}/64")
    net.proxy.address("eth0", f"{PROXY[4]}/24", f"{PROXY[6]}/64")
    for space, gateways in ((net.container, ("172.30.0.1", "fd30::1")), (net.proxy, ("172.31.0.1", "fd31::1"))):
        for gateway in gateways:
            space.run("ip", "-6" if ":" in gateway else "-4", "route", "add", "default", "via", gateway)
    net.host.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")


def _publish(host: Namespace) -> None:
    """Install the rules that Docker would, and one of an administrator's own in the raw table."""
    for tool, target, inside in (
        ("iptables-nft", CONTAINER[4], "172.30.0.0/24"),
        ("ip6tables-nft", CONTAINER[6], "fd30::/64"),
    ):
        end = f"[{target}]" if ":" in target else target
        for protocol in ("tcp", "udp"):
            for published, port in ((PUBLISHED, CONTAINER_PORT), (SAME_PORT, SAME_PORT)):
                match = ("-p", protocol, "-m", "addrtype", "--dst-type", "LOCAL", "--dport", str(published))
                destination = ("-j", "DNAT", "--to-destination", f"{end}:{port}")
                host.run(tool, "-t", "nat", "-A", "PREROUTING", *match, *destination)
        host.run(tool, "-t", "nat", "-A", "POSTROUTING", "-s", inside, "-o", "wan0", "-j", "MASQUERADE")
        host.run(tool, "-A", "FORWARD", "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "ACCEPT")
        host.run(tool, "-t", "raw", "-A", "PREROUTING", "-p", "tcp", "--dport", "9", "-j", "DROP")
