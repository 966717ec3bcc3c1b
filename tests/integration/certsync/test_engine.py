"""certsync and a real engine: containers that ask by labels, and reloads that are promises."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lab.authority import Authority, Issued, acme_json, entry
from lab.certsync import Certsync, write_as_traefik_does
from lab.containers import Container, Containers
from lab.recorder import Recorder, Request
from lab.wire import wait_for

NAME = "mail.example.com"
RESTART = r"^/containers/[^/]+/restart$"
# What the socket proxy that is shipped lets through.
PROXY = (Path(__file__).parents[3] / "contrib" / "socket-proxy" / "certsync.cfg").read_text()
READS, ACTS = (
    re.compile("|".join(re.findall(rf"acl (?:{names}) path_reg (.*)", PROXY))) for names in ("reads", "restarts|kills")
)

pytestmark = pytest.mark.engine


@dataclass
class Stage:
    """A real engine with a recorder before it, and Traefik's store."""

    folder: Path
    recorder: Recorder
    containers: Containers
    authority: Authority
    agents: list[Certsync] = field(default_factory=list)

    def renew(self) -> Issued:
        issued = self.authority.issue(NAME)
        write_as_traefik_does(self.folder / "acme.json", acme_json(le=[entry(issued)]))
        return issued

    def by_labels(self) -> Certsync:
        """Run a certsync whose targets are what containers ask for."""
        env = {"ACME_PATH": str(self.folder / "acme.json"), "CERTSYNC_LABELS": "true", "RESYNC": "1s"}
        return self._run(Certsync(self.folder, env=env, docker_host=self.recorder.url))

    def reloading(self, reload: str) -> Certsync:
        """Run a certsync with one target, `mail`, and that reload."""
        document = f"""
sources: {{traefik: {{acme_json: {self.folder}/acme.json}}}}
targets: {{mail: {{domains: [{NAME}], combined: {self.folder}/all.pem, reload: {reload}}}}}
"""
        return self._run(Certsync(self.folder, document, docker_host=self.recorder.url))

    def asking(self, **labels: str) -> Container:
        """Run a container that asks for a certificate by labels."""
        wants = {"certsync": "true", "certsync.domains": NAME, "certsync.combined": "/lab/tls/all.pem"}
        wants |= {f"certsync.{key}": value for key, value in labels.items()}
        container = self.containers.create("consumer", labels=wants)
        (container.folder / "tls").mkdir()
        container.start()
        return container

    def restarts(self) -> list[Request]:
        return self.recorder.requests("POST", RESTART)

    def _run(self, agent: Certsync) -> Certsync:
        self.agents.append(agent)
        agent.start()
        agent.wait_for("started")
        return agent


@pytest.fixture
def stage(tmp_path: Path, recorder: Recorder, containers: Containers, authority: Authority) -> Iterator[Stage]:
    (tmp_path / "acme.json").touch()
    made = Stage(tmp_path, recorder, containers, authority)
    yield made
    for agent in made.agents:
        agent.close()


def test_a_container_that_asks_by_labels_finds_the_pair_at_its_own_path_and_is_restarted_once(stage: Stage) -> None:
    container, issued = stage.asking(reload="restart", owner="1000:1000"), stage.renew()
    certsync = stage.by_labels()  # after the container's start, which would have been as good as a restart
    certsync.wait_for("consumer_reloaded", target=container.name)
    status, output = container.run("cat", "/lab/tls/all.pem")
    assert status == 0
    assert output.replace("\r", "").encode().endswith(issued.chain_pem)
    assert container.run("stat", "-c", "%u:%g %a", "/lab/tls/all.pem")[1].strip() == "1000:1000 600"
    asked = len(stage.recorder.requests("GET", "^/containers/json$"))
    stage.recorder.wait_for("GET", "^/containers/json$", count=asked + 3)
    assert len(stage.recorder.requests("POST")) == 1
    allowed = {"GET": READS, "POST": ACTS}
    assert [one for one in stage.recorder.requests() if not allowed[one.method].search(one.path)] == []


