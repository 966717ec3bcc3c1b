"""Every variable, docker-autoheal's among them, and that all that is wrong is said at once."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from autoheal import config as config_module
from autoheal.config import Config
from sidecarkit import settings
from sidecarkit.errors import SettingsError
from sidecarkit.settings import Address


def read(**environ: str) -> Config:
    return settings.read(Config, environ)


def complaints(**environ: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read(**environ)
    return list(caught.value.complaints)


DEFAULTS: dict[str, Any] = {
    "label": "autoheal",
    "scope": "all",
    "interval_seconds": 30.0,
    "start_period_seconds": 0.0,
    "action": "restart",
    "default_stop_timeout_seconds": None,
    "hold_seconds": 0.0,
    "max_restarts": 5,
    "window_seconds": 3600.0,
    "backoff_seconds": 10.0,
    "exited": False,
    "depends_on": (),
    "dependency_wait_seconds": 120.0,
    "max_parallel": 3,
    "storm_guard": True,
    "stale": "notify",
    "dry_run": False,
    "evidence_lines": 200,
    "http": Address("127.0.0.1", 9180),
    "state": Path("/var/lib/autoheal"),
    "only_monitor_running": True,
    "docker_sock": None,
    "request_timeout_seconds": 30.0,
    "apprise_url": None,
    "post_restart_script": None,
    "docker_host": None,
    "docker_tls_verify": None,
    "docker_cert_path": None,
    "log_level": "info",
    "log_format": None,
    "notify_urls": None,
    "webhook_url": None,
    "webhook_json_key": None,
}

GIVEN: list[tuple[str, str, str, Any]] = [
    ("AUTOHEAL_CONTAINER_LABEL", "all", "label", "all"),
    ("AUTOHEAL_SCOPE", "project", "scope", "project"),
    ("AUTOHEAL_INTERVAL", "5", "interval_seconds", 5.0),
    ("AUTOHEAL_START_PERIOD", "10", "start_period_seconds", 10.0),
    ("AUTOHEAL_ACTION", "notify", "action", "notify"),
    ("AUTOHEAL_DEFAULT_STOP_TIMEOUT", "10", "default_stop_timeout_seconds", 10),
    ("AUTOHEAL_HOLD", "1m", "hold_seconds", 60.0),
    ("AUTOHEAL_MAX_RESTARTS", "1", "max_restarts", 1),
    ("AUTOHEAL_WINDOW", "2h", "window_seconds", 7200.0),
    ("AUTOHEAL_BACKOFF", "0", "backoff_seconds", 0.0),
    ("AUTOHEAL_EXITED", "True", "exited", True),
    ("AUTOHEAL_DEPENDS_ON", "mongo,redis", "depends_on", ("mongo", "redis")),
    ("AUTOHEAL_DEPENDENCY_WAIT", "30s", "dependency_wait_seconds", 30.0),
    ("AUTOHEAL_MAX_PARALLEL", "64", "max_parallel", 64),
    ("AUTOHEAL_STORM_GUARD", "off", "storm_guard", False),
    ("AUTOHEAL_STALE", "restart", "stale", "restart"),
    ("AUTOHEAL_DRY_RUN", "1", "dry_run", True),
    ("AUTOHEAL_EVIDENCE_LINES", "0", "evidence_lines", 0),
    ("AUTOHEAL_HTTP", "", "http", None),
    ("AUTOHEAL_HTTP", "[::1]:8080", "http", Address("::1", 8080)),
    ("AUTOHEAL_STATE", "/state", "state", Path("/state")),
    ("AUTOHEAL_ONLY_MONITOR_RUNNING", "false", "only_monitor_running", False),
    ("DOCKER_SOCK", "/run/docker.sock", "docker_sock", "unix:///run/docker.sock"),
    ("CURL_TIMEOUT", "60", "request_timeout_seconds", 60.0),
    ("WEBHOOK_URL", "https://hooks.example/x", "webhook_url", "https://hooks.example/x"),
    ("WEBHOOK_JSON_KEY", "content", "webhook_json_key", "content"),
    ("APPRISE_URL", "http://apprise:8000/notify", "apprise_url", "http://apprise:8000/notify"),
    ("POST_RESTART_SCRIPT", "/opt/after.sh", "post_restart_script", Path("/opt/after.sh")),
]


def test_the_defaults_are_those_that_are_documented() -> None:
    config = read()

    assert {field: getattr(config, field) for field, _ in settings.variables(Config)} == DEFAULTS


@pytest.mark.parametrize(("variable", "value", "field", "meaning"), GIVEN)
def test_each_variable_has_its_meaning(variable: str, value: str, field: str, meaning: Any) -> None:
    assert getattr(read(**{variable: value}), field) == meaning


def test_no_variable_is_left_out_of_these_tests() -> None:
    given = {field for _, _, field, _ in GIVEN}
    common = {field for field, _ in settings.variables(config_module.CommonSettings)}

    assert DEFAULTS.keys() == given | common


def test_every_variable_of_autoheals_own_has_its_prefix_and_a_meaning_in_words() -> None:
    foreign = {"DOCKER_SOCK", "CURL_TIMEOUT", "APPRISE_URL", "POST_RESTART_SCRIPT"}
    common = {variable.name for _, variable in settings.variables(config_module.CommonSettings)}

    for _, variable in settings.variables(Config):
        assert variable.name.startswith("AUTOHEAL_") or variable.name in foreign | common
        assert variable.help


def test_all_that_is_wrong_is_said_at_once_with_name_value_and_what_is_accepted() -> None:
    wrong = complaints(
        AUTOHEAL_SCOPE="host",
        AUTOHEAL_INTERVAL="0",
        AUTOHEAL_ACTION="reboot",
        AUTOHEAL_MAX_RESTARTS="0",
        AUTOHEAL_MAX_PARALLEL="65",
        AUTOHEAL_STALE="ignore",
        AUTOHEAL_EVIDENCE_LINES="many",
        AUTOHEAL_HTTP="9180",
        AUTOHEAL_STATE="state",
        CURL_TIMEOUT="forever",
        APPRISE_URL="apprise:8000/token",
    )

    assert [line.split("=")[0] for line in wrong] == [
        "AUTOHEAL_SCOPE",
        "AUTOHEAL_INTERVAL",
        "AUTOHEAL_ACTION",
        "AUTOHEAL_MAX_RESTARTS",
        "AUTOHEAL_MAX_PARALLEL",
        "AUTOHEAL_STALE",
        "AUTOHEAL_EVIDENCE_LINES",
        "AUTOHEAL_HTTP",
        "AUTOHEAL_STATE",
        "CURL_TIMEOUT",
        "APPRISE_URL",
    ]
    assert all(": expected " in line for line in wrong)
    assert wrong[0] == "AUTOHEAL_SCOPE='host': expected one of all, project"
    assert "token" not in wrong[-1]


# Where the engine is


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, "unix:///var/run/docker.sock"),
        ({"DOCKER_SOCK": "/run/user/1000/docker.sock"}, "unix:///run/user/1000/docker.sock"),
        ({"DOCKER_SOCK": "tcp://proxy:2375"}, "tcp://proxy:2375"),
        ({"DOCKER_HOST": "tcp://engine:2375"}, "tcp://engine:2375"),
        ({"DOCKER_HOST": "tcp://engine:2375", "DOCKER_SOCK": "/run/docker.sock"}, "tcp://engine:2375"),
    ],
)
def test_docker_sock_says_where_the_engine_is_unless_docker_host_does(environ: dict[str, str], url: str) -> None:
    endpoint = read(**environ).engine_endpoint()

    assert (endpoint.url, endpoint.tls) == (url, None)


@pytest.mark.parametrize("value", ["tcp://", "ftp://proxy:21", "docker.sock", "tcp://proxy:port", "tcps://proxy:port"])
def test_an_address_that_is_none_is_refused_by_the_name_it_was_given(value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(DOCKER_SOCK=value, AUTOHEAL_HOLD="soon")

    assert [each.split(": ")[0] for each in caught.value.complaints] == [
        "AUTOHEAL_HOLD='soon'",
        f"DOCKER_SOCK={value!r}",
    ]


def test_tcps_without_its_certificates_says_which_files_are_expected() -> None:
    if config_module.WILLFARRELL_CERTS.exists():
        pytest.skip("this machine has certificates in /certs")
    with pytest.raises(SettingsError) as caught:
        read(DOCKER_SOCK="tcps://proxy:2376").engine_endpoint()

    assert caught.value.complaints[0].startswith(
        "DOCKER_SOCK='tcps://proxy:2376': expected ca.pem, client-cert.pem, client-key.pem in /certs"
    )


def test_docker_tls_variables_make_a_verified_connection(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-subj", "/CN=engine", "-keyout", key, "-out", cert], check=True, capture_output=True,
    )  # fmt: skip
    shutil.copy(cert, tmp_path / "ca.pem")

    endpoint = read(
        DOCKER_HOST="tcp://engine:2376", DOCKER_TLS_VERIFY="1", DOCKER_CERT_PATH=str(tmp_path)
    ).engine_endpoint()

    assert endpoint.tls is not None and endpoint.tls.check_hostname


# Whom to tell


def test_every_target_that_is_named_is_told() -> None:
    config = read(WEBHOOK_URL="http://hook.example/", APPRISE_URL="http://apprise/", NOTIFY_URLS="json://localhost")

    assert [target.name for target in config.targets()] == ["notify_urls_1", "webhook", "apprise_server"]
    assert read().targets() == []


def test_addresses_that_hold_tokens_are_never_shown() -> None:
    shown = [variable.name for _, variable in settings.variables(Config) if variable.secret]

    assert shown == ["NOTIFY_URLS", "WEBHOOK_URL", "APPRISE_URL"]
