"""What both back ends agree on."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logban.firewall import (
    LONGEST_SECONDS,
    Ban,
    Check,
    Fence,
    FirewallError,
    NoFirewall,
    armed_seconds,
    by_set,
    packed,
    port_ranges,
    reconcile,
    set_name,
    unpacked,
)

ONE = IPv4Network("192.0.2.1")
TWO = IPv4Network("192.0.2.2")
SIX = IPv6Network("2001:db8:1:2::/64")


def test_a_source_is_packed_as_it_stands_in_a_packet_and_read_back() -> None:
    assert packed(ONE) == bytes([192, 0, 2, 1])
    assert packed(SIX) == bytes.fromhex("20010db8000100020000000000000000")
    assert [unpacked(packed(ONE)), unpacked(packed(SIX))] == [ONE, SIX]


@pytest.mark.parametrize("network", [IPv4Network("192.0.2.0/24"), IPv6Network("2001:db8::1"), IPv6Network("2000::/3")])
def test_a_network_of_another_size_is_refused_rather_than_cut(network: IPv4Network | IPv6Network) -> None:
    with pytest.raises(FirewallError, match="neither"):
        packed(network)


def test_seconds_are_rounded_up_never_for_ever_and_never_above_the_kernels_limit() -> None:
    assert [armed_seconds(s) for s in (-5.0, 0.0, 0.2, 1.0, 1.1, 1e9)] == [1, 1, 1, 1, 2, LONGEST_SECONDS]


def test_the_sets_without_a_fence_of_their_own_have_the_documented_names() -> None:
    assert [set_name("", 4), set_name("", 6), set_name("mail-auth", 4)] == ["logban4", "logban6", "logban4-mail-auth"]


@given(st.text(min_size=1, max_size=60))
def test_every_name_of_a_fence_makes_a_name_that_both_kinds_of_sets_accept(name: str) -> None:
    made = set_name(name, 6)

    assert len(made) <= 27
    assert made.isascii() and made.replace("-", "").replace("_", "").isalnum()


def test_two_fences_never_share_a_set() -> None:
    names = [
        "mail",
        "MAIL",
        "mail auth",
        "mail_auth",
        "mail.auth",
        "a-very-long-name-of-a-jail-1",
        "a-very-long-name-of-a-jail-2",
    ]

    assert len({set_name(name, 4) for name in names}) == len(names)


@given(st.frozensets(st.integers(1, 65_535), max_size=40))
def test_port_ranges_name_every_port_once_and_no_other(ports: frozenset[int]) -> None:
    ranges = port_ranges(ports)

    assert [port for first, last in ranges for port in range(first, last + 1)] == sorted(ports)
    assert all(first - last > 1 for (_, last), (first, _) in pairwise(ranges))


def test_bans_are_sorted_into_the_sets_of_their_fence_and_family() -> None:
    names = ["logban4", "logban6", "logban4-mail"]

    sets, left_out = by_set([Ban(ONE, 10.5), Ban(SIX, 20.0), Ban(ONE, 30.0, fence="mail")], names, 10)

    assert sets == {"logban4": {packed(ONE): 11}, "logban6": {packed(SIX): 20}, "logban4-mail": {packed(ONE): 30}}
    assert left_out == ()


def test_of_two_bans_of_one_source_the_longer_counts() -> None:
    sets, _ = by_set([Ban(ONE, 50.0), Ban(ONE, 20.0)], ["logban4"], 10)

    assert sets == {"logban4": {packed(ONE): 50}}


def test_of_more_bans_than_fit_those_that_expire_first_are_left_out() -> None:
    sets, left_out = by_set([Ban(ONE, 20.0, "m"), Ban(TWO, 10.0, "m")], ["logban4-m"], 1)

    assert sets == {"logban4-m": {packed(ONE): 20}}
    assert left_out == (Ban(TWO, 10, "m"),)


def test_a_ban_for_a_fence_that_is_not_there_is_an_error() -> None:
    with pytest.raises(FirewallError, match="'gone'"):
        by_set([Ban(ONE, 1.0, fence="gone")], ["logban4"], 1)


@dataclass
class Remembering(NoFirewall):
    """Says what it was told to say and remembers what it was told to do."""

    found: Check
    done: list[object] = field(default_factory=list)

    def check(self, sample: Iterable[Ban] = ()) -> Check:
        self.done.append(tuple(sample))
        return self.found

    def guard(self, fences: Iterable[Fence]) -> None:
        self.done.append(tuple(fences))

    def restore(self, bans: Iterable[Ban]) -> tuple[Ban, ...]:
        self.done.append(tuple(bans))
        return ()


class TwoBans:
    def sample(self) -> Iterable[Ban]:
        return [Ban(ONE, 1.0)]

    def all(self) -> Iterable[Ban]:
        return [Ban(ONE, 1.0), Ban(TWO, 2.0)]


def test_as_long_as_nothing_is_missing_nothing_is_written_and_the_bans_are_not_read() -> None:
    firewall = Remembering(Check())

    assert reconcile(firewall, [Fence()], TwoBans())

    assert firewall.done == [(Ban(ONE, 1.0),)]


def test_what_is_missing_is_put_back_rules_first_and_told() -> None:
    firewall = Remembering(Check(("table missing",)))

    assert reconcile(firewall, [Fence()], TwoBans()).drift == ("table missing",)

    assert firewall.done == [(Ban(ONE, 1.0),), (Fence(),), (Ban(ONE, 1.0), Ban(TWO, 2.0))]
