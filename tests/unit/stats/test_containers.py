"""What the engine's documents say of a container, and what they must not let through."""

import json
import threading
from typing import Any

import pytest

from lab.server import SmallServer, reply
from lab.wire import wait_for
from sidecarkit import containers as kit
from sidecarkit.engine import Endpoint, Engine
from stats import containers
from stats.containers import Containers, Usage, cpu_percent, inspected, listed, usage
from stats.facts import Container
from stats.source import SourceDown

ROW = {
    "Id": "a" * 64,
    "Names": ["/stack-haraka-1"],
    "Image": "haraka:3",
    "State": "running",
    "Status": "Up 6 seconds (unhealthy)",
    "Labels": {"com.docker.compose.project": "stack", "com.docker.compose.service": "haraka"},
}
INSPECTION: dict[str, Any] = {
    "Id": "a" * 64,
    "RestartCount": 4,
    "Config": {"Env": ["PASSWORD=canary"], "Cmd": ["canary"]},
    "HostConfig": {"Memory": 67108864, "RestartPolicy": {"Name": "unless-stopped"}},
    "State": {
        "Status": "running",
        "StartedAt": "2026-01-31T12:00:00.123456789Z",
        "ExitCode": 0,
        "Health": {"Status": "unhealthy", "FailingStreak": 3, "Log": [{"Output": "canary"}]},
    },
}
STATS = {
    "cpu_stats": {"cpu_usage": {"total_usage": 5_000}, "system_cpu_usage": 100_000, "online_cpus": 2},
    "memory_stats": {"usage": 50_000, "stats": {"total_inactive_file": 20_000}},
}


def test_an_inspection_tells_health_streak_restarts_limit_and_start() -> None:
    found = inspected(listed(kit.row(ROW)), INSPECTION)
    assert (found.shown_name, found.state, found.health, found.failing_streak) == ("haraka", "running", "unhealthy", 3)
    assert (found.restarts, found.restart_policy, found.memory_limit_bytes) == (4, "unless-stopped", 67108864)
    assert found.started_at == pytest.approx(1769860800.123456)
    assert found.exit_code is None


def test_nothing_of_environment_command_or_probe_is_kept() -> None:
    assert "canary" not in repr(inspected(listed(kit.row(ROW)), INSPECTION))


def test_a_container_that_ended_has_no_health_although_the_engine_keeps_its_last_word() -> None:
    ended = {**INSPECTION, "State": {**INSPECTION["State"], "Status": "exited", "ExitCode": 137}}
    found = inspected(listed(kit.row(ROW)), ended)
    assert (found.health, found.failing_streak, found.started_at, found.exit_code) == (None, None, None, 137)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-01-31T12:00:00Z", 1769860800.0),
        ("2026-01-31T12:00:00.5Z", 1769860800.5),
        ("0001-01-01T00:00:00Z", None),
        ("", None),
        (None, None),
        ("yesterday", None),
    ],
)
def test_the_engines_times_are_read(text: str | None, at: float | None) -> None:
    assert containers._moment(text) == at


@pytest.mark.parametrize("cache", [{"total_inactive_file": 20_000}, {"inactive_file": 20_000}])
def test_memory_is_what_cannot_be_given_back_at_once(cache: dict[str, int]) -> None:
    assert usage({"memory_stats": {"usage": 50_000, "stats": cache}}).memory_bytes == 30_000


def test_the_share_of_a_processor_is_that_between_two_readings() -> None:
    before, now = Usage(1_000, 10_000, 4, None), Usage(2_000, 20_000, 4, None)
    assert cpu_percent(before, now) == 40.0


@pytest.mark.parametrize("before", [None, Usage(9_000, 1_000, 1, 0), Usage(0, 20_000, 1, 0)])
def test_the_first_reading_and_one_after_a_restart_tell_no_share(before: Usage | None) -> None:
    assert cpu_percent(before, Usage(2_000, 20_000, 1, 0)) is None


def answers(line: str) -> list[bytes]:
    path = line.partition(" ")[2]
    if path == "/_ping":
        return [reply(200, b"OK", Api_Version="1.41")]
    if "/containers/json" in path:
        other = {**ROW, "Id": "b" * 64, "Names": ["/other"], "Labels": {}}
        gone = {**ROW, "Id": "c" * 64, "Names": ["/gone"]}
        return [reply(200, [ROW, other, gone])]
    if "c" * 64 in path:
        return [reply(404, {"message": "No such container"})]
    return [reply(200, STATS if "/stats" in path else INSPECTION)]


