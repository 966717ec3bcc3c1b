from __future__ import annotations

from ipaddress import ip_address, ip_network

from logban import ledger as ledger_module
from logban.ledger import Ledger
from logban.offence import Offence, Proxy, Success
from logban.policy import Jail, Protected

DAY = 86_400.0


def offence(address: str, kind: str = "legacy_tls", name: str = "haraka") -> Offence:
    return Offence(ip_address(address), kind, "unsupported protocol", name, 1, None, b"")


def success(address: str) -> Success:
    return Success(ip_address(address), "haraka", 1, None)


def ledger(**changes: object) -> Ledger:
    facts = {
        "name": "test",
        "filters": frozenset({"haraka"}),
        "weights": {"legacy_tls": 1.0},
        "maxretry": 3.0,
        "findtime_seconds": 600.0,
        "bantime_seconds": 60.0,
        **changes,
    }
    return Ledger([Jail(**facts)], Protected(), DAY)  # type: ignore[arg-type]


def heard(book: Ledger, *events: Offence | Success | Proxy) -> list[str]:
    """Give the sources banned by *events*, one a second."""
    return [str(ban.source) for at, event in enumerate(events) for ban in book.hear(event, float(at), lambda: 0.0)]


def test_three_offences_ban() -> None:
    assert heard(ledger(), *[offence("192.0.2.7")] * 3) == ["192.0.2.7/32"]


def test_the_neighbours_of_a_64_are_counted_together() -> None:
    events = [offence("2001:db8::1"), offence("2001:db8::2"), offence("2001:db8:0:0:ffff::3")]
    assert heard(ledger(), *events) == ["2001:db8::/64"]
    assert heard(ledger(), *events[:2], offence("2001:db8:0:1::3")) == []


def test_a_filter_that_the_jail_does_not_name_is_not_its_business() -> None:
    assert heard(ledger(), *[offence("192.0.2.7", name="traefik")] * 3) == []


def test_a_container_is_judged_by_its_own_jails() -> None:
    book = ledger()
    for _ in range(5):
        assert book.hear(offence("192.0.2.7"), 0.0, lambda: 0.0, frozenset({"another"})) == []


def test_a_success_forgives_and_earns_trust() -> None:
    assert heard(ledger(), *[offence("192.0.2.7")] * 2, success("192.0.2.7"), *[offence("192.0.2.7")] * 9) == []


def test_trust_ends() -> None:
    book = ledger(forgive=False)
    book.hear(success("192.0.2.7"), 0.0, lambda: 0.0)
    assert book.is_trusted(ip_address("192.0.2.7"), DAY - 1)
    assert not book.is_trusted(ip_address("192.0.2.7"), DAY)


def test_without_trust_a_success_only_forgives() -> None:
    book = ledger()
    book.trust_seconds = 0.0
    events = [*[offence("192.0.2.7")] * 2, success("192.0.2.7"), *[offence("192.0.2.7")] * 3]
    assert heard(book, *events[:-1]) == []
    assert heard(book, events[-1]) == ["192.0.2.7/32"]


def test_a_proxy_that_the_log_shows_is_never_banned_and_its_neighbours_are() -> None:
    book = ledger()
    book.hear(Proxy(ip_address("2001:db8::9"), "haraka", 1, None), 0.0, lambda: 0.0)
    assert heard(book, *[offence("2001:db8::9")] * 9) == []
    assert book.ignored(ip_address("2001:db8::9"), 0.0) == "proxy"
    assert heard(book, *[offence("2001:db8::7")] * 3) == ["2001:db8::/64"]


def test_a_jails_own_ignoreip_counts() -> None:
    assert heard(ledger(ignoreip=(ip_network("192.0.2.0/24"),)), *[offence("192.0.2.7")] * 9) == []


def test_a_disabled_jail_judges_nobody() -> None:
    assert heard(ledger(enabled=False), *[offence("192.0.2.7")] * 9) == []


def test_any_number_of_sources_does_not_grow_it() -> None:
    book = ledger()
    for number in range(100_000):
        address = ip_address((0x2001_0DB8 << 96) + (number << 64) + 1)
        book.hear(Offence(address, "legacy_tls", "", "haraka", 1, None, b""), 0.0, lambda: 0.0)
    assert len(book.histories) <= ledger_module.MOST_SOURCES
    assert len(book._fixed) <= ledger_module.MOST_SOURCES
    book.changes()


def test_successes_of_any_number_of_sources_do_not_grow_it() -> None:
    book = ledger()
    for number in range(100_000):
        book.hear(Success(ip_address(0x0B000000 + number), "haraka", 1, None), 0.0, lambda: 0.0)
    assert len(book.trusted) <= ledger_module.MOST_TRUSTED


def test_what_changed_is_told_once_and_can_be_put_back() -> None:
    book = ledger()
    heard(book, *[offence("192.0.2.7")] * 2)
    ((name, key, history),) = book.changes()
    assert book.changes() == []
    assert history is not None
    again = ledger()
    again.restore({(name, key): history}, {})
    assert heard(again, offence("192.0.2.7")) == ["192.0.2.7/32"]


def test_what_is_of_no_more_use_is_forgotten() -> None:
    book = ledger()
    heard(book, offence("192.0.2.7"), success("192.0.2.8"))
    book.changes()
    book.expire(2 * DAY)
    assert (book.histories, book.trusted) == ({}, {})
    assert [history for _, _, history in book.changes()] == [None]
