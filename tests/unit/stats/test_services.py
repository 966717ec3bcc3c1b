"""What each service's own documents tell. Those of MongoDB and OpenSearch are recorded: neither runs here."""

import json
from pathlib import Path
from typing import Any

import pytest

from lab.server import SmallServer, reply
from stats import exposition, mailflow, mongo, redis
from stats.mailflow import Answering, OpenSearch, Rspamd, ZoneMta
from stats.mongo import Mongo
from stats.rates import Ratio, Sample
from stats.redis import Redis
from stats.source import SourceDown

RECORDED = Path(__file__).parents[2] / "data" / "stats"


def recorded(name: str) -> Any:
    return json.loads((RECORDED / name).read_text())


# MongoDB


def test_a_status_of_mongodb_8_tells_operations_latencies_connections_and_memory() -> None:
    found = mongo.reading(0.002, recorded("mongo-8.0-serverstatus.json"))
    assert found.figures == {
        "version": "8.0.4", "uptime_seconds": 86400.0, "connections": 24, "connections_available": 51176,
        "memory_bytes": 412 * 2**20, "waiting_operations": 0,
    }  # fmt: skip
    assert found.counters["operations"] == 120 + 4500 + 300 + 20 + 80 + 90000
    assert (found.counters["reads"], found.counters["reads_seconds"]) == (4600.0, 2.3)
    assert "deprecated" not in found.counters


def test_the_mean_latency_is_that_of_the_operations_since_the_look_before() -> None:
    before = mongo.reading(0.002, recorded("mongo-8.0-serverstatus.json")).counters
    after = {**before, "reads": before["reads"] + 10, "reads_seconds": before["reads_seconds"] + 0.05}
    (latency,) = [each for each in Mongo.derived if each.name == "read_latency_seconds"]
    assert isinstance(latency, Ratio)
    assert latency.of([Sample(0, before), Sample(15, after)]) == pytest.approx(0.005)


def test_a_status_without_the_parts_that_a_server_may_leave_out_is_read() -> None:
    found = mongo.reading(0.002, {"version": "8.2.11"})
    assert found.figures["memory_bytes"] is None
    assert found.counters == {}


# Redis

INFO = """# Server\r
redis_version:7.0.15\r
uptime_in_seconds:3600\r
connected_clients:7\r
used_memory:1048576\r
maxmemory:0\r
total_commands_processed:12345\r
rdb_last_bgsave_status:ok\r
db0:keys=10,expires=2,avg_ttl=0\r
db13:keys=5,expires=0,avg_ttl=0\r
"""


def test_redis_tells_its_memory_keys_and_commands() -> None:
    found = redis.reading(0.001, redis.info(INFO))
    assert (found.figures["keys"], found.figures["memory_bytes"]) == (15, 2**20)
    assert found.figures["memory_limit_bytes"] is None
    assert found.counters == {"commands": 12345}
    assert found.note is None


@pytest.mark.parametrize(
    ("line", "note"),
    [
        ("loading:1", "is still loading its data"),
        ("rdb_last_bgsave_status:err", "could not save its data (last bgsave failed)"),
        ("aof_enabled:1\r\naof_last_write_status:err", "could not write its append-only file"),
    ],
)
def test_a_redis_that_loses_data_is_not_well(line: str, note: str) -> None:
    assert redis.reading(0.001, redis.info(INFO + line)).note == note


# Over HTTP

ZONEMTA = """# TYPE zonemta_delivery_status counter
zonemta_delivery_status{status="delivered",zone="default"} 40
zonemta_delivery_status{status="delivered",zone="bulk"} 2
zonemta_delivery_status{status="rejected",zone="default"} 3
# TYPE zonemta_queue_size gauge
zonemta_queue_size{type="queued"} 8
zonemta_queue_size{type="deferred"} 5
# TYPE zonemta_message_push counter
zonemta_message_push{result="success"} 50
"""


def test_zonemta_tells_its_queue_and_deliveries_over_all_zones() -> None:
    found = mailflow.zonemta(exposition.read(ZONEMTA))
    assert (found.figures["queued"], found.figures["deferred"]) == (8, 5)
    assert found.counters == {"delivered": 42.0, "rejected": 3.0, "deferred": 0.0}


def test_in_its_first_seconds_zonemtas_queue_is_unknown_and_not_empty() -> None:
    text = "".join(line for line in ZONEMTA.splitlines(keepends=True) if "queue_size" not in line)
    assert mailflow.zonemta(exposition.read(text)).figures["queued"] is None


def test_a_zonemta_that_has_delivered_nothing_yet_is_one() -> None:
    text = "".join(line for line in ZONEMTA.splitlines(keepends=True) if line.startswith("#"))
    assert mailflow.zonemta(exposition.read(text)).figures["delivered_total"] == 0


def test_the_figures_of_something_else_are_not_zonemtas() -> None:
    with pytest.raises(SourceDown, match="not with ZoneMTA's figures"):
        mailflow.zonemta(exposition.read("up 1\n"))
    with pytest.raises(SourceDown, match="something else than figures"):
        exposition.read("<html>\n")


def test_rspamd_tells_what_it_scanned_and_how_long_it_took() -> None:
    stat = {"version": "3.4", "scanned": 12, "spam_count": 3, "ham_count": 9, "scan_times": [0.2, 0.4, None]}
    found = mailflow.rspamd(0.004, stat)
    assert found.counters == {"scanned": 12.0, "spam": 3.0}
    assert found.figures["scan_time_seconds"] == pytest.approx(0.3)


