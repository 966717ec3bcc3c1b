"""The lab keeps its promises: what the other integration tests take for granted is shown here once."""

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from lab.agent import AgentProcess
from lab.compose import Compose
from lab.containers import STUBBORN, Containers, Health
from lab.engine import IMAGE, GivenEngine, PrivateEngine
from lab.recorder import Recorder
from lab.wire import call, wait_for
from sidecarkit.engine import Endpoint, Engine, Query
from sidecarkit.errors import EngineTimeout, EngineUnavailable, Refused

pytestmark = pytest.mark.engine
QUICK = Health(interval=0.2)


def test_a_container_turns_sick_and_well_as_it_is_told(containers: Containers) -> None:
    box = containers.run(health=QUICK)
    box.wait_for(health="healthy")

    box.make_sick("no answer on port 25")

    box.wait_for(health="unhealthy")
    assert box.inspect()["State"]["Health"]["Log"][-1]["Output"] == "no answer on port 25"
    box.make_well()
    box.wait_for(health="healthy")


def test_a_container_ends_by_itself_with_the_status_it_is_given(containers: Containers) -> None:
    box = containers.run()

    box.exit(3)

    box.wait_for(state="exited")
    assert box.inspect()["State"]["ExitCode"] == 3


def test_an_obedient_container_stops_at_once_and_a_stubborn_one_only_when_it_is_killed(containers: Containers) -> None:
    obedient, stubborn = containers.run("obedient"), containers.run("stubborn", command=STUBBORN)

    obedient.stop(20)
    stubborn.stop(1)

    assert obedient.inspect()["State"]["ExitCode"] == 0
    assert stubborn.inspect()["State"]["ExitCode"] == 137


def test_a_container_joins_the_network_of_another_and_runs_what_it_is_asked_to(containers: Containers) -> None:
    donor = containers.run("donor", network_mode="bridge")
    child = containers.run("child", network_mode=f"container:{donor.id}")

    status, output = child.run("ip", "address", "show", "eth0")

    assert status == 0 and "inet " in output


def test_no_container_is_left(engine: GivenEngine) -> None:
    with Containers(engine) as made:
        boxes = made.run_many(3)

    assert {box.id for box in boxes}.isdisjoint(row["Id"] for row in engine.api.containers())


def test_the_recorder_writes_down_what_was_asked_and_answered(recorder: Recorder, containers: Containers) -> None:
    box = containers.run()
    api = Engine(Endpoint(recorder.url))
    before = time.time()

    api.restart(box.id, 1, 1.0)

    asked = recorder.wait_for("POST", r"/restart$")[0]
    wait_for(lambda: recorder.requests("POST")[0].ended, "the answer was passed on")
    assert (asked.path, asked.query) == (f"/containers/{box.id}/restart", {"t": "1"})
    assert recorder.requests("POST")[0].status == 204
    assert before <= asked.started <= (recorder.requests("POST")[0].ended or 0) <= time.time()
    assert [request.path for request in recorder.requests("GET")] == ["/_ping"]


def test_the_recorder_passes_events_on_as_they_come_until_it_cuts_them(
    recorder: Recorder, containers: Containers
) -> None:
    box = containers.create()
    query: Query = {"since": f"{time.time():.9f}", "filters": {"container": [box.id]}}
    stream = Engine(Endpoint(recorder.url)).stream("events", "/events", query, silence_seconds=30.0)

    box.start()
    first = json.loads(next(iter(stream)))
    cut = recorder.cut("/events")

    assert first["Action"] == "start"
    assert cut == 1
    assert list(stream) == []


def test_the_recorder_refuses_what_it_is_told_to_refuse(recorder: Recorder, containers: Containers) -> None:
    box = containers.run()
    api = Engine(Endpoint(recorder.url))
    recorder.refuse("POST", "/restart$")

    with pytest.raises(Refused):
        api.restart(box.id, 0, 0.0)
    assert api.inspect(box.id)["State"]["Running"]

    recorder.obey()
    assert api.restart(box.id, 0, 0.0) == 204


def test_a_held_request_goes_on_when_the_recorder_obeys_again(recorder: Recorder) -> None:
    recorder.hold(path="/version")
    api = Engine(Endpoint(recorder.url), timeout_seconds=0.3)
    with pytest.raises(EngineTimeout):
        api.version()

    patient = Engine(Endpoint(recorder.url))
    answers: list[str] = []
    asking = threading.Thread(target=lambda: answers.append(patient.version()["ApiVersion"]))
    asking.start()
    recorder.wait_for(path="/version", count=2)
    assert answers == []
    recorder.obey()
    asking.join(10.0)

    assert len(answers) == 1


