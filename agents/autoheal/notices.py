"""What people are told, in words."""

import socket

from autoheal import policy
from autoheal.ledger import Subject
from autoheal.treatment import Treatment
from sidecarkit.notify import Notice


def _facts(subject: Subject) -> dict[str, object]:
    return {
        "container": subject.container,
        "project": subject.project,
        "service": subject.service,
        "host": socket.gethostname(),
    }


def outcome(  # noqa: PLR0913, PLR0917 - one sentence needs them all
    subject: Subject, treatment: Treatment, result: str, seconds: float | None, limit: int, detail: str | None
) -> Notice:
    """Tell how a heal ended."""
    name, attempt, said = subject.container, treatment.attempt, treatment.last_output or "(nothing)"
    acted = _PAST[treatment.action]
    if result == policy.RECOVERED:
        title = f"{name} was {acted} and is well again after {seconds or 0:.1f} s"
    elif result == policy.STOPPED:
        title = f"{name} was unhealthy and was {acted}, as its label asks"
    elif result == policy.VANISHED:
        title = f"{name} was removed while it was being healed"
    else:
        title = f"{name} is not well after attempt {attempt} (given up after {limit} failures): {result}"
    body = detail or (
        "It was restarted because what it depends on was."
        if treatment.reason == policy.FOLLOWS
        else f"Attempt {attempt}. Its last probe said: {said}"
    )
    facts = {**_facts(subject), "outcome": result, "attempt": attempt, "seconds_to_healthy": seconds}
    return Notice("heal_ended", title, body, result in policy.FAILURES, {**facts, "probe_output": said})


def sick(subject: Subject, reason: str, why: str, output: str) -> Notice:
    """Tell of a container that is sick and was not touched, *why*: `notify` or `dry_run`."""
    asked = "this is a dry run" if why == "dry_run" else "as it is set for it"
    return Notice(
        "sick", f"{subject.container} {_SICK[reason]}; nothing was done, {asked}", output, failure=True,
        facts={**_facts(subject), "reason": reason, "probe_output": output},
    )  # fmt: skip


def given_up(subject: Subject, failures: int, output: str) -> Notice:
    return Notice(
        "given_up",
        f"{subject.container} was given up after {failures} failed heals",
        f"It is left alone until it is healthy, restarted by hand, or `autoheal resume {subject.container}`. "
        f"Its last probe said: {output or '(nothing)'}",
        failure=True,
        facts={**_facts(subject), "failures": failures, "probe_output": output},
    )


def held(sick_count: int, watched: int) -> Notice:
    return Notice(
        "storm_hold",
        f"{sick_count} of {watched} containers turned sick at once: one is healed first, the rest when it is well",
        "A common cause is likely: the disk, the network, the database.",
        failure=True,
        facts={"sick": sick_count, "watched": watched, "host": socket.gethostname()},
    )


def lost_donor(subject: Subject, why: str, donor: str) -> Notice:
    said = "was recreated or removed" if why == "needs_recreation" else "is not running"
    return Notice(
        "needs_recreation",
        f"{subject.container} has lost its network: {donor}, whose namespaces it shares, {said}",
        "A restart would leave it dead. Start the other one, or create it anew: "
        f"docker compose up -d --force-recreate {subject.service or subject.container}",
        failure=True,
        facts={**_facts(subject), "why": why, "donor": donor},
    )


def stale(subject: Subject, silent_seconds: float) -> Notice:
    return Notice(
        "probes_stopped",
        f"the probes of {subject.container} stopped {silent_seconds:.0f} s ago: its health is unknown",
        "Engines before 23.0 with live-restore do not resume probes after their own restart; "
        "a restart of the container does.",
        failure=True,
        facts={**_facts(subject), "silent_seconds": round(silent_seconds)},
    )


_SICK = {
    "unhealthy": "is unhealthy",
    "exited": "exited with an error",
    "stale": "has probes that stopped",
    "follows": "needs a restart after what it depends on",
}
_PAST = {"restart": "restarted", "stop": "stopped", "kill": "killed"}
