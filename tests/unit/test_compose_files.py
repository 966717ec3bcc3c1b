"""The compose files are what Compose and its specification accept, and say all that a person may set."""

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
from jsonschema import Draft202012Validator

import autoheal.config
import certsync.config
import confcheck.config
import logban.config
from sidecarkit import settings

ROOT = Path(__file__).parents[2]
STACK = ROOT / "tests/data/stack/docker-compose.yml"
SIDECARS, DIRECT, WILDDUCK, STRICT = (
    ROOT / f"compose.{name}.yml" for name in ("sidecars", "direct", "wildduck", "strict")
)
OURS = (SIDECARS, DIRECT, WILDDUCK, STRICT)
EXAMPLE = ROOT / ".env.example"
SETS = {
    "alone": (SIDECARS,),
    "alone, direct": (SIDECARS, DIRECT),
    "over a stack": (STACK, SIDECARS),
    "the labels without the sidecars": (STACK, WILDDUCK),
    "over a stack, with its labels": (STACK, SIDECARS, WILDDUCK),
    "over a stack, with its labels, strict": (STACK, SIDECARS, WILDDUCK, STRICT),
    "over a stack, with its labels, direct": (STACK, SIDECARS, WILDDUCK, DIRECT),
}
AGENTS = {"autoheal": autoheal.config.Config, "certsync": certsync.config.Config, "logban": logban.config.Config}
TOLD = {**AGENTS, "confcheck": confcheck.config.Config}  # that one speaks with no engine, and has no proxy
COMPOSE = Path(sys.executable).parent / "docker-compose"

# Settings of an agent that .env does not hand on, and why.
NOT_HANDED_ON = {
    "DOCKER_HOST": "the proxy",
    "DOCKER_TLS_VERIFY": "the proxy is on this host",
    "DOCKER_CERT_PATH": "the proxy is on this host",
    "DOCKER_SOCK": "the proxy",
    "AUTOHEAL_STATE": "a volume is there",
    "CERTSYNC_STATE": "a volume is there",
    "LOGBAN_STATE": "a volume is there",
    "CONFCHECK_STATE": "a volume is there",
    "CONFCHECK_ROOT": "the configuration is mounted in its place",
    "CONFCHECK_RULES": "a file is mounted in its place",
    "CONFCHECK_ALLOW": "a file is mounted in its place",
    "CERTSYNC_CONFIG": "a file is mounted in its place",
    "LOGBAN_CONFIG": "a file is mounted in its place",
    "POST_RESTART_SCRIPT": "a script has to be mounted with it",
    "AUTOHEAL_ONLY_MONITOR_RUNNING": "does nothing",
    "CURL_TIMEOUT": "for those who come from another autoheal",
    "CERT_RESOLVER": "the stack's .env has it, for Traefik",
    "CERT_DOMAIN": "the stack's .env has it, for the labels",
    "CERT_OUT": "labels say it",
    "KEY_OUT": "labels say it",
    "ZONEMTA_CERT_OUT": "labels say it",
    "ZONEMTA_KEY_OUT": "labels say it",
    "HARAKA_CONTAINER": "labels say it",
    "ZONEMTA_CONTAINER": "labels say it",
}


def compose(files: tuple[Path, ...], *words: str, **said: str) -> "subprocess.CompletedProcess[str]":
    """Run the real Compose on these files, with nothing of ours set but what is *said*."""
    named = [word for file in files for word in ("--file", str(file))]
    environ = {"PATH": os.environ.get("PATH", os.defpath), "HOME": "/nonexistent", "HOSTNAMES": "mail.example.com"}
    environ |= said
    return subprocess.run([COMPOSE, *named, *words], env=environ, text=True, capture_output=True, check=False)


@cache
def profiles(files: tuple[Path, ...]) -> tuple[str, ...]:
    return tuple(compose(files, "config", "--profiles").stdout.split())


