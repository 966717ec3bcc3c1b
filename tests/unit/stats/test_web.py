"""The page as a browser and as a program gets it, without a network."""

import json
import re
from base64 import b64encode
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from prometheus_client import CollectorRegistry
from werkzeug.test import TestResponse

from sidecarkit import logs, settings
from sidecarkit.errors import SidecarError
from stats import access, web
from stats.config import Config
from stats.facts import Ban, Bans, Certificate, Configuration, Container, Heals, Reading
from stats.metrics import Metrics
from stats.snapshot import Snapshot, Standing
from stats.web import PageServer, Site

NOW = 1_800_000_000.0
PASSWORD = "correct horse canary"
DASH = "\N{EN DASH}"
HOSTILE = "<script>alert('canary')</script>\"'&"
CONTAINER = Container(
    id="a" * 64, name="stack-haraka-1", service="haraka", project="stack", image="haraka:3", state="running",
    health="unhealthy", failing_streak=3, restart_policy="always", restarts=4, started_at=NOW - 90_061,
    cpu_percent=12.34, memory_bytes=50 * 2**20, memory_limit_bytes=64 * 2**20,
)  # fmt: skip

CERTIFICATE = Certificate("haraka", "mail.example.com", NOW + 40 * 86400, in_sync=True, served=True, reason=None)


def fresh(answer: object, **further: Any) -> Standing[object]:
    return Standing(used=True, answer=answer, answered_at=NOW - 3, looked_at=NOW - 3, **further)


def everything() -> dict[str, Standing[Any]]:
    return {
        "engine": fresh((CONTAINER,)),
        "mongo": fresh(Reading(0.002, {"version": "8.0"}), derived={"operations_per_second": 12.5}),
        "redis": Standing(used=True),
        "zonemta": fresh(
            Reading(0.004, {"queued": 8, "deferred": 5, "delivered_total": 42}),
            derived={"delivered_per_minute": 3.0},
            trends={"queued": (1.0, 2.0, None, 8.0)},
        ),
        "rspamd": replace(fresh(Reading(0.002, {"scan_time_seconds": 0.25})), failure="refuses connections"),
        "autoheal": fresh(Heals({"haraka": 2}, NOW - 3600, frozenset(), sees_engine=True)),
        "certsync": fresh((CERTIFICATE,)),
        "confcheck": fresh(Configuration({"error": 0, "warning": 2}, 1)),
        "logban": fresh(Bans({"mail-auth": 3}, (Ban("mail-auth", NOW - 60, "192.0.2.7", NOW + 600),))),
    }


class Stage:
    def __init__(self) -> None:
        self.config = settings.read(Config, {"STATS_PASSWORD": PASSWORD, "STATS_TRUSTED_PROXIES": "127.0.0.1"})
        self.registry = CollectorRegistry()
        self.standings = everything()
        metrics, log = Metrics(self.registry), logs.get("stats")
        self.site = Site(
            config=self.config,
            gate=access.gate(self.config, metrics, log),
            snapshot=lambda: Snapshot(NOW - 2, 15.0, self.standings),
            metrics=metrics,
            log=log,
            clock=lambda: NOW,
        )
        self.client: FlaskClient = web.application(self.site).test_client()

    def get(self, path: str = "/stats", **further: Any) -> TestResponse:
        return self.client.get(path, auth=("admin", PASSWORD), **further)

    def text(self, path: str = "/stats") -> str:
        return self.get(path).get_data(as_text=True)

    def words(self) -> str:
        """Read the page as a person does: without its markup, white space as one blank."""
        return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", self.text()))


@pytest.fixture
def stage() -> Stage:
    return Stage()


# Who gets what


PATHS = [
    "/",
    "/stats",
    "/stats.json",
    "/stats/style.css",
    "/stats/script.js",
    "/stats/icon.svg",
    "/stats?fragment=1",
    "/nothing",
]


