"""What labels ask for, over the settings' defaults; a wrong label costs only itself."""

import pytest

from autoheal import wishes
from autoheal.wishes import Wishes
from lab.stage import config

ALL = {
    "autoheal.action": "stop",
    "autoheal.stop.timeout": "240",
    "autoheal.hold": "90s",
    "autoheal.max-restarts": "2",
    "autoheal.window": "10m",
    "autoheal.backoff": "1m",
    "autoheal.exited": "True",
    "autoheal.depends-on": "mongo, redis",
}


def test_without_labels_the_settings_defaults_apply() -> None:
    assert wishes.read({}, config()) == (
        Wishes(
            action="restart",
            stop_seconds=None,
            hold_seconds=0.0,
            max_restarts=5,
            window_seconds=3600.0,
            backoff_seconds=10.0,
            exited=False,
            depends_on=(),
        ),
        (),
    )


def test_every_setting_gives_the_default_of_its_label() -> None:
    settings = config(
        action="kill",
        default_stop_timeout="20",
        hold="5s",
        max_restarts="9",
        window="2h",
        backoff="3s",
        exited="yes",
        depends_on="mongo",
    )

    assert wishes.read({}, settings)[0] == Wishes("kill", 20, 5.0, 9, 7200.0, 3.0, exited=True, depends_on=("mongo",))


def test_every_label_counts_over_the_settings() -> None:
    assert wishes.read(ALL, config()) == (
        Wishes("stop", 240, 90.0, 2, 600.0, 60.0, exited=True, depends_on=("mongo", "redis")),
        (),
    )


def test_the_services_of_label_and_setting_are_taken_together_and_once() -> None:
    wanted, _ = wishes.read({"autoheal.depends-on": "redis mongo"}, config(depends_on="mongo"))

    assert wanted.depends_on == ("mongo", "redis")


@pytest.mark.parametrize("action", ["restart", "stop", "kill", "notify", " Restart "])
def test_the_four_actions_are_known_in_any_case(action: str) -> None:
    assert wishes.read({"autoheal.action": action}, config())[0].action == action.strip().lower()


@pytest.mark.parametrize(
    ("label", "value", "accepted"),
    [
        ("autoheal.action", "reboot", "one of restart, stop, kill, notify"),
        ("autoheal.stop.timeout", "soon", "a duration such as"),
        ("autoheal.stop.timeout", "-1", "a duration such as"),
        ("autoheal.hold", "", "a duration such as"),
        ("autoheal.max-restarts", "0", "a whole number, 1 or more"),
        ("autoheal.max-restarts", "many", "a whole number, 1 or more"),
        ("autoheal.window", "0s", "a duration longer than 0s"),
        ("autoheal.backoff", "10 bananas", "a duration such as"),
        ("autoheal.exited", "maybe", "true or false"),
    ],
)
def test_a_wrong_label_is_complained_about_and_its_default_taken(label: str, value: str, accepted: str) -> None:
    wanted, (complaint,) = wishes.read({label: value}, config())

    assert wanted == wishes.read({}, config())[0]
    assert complaint.startswith(f"{label}={value!r}: expected {accepted}")


def test_a_wrong_label_does_not_spoil_the_others_and_all_are_named() -> None:
    wanted, complaints = wishes.read({**ALL, "autoheal.action": "x", "autoheal.hold": "y"}, config(hold="7s"))

    assert (wanted.action, wanted.hold_seconds, wanted.max_restarts) == ("restart", 7.0, 2)
    assert [complaint.split("=")[0] for complaint in complaints] == ["autoheal.action", "autoheal.hold"]


@pytest.mark.parametrize(("value", "seconds"), [("0", 0), ("30", 30), ("2m", 120), ("1.4", 1)])
def test_a_stop_timeout_is_whole_seconds(value: str, seconds: int) -> None:
    assert wishes.read({"autoheal.stop.timeout": value}, config())[0].stop_seconds == seconds


def test_only_the_labels_that_are_documented_are_read() -> None:
    assert wishes.read({"autoheal": "true", "autoheal.hold-off": "1h", "hold": "1h"}, config()) == wishes.read(
        {}, config()
    )
    assert ALL.keys() == wishes.LABELS.keys()
