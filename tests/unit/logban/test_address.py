from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logban.address import network, parse, source, source_key


@given(st.ip_addresses())
def test_every_address_is_read_back_as_written(address: IPv4Address | IPv6Address) -> None:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    assert parse(str(address).encode()) == (mapped or address)


@given(st.ip_addresses(v=6))
def test_the_long_form_is_the_same_address(address: IPv6Address) -> None:
    assert parse(address.exploded.upper().encode()) == parse(str(address).encode())


@given(st.ip_addresses(v=4))
def test_a_mapped_address_is_the_ipv4_address(address: IPv4Address) -> None:
    assert parse(f"::ffff:{address}".encode()) == address


@given(st.binary(max_size=64))
def test_anything_else_is_no_address_and_no_error(text: bytes) -> None:
    found = parse(text)
    if found is not None:
        literal = text.split(b"%")[0].decode()
        assert int(ip_address(literal)) & 0xFFFFFFFF == int(found) & 0xFFFFFFFF


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mail.example.com",
        "1.2.3",
        "1.2.3.4 ",
        "01.2.3.4",
        "0x7f.1",
        "2130706433",
        "1.2.3.4/24",
        "::1::",
        "[::1]",
        "\uff11.2.3.4",
    ],
)
def test_what_only_looks_like_an_address_is_none(text: str) -> None:
    assert parse(text.encode()) is None


def test_a_zone_is_dropped() -> None:
    assert parse(b"fe80::1%eth0") == IPv6Address("fe80::1")


@given(st.ip_addresses())
def test_an_address_lies_in_its_source(address: IPv4Address | IPv6Address) -> None:
    assert address in source(address)
    assert network(source_key(address)) == source(address)


def test_an_ipv6_source_is_a_64_and_an_ipv4_source_one_address() -> None:
    assert source(IPv6Address("2001:db8:1:2:3::4")) == ip_network("2001:db8:1:2::/64")
    assert source(IPv4Address("192.0.2.7")) == ip_network("192.0.2.7/32")


def test_sources_of_the_two_families_never_meet() -> None:
    assert source_key(IPv4Address("255.255.255.255")) < source_key(IPv6Address("::"))
