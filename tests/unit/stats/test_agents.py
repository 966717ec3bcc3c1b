"""What the other agents' figures and logban's state tell."""

import json
import os
import time
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

import autoheal.metrics
import certsync.metrics
import confcheck.metrics
import logban.metrics
from confcheck.finding import Finding
from confcheck.look import Look
from lab.server import SmallServer, reply
from logban.store import BanRecord, Store
from sidecarkit import logs
from stats import agents, exposition
from stats.agents import HealTally, LogbanFigures, LogbanState
from stats.facts import Ban, Configuration
from stats.source import SourceDown

DAY = 86400.0
NOW = 10 * DAY


# Heals


def test_heals_are_counted_as_they_come_and_forgotten_after_a_day() -> None:
    tally = HealTally()
    tally.add(NOW, NOW - 5, {"haraka": 0.0}, {})
    tally.add(NOW + 15, NOW - 5, {"haraka": 1.0, "redis": 2.0}, {"haraka": NOW + 10})
    assert tally.counts(NOW + 15) == {"haraka": 1, "redis": 2}
    assert tally.counts(NOW + 10 + DAY) == {"haraka": 1, "redis": 2}
    assert tally.counts(NOW + 11 + DAY) == {"redis": 2}


def test_what_a_young_autoheal_has_counted_already_counts() -> None:
    tally = HealTally()
    tally.add(NOW, NOW - DAY / 2, {"haraka": 3.0}, {"haraka": NOW - 60})
    assert (tally.counts(NOW), tally.since) == ({"haraka": 3}, NOW - DAY / 2)


def test_what_an_old_autoheal_counted_before_we_came_is_not_known() -> None:
    tally = HealTally()
    tally.add(NOW, NOW - 5 * DAY, {"haraka": 70.0}, {"haraka": NOW - 60})
    tally.add(NOW + 15, NOW - 5 * DAY, {"haraka": 71.0}, {"haraka": NOW + 1})
    assert (tally.counts(NOW + 15), tally.since) == ({"haraka": 1}, NOW)


def test_an_autoheal_that_started_anew_begins_at_nothing_and_its_earlier_heals_stay() -> None:
    tally = HealTally()
    tally.add(NOW, NOW - 5, {"haraka": 2.0}, {})
    tally.add(NOW + 60, NOW + 50, {"haraka": 1.0}, {})
    assert tally.counts(NOW + 60) == {"haraka": 3}


def test_autoheals_own_figures_are_understood() -> None:
    registry = CollectorRegistry()
    metrics = autoheal.metrics.Metrics(registry)
    metrics.docker_up.set(1)
    for result, count in (("ok", 2), ("failed", 1), ("skipped", 4)):
        metrics.heals.labels("haraka", result).inc(count)
    metrics.given_up.labels("redis").set(1)
    metrics.given_up.labels("haraka").set(0)
    found = agents.heals(exposition.read(generate_latest(registry).decode()), HealTally(), time.time())
    assert (dict(found.counts), found.given_up, found.sees_engine) == ({"haraka": 3}, {"redis"}, True)


# Certificates


def test_certsyncs_own_figures_are_understood() -> None:
    registry = CollectorRegistry()
    metrics = certsync.metrics.Metrics(registry)
    for target, in_sync in (("haraka", True), ("zonemta", False)):
        metrics.target_in_sync.labels("mail.example.com", target).set(in_sync)
    metrics.served_in_sync.labels("mail.example.com", "haraka").set(1)
    metrics.refusals.labels("zonemta", "source_torn").set(1)
    for where, ends in (("source", 300.0), ("target", 200.0), ("served", 100.0)):
        metrics.not_after.labels("mail.example.com", where).set(ends)
    haraka, zonemta = agents.certificates(exposition.read(generate_latest(registry).decode()))
    assert (haraka.target, haraka.not_after, haraka.in_sync, haraka.served, haraka.reason) == (
        "haraka", 100.0, True, True, None,
    )  # fmt: skip
    assert (zonemta.in_sync, zonemta.served, zonemta.reason) == (False, None, "source_torn")
    assert zonemta.not_after == 200.0  # nobody looked at what it serves; the one on disk is known


@pytest.mark.parametrize(
    "reader", [agents.certificates, agents.configuration, lambda found: agents.heals(found, HealTally(), NOW)]
)
def test_the_figures_of_another_agent_are_not_mistaken(reader: object) -> None:
    with pytest.raises(SourceDown, match="not with"):
        reader(exposition.read("up 1\n"))  # type: ignore[operator]


# Configuration


def looked_at(*findings: str) -> str:
    registry = CollectorRegistry()
    found = tuple(Finding("haraka/tls.ini", 1, "leftover", severity, "a placeholder") for severity in findings)
    confcheck.metrics.Metrics(registry).looked(Look(12, found, (), ()), NOW, 0.1)
    return generate_latest(registry).decode()


