"""The engine's answers as facts: documents of engine 20.10 as they are, and as they may be."""

from typing import Any

import pytest

from autoheal import health
from autoheal.health import Healthcheck, Probe, examine, sick_since, timestamp
from lab.stage import NOON, Actor, stamp, with_probe

DONOR = "d" * 64

# As engine 20.10.24 answered for a container that was restarted by autoheal a moment before: the streak is 0, and
# the log still holds the probes of the life before.
AFTER_A_RESTART: dict[str, Any] = {
    "Id": "4f" * 32,
    "Created": "2024-03-05T11:58:01.718120493Z",
    "Name": "/mail-haraka-1",
    "RestartCount": 0,
    "State": {
        "Status": "running",
        "Running": True,
        "Paused": False,
        "Restarting": False,
        "OOMKilled": False,
        "Dead": False,
        "Pid": 4711,
        "ExitCode": 0,
        "Error": "",
        "StartedAt": "2024-03-05T12:00:10.123456789Z",
        "FinishedAt": "2024-03-05T12:00:09.987654321Z",
        "Health": {
            "Status": "starting",
            "FailingStreak": 0,
            "Log": [
                {
                    "Start": "2024-03-05T12:00:07.000000001Z",
                    "End": "2024-03-05T12:00:07.100000001Z",
                    "ExitCode": 1,
                    "Output": "connect: refused\n",
                },
                {
                    "Start": "2024-03-05T12:00:08.1+00:00",
                    "End": "2024-03-05T12:00:08.2+00:00",
                    "ExitCode": -1,
                    "Output": "Health check exceeded timeout (2s)",
                },
                {
                    "Start": "2024-03-05T13:00:11.2+01:00",
                    "End": "2024-03-05T13:00:11.3+01:00",
                    "ExitCode": 0,
                    "Output": "ok\n",
                },
            ],
        },
    },
    "HostConfig": {"NetworkMode": "mail_default", "PidMode": "", "IpcMode": "private"},
    "Config": {
        "Env": ["PATH=/bin", "DB_PASSWORD=hunter2"],
        "Tty": False,
        "Labels": {
            "autoheal": "true",
            "com.docker.compose.project": "mail",
            "com.docker.compose.service": "haraka",
            "com.docker.compose.oneoff": "False",
        },
        "Healthcheck": {
            "Test": ["CMD-SHELL", "nc -z 127.0.0.1 25"],
            "Interval": 1000000000,
            "Timeout": 2000000000,
            "Retries": 2,
        },
        "StopTimeout": 40,
        "StopSignal": "SIGQUIT",
    },
}


def examined(**changes: Any) -> health.Examination:
    """Examine the document of a running container, with parts of it replaced: `State={...}` and so on."""
    document = {**AFTER_A_RESTART, **changes}
    return examine(document, at=1709640020.0)


# A document of engine 20.10


def test_a_document_of_engine_20_10_is_read_whole() -> None:
    container = examined().container

    assert (container.id, container.name) == ("4f" * 32, "mail-haraka-1")
    assert (container.project, container.service, container.one_off) == ("mail", "haraka", False)
    assert container.healthcheck == Healthcheck(1.0, 2.0, 2, 0.0)
    assert (container.stop_seconds, container.stop_signal, container.tty) == (40, "SIGQUIT", False)
    assert container.donors == container.pid_donors == frozenset()


def test_its_condition_is_read_to_the_nanosecond_that_a_float_holds() -> None:
    condition = examined().condition

    assert (condition.state, condition.health, condition.streak) == ("running", "starting", 0)
    assert condition.started_at == pytest.approx(1709640010.123456, abs=1e-6)
    assert condition.finished_at == pytest.approx(1709640009.987654, abs=1e-6)
    assert (condition.exit_code, condition.oom_killed, condition.restart_count) == (0, False, 0)


def test_probes_of_the_life_before_a_restart_are_dropped() -> None:
    assert examined().condition.probes == (Probe(1709640011.2, 1709640011.3, 0, "ok\n"),)


def test_the_environment_is_kept_for_masking_but_never_shown() -> None:
    examination = examined()

    assert examination.environment == ("PATH=/bin", "DB_PASSWORD=hunter2")
    assert "hunter2" not in repr(examination)


# Times


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2024-03-05T12:00:00Z", 1709640000.0),
        ("2024-03-05T12:00:00.5Z", 1709640000.5),
        ("2024-03-05T12:00:00.123456789Z", 1709640000.123456),
        ("2024-03-05T14:00:00+02:00", 1709640000.0),
        ("2024-03-05T06:30:00.25-05:30", 1709640000.25),
        ("0001-01-01T00:00:00Z", 0.0),
        ("", 0.0),
        (None, 0.0),
    ],
)
def test_the_engines_times_are_read_with_nanoseconds_zones_and_zero(text: str | None, seconds: float) -> None:
    assert timestamp(text) == pytest.approx(seconds, abs=1e-6)


# What may be missing


def test_a_container_that_was_only_created_has_no_times_and_no_health() -> None:
    state = {"Status": "created", "StartedAt": "0001-01-01T00:00:00Z", "FinishedAt": "0001-01-01T00:00:00Z"}
    condition = examined(State=state).condition

    assert (condition.state, condition.started_at, condition.finished_at) == ("created", 0.0, 0.0)
    assert (condition.health, condition.streak, condition.probes) == (None, 0, ())


