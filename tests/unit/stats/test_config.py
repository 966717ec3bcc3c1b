"""The settings, and what is refused in them."""

from pathlib import Path

import pytest

from sidecarkit import settings
from sidecarkit.errors import SettingsError
from stats.config import Config


def complaints(**variables: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        settings.read(Config, variables)
    return caught.value.complaints


def test_nothing_has_to_be_set_to_be_read() -> None:
    config = settings.read(Config, {})
    assert (str(config.listen), str(config.http), config.interval_seconds) == ("127.0.0.1:8080", "127.0.0.1:9183", 15.0)
    assert config.trusted_proxies == ()


def test_all_that_is_wrong_is_told_at_once_and_no_secret_with_it() -> None:
    told = complaints(
        STATS_LISTEN="",
        STATS_PASSWORD="canary",
        STATS_INTERVAL="0.1s",
        STATS_TRUSTED_PROXIES="traefik",
        STATS_MONGO_URL="mongo://user:canary@mongo",
        STATS_REDIS_URL="redis:///canary",
        STATS_ZONEMTA_URL="http://user:pw@zonemta",
        STATS_WEBMAIL_URL="webmail:3000",
    )
    assert [one.partition("=")[0] for one in told] == [
        "STATS_PASSWORD",
        "STATS_TRUSTED_PROXIES",
        "STATS_INTERVAL",
        "STATS_MONGO_URL",
        "STATS_REDIS_URL",
        "STATS_ZONEMTA_URL",
        "STATS_WEBMAIL_URL",
    ]
    assert "canary" not in "".join(told)


def test_a_password_may_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("correct horse battery\n")
    assert settings.read(Config, {"STATS_PASSWORD_FILE": str(file)}).password == "correct horse battery"


def test_of_several_hosts_of_mongodb_the_first_is_asked() -> None:
    url = "mongodb://mongo-1:27017,mongo-2:27017/?replicaSet=rs0"
    assert settings.read(Config, {"STATS_MONGO_URL": url}).mongo_url == url


def test_a_user_that_no_browser_could_send_is_not_taken() -> None:
    assert complaints(STATS_USER="ops:admin") == ("STATS_USER='ops:admin': expected a name without a colon",)
    assert settings.read(Config, {"STATS_USER": "jürgen"}).user == "jürgen"
