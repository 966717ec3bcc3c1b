"""Real ZoneMTA: with the plugin it serves a renewal by itself; without it a restart is needed, and said to be."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import consumers
from lab.authority import Authority
from lab.certsync import Certsync, Clients, served_serial
from lab.containers import Containers
from lab.engine import GivenEngine, PrivateEngine
from lab.network import Namespace
from lab.recorder import Recorder

NAME = "smtp.example.com"


@pytest.fixture
def on_the_engines_network(engine: GivenEngine) -> Iterator[None]:
    """Have the test, and all that it starts, where a container on the host's network is."""
    if not isinstance(engine, PrivateEngine):
        yield
        return
    consumers.install_zonemta()  # from there no registry can be reached
    with Namespace(Path("/run/netns") / engine.namespace).entered():
        yield


def test_with_the_plugin_every_renewal_is_served_within_two_seconds_and_nobody_is_dropped(
    tmp_path: Path, authority: Authority
) -> None:
    first = authority.issue(NAME, days=10)
    with consumers.zonemta(tmp_path, first, plugin=True) as stage, Certsync(tmp_path, stage.document(NAME)) as certsync:
        assert served_serial(stage.port) == first.serial
        seconds = []
        with Clients(lambda: served_serial(stage.port)).at_work() as clients:
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


@pytest.mark.engine
@pytest.mark.usefixtures("on_the_engines_network")
def test_without_the_plugin_one_restart_brings_a_renewal_and_status_says_what_it_cost(
    tmp_path: Path, authority: Authority, containers: Containers, recorder: Recorder
) -> None:
    first, renewed = authority.issue(NAME, days=10), authority.issue(NAME, days=20, kind="rsa2048")
    with (
        consumers.contained_zonemta(tmp_path, first, containers) as stage,
        Certsync(tmp_path, stage.document(NAME), docker_host=recorder.url) as certsync,
    ):
        assert served_serial(stage.port) == first.serial
        started = stage.container.started_at
        stage.renew(renewed)
        certsync.wait_served(1, "zonemta", deadline=90.0)
        assert served_serial(stage.port) == renewed.serial
        assert stage.container.started_at != started
        status = certsync.status("zonemta")
        assert (status["state"], status["served_in_sync"]) == ("in_sync", True)
        (restart,) = recorder.requests("POST", "/restart$")
        assert 0 < status["reload_seconds"] == certsync.lines("consumer_reloaded")[0]["seconds"]
        assert certsync.command("sync").returncode == 0
        assert recorder.requests("POST", "/restart$") == [restart]


def test_the_plugins_own_tests_pass() -> None:
    done = subprocess.run(
        ["node", "--test"], cwd=consumers.PLUGIN.parent, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]
