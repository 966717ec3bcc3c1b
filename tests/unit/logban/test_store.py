"""What is on disk, and what commands read of it."""

from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import cast

import pytest

from logban import store
from logban.address import source_key
from logban.cursor import Mark
from logban.firewall import Fence, Source
from logban.policy import History
from logban.policy import Mark as Count
from logban.store import BanRecord, OffenceRecord, Reading, Request, Store
from sidecarkit import logs, state

EVIL = cast("Source", ip_network("198.51.100.66"))
EVIL6 = cast("Source", ip_network("2001:db8:0:666::/64"))
NOW = 1_795_000_000.0


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path, logs.get("test"))
    yield opened
    opened.close()


def record(source: Source = EVIL, **further: object) -> BanRecord:
    return BanRecord(source, "", "tls", NOW, NOW + 600, **further)  # type: ignore[arg-type]


def test_how_far_a_log_was_read_is_found_again(kept: Store) -> None:
    reading = Reading({1: Mark(b"2026-11-22T08:36:00.123456789Z", (b"12345678",)), 2: Mark()}, 17, {"legacy_tls": 3})

    kept.progress("c1", reading)

    assert kept.reading("c1") == reading
    assert kept.reading("c2") is None


def test_all_or_nothing_is_stored(kept: Store) -> None:
    def interrupted() -> None:
        with kept.together():
            kept.progress("c1", Reading({}, 1))
            kept.ban(record())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()

    assert kept.reading("c1") is None
    assert list(kept.standing()) == []


def test_what_is_held_against_sources_of_both_families_is_found_again(kept: Store) -> None:
    histories = {
        ("tls", source_key(each.network_address)): History((Count(NOW, "legacy_tls", 1.0),), 2, NOW)
        for each in (EVIL, EVIL6)
    }
    kept.remember((*key, history) for key, history in histories.items())
    assert kept.histories() == histories

    kept.remember((*key, None) for key in histories)

    assert kept.histories() == {}


def test_a_second_ban_of_a_source_ends_the_first_but_a_dry_one_does_not(kept: Store) -> None:
    kept.ban(record())
    kept.ban(record(dry_run=True))
    assert len(list(kept.standing())) == 1
    kept.ban(record(number=2))

    assert list(kept.standing()) == [(source_key(EVIL.network_address), "", "tls", NOW + 600)]


def test_bans_end_by_their_own_time(kept: Store, tmp_path: Path) -> None:
    kept.ban(record())

    assert kept.expire(NOW + 599) == []
    assert kept.expire(NOW + 600) == [(source_key(EVIL.network_address), "")]
    assert kept.expire(NOW + 601) == []
    (ban,) = store.read_case(state.open_read_only(tmp_path / store.FILE), EVIL)["bans"]
    assert (ban["ended"], ban["ended_at"]) == ("expired", NOW + 600)


def test_a_case_holds_bans_offences_and_counts(kept: Store, tmp_path: Path) -> None:
    address = ip_address("2001:db8:0:666::1")
    kept.ban(record(EVIL6, address=address, kinds={"legacy_tls": 5}, evidence="the line"))
    kept.note([OffenceRecord(EVIL6, address, NOW, "legacy_tls", "version too low", "haraka", "mail", "the line", None)])
    kept.remember([("tls", source_key(address), History((Count(NOW, "legacy_tls", 1.0),)))])

    case = store.read_case(state.open_read_only(tmp_path / store.FILE), EVIL6)

    assert case["bans"][0]["kinds"] == {"legacy_tls": 5} and case["bans"][0]["evidence"] == "the line"
    assert case["offences"][0]["address"] == "2001:db8:0:666::1"
    assert case["counts"]["tls"][0] == [[NOW, "legacy_tls", 1.0]]


def test_requests_are_kept_until_they_are_answered(kept: Store) -> None:
    first = kept.ask(Request(EVIL, 60.0, "a reason", NOW))
    kept.ask(Request(None, None, None, NOW))

    assert [request for _, request in kept.requests()] == [
        Request(EVIL, 60.0, "a reason", NOW),
        Request(None, None, None, NOW),
    ]
    kept.answered(first)
    assert not kept.is_open(first)
    assert len(kept.requests()) == 1


def test_another_process_that_wrote_is_noticed(kept: Store, tmp_path: Path) -> None:
    kept.changed_by_others()
    kept.ban(record())
    assert not kept.changed_by_others()

    other = Store(tmp_path, logs.get("other"))
    other.ask(Request(None, None, None, NOW))
    other.close()

    assert kept.changed_by_others()
    assert not kept.changed_by_others()


def test_guarded_ports_are_found_again(kept: Store) -> None:
    assert kept.fences() == (Fence(),)

    kept.guarded((Fence("", frozenset({25}), frozenset()), Fence("auth", frozenset({993}), frozenset({993}))))

    assert kept.fences() == (Fence("", frozenset({25}), frozenset()), Fence("auth", frozenset({993}), frozenset({993})))


def test_what_is_too_much_is_forgotten_but_no_ban_in_force(kept: Store) -> None:
    address = ip_address("198.51.100.66")
    kept.ban(record())
    for _ in range(9):
        kept.ban(record(EVIL6))
        kept.note([OffenceRecord(EVIL, address, NOW, "malformed", "", "haraka", "mail", "", None)], kept=5)

    kept.prune(NOW, 60.0, bans=1)

    assert {key for key, *_ in kept.standing()} == {source_key(each.network_address) for each in (EVIL, EVIL6)}
    assert kept._database.execute("SELECT count(*) FROM offences").fetchone()[0] == 5


def test_good_logins_and_proxies_are_found_again_until_they_are_too_old(kept: Store) -> None:
    kept.trust({7: NOW, 8: NOW - 100})
    kept.add_proxy(ip_address("192.0.2.1"))

    kept.prune(NOW, 60.0)

    assert kept.trusted() == {7: NOW}
    assert kept.proxies() == [ip_address("192.0.2.1")]
