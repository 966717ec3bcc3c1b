from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logban.policy import (
    MOST_MARKS,
    History,
    Increment,
    Jail,
    Mark,
    Protected,
    forgiven,
    ignored,
    judge,
    worthless,
)

WEIGHTS = {"legacy_tls": 1.0, "malformed": 2.0, "aborted": 0.5, "auth_failure": 1.0}


def jail(**changes: object) -> Jail:
    facts = {
        "name": "test",
        "filters": frozenset({"haraka"}),
        "weights": WEIGHTS,
        "maxretry": 3.0,
        "findtime_seconds": 600.0,
        "bantime_seconds": 60.0,
        **changes,
    }
    return Jail(**facts)  # type: ignore[arg-type]


def judged(offences: list[tuple[str, float]], rules: Jail, chance: float = 0.0) -> tuple[History, list[float]]:
    history, bans = History(), []
    for kind, at in offences:
        history, sentence = judge(history, rules, kind, at, chance)
        if sentence is not None:
            bans.append(sentence.seconds)
    return history, bans


def test_the_weights_within_the_window_lead_to_a_ban() -> None:
    assert judged([("legacy_tls", 0), ("legacy_tls", 1), ("legacy_tls", 2)], jail())[1] == [60.0]
    assert judged([("malformed", 0), ("legacy_tls", 1)], jail())[1] == [60.0]


def test_offences_that_are_too_far_apart_lead_to_none() -> None:
    assert judged([("legacy_tls", 0), ("legacy_tls", 400), ("legacy_tls", 800)], jail())[1] == []


def test_the_end_of_the_window_is_outside() -> None:
    assert judged([("legacy_tls", 0), ("legacy_tls", 1), ("legacy_tls", 600)], jail())[1] == []


def test_a_weak_offence_weighs_only_beside_a_strong_one() -> None:
    aborted = [("aborted", float(at)) for at in range(20)]
    assert judged(aborted, jail())[1] == []
    assert judged([*aborted[:4], ("legacy_tls", 5)], jail())[1] == [60.0]


def test_kinds_that_a_jail_does_not_weigh_count_for_nothing() -> None:
    assert judged([("no_shared_cipher", float(at)) for at in range(20)], jail()) == (History(), [])


def test_a_banned_source_is_not_sentenced_again_before_its_ban_ends() -> None:
    assert judged([("legacy_tls", float(at)) for at in range(60)], jail())[1] == [60.0]


def test_bans_grow_to_a_maximum() -> None:
    rules = jail(maxretry=1.0, increment=Increment(factor=3.0, maximum_seconds=500.0))
    offences = [("legacy_tls", at) for at in (0.0, 100.0, 300.0, 900.0)]
    assert judged(offences, rules)[1] == [60.0, 180.0, 500.0, 500.0]


def test_ten_thousand_bans_are_no_number_too_large() -> None:
    rules = jail(increment=Increment(factor=10.0))
    _, sentence = judge(
        History((Mark(9.0, "malformed", 2.0),), bans=10_000, banned_until=5.0), rules, "malformed", 10.0, 0.0
    )
    assert sentence is not None and sentence.seconds == 604_800.0


def test_chance_adds_no_more_than_the_jitter() -> None:
    rules = jail(maxretry=1.0, increment=Increment(jitter=0.5))
    assert judged([("legacy_tls", 0)], rules, chance=1.0)[1] == [90.0]


def test_earlier_bans_are_forgotten_in_time() -> None:
    rules = jail(maxretry=1.0, increment=Increment(factor=2.0, maximum_seconds=1000.0))
    assert judged([("legacy_tls", 0.0), ("legacy_tls", 1061.0)], rules)[1] == [60.0, 60.0]


def test_time_may_run_backwards_a_little() -> None:
    assert judged([("legacy_tls", 10.0), ("legacy_tls", 9.98), ("legacy_tls", 9.99)], jail())[1] == [60.0]


def test_a_success_clears_the_count_but_not_the_bans() -> None:
    history = History((Mark(1.0, "malformed", 2.0),), bans=2, banned_until=50.0)
    assert forgiven(history) == History((), 2, 50.0)


def test_a_history_is_bounded() -> None:
    history, _ = judged([("legacy_tls", at / 10) for at in range(1000)], jail(maxretry=1e9))
    assert len(history.marks) == MOST_MARKS


def test_a_history_is_worthless_when_window_and_memory_are_over() -> None:
    rules = jail(increment=Increment(maximum_seconds=1000.0))
    history = History((Mark(100.0, "legacy_tls", 1.0),), bans=1, banned_until=160.0)
    assert not worthless(history, rules, 500.0)
    assert not worthless(history, rules, 1100.0)
    assert worthless(history, rules, 1161.0)
    assert worthless(History((Mark(100.0, "legacy_tls", 1.0),)), rules, 700.0)


@given(st.lists(st.tuples(st.sampled_from(sorted(WEIGHTS)), st.floats(0, 1e6)), max_size=50), st.floats(0, 1))
def test_no_ban_is_shorter_than_bantime_or_longer_than_allowed(
    offences: list[tuple[str, float]], chance: float
) -> None:
    rules = jail(increment=Increment(factor=2.0, maximum_seconds=1000.0, jitter=0.1))
    assert all(60.0 <= seconds <= 1100.0 for seconds in judged(offences, rules, chance)[1])


PROTECTED = Protected(
    proxies=(ip_network("198.51.100.9/32"),),
    ignoreip=(ip_network("203.0.113.0/24"), ip_network("2001:db8:5::/48")),
    container_networks=(ip_network("198.18.0.0/16"), ip_network("fd99:d::/64")),
    own=frozenset({ip_address("192.0.2.1")}),
    gateways=frozenset({ip_address("192.0.2.254")}),
)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("198.51.100.9", "proxy"),
        ("203.0.113.7", "ignoreip"),
        ("2001:db8:5::1", "ignoreip"),
        ("127.8.9.10", "loopback"),
        ("::1", "loopback"),
        ("10.1.2.3", "private"),
        ("172.17.0.1", "private"),
        ("192.168.1.1", "private"),
        ("100.64.0.1", "private"),
        ("fd00::1", "private"),
        ("198.18.3.4", "container_network"),
        ("192.0.2.254", "container_network"),
        ("169.254.1.1", "link_local"),
        ("fe80::1", "link_local"),
        ("224.0.0.1", "multicast"),
        ("ff02::1", "multicast"),
        ("192.0.2.1", "own_address"),
        ("0.0.0.0", "reserved"),
        ("255.255.255.255", "reserved"),
        ("::", "reserved"),
        ("192.0.2.7", None),
        ("2001:db8::1", None),
        ("8.8.8.8", None),
    ],
)
def test_some_addresses_are_never_banned(address: str, reason: str | None) -> None:
    assert ignored(ip_address(address), PROTECTED, trusted=False) == reason


def test_of_several_reasons_the_first_is_given() -> None:
    loopback = ip_address("127.0.0.9")
    everything = Protected(proxies=(ip_network("127.0.0.0/8"),), ignoreip=(ip_network("127.0.0.0/8"),))
    assert ignored(loopback, everything, trusted=True) == "proxy"
    assert ignored(loopback, Protected(ignoreip=everything.ignoreip), trusted=True) == "ignoreip"
    assert ignored(loopback, Protected(), trusted=True) == "loopback"
    assert ignored(ip_address("169.254.0.1"), Protected(), trusted=True) == "trusted"
