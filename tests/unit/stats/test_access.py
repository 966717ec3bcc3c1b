"""Who is let in, who has to wait, and whose address counts."""

import json
import logging
from ipaddress import ip_network

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from sidecarkit import logs, settings
from sidecarkit.errors import SettingsError
from stats import access
from stats.access import Admission, Credentials, Gate, Throttle, client_of
from stats.config import Config
from stats.metrics import Metrics
from stats.password import Plain, make_hash

RIGHT = Credentials("admin", "correct horse battery")
WRONG = Credentials("admin", "canary-that-is-wrong")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class CountingVerifier(Plain):
    asked = 0

    def is_right(self, value: str) -> bool:
        self.asked += 1
        return super().is_right(value)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def gate(clock: Clock, registry: CollectorRegistry) -> Gate:
    return Gate("admin", Plain(RIGHT.password), Metrics(registry), logs.get("stats"), clock)


def test_user_and_password_together_open_the_door(gate: Gate) -> None:
    assert gate.admit("192.0.2.1", RIGHT) == (Admission.GRANTED, 0.0)


@pytest.mark.parametrize(
    "given",
    [None, WRONG, Credentials("root", RIGHT.password), Credentials("", ""), Credentials("ADMIN", RIGHT.password)],
)
def test_anything_else_does_not(gate: Gate, given: Credentials | None) -> None:
    assert gate.admit("192.0.2.1", given) == (Admission.UNKNOWN, 0.0)


def test_the_password_is_looked_at_although_the_user_is_wrong(registry: CollectorRegistry) -> None:
    verifier = CountingVerifier(RIGHT.password)
    gate = Gate("admin", verifier, Metrics(registry), logs.get("stats"))
    gate.admit("192.0.2.1", Credentials("root", "whatever"))
    gate.admit("192.0.2.1", Credentials("admin", "whatever"))
    assert verifier.asked == 2


def test_the_eleventh_failure_within_a_minute_has_to_wait_and_so_has_the_right_password(
    gate: Gate, clock: Clock
) -> None:
    answers = [gate.admit("192.0.2.1", WRONG)[0] for _ in range(11)]
    assert answers == [Admission.UNKNOWN] * 10 + [Admission.THROTTLED]
    clock.now += 20
    assert gate.admit("192.0.2.1", RIGHT) == (Admission.THROTTLED, 40.0)
    assert gate.admit("192.0.2.2", RIGHT)[0] is Admission.GRANTED
    clock.now += 40
    assert gate.admit("192.0.2.1", RIGHT)[0] is Admission.GRANTED


def test_a_request_without_credentials_is_no_failure(gate: Gate) -> None:
    for _ in range(50):
        gate.admit("192.0.2.1", None)
    assert gate.admit("192.0.2.1", RIGHT)[0] is Admission.GRANTED


def test_the_addresses_of_one_ipv6_network_count_together(gate: Gate) -> None:
    for number in range(10):
        gate.admit(f"2001:db8::{number:x}", WRONG)
    assert gate.admit("2001:db8::ffff", RIGHT)[0] is Admission.THROTTLED
    assert gate.admit("2001:db8:0:1::1", RIGHT)[0] is Admission.GRANTED


def test_many_who_guess_keep_out_strangers_but_not_whoever_was_let_in_before(gate: Gate, clock: Clock) -> None:
    gate.admit("192.0.2.1", RIGHT)
    for number in range(access.FAILURES_ALL):
        gate.admit(f"198.51.100.{number}", WRONG)
    assert gate.admit("203.0.113.9", RIGHT)[0] is Admission.THROTTLED
    assert gate.admit("192.0.2.1", RIGHT)[0] is Admission.GRANTED
    clock.now += access.WINDOW_SECONDS
    assert gate.admit("203.0.113.9", RIGHT)[0] is Admission.GRANTED


def test_strangers_without_number_do_not_make_it_forget_whoever_was_let_in_before(
    gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    gate.admit("192.0.2.1", RIGHT)
    for number in range(access.FAILURES_ALL):
        gate.admit(f"198.51.100.{number}", WRONG)
    for number in range(2 * access.CLIENTS_KEPT):
        assert gate.admit(f"2001:db8:0:{number:x}::1", WRONG)[0] is Admission.THROTTLED
    assert caplog.messages.count("login_throttled") == 1
    assert gate.admit("192.0.2.1", RIGHT)[0] is Admission.GRANTED


def test_ten_thousand_attackers_take_no_more_memory_and_no_more_labels_than_a_thousand(
    gate: Gate, clock: Clock, registry: CollectorRegistry
) -> None:
    def names() -> set[str]:
        return {line.rpartition(" ")[0] for line in generate_latest(registry).decode().splitlines()}

    before = names()
    for number in range(10_000):
        gate.admit(f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}", WRONG)
        clock.now += 1.0
    assert names() == before
    assert len(gate._throttle) == access.CLIENTS_KEPT


def test_who_was_not_heard_of_longest_is_forgotten_first() -> None:
    throttle = Throttle(kept=2)
    for _ in range(access.FAILURES_EACH):
        throttle.failed("a", 0.0)
    throttle.failed("b", 1.0)
    throttle.failed("c", 2.0)
    assert throttle.wait_seconds("a", 3.0) == 0.0


def test_a_failure_is_logged_with_the_address_alone_and_a_throttled_client_once(
    gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(15):
            gate.admit("192.0.2.1", WRONG)
    lines = [json.loads(logs.JsonFormatter().format(record)) for record in caplog.records]
    assert [line["event"] for line in lines] == ["login_failed"] * 10 + ["login_throttled"]
    assert {line["ip"] for line in lines} == {"192.0.2.1"}
    assert "canary" not in json.dumps(lines)
    assert "admin" not in json.dumps(lines)


# Whose address counts

TRUSTED = (ip_network("172.20.0.0/16"), ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),  # a stranger may say what it likes
        ("172.20.0.2", [], "172.20.0.2"),
        ("172.20.0.2", ["198.51.100.1"], "198.51.100.1"),
        ("172.20.0.2", ["127.0.0.1", "198.51.100.1"], "198.51.100.1"),  # what the client itself sent stands first
        ("172.20.0.2", ["198.51.100.1", " 172.20.0.9 "], "198.51.100.1"),  # two proxies of ours
        ("::ffff:172.20.0.2", ["::ffff:198.51.100.1"], "198.51.100.1"),
        ("fd00::2", ["2001:DB8::1"], "2001:db8::1"),
        ("172.20.0.2", ["<script>"], "172.20.0.2"),
        ("", ["198.51.100.1"], "unknown"),
    ],
)
def test_the_nearest_address_that_is_no_proxy_of_ours_is_the_client(
    peer: str, forwarded: list[str], client: str
) -> None:
    assert client_of(peer, forwarded, TRUSTED) == client


# The settings


def config(**variables: str) -> Config:
    return settings.read(Config, variables)


def test_without_a_password_nobody_is_served() -> None:
    with pytest.raises(SettingsError, match="STATS_PASSWORD is not set"):
        access.verifier(config())
    with pytest.raises(SettingsError, match="STATS_PASSWORD is not set"):
        access.verifier(config(STATS_PASSWORD=""))


def test_a_password_and_a_hash_are_one_too_many() -> None:
    with pytest.raises(SettingsError, match="expected one of them"):
        access.verifier(config(STATS_PASSWORD=RIGHT.password, STATS_PASSWORD_HASH=make_hash(RIGHT.password)))
