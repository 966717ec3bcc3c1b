"""What people are told, in words."""

import pytest

from autoheal import notices
from autoheal.ledger import Subject
from autoheal.treatment import Treatment
from lab.stage import NOON, Actor
from sidecarkit.notify import Notice

HARAKA = Subject("4f" * 32, "mail-haraka-1", "mail", "haraka")


def ended(result: str, *, reason: str = "unhealthy", action: str = "restart", detail: str | None = None) -> Notice:
    container = Actor("haraka").examination(NOON).container
    treatment = Treatment(1, HARAKA.container_id, reason, 2, action, NOON, NOON, container, 10, "connection refused")
    return notices.outcome(HARAKA, treatment, result, 12.34 if result == "recovered" else None, 5, detail)


@pytest.mark.parametrize(
    ("notice", "title", "failure"),
    [
        (ended("recovered"), "mail-haraka-1 was restarted and is well again after 12.3 s", False),
        (
            ended("still_failing"),
            "mail-haraka-1 is not well after attempt 2 (given up after 5 failures): still_failing",
            True,
        ),
        (ended("refused"), "mail-haraka-1 is not well after attempt 2 (given up after 5 failures): refused", True),
        (ended("vanished"), "mail-haraka-1 was removed while it was being healed", False),
        (ended("stopped", action="stop"), "mail-haraka-1 was unhealthy and was stopped, as its label asks", False),
        (ended("stopped", action="kill"), "mail-haraka-1 was unhealthy and was killed, as its label asks", False),
        (
            notices.sick(HARAKA, "unhealthy", "notify", "no"),
            "mail-haraka-1 is unhealthy; nothing was done, as it is set for it",
            True,
        ),
        (
            notices.sick(HARAKA, "exited", "dry_run", "no"),
            "mail-haraka-1 exited with an error; nothing was done, this is a dry run",
            True,
        ),
        (notices.given_up(HARAKA, 5, "no"), "mail-haraka-1 was given up after 5 failed heals", True),
        (
            notices.held(6, 10),
            "6 of 10 containers turned sick at once: one is healed first, the rest when it is well",
            True,
        ),
        (
            notices.lost_donor(HARAKA, "needs_recreation", "vpn"),
            "mail-haraka-1 has lost its network: vpn, whose namespaces it shares, was recreated or removed",
            True,
        ),
        (
            notices.lost_donor(HARAKA, "donor_stopped", "vpn"),
            "mail-haraka-1 has lost its network: vpn, whose namespaces it shares, is not running",
            True,
        ),
        (
            notices.stale(HARAKA, 95.4),
            "the probes of mail-haraka-1 stopped 95 s ago: its health is unknown",
            True,
        ),
    ],
)  # fmt: skip
def test_a_title_says_it_all(notice: Notice, title: str, failure: bool) -> None:
    assert (notice.title, notice.failure) == (title, failure)


def test_a_body_says_what_the_probe_said_or_what_went_wrong() -> None:
    assert ended("recovered").body == "Attempt 2. Its last probe said: connection refused"
    assert ended("refused", detail="restart: forbidden (403)").body == "restart: forbidden (403)"
    assert ended("recovered", reason="follows").body == "It was restarted because what it depends on was."


def test_who_was_given_up_is_told_how_to_go_on() -> None:
    assert "`autoheal resume mail-haraka-1`" in notices.given_up(HARAKA, 5, "").body
    assert notices.given_up(HARAKA, 5, "").body.endswith("Its last probe said: (nothing)")


def test_a_lost_donor_is_told_how_to_mend_it() -> None:
    assert notices.lost_donor(HARAKA, "needs_recreation", "vpn").body.endswith(
        "docker compose up -d --force-recreate haraka"
    )
    alone = Subject("1" * 64, "torrent", None, None)
    assert notices.lost_donor(alone, "needs_recreation", "vpn").body.endswith("--force-recreate torrent")


@pytest.mark.parametrize(
    "notice",
    [ended("recovered"), notices.sick(HARAKA, "stale", "notify", "no"), notices.given_up(HARAKA, 5, "no"),
     notices.stale(HARAKA, 1.0), notices.lost_donor(HARAKA, "donor_stopped", "vpn")],
)  # fmt: skip
def test_every_notice_names_container_project_service_and_host(notice: Notice) -> None:
    assert {key: notice.facts[key] for key in ("container", "project", "service")} == {
        "container": "mail-haraka-1",
        "project": "mail",
        "service": "haraka",
    }
    assert notice.facts["host"]


def test_the_facts_of_an_outcome_are_those_of_the_heal() -> None:
    facts = ended("recovered").facts

    assert (facts["outcome"], facts["attempt"], facts["seconds_to_healthy"]) == ("recovered", 2, 12.34)
    assert facts["probe_output"] == "connection refused"


@pytest.mark.parametrize("reason", ["unhealthy", "exited", "stale", "follows"])
def test_there_are_words_for_every_reason(reason: str) -> None:
    assert notices.sick(HARAKA, reason, "notify", "").title.startswith("mail-haraka-1 ")
