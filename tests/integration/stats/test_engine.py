"""The page beside a real engine and a real autoheal: what it says of containers is what the engine says."""

import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import scene
from lab.agent import AgentProcess
from lab.autoheal import CURABLE, OPTED_IN
from lab.containers import Containers, Health
from lab.engine import PrivateEngine
from lab.recorder import Recorder
from lab.stats import Stats
from lab.wire import wait_for

pytestmark = pytest.mark.engine

SERVICE, PROJECT = "com.docker.compose.service", "com.docker.compose.project"
DOCUMENT = (Path(__file__).parents[3] / "docs/stats.md").read_text()
PULSE = Health(interval=0.5)


@pytest.fixture
def project(containers: Containers) -> dict[str, str]:
    """Labels by which the page shows this test's containers alone."""
    return {PROJECT: containers.mark}


@pytest.fixture
def stats(tmp_path: Path, recorder: Recorder, project: dict[str, str]) -> Iterator[Stats]:
    env = {"STATS_PROJECT": project[PROJECT]}
    with Stats(tmp_path, env=env, docker_host=recorder.url, http=True) as running:
        yield running


def figures(agent: AgentProcess) -> str:
    with urllib.request.urlopen(f"http://{agent.address}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


def by_name(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["container"]: one for one in document["containers"]}


def test_containers_are_shown_as_the_engine_has_them(
    containers: Containers, project: dict[str, str], stats: Stats
) -> None:
    hostile = {**project, SERVICE: scene.HOSTILE}
    sick = containers.run("sick", labels={**project, SERVICE: "haraka"}, health=PULSE, restart="unless-stopped")
    evil = containers.run("evil", labels=hostile, host={"Memory": 64 * 2**20})
    failing = containers.run("failing", labels=project, restart="on-failure:2", command=("sh", "-c", "exit 3"))
    secret = containers.run(
        "secret", labels=project, env={"PASSWORD": "canary"}, command=("sh", "-c", "sleep 3600 # canary")
    )
    sick.make_sick("canary")
    sick.wait_for(health="unhealthy")
    failing.wait_for(state="exited")

    document = stats.wait_until(
        lambda one: (
            all(each["cpu_percent"] is not None for each in one["containers"] if each["state"] == "running")
            and len(one["containers"]) == 4
            and by_name(one)[sick.name]["health"] == "unhealthy"
            and by_name(one)[failing.name]["state"] == "exited"
        ),
        "all are seen, twice",
    )

    seen, truth = by_name(document), sick.inspect()
    assert seen[sick.name]["name"] == "haraka"
    assert 0 < seen[sick.name]["failing_streak"] <= truth["State"]["Health"]["FailingStreak"] + 1
    assert seen[sick.name]["started_at"][:19] == truth["State"]["StartedAt"][:19]
    assert seen[sick.name]["memory_bytes"] > 0
    assert seen[failing.name]["restarts_by_policy"] == failing.inspect()["RestartCount"] == 2
    assert seen[failing.name]["exit_code"] == 3
    assert seen[evil.name]["memory_limit_bytes"] == 64 * 2**20
    assert {"haraka unhealthy", f"{failing.name} not running"} <= set(document["problems"])
    page = stats.get()[1]
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert scene.HOSTILE not in page
    assert secret.name in page
    metrics = figures(stats)
    said = [page, json.dumps(document), json.dumps(stats.lines()), stats.stderr, metrics]
    assert not [text for text in said if "canary" in text]
    assert 'stats_container_up{container="haraka"} 1.0' in metrics
    assert f'stats_container_up{{container="{failing.name}"}} 0.0' in metrics
    assert 'stats_probe_up{service="engine"} 1.0' in metrics


def test_stats_sends_what_is_documented_and_nothing_else(
    containers: Containers, project: dict[str, str], stats: Stats, recorder: Recorder
) -> None:
    containers.run(labels=project)
    stats.wait_until(
        lambda one: one["containers"] and one["containers"][0]["cpu_percent"] is not None, "it is measured"
    )
    assert stats.command("check").returncode == 0
    listed = DOCUMENT.partition("<!-- requests:begin -->")[2].partition("<!-- requests:end -->")[0]
    documented = set(re.findall(r"^\| `(GET)` \| `(/\S+)` \|", listed, re.MULTILINE))
    sent = {(request.method, re.sub("[0-9a-f]{64}", "{id}", request.path)) for request in recorder.requests()}
    assert sent == documented


def test_promtool_finds_nothing_to_complain_about(stats: Stats) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed here")
    stats.wait_until(lambda one: one["sources"]["engine"]["up"], "the engine is seen")
    done = subprocess.run(
        [promtool, "check", "metrics"], input=figures(stats), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_a_heal_is_on_the_page_with_the_next_round(
    tmp_path: Path, containers: Containers, project: dict[str, str], recorder: Recorder
) -> None:
    quick = {"AUTOHEAL_INTERVAL": "1s", "AUTOHEAL_STORM_GUARD": "false"}
    with AgentProcess("autoheal", tmp_path, env=quick, docker_host=recorder.url, http=True) as autoheal:
        autoheal.wait_for("events_subscribed")
        env = {"STATS_PROJECT": project[PROJECT], "STATS_AUTOHEAL_URL": f"http://{autoheal.address}"}
        with Stats(tmp_path, env=env, docker_host=recorder.url) as stats:
            box = containers.run(labels={**project, **OPTED_IN}, health=PULSE, command=CURABLE)
            box.wait_for(health="healthy")
            box.make_sick()
            autoheal.wait_for("heal_ended", container=box.name, outcome="recovered", deadline=60.0)
            document = stats.wait_until(lambda one: by_name(one)[box.name]["heals_24h"] == 1, "the heal is counted")
            assert document["sources"]["autoheal"]["up"]
            assert document["heals_since"]


def test_while_the_engine_hangs_its_rows_are_old_and_the_page_is_there(
    tmp_path: Path, own_engine: PrivateEngine, own_containers: Containers
) -> None:
    box = own_containers.run()
    with Stats(tmp_path, docker_host=own_engine.url) as stats:
        stats.wait_until(lambda one: by_name(one).get(box.name), "the container is seen")
        own_engine.freeze()
        try:
            document = stats.wait_until(lambda one: one["sources"]["engine"]["state"] == "down", "the engine is down")
            assert by_name(document)[box.name]["state"] == "running"  # as it was last heard of
            assert any(problem.startswith("engine down") for problem in document["problems"])
            page = stats.get()[1]
            assert '<table class="old">' in page
        finally:
            own_engine.thaw()
        stats.wait_until(lambda one: one["sources"]["engine"]["up"], "the engine is back", deadline=60.0)
        wait_for(lambda: '<table class="old">' not in stats.get()[1], "its rows are of now")
