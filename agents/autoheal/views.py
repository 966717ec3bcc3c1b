"""What `autoheal status` says of each watched container."""

from collections.abc import Iterable, Mapping
from typing import Any

from autoheal.ward import Ward
from autoheal.world import Known, World

_WORST = ("unhealthy", "starting", "healthy", "none")


def view(ward: Ward, world: World, known: Known, now: float) -> dict[str, Any]:
    """Describe one container: how it fares and what is being done about it. Times are Unix seconds."""
    wishes, past, patient = world.wishes(known), ward.care.past(known.id), ward.patients.get(known.id)
    standing, waits_for = _standing(ward, known)
    due = patient.waits.until if patient and patient.waits else None
    lost = ward.donors.lost.get(known.id)
    return {
        "container_id": known.id,
        "container": known.name,
        "project": known.subject.project,
        "service": known.subject.service,
        "state": known.state,
        "health": known.health,
        "standing": standing,
        "waiting_for": waits_for,
        "restarts_spent": past.failed(now, wishes.window_seconds),
        "max_restarts": wishes.max_restarts,
        "heals_in_a_row": past.in_a_row(now),
        "next_heal_at": due,
        "backoff_until": due if standing == "backoff" else None,
        "given_up": past.given_up_at is not None,
        "paused": ward.resting(known),
        "needs_recreation": lost is not None,
        "donor": lost[1] if lost else None,
        "wrong_labels": list(known.complaints),
    }


def _standing(ward: Ward, known: Known) -> tuple[str, list[str]]:
    """Choose one word for what is going on, the most telling one, and for whom it waits."""
    treatment, patient = ward.care.treatments.get(known.id), ward.patients.get(known.id)
    if lost := ward.donors.lost.get(known.id):
        return lost[0], [lost[1]]
    if ward.care.past(known.id).given_up_at is not None:
        return "given_up", []
    if treatment:
        return ("healing" if treatment.in_flight else "verifying"), []
    if patient and patient.waits:
        return patient.waits.why, list(patient.waits.on)
    if patient:
        return "sick", []
    if known.id in ward.followups.debts:
        return "restart_owed", ward.followups.waits_for(known.id)
    if ward.resting(known):
        return "paused", []
    if known.id in ward.probes.silent:
        return "probes_stopped", []
    if not known.running:
        return known.state, []
    return ("ok" if known.health in {"healthy", None} else str(known.health)), []


def standings(watched: Iterable[Known], shown: Mapping[str, dict[str, Any]]) -> dict[str, tuple[bool, float]]:
    """Give each service, under its metric label: whether a replica was given up, and until when one has to wait."""
    found: dict[str, tuple[bool, float]] = {}
    for known in watched:
        view = shown[known.id]
        name = known.subject.service or known.name
        given_up, backoff_until = found.get(name, (False, 0.0))
        found[name] = (given_up or view["given_up"], max(backoff_until, view["backoff_until"] or 0.0))
    return found


def healths(world: World) -> dict[str, str]:
    """Give each watched service's health, the worst of its replicas, under its metric label."""
    found: dict[str, str] = {}
    for known in world.containers.values():
        if world.watched(known):
            name = known.subject.service or known.name
            health = known.health if known.running and known.health in _WORST else "none"
            found[name] = min(found.get(name, "none"), health or "none", key=_WORST.index)
    return found