def test_a_recorder_that_went_away_refuses_connections_until_it_comes_back(recorder: Recorder) -> None:
    api = Engine(Endpoint(recorder.url))
    api.ping()

    recorder.go_away()
    with pytest.raises(EngineUnavailable):
        api.ping()

    recorder.come_back()
    api.ping()


def test_a_private_engine_is_stopped_killed_and_started_with_its_containers(own_engine: PrivateEngine) -> None:
    with Containers(own_engine) as made:
        box = made.run(restart="always")
        first = own_engine.pid

        own_engine.restart()
        box.wait_for(state="running")
        own_engine.kill()
        with pytest.raises(EngineUnavailable):
            own_engine.api.ping()
        own_engine.start()
        box.wait_for(state="running")

        assert own_engine.pid != first


def test_a_frozen_engine_accepts_and_does_not_answer(own_engine: PrivateEngine) -> None:
    impatient = Engine(Endpoint(own_engine.url), timeout_seconds=0.3)
    own_engine.freeze()

    with pytest.raises(EngineTimeout):
        impatient.ping()

    own_engine.thaw()
    own_engine.api.ping()


def test_a_private_engine_has_options_and_a_network_of_its_own(own_engine: PrivateEngine) -> None:
    own_engine.options["live-restore"] = True
    own_engine.restart()

    links = subprocess.run(
        own_engine.inside("ip", "-brief", "link"), capture_output=True, text=True, check=True
    ).stdout.splitlines()

    assert call(own_engine.url, "GET", "/info")[1]["LiveRestoreEnabled"] is True
    assert {line.split()[0] for line in links} == {"lo", "docker0"}


def test_a_closed_private_engine_leaves_no_trace(own_engine: PrivateEngine) -> None:
    name = own_engine.root.name

    with suppress(OSError), Containers(own_engine) as made:  # on exit there is no engine to remove them from
        made.run(command=STUBBORN, network_mode="bridge")
        own_engine.close()

    assert not own_engine.root.exists()
    assert not Path("/run/netns", name).exists()
    assert not list(Path("/sys/fs/cgroup").glob(f"**/{name}"))
    assert name not in Path("/proc/self/mountinfo").read_text()
    assert not [pid for pid in Path("/proc").glob("[0-9]*") if name.encode() in _command_line(pid)]


def test_compose_brings_a_project_up_and_takes_it_down(engine: GivenEngine, tmp_path: Path) -> None:
    text = f"services: {{app: {{image: {IMAGE}, command: [sleep, '60'], init: false, labels: {{autoheal: 'true'}}}}}}"

    with Compose(engine.url, tmp_path, text) as project:
        project.up()
        app = project.containers()["app"]
        labels = {"label": [f"com.docker.compose.project={project.project}"]}
        rows = engine.api.containers(labels)

    assert app["State"] == "running"
    assert [row["Labels"]["autoheal"] for row in rows] == ["true"]
    assert engine.api.containers(labels) == []


def test_an_agent_is_heard_stopped_killed_and_restarted(
    agent: Callable[..., AgentProcess], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "parrot.py").write_text(_PARROT)
    environment = {"PYTHONPATH": str(tmp_path)}
    monkeypatch.setenv("LEAK", "yes")

    parrot = agent("parrot", env=environment, http=True)
    said = parrot.wait_for("parrot_started", http=parrot.address)

    assert said["leak"] is None
    assert parrot.rss > 2**20
    assert parrot.command("hello", "--json").stdout == "['hello', '--json']\n"
    assert parrot.stop() == 0
    assert [line["event"] for line in parrot.lines()] == ["parrot_started", None, "parrot_stopped"]
    parrot.restart().wait_for("parrot_started")
    parrot.kill9()
    assert parrot.process.returncode == -9
    with pytest.raises(AssertionError, match="ended with -9"):
        parrot.wait_for("parrot_stopped")


_PARROT = """
import json, os, signal, sys
if sys.argv[1:] != ["run"]:
    print(sys.argv[1:])
    raise SystemExit(0)
def say(event, **facts):
    print(json.dumps({"event": event, **facts}), flush=True)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
say("parrot_started", http=os.environ["PARROT_HTTP"], leak=os.environ.get("LEAK"))
print("not JSON", flush=True)
signal.sigwait({signal.SIGTERM})
say("parrot_stopped")
"""


def _command_line(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


def test_the_engine_of_a_killed_test_run_is_swept_up(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs a private engine, which needs root")
    script = (
        "from lab.engine import PrivateEngine; import os\ne = PrivateEngine(); e.start(); print(e.root, flush=True)\n"
    )
    paths = os.pathsep.join(str(Path(__file__).parents[3] / shelf) for shelf in ("tests", "common"))
    killed = subprocess.run(
        ["python3", "-c", f"{script}os.kill(os.getpid(), 9)"],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    root = Path(killed.stdout.strip())
    assert root.exists()

    PrivateEngine().close()

    assert not root.exists()