def test_all_containers_are_described_but_for_those_that_are_gone_by_now() -> None:
    with SmallServer(answers) as server:
        source = Containers(Engine(Endpoint(server.url)), None, 2.0)
        found = wait_for(lambda: measured(source.look()), "they are measured")
        source.close()
    assert [one.shown_name for one in found] == ["other", "haraka"]
    assert any("one-shot=true" in line for line in server.asked)


def measured(found: tuple[Container, ...]) -> tuple[Container, ...]:
    return found if all(one.memory_bytes == 30_000 for one in found) else ()


def test_an_engine_that_takes_its_time_to_measure_holds_up_no_list_and_is_asked_once_at_a_time() -> None:
    free = threading.Event()

    def slowly(line: str) -> list[bytes]:
        if "/stats" in line:
            free.wait(30.0)
        return answers(line)

    with SmallServer(slowly) as server:
        source = Containers(Engine(Endpoint(server.url)), "stack", 2.0)
        for _ in range(3):
            assert [one.memory_bytes for one in source.look()] == [None]
        asked = [line for line in server.asked if "/stats" in line]
        assert len(asked) == len(set(asked))
        free.set()
        wait_for(lambda: measured(source.look()), "it is measured")
        source.close()


def test_a_measurement_grows_old() -> None:
    now, free, silent = [0.0], threading.Event(), threading.Event()

    def until_told(line: str) -> list[bytes]:
        if "/stats" in line and silent.is_set():
            free.wait(30.0)
        return answers(line)

    with SmallServer(until_told) as server:
        source = Containers(Engine(Endpoint(server.url)), "stack", 2.0, clock=lambda: now[0])
        wait_for(lambda: measured(source.look()), "it is measured")
        silent.set()
        now[0] += 121.0
        assert [one.memory_bytes for one in source.look()] == [None]
        free.set()
        source.close()


def test_only_the_project_asked_for_is_shown() -> None:
    with SmallServer(answers) as server:
        source = Containers(Engine(Endpoint(server.url)), "stack", 2.0)
        assert [one.shown_name for one in source.look()] == ["haraka"]
        source.close()


def test_when_time_is_up_what_the_list_says_has_to_do() -> None:
    with SmallServer(answers) as server:
        source = Containers(Engine(Endpoint(server.url)), None, 0.0)
        found = source.look()
        source.close()
    assert [one.health for one in found] == ["unhealthy", "unhealthy", "unhealthy"]
    assert [one.restarts for one in found] == [None, None, None]


def test_what_was_told_before_of_a_container_that_ended_is_remembered_while_there_is_no_time_to_ask() -> None:
    ended = threading.Event()

    def then_slow(line: str) -> list[bytes]:
        if ended.is_set() and "/json?" in line and "/containers/json" in line:
            return [reply(200, [{**ROW, "State": "exited", "Status": "Exited (1)"}])]
        return [reply(403, {})] if ended.is_set() and "/containers/" in line else answers(line)

    with SmallServer(then_slow) as server:
        source = Containers(Engine(Endpoint(server.url)), "stack", 2.0)
        (before,) = source.look()
        ended.set()
        (found,) = source.look()
        source.close()
    assert (found.state, found.restarts) == ("exited", None)
    assert found.restart_policy == before.restart_policy is not None


def test_an_engine_that_is_away_or_forbids_the_list_is_said_to_be() -> None:
    source = Containers(Engine(Endpoint("unix:///nowhere/docker.sock"), timeout_seconds=1.0), None, 2.0)
    with pytest.raises(SourceDown, match="cannot be asked"):
        source.look()
    source.close()
    with SmallServer(lambda line: [reply(403, {"message": "canary"})]) as server:
        source = Containers(Engine(Endpoint(server.url)), None, 2.0)
        with pytest.raises(SourceDown, match="refuses to list containers"):
            source.look()
        source.close()


def test_documents_that_are_not_as_expected_break_nothing() -> None:
    assert usage(json.loads('{"cpu_stats": null, "memory_stats": {}}')).memory_bytes is None
    assert inspected(listed(kit.row(ROW)), {}).state == "running"
