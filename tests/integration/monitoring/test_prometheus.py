"""Real Prometheus with the configuration that is shipped, on the agents at work and on others as recorded."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import expositions, prometheus
from lab.agent import AgentProcess
from lab.prometheus import MONITORING, Prometheus
from lab.server import SmallServer, reply
from lab.wire import wait_for

JOBS = {
    "node", "cadvisor", "mongodb", "redis", "zonemta", "wildduck", "rspamd", "traefik",
    "autoheal", "certsync", "logban", "stats", "confcheck",
}  # fmt: skip


def configuration() -> dict[str, Any]:
    return dict(yaml.safe_load((MONITORING / "prometheus.yml").read_text()))


def rules() -> list[dict[str, Any]]:
    files = MONITORING.glob("rules/*.yml")
    return [rule for file in files for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]


def queries() -> dict[str, str]:
    """Give every expression of a dashboard, with the interval that Grafana would put in, by where it stands."""
    return {
        f"{file.stem}: {panel['title']}, {target['refId']}": target["expr"].replace("$__rate_interval", "5m")
        for file in sorted(MONITORING.glob("grafana/dashboards/*.json"))
        for panel in json.loads(file.read_text())["panels"]
        for target in panel.get("targets", [])
    }


def other_jobs(server: SmallServer, agents: dict[str, AgentProcess]) -> dict[str, tuple[str, str]]:
    """Say where each job's answer is to be had here: address and path."""
    places = {name: (f"127.0.0.1:{server.port}", f"/{name}") for name in JOBS}
    return places | {name: (agent.address, "/metrics") for name, agent in agents.items()}


@pytest.fixture(scope="module")
def scraping(tmp_path_factory: pytest.TempPathFactory, agents: dict[str, AgentProcess]) -> Iterator[Prometheus]:
    """Have a Prometheus scrape every job of ours: only addresses are others, and time runs faster."""
    folder, recorded = tmp_path_factory.mktemp("prometheus"), expositions.recorded()

    def answer(line: str) -> Iterator[bytes]:
        text = recorded.get(line.rpartition("/")[2], "")
        kind = "application/openmetrics-text; version=1.0.0" if text.endswith("# EOF\n") else "text/plain"
        yield reply(200 if text else 404, text.encode(), Content_Type=kind)

    shipped = configuration()
    with SmallServer(answer, tcp=True) as server:
        places = other_jobs(server, agents)
        for job in shipped["scrape_configs"]:
            address, job["metrics_path"] = places[job["job_name"]]
            job["static_configs"] = [{"targets": [address]}]
        shipped["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        shipped["rule_files"] = [str(MONITORING / "rules" / "*.yml")]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(shipped))
        with prometheus.prometheus(folder, folder / "prometheus.yml") as running:
            yield running


# The configuration


def test_prometheus_accepts_its_configuration() -> None:
    done = prometheus.run("promtool", "check", "config", MONITORING / "prometheus.yml")

    assert done.returncode == 0, done.stdout + done.stderr


def test_alertmanager_accepts_its_configuration() -> None:
    done = prometheus.run("amtool", "check-config", MONITORING / "alertmanager.yml")

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("alert", "receivers"), [("MongoDown", "elsewhere,mail"), ("InstanceDown", "elsewhere,mail"), ("HealLoop", "mail")]
)
def test_what_takes_the_stacks_mail_down_is_told_in_another_way_too(alert: str, receivers: str) -> None:
    file = MONITORING / "alertmanager.yml"

    done = prometheus.run("amtool", "config", "routes", "test", f"--config.file={file}", f"alertname={alert}")

    assert done.stdout.strip() == receivers, done.stderr


def test_every_job_is_named_and_every_name_that_an_alert_asks_for_is_one() -> None:
    named = {job["job_name"] for job in configuration()["scrape_configs"]}

    assert named == JOBS


def test_the_line_that_sends_rspamds_password_is_right_once_its_mark_is_taken_away() -> None:
    text = (MONITORING / "prometheus.yml").read_text()

    jobs = yaml.safe_load(text.replace("# http_headers", "http_headers"))["scrape_configs"]

    (rspamd,) = [job for job in jobs if job["job_name"] == "rspamd"]
    assert rspamd["http_headers"] == {"Password": {"files": ["/run/secrets/rspamd_password"]}}


# The agents


def test_every_agent_exposes_what_prometheus_calls_without_fault(live: dict[str, str]) -> None:
    complaints = {name: prometheus.run("promtool", "check", "metrics", text=text) for name, text in live.items()}

    assert {name: done.stderr for name, done in complaints.items() if done.returncode} == {}


def test_every_agent_exposes_all_that_is_promised(live: dict[str, str]) -> None:
    missing = {
        promise.name
        for name, text in live.items()
        for promise in expositions.promises(name)
        if f"# TYPE {promise.name} {promise.kind}" not in text
    }

    assert not missing


def test_a_real_prometheus_finds_every_job_up(scraping: Prometheus, agents: dict[str, AgentProcess]) -> None:
    wanted = set(agents) | set(expositions.recorded())

    def all_up() -> bool:
        found = scraping.targets()
        return all(found.get(job) == "up" for job in wanted)

    wait_for(all_up, "all targets are up", pause=0.5)
    assert all(scraping.query("up")[job] == 1 for job in wanted)


def test_a_real_prometheus_evaluates_every_rule(scraping: Prometheus) -> None:
    def healths() -> list[str]:
        return [rule["health"] for group in scraping.get("rules")["groups"] for rule in group["rules"]]

    wait_for(lambda: "unknown" not in healths(), "every rule was evaluated", pause=0.5)
    assert healths() == ["ok"] * len(rules())


def test_a_real_prometheus_answers_every_query_of_the_dashboards(scraping: Prometheus) -> None:
    for query in queries().values():
        scraping.get("query", query=query)


# What rules and dashboards ask for


def test_every_query_of_the_dashboards_is_one(tmp_path: Path) -> None:
    recordings = [{"record": f"query:{at}", "expr": query} for at, query in enumerate(queries().values())]
    (tmp_path / "queries.yml").write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": recordings}]}))

    done = prometheus.run("promtool", "check", "rules", tmp_path / "queries.yml")

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_metric_that_is_asked_for_exists(live: dict[str, str]) -> None:
    known = {"up"}.union(*map(expositions.names, [*live.values(), *expositions.recorded().values()]))
    asked = queries() | {rule["alert"]: rule["expr"] for rule in rules()}

    unknown = {where: lost for where, query in asked.items() if (lost := expositions.named(query) - known)}

    assert not unknown


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ('sum by (j) (rate(a{x="b_total"}[5m])) > 0 unless on (c) max(d{e!~"f|-g-{12}"}) or vector(1)', {"a", "d"}),
        ('time() - {__name__=~"(a|b)_seconds"} > 300', {"a_seconds", "b_seconds"}),
        ("histogram_quantile(0.95, sum by (le) (rate(h_bucket[1h:5m]))) * 60 and on() absent(up)", {"h_bucket", "up"}),
    ],
)  # fmt: skip
def test_what_an_expression_asks_for_is_read_right(expression: str, names: set[str]) -> None:
    assert expositions.named(expression) == names