@pytest.mark.parametrize("path", PATHS)
def test_without_a_password_there_is_nothing_to_be_seen(stage: Stage, path: str) -> None:
    answer = stage.client.get(path)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="stats", charset="UTF-8"'
    assert b"haraka" not in answer.data


def test_the_page_says_what_confcheck_found(stage: Stage) -> None:
    page, document = stage.get("/stats").text, stage.get("/stats.json").get_json()
    assert "error 0, warning 2" in page
    assert "1 silenced" in page
    assert document["configuration"] == {
        "findings": 2,
        "findings_by_severity": {"error": 0, "warning": 2},
        "silenced": 1,
    }


@pytest.mark.parametrize("path", [path for path in PATHS if path.startswith("/stats")])
def test_with_it_there_is(stage: Stage, path: str) -> None:
    assert stage.get(path).status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        "Basic",
        "Basic !!!",
        "Bearer x",
        "Basic " + b64encode(b"nocolon").decode(),
        "Basic " + b64encode(b"\xff\xfe:\xff").decode(),
    ],
)
def test_credentials_that_are_none_are_no_credentials(stage: Stage, header: str) -> None:
    assert stage.client.get("/stats", headers={"Authorization": header}).status_code == 401


def test_the_health_of_the_page_itself_is_open_and_constant(stage: Stage) -> None:
    answer = stage.client.get("/healthz")
    assert (answer.status_code, answer.data) == (200, b"ok\n")


