"""The command line, as an operator types it."""

import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.authority import Authority, Issued, acme_json, entry
from lab.certsync import Certsync

NAME = "mail.example.com"


@pytest.fixture
def certsync(tmp_path: Path) -> Iterator[Certsync]:
    """Lend a certsync that was not started."""
    (tmp_path / "out").mkdir()
    agent = Certsync(
        tmp_path,
        f"sources: {{traefik: {{acme_json: {tmp_path}/acme.json}}}}\n"
        f"targets: {{web: {{domains: [{NAME}], certificate: {tmp_path}/out/c.pem, key: {tmp_path}/out/k.pem}}}}\n",
    )
    yield agent
    agent.close()


@pytest.fixture
def issued(authority: Authority, tmp_path: Path) -> Issued:
    one = authority.issue(NAME, kind="rsa2048")
    (tmp_path / "acme.json").write_text(acme_json(le=[entry(one), entry(authority.issue("x.example.com", days=-0.5))]))
    return one


def test_sync_delivers_once_and_says_whether_all_is_in_sync(certsync: Certsync, issued: Issued, tmp_path: Path) -> None:
    done = certsync.command("sync", "--json")
    assert done.returncode == 0, done.stderr
    (target,) = json.loads(done.stdout)["targets"]
    assert target["state"] == "in_sync"
    assert (tmp_path / "out" / "c.pem").read_bytes() == issued.chain_pem


def test_a_dry_run_says_what_it_would_do_and_changes_nothing(
    certsync: Certsync, issued: Issued, tmp_path: Path
) -> None:
    done = certsync.command("sync", "--dry-run", "--json")
    assert done.returncode == 1
    (row,) = json.loads(done.stdout)
    assert (row["decision"], row["serial"]) == ("would deliver", f"{issued.serial:X}".zfill(len(row["serial"])))
    assert list((tmp_path / "out").iterdir()) == []
    assert not certsync.state.exists()


def test_sync_says_why_not(certsync: Certsync, tmp_path: Path) -> None:
    (tmp_path / "acme.json").write_text("{}")
    done = certsync.command("sync")
    assert done.returncode == 1
    assert "no_certificate" in done.stdout


def test_sync_beside_a_running_certsync_lets_that_one_work(
    certsync: Certsync, issued: Issued, authority: Authority, tmp_path: Path
) -> None:
    certsync.start()
    certsync.wait_for("certificate_delivered")
    worse = authority.issue(NAME, days=5)
    (tmp_path / "acme.json").write_text(acme_json(le=[entry(worse)]))
    assert "downgrade" in certsync.command("sync").stdout
    assert certsync.command("sync", "--force").returncode == 0
    assert (tmp_path / "out" / "c.pem").read_bytes() == worse.chain_pem
    assert certsync.command("status").returncode == 0
    assert issued.serial != worse.serial


def test_status_without_a_certsync_says_what_is_missing(certsync: Certsync) -> None:
    done = certsync.command("status")
    assert done.returncode == 2
    assert "certsync sync" in done.stderr


def test_list_shows_every_certificate_and_no_key(certsync: Certsync, issued: Issued) -> None:
    done = certsync.command("list", "--json")
    rows = json.loads(done.stdout)
    assert [row["names"] for row in rows] == [[NAME], ["x.example.com"]]
    assert rows[1]["days_left"] < 0
    assert "PRIVATE" not in done.stdout
    assert NAME in certsync.command("list").stdout
    assert issued.serial == int(rows[0]["serial"], 16)


def test_tlsa_equals_what_openssl_computes(certsync: Certsync, issued: Issued, tmp_path: Path) -> None:
    certsync.command("sync")
    public = subprocess.run(
        f"openssl x509 -in {tmp_path}/out/c.pem -pubkey -noout | openssl pkey -pubin -outform der",
        shell=True,
        capture_output=True,
        check=True,
    ).stdout
    printed = certsync.command("tlsa").stdout
    assert printed == f"_25._tcp.{NAME}. IN TLSA 3 1 1 {hashlib.sha256(public).hexdigest()}\n"
    assert issued.serial


def test_check_tells_all_that_is_wrong(certsync: Certsync, tmp_path: Path) -> None:
    done = certsync.command("check", "--json")
    assert done.returncode == 1
    assert "source_missing" in json.loads(done.stdout)["problems"][0]
    (tmp_path / "certsync.yml").write_text("targets: {web: {domains: [], wrong: 1}}")
    done = certsync.command("check")
    assert done.returncode == 2
    assert "targets.web.domains" in done.stderr
    assert "targets.web.wrong" in done.stderr


def test_check_with_nothing_wrong_is_content(certsync: Certsync, issued: Issued) -> None:
    assert certsync.command("sync").returncode == 0
    done = certsync.command("check")
    assert (done.returncode, done.stdout) == (0, "all is well\n"), issued


def test_it_stops_within_seconds_and_says_so(certsync: Certsync, issued: Issued) -> None:
    certsync.start()
    certsync.wait_for("certificate_delivered", serial=f"{issued.serial:X}".zfill(40))
    assert certsync.stop(deadline=10.0) == 0
    assert certsync.lines("stopped")


def test_two_do_not_work_in_one_state_folder(certsync: Certsync, issued: Issued) -> None:
    certsync.start()
    certsync.wait_for("certificate_delivered")
    second = certsync.command("run")
    assert second.returncode == 1
    assert "another agent works" in second.stderr
    assert issued.serial


def test_a_place_that_cannot_take_a_file_is_told_of_before_anything_is_tried(
    certsync: Certsync, issued: Issued, tmp_path: Path
) -> None:
    (tmp_path / "out").rmdir()
    told = f"target_missing: the directory of {tmp_path}/out/c.pem does not exist"

    checked, tried = certsync.command("check", "--json"), certsync.command("sync", "--dry-run", "--json")

    assert json.loads(checked.stdout)["problems"] == [f"web: {told}"], issued
    assert [(one["decision"], one["reason"]) for one in json.loads(tried.stdout)] == [("would refuse", told)]


def test_a_file_with_mistakes_is_not_also_called_empty(certsync: Certsync, tmp_path: Path) -> None:
    (tmp_path / "certsync.yml").write_text("targets: {web: {domains: [], combined: /out/c.pem}}")

    done = certsync.command("check")

    assert done.returncode == 2
    assert "targets.web.domains" in done.stderr
    assert "nothing to do" not in done.stderr