@cache
def model(files: tuple[Path, ...]) -> dict[str, Any]:
    """Give what Compose makes of these files."""
    document: dict[str, Any] = json.loads(compose(files, "config", "--format", "json").stdout)
    return document


@cache
def specification() -> Draft202012Validator:
    return Draft202012Validator(json.loads((ROOT / "tests/data/compose-spec/compose-spec.json").read_text()))


def accepted(file: Path) -> bool:
    return bool(specification().is_valid(yaml.safe_load(file.read_text())))


@pytest.mark.parametrize("files", SETS.values(), ids=SETS)
def test_compose_takes_the_files_with_each_profile_and_with_all(files: tuple[Path, ...]) -> None:
    for profile in ("", *profiles(files), "*"):
        done = compose(files, *(["--profile", profile] if profile else []), "config", "--quiet")

        assert (done.returncode, done.stderr) == (0, ""), profile


@pytest.mark.parametrize("file", OURS, ids=lambda file: file.name)
def test_a_file_is_of_the_compose_specification(file: Path) -> None:
    assert accepted(file)


@pytest.mark.parametrize("file", OURS, ids=lambda file: file.name)
def test_a_misspelt_key_pleases_neither_compose_nor_the_specification(file: Path, tmp_path: Path) -> None:
    document = yaml.safe_load(file.read_text())
    next(iter(document["services"].values()))["read_onyl"] = True
    misspelt = tmp_path / file.name
    misspelt.write_text(yaml.safe_dump(document))

    assert not accepted(misspelt)
    assert "read_onyl" in compose((STACK, *({SIDECARS} - {file}), misspelt), "config", "--quiet").stderr


@pytest.mark.parametrize(
    "files",
    [SETS["alone"], SETS["over a stack, with its labels"], SETS["over a stack, with its labels, strict"]],
    ids=["alone", "over a stack", "strict"],
)
def test_each_sidecar_of_every_profile_is_held_to_the_least(files: tuple[Path, ...]) -> None:
    everything = json.loads(compose(files, "--profile", "*", "config", "--format", "json").stdout)["services"]
    ours = {name: one for name, one in everything.items() if one["image"].startswith("wildduck-sidecars/")}

    assert set(ours) >= {"autoheal", "certsync", "logban", "stats", "stats-proxy"}
    for name, one in ours.items():
        assert one["read_only"], name
        assert one["cap_drop"] == ["ALL"], name
        assert one["security_opt"] == ["no-new-privileges:true"], name
        assert one["user"] and "privileged" not in one, name
        assert one["tmpfs"][0].startswith("/tmp:size=16m,"), name
        assert one["init"], name
        assert one["stop_grace_period"], name
        assert 0 < int(one["mem_limit"]) <= 384 << 20, name
        assert 0 < one["pids_limit"] <= 64, name
        assert one["logging"]["options"] == {"max-size": "10m", "max-file": "3"}, name
        assert one["healthcheck"].get("test") or one["restart"] == "no", name  # what runs once is not probed
        assert one["labels"]["autoheal"] == "false", name


def test_whoever_runs_a_sidecar_can_set_whatever_the_agent_can_be_told() -> None:
    for agent, schema in TOLD.items():
        handed_on = model((SIDECARS,))["services"][agent]["environment"]
        names = {variable.name for _, variable in settings.variables(schema)}

        assert names - set(handed_on) <= set(NOT_HANDED_ON), agent
        assert set(handed_on) <= names, agent


def test_an_empty_value_switches_off_what_an_empty_value_switches_off() -> None:
    services = profiled("stats")
    asked = {
        (name, variable): value
        for name in (*TOLD, "stats")
        for variable, value in services[name]["environment"].items()
        if re.fullmatch(r"STATS_\w+_URL|\w+_HTTP", variable)
    }
    assert asked["stats", "STATS_MONGO_URL"] == "mongodb://mongo:27017"

    silent = profiled("stats", **{variable: "" for _, variable in asked})

    assert {key: silent[key[0]]["environment"][key[1]] for key in asked} == dict.fromkeys(asked, "")


