"""What a row of the engine's list says, in the words of old and new engines."""

from typing import Any

import pytest

from sidecarkit.containers import is_false, is_true, row

ROW: dict[str, Any] = {  # as engine 20.10 lists it
    "Id": "f00d" * 16,
    "Names": ["/web/link", "/haraka"],
    "Image": "haraka:3",
    "Created": 1700000000,
    "State": "running",
    "Status": "Up 5 minutes (healthy)",
    "Labels": {"com.docker.compose.project": "mail", "com.docker.compose.service": "smtp"},
    "HostConfig": {"NetworkMode": "mail_default"},
    "NetworkSettings": {
        "Networks": {
            "mail_default": {"IPAddress": "172.18.0.2", "GlobalIPv6Address": ""},
            "other": {"IPAddress": "", "GlobalIPv6Address": "fd00::2"},
        }
    },
}


def test_a_row_is_read_with_its_own_name_its_place_in_compose_and_when_it_was_made() -> None:
    found = row(ROW)

    assert (found.id, found.name, found.image, found.state) == ("f00d" * 16, "haraka", "haraka:3", "running")
    assert (found.project, found.service) == ("mail", "smtp")
    assert (found.network_mode, found.addresses) == ("mail_default", ("172.18.0.2", "fd00::2"))
    assert found.created_at == 1_700_000_000.0


def test_a_row_with_nothing_but_an_id_is_read() -> None:
    found = row({"Id": "x", "Names": None, "Labels": None, "HostConfig": None, "NetworkSettings": None})

    assert (found.name, found.image, found.state, found.network_mode, found.addresses) == ("", "", "", "", ())
    assert (found.health, found.project, found.service) == (None, None, None)


def test_a_network_without_addresses_is_no_trouble() -> None:
    assert row({"Id": "x", "NetworkSettings": {"Networks": {"none": None}}}).addresses == ()


@pytest.mark.parametrize(
    ("status", "health"),
    [
        ("Up 5 minutes (healthy)", "healthy"),
        ("Up 5 minutes (unhealthy)", "unhealthy"),
        ("Up 2 seconds (health: starting)", "starting"),
        ("Up 5 minutes", None),
        ("Up 5 minutes (Paused)", None),
        ("Exited (0) 3 minutes ago", None),
        ("", None),
    ],
)
def test_an_older_engine_tells_the_health_in_the_status(status: str, health: str | None) -> None:
    assert row({**ROW, "Status": status}).health == health


@pytest.mark.parametrize(("own", "health"), [("unhealthy", "unhealthy"), ("starting", "starting"), ("none", None)])
def test_a_newer_engine_tells_the_health_on_its_own(own: str, health: str | None) -> None:
    assert row({**ROW, "Health": {"Status": own, "FailingStreak": 3}}).health == health


@pytest.mark.parametrize("value", ["true", "True", " TRUE ", "yes", "on", "1"])
def test_a_label_is_true_in_any_case(value: str) -> None:
    assert is_true(value) and not is_false(value)


@pytest.mark.parametrize("value", ["false", "False", " NO ", "off", "0"])
def test_a_label_is_false_in_any_case(value: str) -> None:
    assert is_false(value) and not is_true(value)


@pytest.mark.parametrize("value", [None, "", "maybe"])
def test_what_is_neither_is_neither(value: str | None) -> None:
    assert not is_true(value) and not is_false(value)
