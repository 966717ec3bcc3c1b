from __future__ import annotations

from pathlib import Path

import pytest

from logban import rulebook
from sidecarkit.errors import SettingsError


def load(folder: Path, text: str) -> rulebook.Rulebook:
    file = folder / "logban.yml"
    file.write_text(text)
    return rulebook.load(file)


def test_without_a_file_the_shipped_jails_and_filters_are_there(tmp_path: Path) -> None:
    book = rulebook.load(tmp_path / "none.yml")
    assert {name: jail.enabled for name, jail in book.jails.items()} == {"wildduck-legacytls": True, "mail-auth": False}
    assert len(book.filters) == 8


def test_the_shipped_jail_bans_at_the_fifth_old_handshake() -> None:
    jail = rulebook.load(None).jails["wildduck-legacytls"]
    assert (jail.maxretry, jail.weights["legacy_tls"], jail.findtime_seconds) == (5.0, 1.0, 600.0)
    assert "auth_failure" not in jail.weights


def test_keys_of_a_shipped_jail_can_be_changed_one_by_one(tmp_path: Path) -> None:
    book = load(tmp_path, "jails:\n  wildduck-legacytls: {maxretry: 9, ports: [25, 587/tcp], dry_run: true}\n")
    jail = book.jails["wildduck-legacytls"]
    assert (jail.maxretry, jail.ports, jail.dry_run, jail.bantime_seconds) == (9.0, ("25", "587/tcp"), True, 600.0)


def test_jails_and_filters_can_be_added(tmp_path: Path) -> None:
    book = load(
        tmp_path,
        """
filters:
  mine: {about: a server, patterns: [{offence: '^refused <ADDR>', kind: malformed}]}
jails:
  mine: {filters: [mine], kinds: {malformed: 1}, maxretry: 1, findtime: 1h, bantime: 2d, ignoreip: [192.0.2.0/24]}
containers:
  odd: {filters: [mine], jails: [mine]}
""",
    )
    assert book.jails["mine"].bantime_seconds == 172_800.0
    assert book.containers["odd"].filters == ("mine",)
    assert [each.name for each in book.choose(["mine", "haraka", "mine"])] == ["mine", "haraka"]


def test_everything_wrong_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(
            tmp_path,
            """
filters:
  mine: {about: x, patterns: [{offence: 'refused <ADDR>', kind: malformed}]}
jails:
  new: {maxretry: 1}
  mail-auth: {filters: [nosuch], ignoreip: [example.com]}
containers:
  odd: {filters: [other], jails: [third]}
""",
        )
    complaints = "\n".join(caught.value.complaints)
    for part in ("filters.mine", "jails.new: 'kinds'", "'nosuch'", "example.com", "'other'", "'third'"):
        assert part in complaints
    assert all("logban.yml" in complaint for complaint in caught.value.complaints)


@pytest.mark.parametrize(
    "text",
    [
        "jails: {a: {findtime: soon}}",
        "jails: {a: {kinds: {rude: 1}}}",
        "jails: {a: {maxretry: 0}}",
        "jails: {a: {increment: {factor: 0.5}}}",
        "jails: {a: {ports: [70000]}}",
        "jail: {}",
        "- x",
        "a: [",
    ],
)
def test_a_file_that_the_schema_forbids_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError):
        load(tmp_path, text)


@pytest.mark.parametrize(
    ("image", "names"),
    [
        ("ghcr.io/haraka/haraka:3.1", ["haraka"]),
        ("nodemailer/wildduck@sha256:0123", ["wildduck"]),
        ("traefik:v3.6", ["traefik"]),
        ("zone-eu/zone-mta", ["zonemta"]),
        ("mailserver/docker-mailserver", ["dovecot", "postfix"]),
        ("redis:7", []),
    ],
)
def test_a_filter_is_guessed_from_the_image(image: str, names: list[str]) -> None:
    assert [each.name for each in rulebook.load(None).guess(image)] == names
