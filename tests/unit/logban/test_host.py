from ipaddress import IPv4Address, IPv6Address

from logban.host import ipv4_addresses, ipv6_addresses

FIB_TRIE = """\
Main:
  +-- 0.0.0.0/0 3 0 4
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 203.0.113.0/24 2 0 2
        |-- 203.0.113.0
           /24 link UNICAST
        |-- 203.0.113.9
           /29 link UNICAST
           /32 host LOCAL
        |-- 203.0.113.10
           /32 universe UNICAST
        |-- 203.0.113.255
           /32 link BROADCAST
     +-- 127.0.0.0/31 1 0 0
        |-- 127.0.0.0
           /8 host LOCAL
        |-- 127.0.0.1
           /32 host LOCAL
"""


def test_ipv4_addresses_are_the_local_leaves_and_no_neighbour_network_or_broadcast() -> None:
    assert ipv4_addresses(FIB_TRIE) == {IPv4Address("203.0.113.9"), IPv4Address("127.0.0.1")}


def test_ipv6_addresses_are_read_from_their_hexadecimal_form() -> None:
    table = "20010db8000000000000000000000002 04 40 00 82     eth0\n" + "0" * 31 + "1 01 80 10 80       lo\n"

    assert ipv6_addresses(table) == {IPv6Address("2001:db8::2"), IPv6Address("::1")}