def test_confchecks_own_figures_are_understood() -> None:
    found = agents.configuration(exposition.read(looked_at("error", "error", "warning")))
    assert found == Configuration({"error": 2, "warning": 1}, 0)


def test_a_confcheck_that_has_not_looked_yet_has_not_found_nothing() -> None:
    registry = CollectorRegistry()
    confcheck.metrics.Metrics(registry)
    with pytest.raises(SourceDown, match="not looked yet"):
        agents.configuration(exposition.read(generate_latest(registry).decode()))


# Bans


def test_logbans_own_figures_tell_how_many_and_when_but_not_whom() -> None:
    registry = CollectorRegistry()
    metrics = logban.metrics.Metrics(registry)
    metrics.introduce("nftables", ["mail-auth"])
    metrics.backend_up.labels("nftables").set(1)
    metrics.bans.labels("mail-auth").inc(5)
    with SmallServer(lambda line: [reply(200, generate_latest(registry))], tcp=True) as server:
        source = LogbanFigures(f"http://127.0.0.1:{server.port}", 2.0)
        assert source.look().last == ()  # what was before is of an unknown time
        metrics.bans.labels("mail-auth").inc(2)
        metrics.active_bans.labels("mail-auth", "ipv4").set(1)
        metrics.active_bans.labels("mail-auth", "ipv6").set(2)
        metrics.backend_up.labels("nftables").set(0)
        found = source.look()
    assert [(ban.jail, ban.source) for ban in found.last] == [("mail-auth", None)] * 2
    assert found.active == {"mail-auth": 3}
    assert found.troubles == ("the firewall did not do what was asked",)
    assert (found.backend, found.backend_ok) == ("nftables", False)


def test_a_firewall_that_was_asked_for_nothing_yet_is_not_known_to_work() -> None:
    registry = CollectorRegistry()
    logban.metrics.Metrics(registry).introduce("nftables", ["mail-auth"])
    with SmallServer(lambda line: [reply(200, generate_latest(registry))], tcp=True) as server:
        found = LogbanFigures(f"http://127.0.0.1:{server.port}", 2.0).look()
    assert (found.backend, found.backend_ok, found.troubles) == ("nftables", None, ())


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Make a state folder as logban does, with three bans: in force, over, and only tried."""
    store = Store(tmp_path, logs.get("logban"))
    now = time.time()
    for source, until, dry in (("192.0.2.1/32", 60, False), ("2001:db8::/64", -60, False), ("192.0.2.3/32", 60, True)):
        address = ip_address(source.split("/")[0])
        store.ban(BanRecord(ip_network(source), "", "mail-auth", now - 100, now + until, address=address, dry_run=dry))
    store.expire(now)
    store.close()
    beat(tmp_path, [])
    return tmp_path


def beat(folder: Path, reasons: list[str], age: float = 0.0) -> None:
    document = {"at": time.time() - age, "pid": os.getpid(), "reasons": reasons}
    (folder / "heartbeat.json").write_text(json.dumps(document))


def test_logbans_state_tells_whom(state: Path) -> None:
    found = LogbanState(state, 2.0).look()
    assert found.active == {"mail-auth": 1}
    assert [(ban.source, ban.ended) for ban in found.last] == [("2001:db8::/64", "expired"), ("192.0.2.1", None)]
    assert isinstance(found.last[0], Ban)


def test_what_logban_says_of_itself_is_passed_on(state: Path) -> None:
    beat(state, ["firewall: nft is missing"])
    assert LogbanState(state, 2.0).look().troubles == ("firewall: nft is missing",)


@pytest.mark.parametrize(
    ("reasons", "works"),
    [([], True), (["the engine does not answer"], True), (["the engine does not answer", "nftables: ban: no"], False)],
)
def test_only_what_it_says_of_its_firewall_is_the_firewalls_trouble(
    state: Path, reasons: list[str], works: bool
) -> None:
    beat(state, reasons)
    assert LogbanState(state, 2.0).look().backend_ok is None
    store = Store(state, logs.get("logban"))
    store.show("status", {"backend": "nftables"})
    store.close()
    assert LogbanState(state, 2.0).look().backend_ok is works


def test_a_logban_whose_heart_does_not_beat_does_not_run(state: Path) -> None:
    beat(state, [], age=100)
    with pytest.raises(SourceDown, match="does not run"):
        LogbanState(state, 2.0).look()
    (state / "heartbeat.json").unlink()
    with pytest.raises(SourceDown, match="heartbeat cannot be read"):
        LogbanState(state, 2.0).look()


def test_a_state_that_cannot_be_read_is_said_to_be_so(tmp_path: Path) -> None:
    beat(tmp_path, [])
    with pytest.raises(SourceDown, match="cannot be read"):
        LogbanState(tmp_path, 2.0).look()
    (tmp_path / "logban.db").write_bytes(b"no database" * 100)
    with pytest.raises(SourceDown, match="cannot be read"):
        LogbanState(tmp_path, 2.0).look()
