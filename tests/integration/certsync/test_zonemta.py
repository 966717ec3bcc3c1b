"""Real ZoneMTA: with the plugin it serves a renewal by itself; without it a restart is needed, and said to be."""

import subprocess
from pathlib import Path

from lab import consumers
from lab.authority import Authority
from lab.certsync import Certsync, Clients, served_serial

NAME = "smtp.example.com"


def test_with_the_plugin_every_renewal_is_served_within_two_seconds_and_nobody_is_dropped(
    tmp_path: Path, authority: Authority
) -> None:
    first = authority.issue(NAME, days=10)
    with consumers.zonemta(tmp_path, first, plugin=True) as stage, Certsync(tmp_path, stage.document(NAME)) as certsync:
        assert served_serial(stage.port) == first.serial
        seconds = []
        with Clients(stage.port).at_work() as clients:
            for number in range(6):
                renewed = authority.issue(NAME, days=20 + number, number=number, kind="rsa2048" if number % 2 else "ec")
                stage.renew(renewed)
                seconds.append(certsync.wait_served(number + 1, "zonemta")["seconds"])
                assert served_serial(stage.port) == renewed.serial
        assert clients.failures == []
        assert sum(clients.serials.values()) >= 100
        assert max(seconds) <= 2.0, seconds
        assert stage.process.poll() is None


def test_without_the_plugin_the_old_certificate_stays_and_that_is_said(tmp_path: Path, authority: Authority) -> None:
    first = authority.issue(NAME, days=10)
    with (
        consumers.zonemta(tmp_path, first, plugin=False) as stage,
        Certsync(tmp_path, stage.document(NAME)) as certsync,
    ):
        stage.renew(authority.issue(NAME, days=20))
        certsync.wait_for("certificate_not_served", target="zonemta", reason="verify_failed", deadline=40.0)
        assert served_serial(stage.port) == first.serial
        status = certsync.status("zonemta")
        assert (status["state"], status["served_in_sync"]) == ("failing", False)


def test_the_plugins_own_tests_pass() -> None:
    done = subprocess.run(
        ["node", "--test"], cwd=consumers.PLUGIN.parent, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]
