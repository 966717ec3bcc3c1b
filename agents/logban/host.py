"""The host's own addresses, as the kernel's tables tell them: whoever bans these bans himself."""

import re
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

_IPV4_TABLE = Path("/proc/net/fib_trie")
_IPV6_TABLE = Path("/proc/net/if_inet6")
# A leaf of the trie names an address, the lines below it say what is known of it.
_LOCAL_IPV4 = re.compile(r"\|-- ([0-9.]+)\n(?:\s+/\d+ [^\n]*\n)*?\s+/32 host LOCAL\n")


def own_addresses() -> frozenset[IPv4Address | IPv6Address]:
    """Read the addresses of the network namespace this process lives in, loopback among them."""
    found: set[IPv4Address | IPv6Address] = set(ipv4_addresses(_IPV4_TABLE.read_text()))
    if _IPV6_TABLE.exists():  # it does not where the kernel has no IPv6
        found.update(ipv6_addresses(_IPV6_TABLE.read_text()))
    return frozenset(found)


def ipv4_addresses(fib_trie: str) -> frozenset[IPv4Address]:
    """Pick the local addresses out of /proc/net/fib_trie."""
    return frozenset(IPv4Address(text) for text in _LOCAL_IPV4.findall(fib_trie))


def ipv6_addresses(if_inet6: str) -> frozenset[IPv6Address]:
    """Pick the addresses out of /proc/net/if_inet6, where each line starts with one in 32 hexadecimal digits."""
    return frozenset(IPv6Address(int(line.split()[0], 16)) for line in if_inet6.splitlines() if line.strip())
