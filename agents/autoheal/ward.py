"""The ward: who is sick, what each deserves, and whose turn it is. Asks the policy; care carries out.

Used by the loop's thread only. `hear`, `listed` and `examined` take news in; `consider` draws the conclusions.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from autoheal import evidence, health, notices, policy, slots, storm
from autoheal.care import Care
from autoheal.donors import Donors
from autoheal.followups import FollowUps
from autoheal.hands import Answered, Examined
from autoheal.health import Examination
from autoheal.ledger import EVERYTHING, Pause
from autoheal.policy import Case, GiveUp, Heal, Leave, Surroundings, Wait
from autoheal.probes import Probes
from autoheal.storm import Storm
from autoheal.tools import Tools
from autoheal.treatment import Treatment
from autoheal.world import Died, Gone, Known, LookAgain, News, Started, TurnedHealthy, TurnedUnhealthy
from sidecarkit.errors import ContainerGone

FRESH_SECONDS = 1.0  # an inspection older than this is repeated before acting on it
LOOK_AGAIN_SECONDS = 1.0  # after an inspection that told nothing: an engine that is away must not be asked in a loop
BY_SIGNAL = {130, 137, 143}  # exit codes of a stop; without events nobody knows whose
RECORDED_WAITS = {
    "being_replaced", "being_stopped", "paused", "needs_recreation", "donor_stopped", "dependency", "hold", "backoff",
}  # fmt: skip


@dataclass(slots=True)
class Patient:
    """A container that may need a heal. `since` None: to be worked out from its inspection."""

    id: str
    reason: str
    since: float | None
    heard: bool = True  # told by an event; so a stop by hand would have been heard as well
    admitted_at: float = 0.0
    examination: Examination | None = None
    waiting_since: float | None = None
    relieved_at: float | None = None
    waits: Wait | None = None
    attempt: int = 0
    counted: bool = False  # by the storm guard
    told: set[str] = field(default_factory=set)  # what was recorded of it already


class Ward:
    """Every sick container from its admission until it is handed to care, or leaves."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._config, self._world, self._log = tools.config, tools.world, tools.log
        self.care = Care(tools, self._settled)
        self.followups = FollowUps(tools)
        self.probes = Probes(tools, self.care)
        self.donors = Donors(tools, self.care)
        self.patients: dict[str, Patient] = {}
        self.storm = Storm()
        self.pauses: tuple[Pause, ...] = ()
        self._inspect_again_at: dict[str, float] = {}  # infinite: an inspection is under way

    # News

    def hear(self, news: Iterable[News], now: float) -> None:
        for item in news:
            match item:
                case TurnedUnhealthy(container, at):
                    if self.care.heard(container, policy.STILL_FAILING, at):
                        self._admit(Patient(container, policy.UNHEALTHY, at), now)
                case TurnedHealthy(container, at):
                    self._healthy(container, at)
                case Started(container, at, before):
                    self._started(container, at, now, before=before)
                case Died(container, at):
                    self._died(container, at, now)
                case LookAgain(container):
                    self._look_again(container, now)
                case Gone(container, _):
                    self._gone(container, now)

    def _healthy(self, container: str, at: float) -> None:
        self.care.heard(container, policy.RECOVERED, at)
        patient = self.patients.get(container)
        if patient and (patient.since is None or at >= patient.since):
            del self.patients[container]
        self.care.got_well(container, at, was_sick=patient is not None)
        given_up_at = self.care.past(container).given_up_at
        if given_up_at is not None and at > given_up_at:
            self.care.forgive(self._world.containers[container], at)

    def _started(self, container: str, at: float, now: float, *, before: bool) -> None:
        self.patients.pop(container, None)
        self.probes.silent.pop(container, None)
        ours = self.care.started(container, at)
        self.followups.started(container, now, ours=ours, before=before)
        self._tools.hands.examine(container)

    def _died(self, container: str, at: float, now: float) -> None:
        known = self._world.containers[container]
        if self.care.awaits_stop(container):
            return
        self.patients.pop(container, None)
        if self._world.wishes(known).exited and not known.stop_asked:
            self.care.heard(container, policy.STILL_FAILING, at)
            self._admit(Patient(container, policy.EXITED, at or None, heard=at > 0), now)

    def _look_again(self, container: str, now: float) -> None:
        if container in self.care.treatments:
            self._tools.hands.examine(container)
        else:
            self._admit(Patient(container, policy.UNHEALTHY, None, heard=False), now)

    def _gone(self, container: str, now: float) -> None:
        if treatment := self.care.treatments.get(container):
            self.care.settle(treatment, policy.VANISHED, now)
        for room in (self.followups, self.probes, self.donors):
            room.gone(container)
        self._inspect_again_at.pop(container, None)
        self.patients.pop(container, None)
        self.care.gone(container)

    def _admit(self, patient: Patient, now: float) -> None:
        known, present = self._world.containers.get(patient.id), self.patients.get(patient.id)
        minor = {policy.STALE, policy.FOLLOWS}
        if not known or not self._world.watched(known) or (present and present.reason not in minor):
            return
        patient.admitted_at = now
        self.patients[patient.id] = patient

    def _confirmed(self, patient: Patient, known: Known, since: float) -> None:
        """Count a patient whose sickness an inspection confirmed: what events tell of may be long over."""
        if patient.counted or not self._config.storm_guard or patient.reason in {policy.STALE, policy.FOLLOWS}:
            return
        patient.counted = True
        was_held, watched = self.storm.held, self._watched()
        self.storm = storm.sickened(self.storm, patient.id, since, watched)
        if self.storm.held and not was_held:
            self._hold(known, watched)

    def _hold(self, known: Known, watched: int) -> None:
        sick = len(self.storm.onsets)
        flying = self.care.in_flight()
        if flying:  # the canary is out already
            self.storm = storm.sent(self.storm, flying[0].id)
        self.care.write(known, "hold", "storm", detail=f"{sick} of {watched} containers turned sick at once")
        self._log.error("storm_held", sick=sick, watched=watched)
        self._tools.notifier.tell(notices.held(sick, watched))

    def _settled(self, treatment: Treatment, outcome: str) -> None:
        self.storm = storm.settled(self.storm, treatment.id, recovered=outcome == policy.RECOVERED)

    # Looks

    def subscribed(self, now: float) -> None:
        """Doubt what is known: nobody may have listened meanwhile."""
        self.probes.subscribed(now)
        for known in self._world.containers.values():
            if known.donors or self._world.graph.followers(known.id):
                self._tools.hands.examine(known.id)

    def listed(self, now: float) -> None:
        """Look at everything again: what is not known yet, who exited, who still waits."""
        for known in self._world.containers.values():
            if known.anatomy is None:
                self._tools.hands.examine(known.id)
            if known.state in {"exited", "dead"} and self._world.wishes(known).exited and not known.stop_asked:
                self._find_exited(known, now)
        for patient in self.patients.values():
            patient.examination = None
        self.probes.listed(now)

    def _find_exited(self, known: Known, now: float) -> None:
        if known.id not in self.patients and known.id not in self.care.treatments:
            heard = known.heard_at > 0
            self._admit(Patient(known.id, policy.EXITED, known.died_at or None, heard=heard), now)

    def examined(self, message: Examined, now: float) -> None:
        if message.examination:
            self._learn(message.examination, now)
        elif isinstance(message.error, ContainerGone):
            self.patients.pop(message.container, None)
        if message.examination is None or message.container in self.care.overdue(now):
            self._inspect_again_at[message.container] = now + LOOK_AGAIN_SECONDS
        else:
            self._inspect_again_at.pop(message.container, None)

    def _learn(self, examination: Examination, now: float) -> None:
        container = examination.container.id
        self.hear(self._world.learn(examination), now)
        if container not in self._world.containers:
            return
        patient = self.patients.get(container)
        if patient and examination.at >= patient.admitted_at:  # an older one may show it well still
            patient.examination = examination
            patient.since = self._since(patient, examination) if patient.since is None else patient.since
        if self.care.examined(examination, now):
            self._admit(Patient(container, policy.UNHEALTHY, None, heard=False), now)
        if self.care.restarted_by_hand(examination):
            self.care.forgive(self._world.containers[container], examination.condition.started_at)
        if self.probes.examined(examination, now):
            self._admit(Patient(container, policy.STALE, now), now)
        self.followups.examined(container, now)

    def _since(self, patient: Patient, examination: Examination) -> float:
        if patient.reason == policy.EXITED:
            return examination.condition.finished_at or examination.at
        return health.sick_since(examination)

    def answered(self, message: Answered, now: float) -> None:
        treatment = self.care.treatments.get(message.order.container)
        self.care.answered(message, now)
        refused = treatment and message.error and treatment.id not in self.care.treatments
        if treatment and refused and treatment.reason == policy.FOLLOWS:
            self.followups.gone(treatment.id)
        elif treatment and refused and treatment.id in self._world.containers:
            self._admit(Patient(treatment.id, treatment.reason, treatment.sick_at), now)

    # Conclusions

    def consider(self, now: float) -> None:
        """Decide about every patient, then act for as many as there are slots."""
        for container in self.care.overdue(now):
            self._inspect(container, now)
        self.donors.consider(now)
        self._call_followers(now)
        waiting = sorted(self.patients.values(), key=lambda patient: patient.since or now)
        ready = [patient for patient in waiting if patient.id not in self.care.treatments and self._judge(patient, now)]
        if self.storm.held:
            self.storm = storm.eased(self.storm, len(self.patients), self._watched())
        self._act(ready, now)

    def _call_followers(self, now: float) -> None:
        busy = {treatment.id for treatment in self.care.in_flight() if not treatment.started}
        due = self.followups.due(now, busy, self.resting)
        for container in due:
            patient = self.patients.get(container)
            if patient is None or patient.reason != policy.FOLLOWS:
                self.patients[container] = Patient(container, policy.FOLLOWS, now)
        for patient in list(self.patients.values()):
            if patient.reason == policy.FOLLOWS and patient.id not in due:
                del self.patients[patient.id]

    def _watched(self) -> int:
        return sum(self._world.watched(known) for known in self._world.containers.values())

    def next_due(self, now: float) -> float:
        """Say when to consider again if nothing happens, in seconds."""
        times = [patient.waits.until for patient in self.patients.values() if patient.waits and patient.waits.until]
        return min((at - now for at in times if at > now), default=60.0)

    def _judge(self, patient: Patient, now: float) -> bool:
        """Say whether a patient is to be healed now; record what else was decided."""
        known = self._world.containers.get(patient.id)
        wanted = known is not None and (patient.reason == policy.FOLLOWS or self._world.watched(known))
        if known is None or not wanted:
            self.patients.pop(patient.id, None)
            return False
        if patient.examination is None or patient.since is None:
            self._inspect(patient.id, now)
            return False
        decision = policy.decide(self._case(patient, patient.examination, patient.since, known, now))
        if isinstance(decision, Heal | GiveUp) or (isinstance(decision, Wait) and decision.why in policy.OWN_WAITS):
            self._confirmed(patient, known, patient.since)
        match decision:
            case Heal(attempt):
                patient.attempt, patient.waits = attempt, None
                return self._may_begin(patient, known)
            case Wait() as wait:
                self._wait(patient, known, wait, now)
            case GiveUp(failed):
                self.care.give_up(known, patient.reason, failed, evidence.last_output(patient.examination), now)
                patient.waits = Wait("given_up")
            case Leave(why):
                self.patients.pop(patient.id, None)
                self._log.debug("patient_left", container=known.name, why=why)
        return False

    def _inspect(self, container: str, now: float) -> None:
        if now >= self._inspect_again_at.get(container, 0.0):
            self._inspect_again_at[container] = math.inf
            self._tools.hands.examine(container)

    def _case(self, patient: Patient, examination: Examination, since: float, known: Known, now: float) -> Case:
        troubles = self._troubles(patient.id)
        if troubles:
            patient.waiting_since, patient.relieved_at = patient.waiting_since or now, None
        elif patient.waiting_since is not None and patient.relieved_at is None:
            patient.relieved_at, patient.examination = now, None
        lost = self._world.lost_donor(examination.container.donors)
        unclear = patient.reason == policy.EXITED and not patient.heard and known.exit_code in BY_SIGNAL
        around = Surroundings(
            stopping=known.stop_asked or (unclear and not examination.condition.oom_killed),
            replaced=self._world.replaced(known, now),
            resting=self.resting(known),
            donor=lost[0] if lost else None,
            troubles=troubles,
            waiting_since=patient.waiting_since,
            relieved_at=patient.relieved_at,
        )
        wishes, past = self._world.wishes(known), self.care.past(patient.id)
        wait_seconds = self._config.dependency_wait_seconds
        return Case(patient.reason, since, now, examination, wishes, past, around, wait_seconds)

    def _troubles(self, container: str) -> tuple[str, ...]:
        """Name what a container depends on and that is sick, stopped, being healed, or owed a restart."""
        busy = {treatment.id for treatment in self.care.in_flight()}
        found = []
        for needed in self._world.graph.all(container):
            known = self._world.containers.get(needed.on)
            unwell = not self._world.well(needed.on, needed.condition)
            if known and (unwell or needed.on in busy or needed.on in self.followups.debts):
                found.append(known.name)
        return tuple(sorted(found))

    def resting(self, known: Known) -> bool:
        return any(pause.name == EVERYTHING or known.subject.answers_to(pause.name) for pause in self.pauses)

    def _wait(self, patient: Patient, known: Known, wait: Wait, now: float) -> None:
        patient.waits = wait
        if wait.why == "recovering_alone" and patient.examination and now - patient.examination.at > FRESH_SECONDS:
            patient.examination = None  # has it been probed meanwhile?
        if wait.why not in RECORDED_WAITS or wait.why in patient.told:
            return
        patient.told.add(wait.why)
        decision = "skip" if wait.until is None else "wait"
        detail = ", ".join(wait.on) or None
        self.care.write(known, decision, wait.why, detail=detail, sick_at=patient.since)
        self._log.info(f"heal_{'skipped' if decision == 'skip' else 'delayed'}", container=known.name, why=wait.why,
                       until=wait.until, waits_for=list(wait.on))  # fmt: skip
        if decision == "skip":
            self._tools.metrics.heals.labels(known.subject.service or known.name, "skipped").inc()

    def _may_begin(self, patient: Patient, known: Known) -> bool:
        """Handle those that are told of but not touched."""
        action = self._world.wishes(known).action
        if not self._config.dry_run and action != "notify":
            return True
        why = "dry_run" if self._config.dry_run else "notify"
        patient.waits = Wait("told")
        if patient.examination and why not in patient.told:
            patient.told.add(why)
            facts = {"action": action, "attempt": patient.attempt, "sick_at": patient.since}
            kept = evidence.of(patient.examination)
            self.care.write(known, "notify", patient.reason, dry_run=int(self._config.dry_run), **facts, **kept)
            self._log.warning("heal_not_begun", container=known.name, why=why, reason=patient.reason)
            output = evidence.last_output(patient.examination)
            self._tools.notifier.tell(notices.sick(known.subject, patient.reason, why, output))
        return False

    def _act(self, ready: list[Patient], now: float) -> None:
        sick = [each.id for each in ready if each.reason != policy.FOLLOWS and storm.may_heal(self.storm, each.id)]
        if self.storm.held and self.storm.canary is None:
            sick = sick[:1]
        allowed = [each for each in ready if each.reason == policy.FOLLOWS or each.id in sick]
        running = {treatment.id: now - treatment.called_at for treatment in self.care.in_flight()}
        queue = [patient.id for patient in allowed]
        for container in slots.choose(queue, self.care.action_seconds, running, self._config.max_parallel):
            self._begin(self.patients[container], now)
        self._tools.metrics.in_flight.set(len(self.care.in_flight()))

    def _begin(self, patient: Patient, now: float) -> None:
        examination, known = patient.examination, self._world.containers[patient.id]
        stale = examination and (now - examination.at > FRESH_SECONDS or known.heard_at > examination.at)
        if examination is None or patient.since is None or stale:
            patient.examination = None
            self._inspect(patient.id, now)
            return
        del self.patients[patient.id]
        if patient.reason != policy.FOLLOWS:
            self.storm = storm.sent(self.storm, patient.id)
        self.care.begin(known, examination, patient.reason, patient.since, patient.attempt)
