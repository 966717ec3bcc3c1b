from pathlib import Path

import pytest

from certsync import config as configuration
from certsync.config import Config, Plan
from certsync.forms import Form
from certsync.policy import Wanted
from certsync.source import AcmeJson
from certsync.target import Output, Restart, Touch
from sidecarkit import settings
from sidecarkit.errors import SettingsError


def plan(**environ: str) -> Plan:
    return configuration.plan(settings.read(Config, {"CERTSYNC_LABELS": "false", **environ}))


def complaints_of(**environ: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        plan(**environ)
    return caught.value.complaints


def test_the_variables_of_haraka_cert_sync_do_what_they_did(tmp_path: Path) -> None:
    made = plan(
        ACME_PATH="/data/acme.json",
        CERT_DOMAIN="mail.example.com",
        CERT_RESOLVER="le",
        CERT_OUT=f"{tmp_path}/cert.pem",
        KEY_OUT=f"{tmp_path}/key.pem",
        ZONEMTA_CERT_OUT="/zonemta/cert.pem",
        ZONEMTA_KEY_OUT="/zonemta/key.pem",
        HARAKA_CONTAINER="wildduck-dockerized-haraka-1",
    )
    assert made.sources == (AcmeJson("acme", Path("/data/acme.json"), "le"),)
    haraka, zonemta = made.targets
    assert haraka.wanted == zonemta.wanted == Wanted(("mail.example.com",))
    assert haraka.outputs == (
        Output(Form.CERTIFICATE, f"{tmp_path}/cert.pem", 0o640),
        Output(Form.KEY, f"{tmp_path}/key.pem", 0o600),
    )
    assert haraka.reload == Restart("wildduck-dockerized-haraka-1")
    assert [one.path for one in zonemta.outputs] == ["/zonemta/cert.pem", "/zonemta/key.pem"]
    assert zonemta.reload is None
    assert made.needs_engine


def test_in_harakas_own_folder_nothing_is_restarted_and_no_engine_is_needed(tmp_path: Path) -> None:
    (tmp_path / "smtp.ini").touch()
    made = plan(
        CERT_DOMAIN="m.example.com",
        CERT_OUT=f"{tmp_path}/tls_cert.pem",
        KEY_OUT=f"{tmp_path}/tls_key.pem",
        HARAKA_CONTAINER="h",
    )
    (haraka,) = made.targets
    assert haraka.reload == Touch(f"{tmp_path}/tls.ini")
    assert haraka.dhparams == Output(Form.CERTIFICATE, f"{tmp_path}/dhparams.pem", 0o644)
    assert not made.needs_engine


def test_the_places_are_those_of_haraka_cert_sync_when_nothing_is_said() -> None:
    made = plan(CERT_DOMAIN="m.example.com")
    assert made.sources == (AcmeJson("acme", Path("/traefik/acme.json")),)
    assert [one.path for one in made.targets[0].outputs] == ["/haraka/tls_cert.pem", "/haraka/tls_key.pem"]


def test_a_zonemta_whose_container_is_named_is_restarted_unless_its_plugin_does_it() -> None:
    both = {"ZONEMTA_CERT_OUT": "/z/c", "ZONEMTA_KEY_OUT": "/z/k", "ZONEMTA_CONTAINER": "zonemta"}
    assert plan(CERT_DOMAIN="m.example.com", **both).targets[1].reload == Restart("zonemta", patience_seconds=5.0)


def test_the_file_and_the_variables_may_be_mixed(tmp_path: Path) -> None:
    file = tmp_path / "certsync.yml"
    file.write_text(
        "sources: {files: {certificate: /c, key: /k}}\n"
        "targets: {web: {domains: [w.example.com], combined: /web/all.pem}}\n"
    )
    assert [one.name for one in plan(CERTSYNC_CONFIG=str(file)).sources] == ["files"]
    mixed = plan(CERTSYNC_CONFIG=str(file), CERT_DOMAIN="m.example.com")
    assert [one.name for one in mixed.sources] == ["files", "acme"]
    assert [one.name for one in mixed.targets] == ["web", "haraka"]


def test_all_mistakes_of_variables_and_file_are_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "certsync.yml"
    file.write_text("targets: {haraka: {domains: [a.b], certificate: relative}}\n")
    complaints = complaints_of(CERTSYNC_CONFIG=str(file), CERT_DOMAIN="m.example.com", ZONEMTA_CERT_OUT="/z/c")
    assert len(complaints) == 2
    assert f"{file}: targets.haraka.certificate" in complaints[0]
    assert "ZONEMTA_KEY_OUT" in complaints[1]


def test_a_target_and_a_file_have_one_writer(tmp_path: Path) -> None:
    file = tmp_path / "certsync.yml"
    file.write_text(
        "targets:\n"
        "  haraka: {domains: [a.b], certificate: /one}\n"
        "  other: {domains: [a.b], certificate: /haraka/tls_cert.pem}\n"
    )
    complaints = complaints_of(CERTSYNC_CONFIG=str(file), CERT_DOMAIN="m.example.com")
    assert any("targets.haraka: CERT_DOMAIN makes a target" in one for one in complaints)
    assert any("/haraka/tls_cert.pem: expected one writer" in one for one in complaints)


def test_nothing_to_do_is_an_error_that_names_the_ways() -> None:
    (complaint,) = complaints_of()
    assert "CERT_DOMAIN" in complaint


def test_a_file_that_was_named_has_to_be_there() -> None:
    assert "CERTSYNC_CONFIG='/absent/x.yml'" in complaints_of(CERTSYNC_CONFIG="/absent/x.yml", CERT_DOMAIN="a.b")[0]


def test_wrong_variables_are_told_with_what_is_accepted() -> None:
    with pytest.raises(SettingsError) as caught:
        settings.read(
            Config,
            {"CERT_DOMAIN": "not a name", "CERTSYNC_POLL": "0", "CERT_OUT": "relative", "CERTSYNC_SETTLE": "soon"},
        )
    assert [one.split("=")[0] for one in caught.value.complaints] == [
        "CERTSYNC_POLL",
        "CERTSYNC_SETTLE",
        "CERT_DOMAIN",
        "CERT_OUT",
    ]


def test_the_documentation_holds_the_table_of_settings() -> None:
    documented = (Path(__file__).parents[3] / "docs" / "certsync.md").read_text()
    assert settings.table(Config) in documented
