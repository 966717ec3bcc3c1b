"""docs/stats.md says what is so; after a change, `WRITE_TABLES=1 pytest tests/unit/stats` writes its tables anew."""

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from logban.program import LOGBAN
from sidecarkit import command, logs, settings
from stats.config import Config
from stats.metrics import Metrics

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs/stats.md"


def metrics_table() -> str:
    registry = CollectorRegistry()
    Metrics(registry)
    collectors: dict[str, Any] = {names[0]: each for each, names in registry._collector_to_names.items()}
    rows = ["| metric | type | labels | meaning |", "| --- | --- | --- | --- |"]
    for family in sorted(registry.collect(), key=lambda family: family.name):
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = ", ".join(f"`{label}`" for label in collectors[family.name]._labelnames)
        rows.append(f"| `{name}` | {family.type} | {labels} | {family.documentation} |")
    return "\n".join(rows)


@pytest.mark.parametrize(
    ("kind", "table"),
    [("settings", lambda: settings.table(Config)), ("metrics", metrics_table)],
    ids=["settings", "metrics"],
)
def test_a_table_is_the_one_that_the_program_gives(kind: str, table: Callable[[], str]) -> None:
    marked = re.compile(rf"(<!-- {kind}:begin stats -->\n)(.*?)(<!-- {kind}:end -->)", re.DOTALL)
    text = PAGE.read_text()
    if os.environ.get("WRITE_TABLES"):
        PAGE.write_text(marked.sub(lambda found: f"{found[1]}{table()}\n{found[3]}", text))
        text = PAGE.read_text()
    (found,) = marked.finditer(text)
    assert found[2] == table() + "\n"


def test_the_proxy_lets_through_what_is_documented_and_nothing_else() -> None:
    listed = PAGE.read_text().partition("<!-- requests:begin -->")[2].partition("<!-- requests:end -->")[0]
    documented = re.findall(r"^\| `(\w+)` \| `(/\S+)` \|", listed, re.MULTILINE)
    proxy = (ROOT / "contrib/socket-proxy/stats.cfg").read_text()
    reads = re.compile(re.findall(r"acl reads path_reg (.*)", proxy)[0])
    assert [method for method, _ in documented] == ["GET"] * 4
    assert all(reads.match(path.format(id="abc")) for _, path in documented)
    assert not [path for path in ("/info", "/events", "/containers/x/logs", "/containers/x/top") if reads.match(path)]


def test_with_the_profile_compose_runs_it_with_all_that_it_can_be_told_and_only_its_proxy_has_the_socket() -> None:
    compose = Path(sys.executable).parent / "docker-compose"
    command_line = [
        compose,
        "--file",
        ROOT / "compose.sidecars.yml",
        "--profile",
        "stats",
        "config",
        "--format",
        "json",
    ]
    environ = {"PATH": os.environ.get("PATH", os.defpath), "HOME": "/nonexistent", "HOSTNAMES": "mail.example.com"}
    done = subprocess.run(command_line, env=environ, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    services = json.loads(done.stdout)["services"]
    handed_on = {name.removesuffix("_FILE") for name in services["stats"]["environment"]}
    names = {variable.name for _, variable in settings.variables(Config)}
    assert handed_on <= names
    assert names - handed_on == {
        "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH",  # the proxy is on this host
        "STATS_PASSWORD_HASH", "STATS_LOGBAN_URL",  # the other way is taken
        "STATS_STATE",  # a volume is there
    }  # fmt: skip
    holders = {name for name, one in services.items() if "docker.sock" in json.dumps(one.get("volumes", []))}
    assert {name for name in holders if name.startswith("stats")} == {"stats-proxy"}
    assert not any(one.get("ports") for one in services.values())


def test_logban_understands_the_filter_that_is_documented(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = [
        block for block in re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL) if "filters:" in block
    ]
    assert yaml.safe_load(example)["jails"]["stats"]["maxretry"] == 5
    (tmp_path / "logban.yml").write_text(example)
    with caplog.at_level(logging.WARNING):
        for address in ("203.0.113.9", "2001:db8::7"):
            logs.get("stats").warning("login_failed", ip=address)
    lines = "\n".join(logs.JsonFormatter().format(record) for record in caplog.records)
    (tmp_path / "log").write_text(lines + "\n")
    environ = {"LOGBAN_CONFIG": str(tmp_path / "logban.yml"), "LOGBAN_STATE": str(tmp_path)}
    assert command.main(LOGBAN, ["test", "--filter", "stats", "--json", str(tmp_path / "log")], environ) == 0
    sources = json.loads(capsys.readouterr().out)["sources"]
    assert [(one["ip"], one["kinds"]) for one in sources] == [
        ("203.0.113.9", {"auth_failure": 1}),
        ("2001:db8::7", {"auth_failure": 1}),
    ]