@pytest.mark.parametrize("status", ["none", "", None])
def test_health_none_is_no_health(status: str | None) -> None:
    assert examined(State={"Status": "running", "Health": {"Status": status}}).condition.health is None


def test_an_empty_log_is_no_probe() -> None:
    assert examined(State={"Status": "running", "Health": {"Status": "starting", "Log": None}}).condition.probes == ()


@pytest.mark.parametrize("healthcheck", [None, {}, {"Test": []}, {"Test": None}, {"Test": ["NONE"]}])
def test_no_test_is_no_healthcheck(healthcheck: dict[str, Any] | None) -> None:
    assert examined(Config={"Healthcheck": healthcheck}).container.healthcheck is None


def test_what_a_healthcheck_leaves_out_is_the_engines_default() -> None:
    found = examined(Config={"Healthcheck": {"Test": ["CMD", "true"], "Interval": 0, "Timeout": 0, "Retries": 0}})

    assert found.container.healthcheck == Healthcheck(30.0, 30.0, 3, 0.0)


def test_a_healthcheck_counts_in_nanoseconds_and_its_cycle_is_interval_and_timeout() -> None:
    given = {"Test": ["CMD", "true"], "Interval": 1_500_000_000, "Timeout": 500_000_000, "StartPeriod": 60_000_000_000}
    healthcheck = examined(Config={"Healthcheck": given}).container.healthcheck

    assert healthcheck == Healthcheck(1.5, 0.5, 3, 60.0)
    assert healthcheck is not None and healthcheck.cycle_seconds == 2.0


def test_labels_and_environment_may_be_null() -> None:
    examination = examined(Config={"Labels": None, "Env": None})

    assert (examination.container.labels, examination.environment) == ({}, ())
    assert (examination.container.project, examination.container.service) == (None, None)


@pytest.mark.parametrize(("timeout", "seconds"), [(None, 10), (0, 0), (40, 40), (-1, -1)])
def test_without_a_stop_timeout_it_is_the_engines_ten_seconds(timeout: int | None, seconds: int) -> None:
    assert examined(Config={"StopTimeout": timeout}).container.stop_seconds == seconds


def test_the_stop_signal_is_sigterm_unless_said() -> None:
    assert examined(Config={}).container.stop_signal == "SIGTERM"


def test_an_oom_kill_and_the_exit_code_are_facts() -> None:
    condition = examined(State={"Status": "exited", "ExitCode": 137, "OOMKilled": True}).condition

    assert (condition.exit_code, condition.oom_killed) == (137, True)


@pytest.mark.parametrize("truth", ["True", "true", "1"])
def test_a_one_off_container_says_so_in_any_case(truth: str) -> None:
    assert examined(Config={"Labels": {"com.docker.compose.oneoff": truth}}).container.one_off


# Namespaces


@pytest.mark.parametrize("key", ["NetworkMode", "PidMode", "IpcMode"])
def test_a_shared_namespace_names_its_donor(key: str) -> None:
    container = examined(HostConfig={key: f"container:{DONOR}"}).container

    assert container.donors == {DONOR}
    assert container.pid_donors == ({DONOR} if key == "PidMode" else frozenset())


@pytest.mark.parametrize("mode", ["host", "bridge", "none", "shareable", "private", "mail_default", "", None])
def test_any_other_mode_shares_with_no_container(mode: str | None) -> None:
    container = examined(HostConfig={"NetworkMode": mode, "PidMode": mode, "IpcMode": mode}).container

    assert container.donors == frozenset()


# Since when it is sick


def sick(ends: list[tuple[float, int]], *, streak: int, retries: int = 3) -> health.Examination:
    """Examine a container whose probes ended then, each with an exit code."""
    actor = Actor("haraka", health="unhealthy", streak=streak, healthcheck=with_probe(Retries=retries))
    document = actor.document()
    document["State"]["Health"]["Log"] = [
        {"Start": stamp(NOON + end - 0.1), "End": stamp(NOON + end), "ExitCode": code, "Output": ""}
        for end, code in ends
    ]
    return examine(document, NOON + 100)


def test_it_is_sick_since_the_probe_that_completed_the_retries() -> None:
    assert sick_since(sick([(1, 0), (2, 1), (3, 1), (4, 1)], streak=3)) == NOON + 4
    assert sick_since(sick([(1, 1), (2, 1), (3, 1), (4, 1), (5, 1)], streak=5)) == NOON + 3


def test_when_the_log_does_not_reach_so_far_it_is_the_oldest_failure_known() -> None:
    assert sick_since(sick([(1, 1), (2, 1), (3, 1), (4, 1), (5, 1)], streak=40)) == NOON + 1


def test_failures_before_the_last_good_probe_do_not_count() -> None:
    assert sick_since(sick([(1, 1), (2, 1), (3, 0), (4, 1)], streak=9)) == NOON + 4


def test_without_a_failed_probe_it_is_known_to_be_sick_only_now() -> None:
    assert sick_since(sick([], streak=0)) == NOON + 100
    assert sick_since(sick([(1, 0)], streak=0)) == NOON + 100


def test_without_a_healthcheck_it_is_known_to_be_sick_only_now() -> None:
    document = {**AFTER_A_RESTART, "Config": {}}

    assert sick_since(examine(document, NOON)) == NOON


def test_nothing_is_sick_since_later_than_it_was_looked_at() -> None:
    assert sick_since(sick([(101, 1)], streak=3)) == NOON + 100
