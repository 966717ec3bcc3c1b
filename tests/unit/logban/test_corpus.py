"""Every recorded log through the code that reads live ones, against the truth of who did what.

tests/data/corpus/README.md explains the labels.
"""

from __future__ import annotations

import gzip
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import yaml

from logban import rules
from logban.offence import STRONG_KINDS, Offence, Proxy, Success
from logban.recognition import Log, Recogniser

CORPUS = Path(__file__).parents[2] / "data" / "corpus"
NAMES = sorted(path.name.removesuffix(".labels.yml") for path in CORPUS.glob("*.labels.yml"))
# Scanners: one source, many connections of many kinds.
SCANNERS = ("sslscan", "testssl_protocols")


@dataclass(frozen=True)
class Read:
    """A log, what it shows, and what is true."""

    data: bytes
    labels: dict[str, Any]
    kinds: dict[str, Counter[str]]
    lines: dict[str, list[int]]
    successes: set[str]
    proxies: set[str]
    filters: set[str]
    log: Log

    def sources(self, expect: str) -> list[dict[str, Any]]:
        return [each for each in self.labels["sources"] if isinstance(each, dict) and each["expect"] == expect]

    def of(self, source: dict[str, Any]) -> Counter[str]:
        return self.kinds.get(str(ip_address(source["ip"])), Counter())


@cache
def recogniser() -> Recogniser:
    return Recogniser(rules.shipped().values())


@cache
def read(name: str) -> Read:
    labels = yaml.load((CORPUS / f"{name}.labels.yml").read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    data = gzip.decompress((CORPUS / f"{name}.log.gz").read_bytes())
    log = Log(recogniser())
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    lines: dict[str, list[int]] = defaultdict(list)
    found = Read(data, labels, kinds, lines, set(), set(), set(), log)
    for event in log.feed(data):
        address = str(event.address)
        if isinstance(event, Offence):
            kinds[address][event.kind] += 1
            lines[address].append(event.line)
            found.filters.add(event.filter)
        elif isinstance(event, Success):
            found.successes.add(address)
        elif isinstance(event, Proxy):
            found.proxies.add(address)
    return found


def is_benign(name: str) -> bool:
    return name.startswith("benign-")


PROBED = [name for name in NAMES if not is_benign(name)]


@pytest.mark.parametrize("name", NAMES)
def test_every_line_is_counted(name: str) -> None:
    assert read(name).log.lines == read(name).labels["lines"]


@pytest.mark.parametrize("name", PROBED)
def test_every_source_that_must_be_found_is_found(name: str) -> None:
    found = read(name)
    missed = [each for each in found.sources("must") if not found.of(each).keys() & set(STRONG_KINDS)]
    assert not missed


@pytest.mark.parametrize("name", PROBED)
def test_a_source_is_counted_once_for_each_connection(name: str) -> None:
    found = read(name)
    # With disable_for_failed_hosts Haraka refuses STARTTLS from the second connection on, which then shows nothing.
    one_failure_only = found.labels["log_settings"].get("disable_for_failed_hosts", False)
    for source in found.sources("must"):
        if source["probe"] not in SCANNERS:
            expected = 1 if one_failure_only else source["connections"]
            counted = sum(found.of(source).values())
            assert counted == expected or counted == source["connections"], source


@pytest.mark.parametrize("name", [name for name in PROBED if read(name).labels["order"] == "serial"])
def test_offences_stand_where_the_source_was_active(name: str) -> None:
    found = read(name)
    for source in found.sources("must"):
        first, last = source["lines"]
        assert all(first <= line <= last for line in found.lines[str(ip_address(source["ip"]))]), source


@pytest.mark.parametrize("name", PROBED)
def test_nobody_is_flagged_who_must_never_be(name: str) -> None:
    found = read(name)
    flagged = [
        (source, found.of(source)) for source in found.sources("never") if found.of(source).keys() - {"auth_failure"}
    ]
    assert not flagged


@pytest.mark.parametrize("name", PROBED)
def test_where_the_log_holds_no_address_nothing_is_guessed(name: str) -> None:
    found = read(name)
    named = {str(ip_address(source["ip"])) for source in found.labels["sources"]}
    guessed = [source for source in found.sources("cannot") if found.of(source)]
    assert not guessed
    assert not found.kinds.keys() - named


@pytest.mark.parametrize("name", NAMES)
def test_no_address_is_blamed_that_is_no_client(name: str) -> None:
    found = read(name)
    assert not found.kinds.keys() & {each["ip"] for each in found.labels.get("never_ban", [])}


@pytest.mark.parametrize("name", [name for name in NAMES if is_benign(name)])
def test_ordinary_traffic_shows_no_tls_offence(name: str) -> None:
    kinds = Counter(kind for counts in read(name).kinds.values() for kind in counts)
    assert not kinds.keys() - {"auth_failure"}


@pytest.mark.parametrize("name", NAMES)
def test_only_the_filter_of_the_server_speaks(name: str) -> None:
    assert read(name).filters <= {read(name).labels["service"]}


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in PROBED
        if any(each["detect"] in ("no_ip", "order_only") for each in read(name).sources("cannot"))
    ],
)
def test_offences_that_cannot_be_attributed_are_counted_and_explained(name: str) -> None:
    unattributed = read(name).log.unattributed()
    assert unattributed
    assert all(each.advice for each in unattributed)


def test_wildduck_until_1_50_leaves_one_count_for_each_unattributable_connection() -> None:
    found = read("wildduck-1.46.1-node20-imap")
    unnamed = [each for each in (*found.sources("cannot"), *found.sources("may")) if each["detect"] == "no_ip"]
    connections = sum(each["connections"] for each in unnamed if each["verdict"] != "aborted")
    assert sum(each.count for each in found.log.unattributed()) == connections


def test_the_sender_of_proxy_headers_is_known_for_a_proxy() -> None:
    assert read("haraka-3.1.1-node25-proxy").proxies == {"127.0.0.250"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("benign-haraka-3.1.1", 59),
        ("benign-zonemta-3.11.0-node25", 59),
        ("benign-wildduck-1.51.1-node25", 59),
        ("benign-postfix-3.7.11", 59),
        ("benign-dovecot-2.3.19", 59),
    ],
)
def test_good_logins_and_accepted_mails_are_seen(name: str, expected: int) -> None:
    assert len(read(name).successes) == expected


@pytest.mark.parametrize(
    "name",
    [
        "haraka-3.1.1-node25-interleaved",
        "wildduck-1.46.1-node20-imap",
        "wildduck-1.51.1-node25-interleaved",
        "zonemta-3.11.0-node25-interleaved",
        "postfix-3.7.11-interleaved",
        "traefik-3.6.7-debug",
    ],
)
def test_line_by_line_tells_what_the_whole_log_tells(name: str) -> None:
    data = read(name).data
    at_once = Log(recogniser()).feed(data)
    log = Log(recogniser())
    by_line = [event for line in data.split(b"\n")[:-1] for event in log.feed(line + b"\n")]
    assert by_line == at_once
