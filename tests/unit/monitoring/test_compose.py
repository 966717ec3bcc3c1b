"""Profile `monitoring`: pinned, hardened, closed to the world, and each part reaches what it is told to ask."""

import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
FILES = (ROOT / "tests/data/stack/docker-compose.yml", ROOT / "compose.sidecars.yml", ROOT / "compose.wildduck.yml")
WATCHERS = {
    "prometheus", "alertmanager", "grafana", "node-exporter", "cadvisor", "cadvisor-proxy", "mongodb-exporter",
    "redis-exporter",
}  # fmt: skip


@cache
def project(*profiles: str, files: tuple[Path, ...] = FILES) -> dict[str, Any]:
    """Give what Compose makes of the files with these profiles."""
    words = [word for file in files for word in ("--file", str(file))]
    words += [word for profile in profiles for word in ("--profile", profile)]
    environ = {"PATH": os.environ.get("PATH", os.defpath), "HOME": "/nonexistent", "HOSTNAMES": "mail.example.com"}
    command = [Path(sys.executable).parent / "docker-compose", *words, "config", "--format", "json"]
    done = subprocess.run(command, env=environ, text=True, capture_output=True, check=True)
    return dict(json.loads(done.stdout))


def services(*profiles: str) -> dict[str, Any]:
    return dict(project(*profiles)["services"])


@pytest.fixture(params=sorted(WATCHERS))
def watcher(request: pytest.FixtureRequest) -> dict[str, Any]:
    return dict(services("monitoring")[request.param])


def test_the_profile_adds_these_and_no_others() -> None:
    assert services("monitoring").keys() - services().keys() == WATCHERS


def test_none_is_published_and_all_are_pinned(watcher: dict[str, Any]) -> None:
    assert not watcher.get("ports")
    assert re.search(r":v?\d+\.\d+\.\d+$", watcher["image"]) or watcher["image"] == "wildduck-sidecars/socket-proxy"


def test_none_may_more_than_it_has_to(watcher: dict[str, Any]) -> None:
    granted = {"cadvisor": {"DAC_READ_SEARCH", "SYS_PTRACE"}}
    name = next(name for name, one in services("monitoring").items() if one == watcher)

    assert watcher["read_only"]
    assert watcher["cap_drop"] == ["ALL"]
    assert set(watcher.get("cap_add") or ()) == granted.get(name, set())
    assert watcher["security_opt"] == ["no-new-privileges:true"]
    assert int(watcher["mem_limit"]) > 0
    assert not watcher.get("privileged")
    assert (watcher["user"] == "0:0") == (name in {"cadvisor", "cadvisor-proxy"})
    assert ("docker.sock" in json.dumps(watcher.get("volumes", []))) == name.endswith("-proxy")


def test_every_file_of_ours_that_is_mounted_is_there() -> None:
    known = project("monitoring", files=(ROOT / "compose.sidecars.yml",))["services"]
    sources = {
        Path(one["source"]) for name in WATCHERS for one in known[name].get("volumes", ()) if one["type"] == "bind"
    }

    ours = {source for source in sources if source.is_relative_to(ROOT)}

    assert {source.relative_to(ROOT) for source in ours} == {
        Path("monitoring"), Path("monitoring/grafana/provisioning"), Path("monitoring/grafana/dashboards"),
    }  # fmt: skip
    assert all(source.is_dir() for source in ours)


def test_prometheus_reaches_all_that_it_scrapes() -> None:
    known, prometheus = services("*"), services("monitoring")["prometheus"]
    jobs = yaml.safe_load((ROOT / "monitoring/prometheus.yml").read_text())["scrape_configs"]
    hosts = {target.partition(":")[0] for job in jobs for one in job["static_configs"] for target in one["targets"]}

    by_address = {one.partition("=")[0] for one in prometheus["extra_hosts"]}
    by_network = {name for name, one in known.items() if _networks(one) & _networks(prometheus)}

    assert hosts - by_address - by_network == set()


def _networks(service: dict[str, Any]) -> set[str]:
    return set(service.get("networks") or ())


@pytest.mark.parametrize(
    ("asks", "file"),
    [
        ("prometheus", "monitoring/prometheus.yml"),
        ("grafana", "monitoring/grafana/provisioning/datasources/prometheus.yml"),
    ],
)
def test_what_is_asked_inside_listens_on_the_address_that_its_name_leads_to(asks: str, file: str) -> None:
    known = services("monitoring")
    asked = "alertmanager" if asks == "prometheus" else "prometheus"
    place = known[asked]["networks"]["monitoring"]
    (listens,) = [word for word in known[asked]["command"] if word.startswith("--web.listen-address=")]

    address, _, port = listens.partition("=")[2].rpartition(":")

    assert address == place["ipv4_address"]
    assert f"{place['aliases'][0]}:{port}" in (ROOT / file).read_text()
    assert "monitoring" in known[asks]["networks"]


def test_the_networks_of_figures_lead_nowhere() -> None:
    networks = project("monitoring")["networks"]

    assert networks["figures"]["internal"]
    assert networks["monitoring"]["internal"]


def test_logbans_name_leads_to_the_host() -> None:
    (pool,) = project("monitoring")["networks"]["monitoring"]["ipam"]["config"]

    assert f"logban={pool['gateway']}" in services("monitoring")["prometheus"]["extra_hosts"]


def test_without_the_profile_nothing_of_it_is_there() -> None:
    assert not WATCHERS & services().keys()
    assert "monitoring" not in project()["networks"]


def test_grafana_asks_for_a_login_and_knows_where_it_is() -> None:
    told = services("monitoring")["grafana"]["environment"]

    assert told["GF_AUTH_ANONYMOUS_ENABLED"] == told["GF_USERS_ALLOW_SIGN_UP"] == "false"
    assert told["GF_SECURITY_ADMIN_PASSWORD__FILE"] == "/run/secrets/grafana_admin_password"
    assert told["GF_SERVER_ROOT_URL"].endswith("/grafana/")
    assert told["GF_SERVER_SERVE_FROM_SUB_PATH"] == "true"