@pytest.mark.parametrize("path", ["/stats", "/healthz", "/nothing"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_nothing_but_get_and_head_is_answered(stage: Stage, path: str, method: str) -> None:
    answer = stage.client.open(path, method=method, auth=("admin", PASSWORD))
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_a_head_is_a_page_without_its_body(stage: Stage) -> None:
    answer = stage.client.head("/stats", auth=("admin", PASSWORD))
    assert (answer.status_code, answer.data) == (200, b"")


@pytest.mark.parametrize("path", [*PATHS, "/healthz"])
def test_every_answer_carries_the_headers_that_keep_it_to_itself(stage: Stage, path: str) -> None:
    for answer in (stage.get(path), stage.client.get(path), stage.client.post(path)):
        assert {name: answer.headers[name] for name in web.HEADERS} == web.HEADERS
        assert "Set-Cookie" not in answer.headers


def test_the_eleventh_wrong_password_is_told_to_wait_by_the_address_behind_the_proxy(stage: Stage) -> None:
    def guess(address: str) -> TestResponse:
        return stage.client.get("/stats", auth=("admin", "wrong"), headers={"X-Forwarded-For": address})

    assert [guess("192.0.2.1").status_code for _ in range(11)] == [401] * 10 + [429]
    assert int(guess("192.0.2.1").headers["Retry-After"]) in range(50, 62)
    assert guess("192.0.2.2").status_code == 401


# What it says


def test_the_first_line_and_the_title_are_the_verdict(stage: Stage) -> None:
    page = stage.text()
    verdict = "2 problems: rspamd down (refuses connections), haraka unhealthy"
    assert f"<title>{verdict}</title>" in page
    assert re.search(rf'<h1><span[^>]*role="status"[^>]*>{re.escape(verdict)}</span></h1>', page)


def test_the_sections_come_in_the_order_of_what_matters(stage: Stage) -> None:
    assert re.findall(r"<h2[^>]*>(.*?)</h2>", stage.text()) == [
        "Containers", "Services", "Mail", "Certificates", "Bans", "Configuration",
    ]  # fmt: skip


def test_problems_that_do_not_fit_the_headline_have_a_list_before_all_else(stage: Stage) -> None:
    sick = tuple(replace(CONTAINER, service=name) for name in "abcd")
    stage.standings["engine"] = fresh(sick)
    page = stage.text()
    assert re.findall(r"<h2[^>]*>(.*?)</h2>", page)[0] == "Problems"
    assert re.findall(r"<li>(.*?)</li>", page)[:5] == [
        "rspamd down (refuses connections)", "a unhealthy", "b unhealthy", "c unhealthy", "d unhealthy",
    ]  # fmt: skip


def test_everything_known_is_said_in_words(stage: Stage) -> None:
    words = stage.words()
    for said in (
        "unhealthy, 3 failed in a row", "1 d 1 h", "12.3 %", "50 MiB of 64 MiB", "operations/s 12.5", "2.0 ms",
        "42 since its start", "mail.example.com", "40", "192.0.2.7", "3 active: mail-auth 3", "3 s ago",
    ):  # fmt: skip
        assert said in words, said


def test_what_is_not_known_is_called_unknown_and_what_is_not_used_not_used(stage: Stage) -> None:
    words = stage.words()
    assert "Redis ? unknown unknown" in words
    assert f"Webmail {DASH} not used {DASH}" in words


def test_what_is_down_keeps_its_last_figures_in_grey_with_their_age(stage: Stage) -> None:
    page = stage.text()
    assert re.search(r'<tr class="state-down">\s*<th scope="row">Rspamd', page)
    assert re.search(
        r'<div class="old"><dt>Scan time</dt><dd>250 ms<span class="aside">as of\s+<time[^>]*>3 s ago', page
    )


def test_when_nobody_looks_any_more_nothing_is_green(stage: Stage) -> None:
    stage.standings = {
        name: replace(each, looked_at=NOW - 300) for name, each in everything().items() if each.looked_at
    }
    page = stage.text()
    assert "state-up" not in page
    assert stage.get("/stats.json").get_json()["ok"] is None
    assert "<title>Not known: engine, mongo" in page


@pytest.mark.parametrize(
    ("backend", "works", "words"),
    [
        ("nftables", True, "\N{BLACK CIRCLE} in order"),
        ("nftables", False, "\N{BLACK SQUARE} in trouble"),
        ("nftables", None, "? unknown"),
        ("none", True, f"{DASH} not used"),
    ],
)
def test_the_firewall_is_in_order_only_when_it_is_known_to_be(
    stage: Stage, backend: str, works: bool | None, words: str
) -> None:
    stage.standings["logban"] = fresh(Bans({}, (), (), backend, works))
    assert f"Firewall: {words}." in stage.words()


def test_a_stopped_container_of_which_no_more_is_known_is_marked_unknown(stage: Stage) -> None:
    stage.standings["engine"] = fresh((replace(CONTAINER, state="exited", health=None, restart_policy=None),))
    assert "? exited" in stage.words()
    assert "haraka" in stage.get("/stats.json").get_json()["unknown"]


def test_whatever_a_name_holds_is_shown_as_text(stage: Stage) -> None:
    hostile = replace(
        CONTAINER, name=HOSTILE, service=HOSTILE, project=HOSTILE, image=HOSTILE, state=HOSTILE, health=HOSTILE
    )
    stage.standings |= {
        "engine": fresh((hostile,)),
        "mongo": fresh(Reading(0.1, {"version": HOSTILE}, note=HOSTILE)),
        "certsync": fresh(
            (replace(CERTIFICATE, target=HOSTILE, domain=HOSTILE, not_after=None, in_sync=False, reason=HOSTILE),)
        ),
        "logban": fresh(Bans({HOSTILE: 1}, (Ban(HOSTILE, NOW, HOSTILE, NOW, HOSTILE),), (HOSTILE,))),
        "autoheal": fresh(Heals({HOSTILE: 1}, NOW, frozenset({HOSTILE}), sees_engine=True)),
    }
    for path in ("/stats", "/stats?fragment=1"):
        page = stage.text(path)
        assert page.count("<script") == (path == "/stats")
        assert "&lt;script&gt;alert(&#39;canary&#39;)&lt;/script&gt;&#34;&#39;&amp;" in page


def test_a_certificate_that_ends_after_all_calendars_breaks_nothing(stage: Stage) -> None:
    stage.standings["certsync"] = fresh((replace(CERTIFICATE, not_after=1e300),))
    assert stage.get("/stats").status_code == 200
    assert stage.get("/stats.json").get_json()["certs"][0]["not_after"] is None


def test_the_fragment_is_the_main_part_and_nothing_else(stage: Stage) -> None:
    fragment = stage.text("/stats?fragment=1").strip()
    assert fragment.startswith("<main ")
    assert fragment.endswith("</main>")
    assert fragment in stage.text()


def test_no_style_and_no_script_stands_in_the_page_itself(stage: Stage) -> None:
    page = stage.text()
    assert not re.search(r"\sstyle=|<style|\son\w+=|javascript:", page)
    assert re.findall(r"<script[^>]*>(.*?)</script>", page) == [""]


@pytest.mark.parametrize(
    ("asked", "given"), [("30", 30), ("1", 5), ("99999", 3600), ("-1", None), ("x", None), ("²", None)]
)
def test_it_loads_itself_anew_only_when_it_is_asked_to(stage: Stage, asked: str, given: int | None) -> None:
    found = re.findall(r'http-equiv="refresh" content="(\d+)"', stage.text(f"/stats?refresh={asked}"))
    assert found == ([] if given is None else [str(given)])
    assert "http-equiv" not in stage.text()


def test_a_line_breaks_where_nothing_was_known_and_says_in_words_what_it_shows(stage: Stage) -> None:
    (drawing,) = re.findall(r"<svg.*?</svg>", stage.text())
    assert drawing.count("<polyline") == 2
    assert 'aria-label="queued, last 1 min, now 8.0, max 8.0"' in drawing


# As data


def test_the_document_has_the_shape_that_programs_rely_on(stage: Stage) -> None:
    answer = stage.get("/stats.json")
    document = answer.get_json()
    assert answer.content_type == "application/json"
    assert document["schema"] == 1
    assert document["generated_at"] == "2027-01-15T07:59:58Z"
    assert document["ok"] is False
    assert document["problems"] == ["rspamd down (refuses connections)", "haraka unhealthy"]
    assert {"containers", "services", "mail", "certs", "bans"} <= document.keys()
    (container,) = document["containers"]
    assert container | {
        "name": "haraka", "state": "running", "health": "unhealthy", "failing_streak": 3, "restarts_by_policy": 4,
        "heals_24h": 2, "uptime_seconds": 90061, "cpu_percent": 12.3, "memory_bytes": 50 * 2**20,
    } == container  # fmt: skip
    assert (
        document["services"]["redis"] | {"up": None, "latency_seconds": None, "age_seconds": None}
        == document["services"]["redis"]
    )
    assert document["services"]["mongo"]["operations_per_second"] == 12.5
    assert document["mail"]["queued"] == 8
    assert document["mail"]["spam_share"] is None
    (certificate,) = document["certs"]
    assert certificate | {"target": "haraka", "days_left": 40.0, "in_sync": True, "served": True} == certificate
    assert document["bans"]["active"] == 3
    assert document["bans"]["last"][0]["source"] == "192.0.2.7"


def test_no_secret_is_in_what_is_answered(stage: Stage) -> None:
    for path in ("/stats", "/stats.json", "/nothing", "/healthz"):
        assert "canary" not in stage.text(path)
    assert "canary" not in json.dumps(stage.client.get("/stats").get_data(as_text=True))


def test_a_page_that_fails_says_nothing_and_is_counted(stage: Stage) -> None:
    stage.standings["engine"] = fresh("no containers")
    answer = stage.get()
    assert (answer.status_code, answer.data) == (500, b"internal server error\n")
    assert stage.registry.get_sample_value("stats_errors_total", {"op": "page"}) == 1.0


def test_a_page_that_cannot_listen_where_it_should_says_so(stage: Stage) -> None:
    for host in ("no host", "192.0.2.1"):
        config = replace(stage.config, listen=settings.Address(host, 8080))
        with pytest.raises(SidecarError, match=f"cannot be served at {host}:8080"):
            PageServer(replace(stage.site, config=config))