def profiled(profile: str, **said: str) -> dict[str, Any]:
    done = compose((SIDECARS,), "--profile", profile, "config", "--format", "json", **said)
    return dict(json.loads(done.stdout)["services"])


def test_the_example_names_every_variable_of_the_files_with_the_default_that_they_have() -> None:
    text = re.sub(r"#.*", "", "\n".join(file.read_text() for file in OURS))
    asked = dict(re.findall(r"\$\{([A-Z0-9_]+):?-([^${}]*)\}", text))
    handed_on = set(re.findall(r"^ +([A-Z0-9_]+):$", text, re.MULTILINE))
    example = dict(re.findall(r"^#?([A-Z0-9_]+)=(.*)$", EXAMPLE.read_text(), re.MULTILINE))

    assert set(re.findall(r"\$\{([A-Z0-9_]+)", text)) | handed_on <= set(example)
    assert {name: example[name] for name in asked} == {**asked, "CERTSYNC_USER": example["CERTSYNC_USER"]}


@pytest.mark.parametrize("files", [SETS["alone"], SETS["over a stack, with its labels"]], ids=["alone", "over a stack"])
def test_no_sidecar_publishes_a_port_and_only_proxies_hold_the_socket_of_the_engine(files: tuple[Path, ...]) -> None:
    sidecars = {name: one for name, one in model(files)["services"].items() if name in model((SIDECARS,))["services"]}

    assert [name for name, one in sidecars.items() if one.get("ports")] == []
    holders = {name for name, one in sidecars.items() if "docker.sock" in json.dumps(one.get("volumes", []))}
    assert holders == {name for name in sidecars if name.endswith("-proxy")}
    assert {sidecars[name]["network_mode"] for name in holders} == {"none"}


def test_the_volume_of_a_proxys_socket_is_shared_with_its_agent_alone() -> None:
    services = model(SETS["over a stack, with its labels"])["services"]
    for agent in AGENTS:
        users = {name for name, one in services.items() if f'"source": "{agent}-engine"' in json.dumps(one)}

        assert users == {agent, f"{agent}-proxy"}


def test_without_proxies_each_agent_has_the_socket_itself() -> None:
    services = model(SETS["over a stack, with its labels, direct"])["services"]

    assert [name for name in services if name.endswith("-proxy")] == []
    for agent in AGENTS:
        assert services[agent]["environment"]["DOCKER_HOST"] == "unix:///var/run/docker.sock"
        assert "/var/run/docker.sock" in {one["target"] for one in services[agent]["volumes"]}


def test_without_proxies_no_profile_of_the_agents_brings_one_along() -> None:
    files = SETS["over a stack, with its labels, direct"]

    services = json.loads(compose(files, "--profile", "stats", "config", "--format", "json").stdout)["services"]

    assert "stats" in services
    assert [name for name, one in services.items() if name.endswith("-proxy") and one.get("scale") != 0] == []


@pytest.mark.parametrize("files", [SETS["alone"], SETS["over a stack, with its labels"]], ids=["alone", "over a stack"])
def test_what_autoheal_shall_watch_has_a_healthcheck_in_every_profile(files: tuple[Path, ...]) -> None:
    everything = json.loads(compose(files, "--profile", "*", "config", "--format", "json").stdout)["services"]
    watched = {name: one for name, one in everything.items() if one.get("labels", {}).get("autoheal") == "true"}

    assert {"prometheus", "grafana", "cadvisor"} <= set(watched)
    assert [name for name, one in watched.items() if not one.get("healthcheck", {}).get("test")] == []


def test_upstreams_haraka_cert_sync_gives_way() -> None:
    assert "haraka-cert-sync" in model((STACK,))["services"]
    assert "haraka-cert-sync" not in model(SETS["over a stack, with its labels"])["services"]