def test_a_password_that_rspamd_refuses_is_a_problem_of_its_own_and_rspamd_is_up() -> None:
    def answer(line: str) -> list[bytes]:
        return [reply(200, b"pong\r\n") if "ping" in line else reply(401, b"{}")]

    with SmallServer(answer, tcp=True) as server:
        found = Rspamd(f"http://127.0.0.1:{server.port}", "canary", 2.0).look()
    assert found.note == "does not tell its figures: it wants another password"


@pytest.mark.parametrize(
    ("file", "note"),
    [
        ("opensearch-2.19-health-green.json", None),
        ("opensearch-2.19-health-single-yellow.json", None),
        ("opensearch-2.19-health-yellow.json", "the cluster is yellow: some of its data has no copy"),
        ("opensearch-2.19-health-red.json", "the cluster is red: some of its data cannot be searched"),
    ],
)
def test_a_cluster_of_opensearch_is_as_well_as_it_says_but_a_single_node_may_be_yellow(
    file: str, note: str | None
) -> None:
    with SmallServer(lambda line: [reply(200, recorded(file))], tcp=True) as server:
        found = OpenSearch(f"http://127.0.0.1:{server.port}", 2.0).look()
        assert server.asked == ["GET /_cluster/health"]
    assert (found.note, found.figures["data_nodes"]) == (note, recorded(file)["number_of_data_nodes"])


STRANGE = (float("nan"), float("inf"), "8", {"is": 1}, [1], True, None)


@pytest.mark.parametrize("strange", STRANGE)
def test_what_is_no_number_is_unknown_whoever_says_it(strange: object) -> None:
    rspamd = mailflow.rspamd(0.1, dict.fromkeys(("uptime", "scanned", "spam_count", "ham_count", "learned"), strange))
    cluster = mailflow.opensearch(0.1, {"status": "green", "number_of_data_nodes": strange, "active_shards": strange})
    status = mongo.reading(
        0.1,
        {
            "uptime": strange,
            "connections": {"current": strange, "available": strange},
            "mem": {"resident": strange},
            "opcounters": {"query": strange},
            "opLatencies": {"reads": {"latency": strange, "ops": 1}},
        },
    )
    assert set(rspamd.figures.values()) == {None}
    assert set(cluster.figures.values()) == {None, "green"}
    assert set(status.figures.values()) == {None}
    assert rspamd.counters == status.counters == {}


def test_a_version_is_a_short_text_that_can_be_written() -> None:
    found = mailflow.rspamd(0.1, {"version": "\ud800" + 1000 * "x"})
    assert found.figures["version"] == "?" + 199 * "x"
    assert mailflow.rspamd(0.1, {"version": {"canary": 1}}).figures["version"] is None


def test_a_document_too_deep_to_read_is_none() -> None:
    with (
        SmallServer(lambda line: [reply(200, b'{"status":' + 100_000 * b"[")], tcp=True) as server,
        pytest.raises(SourceDown, match="no JSON object"),
    ):
        OpenSearch(f"http://127.0.0.1:{server.port}", 2.0).look()


@pytest.mark.parametrize("value", ["NaN", "+Inf", "1e400"])
def test_what_is_no_finite_figure_is_unknown(value: str) -> None:
    text = f'zonemta_delivery_status_total{{status="delivered"}} 1\nzonemta_queue_size{{type="queued"}} {value}\n'
    found = mailflow.zonemta(exposition.read("# TYPE zonemta_delivery_status counter\n" + text))
    assert (found.figures["queued"], found.figures["delivered_total"]) == (None, 1)


@pytest.mark.parametrize("status", [200, 403, 404])
def test_whoever_answers_a_request_lives(status: int) -> None:
    with SmallServer(lambda line: [reply(status, b"x")], tcp=True) as server:
        source = Answering("wildduck", f"http://127.0.0.1:{server.port}/api/", "/x", 2.0)
        assert source.look().note is None
        assert server.asked == ["GET /api/x"]


FAILURES = [
    (lambda line: [reply(502, b"")], "answers with status 502"),
    (lambda line: [], "the connection failed"),
    (lambda line: [b"SSH-2.0\r\n"], "the connection failed"),
]


@pytest.mark.parametrize(("answer", "words"), FAILURES)
def test_what_went_wrong_is_said_in_words_without_an_address(answer: Any, words: str) -> None:
    with (
        SmallServer(answer, tcp=True) as server,
        pytest.raises(SourceDown, match=words) as caught,
    ):
        Answering("webmail", f"http://127.0.0.1:{server.port}", "/favicon.ico", 2.0).look()
    assert "127.0.0.1" not in str(caught.value)


def test_nobody_there_is_said_in_words() -> None:
    with pytest.raises(SourceDown, match="refuses connections"):
        Answering("webmail", "http://127.0.0.1:1", "/", 2.0).look()
    with pytest.raises(SourceDown, match="refuses connections"):
        Redis("redis://127.0.0.1:1", 2.0).look()


def test_an_answer_without_end_is_cut_off() -> None:
    def endless(line: str) -> Any:
        yield b"HTTP/1.1 200 OK\r\n\r\n"
        while True:
            yield b"#" * 65536

    with SmallServer(endless, tcp=True) as server, pytest.raises(SourceDown, match="more than 4 MiB"):
        ZoneMta(f"http://127.0.0.1:{server.port}", 30.0).look()


def test_a_redirect_is_not_followed() -> None:
    def away(line: str) -> list[bytes]:
        return [reply(302, b"", Location="http://127.0.0.1:1/metrics")]

    with SmallServer(away, tcp=True) as server, pytest.raises(SourceDown, match="status 302"):
        ZoneMta(f"http://127.0.0.1:{server.port}", 2.0).look()
