"""The commands, on a state that an agent left; the firewall is `none` here."""

import json
import os
import time
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, cast

import pytest

from logban.firewall import Source
from logban.program import LOGBAN
from logban.store import FILE, BanRecord, OffenceRecord, Store
from sidecarkit import command, logs, state

EVIL = "198.51.100.66"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command; gives its status, output and complaints."""

    def perform(*words: str, **env: str) -> tuple[int, str, str]:
        environ = {"LOGBAN_STATE": str(tmp_path), "LOGBAN_BACKEND": "none", "LOGBAN_CONFIG": "/nonexistent.yml", **env}
        try:
            status = command.main(LOGBAN, words, environ)
        except SystemExit as ended:  # argparse
            status = cast("int", ended.code)
        said = capsys.readouterr()
        return status, said.out, said.err

    return perform


@pytest.fixture
def kept(tmp_path: Path) -> Store:
    """Leave a state with one ban and its offence."""
    store = Store(tmp_path, logs.get("test"))
    now, source, address = time.time(), cast("Source", ip_network(EVIL)), ip_address(EVIL)
    store.ban(
        BanRecord(
            source, "", "wildduck-legacytls", now, now + 600, address=address, kinds={"legacy_tls": 5},
            reason="unsupported protocol", container="mail", filter="haraka", evidence="the last line",
        )
    )  # fmt: skip
    store.note(
        [OffenceRecord(source, address, now, "legacy_tls", "unsupported protocol", "haraka", "mail", "a line", None)]
    )
    return store


def answered(run: Run, *words: str) -> Any:
    status, out, err = run(*words, "--json")
    assert status == 0, err
    return json.loads(out)


def test_bans_and_why_tell_what_is_known(run: Run, kept: Store) -> None:
    (ban,) = answered(run, "bans")
    why = answered(run, "why", EVIL)

    assert (ban["source"], ban["jail"], ban["container"]) == (f"{EVIL}/32", "wildduck-legacytls", "mail")
    assert 590 < ban["remaining_seconds"] <= 600
    assert why["banned"] and why["offences"][0]["evidence"] == "a line"
    assert "5 x legacy_tls" in run("why", EVIL)[1] and "the last line" in run("why", EVIL)[1]
    assert EVIL in run("bans")[1]


def test_of_an_unknown_address_nothing_is_known(run: Run, kept: Store) -> None:
    assert run("why", "203.0.113.9")[0] == 1
    assert run("why", "mail.example.com")[0] == 2
    assert run("unban", "203.0.113.9")[0] == 1


def test_a_ban_is_lifted_and_what_is_held_against_the_address_will_be(run: Run, kept: Store) -> None:
    assert run("unban", EVIL)[0] == 0

    assert answered(run, "bans") == []
    assert [str(request.source) for _, request in kept.requests()] == [f"{EVIL}/32"]


def test_all_bans_are_lifted_only_when_that_is_said(run: Run, kept: Store) -> None:
    assert run("unban")[0] == 2
    assert run("unban", EVIL, "--all")[0] == 2
    assert len(answered(run, "bans")) == 1

    assert run("unban", "--all")[0] == 0

    assert answered(run, "bans") == []


def test_a_person_bans_the_64_of_an_ipv6_address_for_a_time(run: Run, kept: Store) -> None:
    assert run("ban", "2001:db8::1", "--for", "2h", "--reason", "a person's")[0] == 0

    ban = next(each for each in answered(run, "bans") if each["jail"] == "manual")
    assert ban["source"] == "2001:db8::/64" and ban["reason"] == "a person's"
    assert 7190 < ban["remaining_seconds"] <= 7200


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.0.0.1", "192.0.2.7", "2001:db8:5::9", "0.0.0.0"])
def test_who_may_never_be_banned_is_not_banned_by_a_person_either(run: Run, kept: Store, address: str) -> None:
    status, _, complaint = run("ban", address, LOGBAN_IGNOREIP="192.0.2.0/24, 2001:db8:5::1")

    assert status == 1 and "never banned" in complaint
    assert len(answered(run, "bans")) == 1


@pytest.mark.parametrize(
    "words", [("ban", EVIL, "--for", "ever"), ("ban", EVIL, "--for", "0s"), ("ban", "198.51.100.0/24")]
)
def test_what_makes_no_sense_is_refused(run: Run, kept: Store, words: tuple[str, ...]) -> None:
    assert run(*words)[0] == 2


def test_status_needs_an_agent_that_has_run(run: Run, kept: Store) -> None:
    assert run("status")[0] == 1
    kept.show("status", {"backend": "none", "ports": [], "bans": {}, "hidden_clients": [], "containers": []})

    assert answered(run, "status")["running"] is False


def test_nothing_is_uninstalled_under_a_running_agent(run: Run, tmp_path: Path, kept: Store) -> None:
    lock = state.own(tmp_path)

    status, _, complaint = run("uninstall")

    os.close(lock)
    assert status == 1 and "stop it first" in complaint


def test_a_running_agent_that_does_not_answer_is_said_to_be_silent(run: Run, tmp_path: Path, kept: Store) -> None:
    lock = state.own(tmp_path)

    status, _, complaint = run("unban", EVIL)

    os.close(lock)
    assert status == 1 and "not answered" in complaint
    assert len(kept.requests()) == 1


@pytest.mark.parametrize("words", [("ban", "192.0.2.9"), ("unban", EVIL), ("unban", "--all")])
def test_a_damaged_database_stays_where_a_running_agent_has_it(
    run: Run, tmp_path: Path, kept: Store, words: tuple[str, ...]
) -> None:
    kept.close()
    file = tmp_path / FILE
    file.write_bytes(b"rubbish" * 10_000)
    lock = state.own(tmp_path)

    status, _, complaint = run(*words)

    os.close(lock)
    assert status == 1 and str(file) in complaint
    assert [each.name for each in tmp_path.iterdir() if "damaged" in each.name] == []
    assert file.read_bytes() == b"rubbish" * 10_000


def test_unknown_jails_are_wrong_settings(run: Run) -> None:
    status, _, complaint = run("check", LOGBAN_JAILS="wildduck-legacytls,none", DOCKER_HOST="unix:///nonexistent.sock")

    assert status == 2 and "no jail 'none'" in complaint and "engine" in complaint
