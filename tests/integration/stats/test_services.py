"""The page beside a real mail stack: true figures, and whoever hangs is the only one that is down."""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pymongo
import pytest

from lab import stack as lab
from lab.stack import Stack
from lab.stats import Stats
from lab.wire import wait_for

NAMES = {
    "mongo": "mongo",
    "redis": "redis",
    "zonemta": "zonemta",
    "rspamd": "rspamd",
    "wildduck": "wildduck",
    "webmail": "wildduck-webmail",
}
URLS = {
    "STATS_MONGO_URL": "mongodb://127.0.0.1:27017",
    "STATS_REDIS_URL": "redis://127.0.0.1:6379",
    "STATS_ZONEMTA_URL": "http://127.0.0.1:12080",
    "STATS_RSPAMD_URL": "http://127.0.0.1:11334",
    "STATS_WILDDUCK_URL": "http://127.0.0.1:8081",
    "STATS_WEBMAIL_URL": "http://127.0.0.1:3000",
}
# The test pattern that every spam filter takes for spam.
GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
MESSAGE = "From: a@example.com\r\nTo: b@example.net\r\nSubject: {0}\r\nMessage-ID: <{0}@example.com>\r\n\r\n{1}\r\n"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    lab.install()
    with lab.network(), Stack(tmp_path_factory.mktemp("stack")) as running:
        for service in NAMES.values():
            assert running[service].process.poll() is None
        yield running


@pytest.fixture(scope="module")
def stats(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stats]:
    with Stats(tmp_path_factory.mktemp("stats"), env={**URLS, "STATS_RSPAMD_PASSWORD": "q1"}) as running:
        running.wait_until(lambda one: all(one["services"][name]["up"] for name in NAMES), "all services are up")
        yield running


def ask(port: int, method: str, path: str, body: str = "", **headers: str) -> Any:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == 200, text
        return json.loads(text)


def test_redis_figures_are_redis_own(stats: Stats) -> None:
    with socket.create_connection(("127.0.0.1", 6379), 10) as redis:
        redis.sendall(b"".join(b"SET stats-%d x\r\n" % number for number in range(5)) + b"INFO\r\n")
        said = b""
        while b"db0:keys=" not in said:
            said += redis.recv(65536)
    facts = dict(line.split(":", 1) for line in said.decode().split("\r\n") if ":" in line)
    known = stats.wait_until(
        lambda one: (
            (one["services"]["redis"].get("keys") or 0) >= 5 and one["services"]["redis"]["operations_per_second"]
        ),
        "the keys and a rate are seen",
    )["services"]["redis"]
    assert known["version"] == facts["redis_version"]
    assert known["uptime_seconds"] >= int(facts["uptime_in_seconds"])
    assert known["latency_seconds"] > 0


def test_mongos_figures_are_its_own(stats: Stats) -> None:
    before = stats.document()["services"]["mongo"]
    with pymongo.MongoClient("mongodb://127.0.0.1:27017", directConnection=True) as client:
        for number in range(20):
            client.stats.probe.insert_one({"number": number})
        said = client.admin.command("serverStatus")
        known = stats.wait_until(
            lambda one: (one["services"]["mongo"]["insert_per_second"] or 0) > 0, "the inserts are seen"
        )["services"]["mongo"]
    assert known["version"] == said["version"] == before["version"]
    assert known["connections"] >= 1
    assert known["operations_per_second"] >= known["insert_per_second"]
    assert known["read_latency_seconds"] is None  # the stand-in has no latencies: unknown, not zero


def test_rspamds_figures_are_of_what_it_scanned(stats: Stats) -> None:
    before = stats.document()["services"]["rspamd"]
    for subject, text in (("spam", GTUBE), ("ham", "How is the weather?"), ("ham2", "Fine, thank you.")):
        ask(11334, "POST", "/checkv2", MESSAGE.format(subject, text), Password="q1")
    document = stats.wait_until(
        lambda one: one["services"]["rspamd"]["scanned_total"] == before["scanned_total"] + 3, "three were scanned"
    )
    known = document["services"]["rspamd"]
    assert known["spam_total"] == before["spam_total"] + 1
    assert document["mail"]["spam_share"] == pytest.approx(1 / 3)
    assert document["mail"]["scan_time_seconds"] > 0
    assert document["mail"]["scanned_per_minute"] > 0


def test_zonemtas_queue_is_what_its_own_count_says(stats: Stats) -> None:
    for number in range(3):
        mail = {"envelope": {"from": "a@example.com", "to": [f"b{number}@example.net"]}, "subject": "x", "text": "x"}
        ask(12080, "POST", "/send", json.dumps(mail), **{"Content-Type": "application/json"})

    def as_counted() -> bool:
        counted = ask(12080, "GET", "/counter/zone/default")
        queue = counted["active"]["rows"] + counted["deferred"]["rows"]
        mail = stats.document()["mail"]
        return bool(queue >= 3 and queue == (mail["queued"] or 0) + (mail["deferred"] or 0))

    wait_for(as_counted, "the page shows the queue that ZoneMTA counts", deadline=60.0, pause=0.5)


def test_all_of_them_are_up_with_a_latency_and_an_age(stats: Stats) -> None:
    services = stats.document()["services"]
    for name in NAMES:
        assert (services[name]["up"], services[name]["state"]) == (True, "up"), services[name]
        assert services[name]["latency_seconds"] > 0
        assert services[name]["age_seconds"] < 60
    assert services["opensearch"]["state"] == "not used"


@pytest.mark.parametrize("name", NAMES)
def test_who_hangs_is_down_alone_and_comes_back(stack: Stack, stats: Stats, name: str) -> None:
    stats.wait_until(lambda one: all(one["services"][each]["up"] for each in NAMES), "all are up before")
    alone = {each: "down" if each == name else "up" for each in NAMES}
    seen_at = ""
    with stack[NAMES[name]].frozen():
        for _ in range(3):  # and it stays so
            document = stats.wait_until(
                lambda one, since=seen_at: (
                    one["generated_at"] > since and {each: one["services"][each]["state"] for each in NAMES} == alone
                ),
                f"{name} is down, and nobody else",
            )
            seen_at = document["generated_at"]
        assert any(problem.startswith(f"{name} down") for problem in document["problems"])
        assert stats.get("/stats")[0] == 200
        assert document["services"][name]["age_seconds"] > 0  # the last good figures are there, and how old they are
    stats.wait_until(lambda one: one["services"][name]["up"], f"{name} is back", deadline=60.0)


def test_no_secret_is_in_what_it_says(stats: Stats) -> None:
    said = [stats.get(path)[1] for path in ("/stats", "/stats.json", "/stats?fragment=1")]
    said += [json.dumps(stats.lines()), stats.stderr]
    assert not [text for text in said if '"q1"' in text or "kestrel" in text]


def test_asking_makes_no_session_in_the_webmail(stats: Stats) -> None:
    with socket.create_connection(("127.0.0.1", 6379), 10) as redis:
        redis.sendall(b"KEYS sess:*\r\n")
        assert redis.recv(4096) == b"*0\r\n"


def test_it_stops_within_seconds_although_somebody_hangs(stack: Stack, tmp_path: Path) -> None:
    with stack["mongo"].frozen(), Stats(tmp_path, env=URLS) as stats:
        stats.wait_for("source_down", source="mongo")
        assert stats.stop(10.0) == 0
