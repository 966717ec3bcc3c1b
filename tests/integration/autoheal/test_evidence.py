"""The evidence is from before the restart, bounded, and free of secrets."""

import json
from collections.abc import Callable

from lab.autoheal import OPTED_IN, Autoheal
from lab.containers import Containers, Health
from lab.wire import wait_for

Start = Callable[..., Autoheal]
_TALK = """
rm -f /lab/sick
n=$(cat /lab/life 2>/dev/null || echo 0); echo $((n+1)) >/lab/life
trap "exit 0" TERM
for i in $(seq 1 300); do echo "life $n line $i password=$DB_PASSWORD"; done
echo "life $n ready"
while :; do sleep 0.1; done
"""
TALKATIVE = ("sh", "-c", _TALK)
SECRET = "correct-horse-battery"


def test_probe_output_and_last_words_are_those_from_before_the_restart(containers: Containers, autoheal: Start) -> None:
    healer = autoheal(AUTOHEAL_EVIDENCE_LINES="50")
    box = containers.run(
        labels=OPTED_IN, health=Health(retries=2), command=TALKATIVE, env={"DB_PASSWORD": SECRET, "MODE": "production"}
    )
    box.wait_for(health="healthy")
    box.make_sick(f'cannot log in with {SECRET}: "quoted"\nsecond line, mode production\x00')
    healer.wait_healed(box)
    wait_for(lambda: healer.records(box)[0]["log_lines"], "the log lines have come")
    record = healer.records(box)[0]
    assert record["failing_streak"] >= 2
    assert record["probes"][-1]["exit_code"] == 1
    assert record["probes"][-1]["output"].startswith('cannot log in with ***: "quoted"\nsecond line, mode production')
    assert len(record["log_lines"]) <= 50
    assert record["log_lines"][-1] == "life 0 ready"
    assert not [line for line in record["log_lines"] if line.startswith("life 1")]
    shown = healer.process.command("show", str(record["id"])).stdout
    assert "life 0 ready" in shown
    everything = [shown, json.dumps(record), json.dumps(healer.process.lines()), str(healer.process.command("history"))]
    assert not [text for text in everything if SECRET in text]
    assert SECRET.encode() not in (healer.process.state / "autoheal.db").read_bytes()


def test_exit_code_and_oom_flag_are_kept(containers: Containers, autoheal: Start) -> None:
    healer = autoheal()
    box = containers.run(labels={**OPTED_IN, "autoheal.exited": "true"})
    healer.process.wait_for("container_watched", container=box.name)
    box.exit(42)
    healer.process.wait_for("heal_begun", container=box.name)
    record = healer.records(box)[0]
    assert (record["exit_code"], record["oom_killed"], record["reason"]) == (42, 0, "exited")


def test_a_proxy_that_refuses_logs_costs_the_log_lines_and_nothing_else(
    containers: Containers, autoheal: Start
) -> None:
    healer = autoheal()
    healer.recorder.refuse("GET", "/logs$")
    box = containers.run(labels=OPTED_IN, health=Health(), command=TALKATIVE)
    box.wait_for(health="healthy")
    box.make_sick()
    healer.wait_healed(box)
    wait_for(lambda: healer.records(box)[0]["log_lines"], "it is said why there are none")
    assert "not available" in healer.records(box)[0]["log_lines"][0]
    assert healer.records(box)[0]["outcome"] == "recovered"


def test_a_log_that_hangs_delays_no_heal(containers: Containers, autoheal: Start) -> None:
    healer = autoheal()
    healer.recorder.hold("GET", "/logs$")
    box = containers.run(labels=OPTED_IN, health=Health(), command=TALKATIVE)
    box.wait_for(health="healthy")
    box.make_sick()
    healer.wait_healed(box)
    assert healer.recorder.requests("GET", "/logs$")
    healer.recorder.obey()


def test_without_evidence_lines_no_log_is_asked_for(containers: Containers, autoheal: Start) -> None:
    healer = autoheal(AUTOHEAL_EVIDENCE_LINES="0")
    box = containers.run(labels=OPTED_IN, health=Health(), command=TALKATIVE)
    box.wait_for(health="healthy")
    box.make_sick()
    healer.wait_healed(box)
    assert not healer.recorder.requests("GET", "/logs$")
