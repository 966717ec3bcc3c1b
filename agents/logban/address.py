"""Addresses as they stand in a log: literals only, never a name, never a lookup."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# What one client can choose freely: an IPv4 address, or the lower half of an IPv6 one (RFC 6177, RFC 8981).
_IPV6_CLIENT_BITS = 64
IPV4_SOURCES = 2**32
# The longest literal is an IPv4-mapped IPv6 address, 45 characters; a zone (RFC 4007) may follow.
_LITERAL = re.compile(rb"([0-9A-Fa-f:.]{2,45})(?:%[0-9A-Za-z._-]{1,16})?")


@lru_cache(maxsize=16_384)
def parse(text: bytes) -> Address | None:
    """Read *text* as the literal of an address; None when it is anything else.

    An IPv4-mapped address (``::ffff:192.0.2.1``) is the IPv4 address; a zone (``fe80::1%eth0``) is dropped.
    """
    literal = _LITERAL.fullmatch(text)
    if literal is None:
        return None
    try:
        address = ip_address(literal[1].decode("ascii"))
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def source(address: Address) -> Network:
    """Give what is counted and banned as one: the IPv4 address itself, or the /64 of an IPv6 address."""
    return network(source_key(address))


def source_key(address: Address) -> int:
    """Give the source of *address* as a number: dicts hash it a good deal faster than ipaddress's own objects."""
    number = int(address)
    # IPv6 sources count from 2**32 on: the upper halves of their addresses.
    return number if isinstance(address, IPv4Address) else IPV4_SOURCES + (number >> _IPV6_CLIENT_BITS)


def network(key: int) -> Network:
    """Give the source whose `source_key` is *key*."""
    if key < IPV4_SOURCES:
        return IPv4Network((key, 32))
    return IPv6Network((key - IPV4_SOURCES << _IPV6_CLIENT_BITS, _IPV6_CLIENT_BITS))