def test_a_container_whose_path_is_on_no_shared_mount_is_told_what_to_add(stage: Stage) -> None:
    certsync = stage.by_labels()
    stage.renew()
    container = stage.asking(combined="/etc/all.pem")
    wait_for(lambda: "undeliverable" in certsync.command("status").stdout, "it is told", deadline=20)
    detail = certsync.status(container.name)["detail"]
    assert "`- certs-" in detail
    assert ":/etc` under" in detail


def test_a_signal_reaches_the_main_process(stage: Stage) -> None:
    listening = 'trap "echo heard >> /lab/heard" HUP; echo ready > /lab/ready; while :; do sleep 0.1; done'
    container = stage.containers.run("postfix", command=("sh", "-c", listening))
    wait_for((container.folder / "ready").exists, "its trap is set")
    certsync = stage.reloading(f"{{signal: HUP, container: {container.name}}}")
    stage.renew()
    certsync.wait_for("consumer_reloaded")
    wait_for((container.folder / "heard").exists, "the signal was heard")


def test_a_command_in_a_container_is_run_and_its_failure_noticed(stage: Stage) -> None:
    container = stage.containers.run("web")
    command = "[sh, -c, 'test -e /lab/well && touch /lab/done']"
    certsync = stage.reloading(f"{{exec: {command}, container: {container.name}}}")
    stage.renew()
    assert "ended with status 1" in certsync.wait_for("reload_failed")["detail"]
    (container.folder / "well").touch()
    certsync.wait_for("consumer_reloaded")
    assert (container.folder / "done").exists()


def test_an_engine_that_is_away_is_waited_for_and_asked_once(stage: Stage) -> None:
    container = stage.containers.run("mail")
    started = container.started_at
    certsync = stage.reloading(f"{{restart: {container.name}}}")
    stage.recorder.go_away()
    stage.renew()
    certsync.wait_for("reload_failed", count=2)
    assert certsync.status("mail")["reason"] == "reload_failed"
    stage.recorder.come_back()
    certsync.wait_for("consumer_reloaded", deadline=30.0)
    assert len(stage.restarts()) == 1
    assert container.started_at != started
    assert certsync.running


def test_a_reload_that_is_refused_three_times_succeeds_once(stage: Stage) -> None:
    container = stage.containers.run("mail")
    stage.recorder.refuse("POST", RESTART, 500)
    certsync = stage.reloading(f"{{restart: {container.name}}}")
    stage.renew()
    certsync.wait_for("reload_failed", count=3)
    stage.recorder.obey()
    certsync.wait_for("consumer_reloaded", deadline=30.0)
    assert [one.status for one in stage.restarts()].count(204) == 1
    assert certsync.status("mail")["state"] == "in_sync"


def test_an_absent_container_is_served_when_it_starts_and_not_restarted(stage: Stage) -> None:
    container = stage.containers.create("mail")
    certsync = stage.reloading(f"{{restart: {container.name}}}")
    stage.renew()
    certsync.wait_for("reload_failed", reason="container_missing")
    container.start()
    assert "started since by itself" in certsync.wait_for("consumer_reloaded", deadline=30.0)["detail"]
    assert stage.restarts() == []


def test_killed_while_the_restart_is_under_way_the_next_life_does_not_restart_again(stage: Stage) -> None:
    container = stage.containers.run("mail")
    started = container.started_at
    certsync = stage.reloading(f"{{restart: {container.name}}}")
    stage.recorder.hold("POST", RESTART)
    stage.renew()
    stage.recorder.wait_for("POST", RESTART)
    certsync.kill9()
    stage.recorder.obey()
    wait_for(lambda: container.started_at != started and container.state == "running", "the engine has restarted it")
    certsync.start()
    certsync.wait_for("consumer_reloaded", deadline=30.0)
    assert len(stage.restarts()) == 1


def test_killed_between_writing_and_reloading_the_next_life_reloads_once(stage: Stage) -> None:
    container = stage.containers.run("mail")
    certsync = stage.reloading(f"{{restart: {container.name}}}")
    stage.recorder.go_away()
    stage.renew()
    certsync.wait_for("certificate_delivered")
    certsync.kill9()
    stage.recorder.come_back()
    certsync.start()
    certsync.wait_for("consumer_reloaded", deadline=30.0)
    certsync.restart()
    certsync.wait_for("started")
    assert certsync.command("sync").returncode == 0
    assert len(stage.restarts()) == 1
