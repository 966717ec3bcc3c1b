"""What is wrong with each target, said in health, figures and notices; to people once, and not at once."""

from dataclasses import dataclass

from certsync.delivery import Verdict
from certsync.metrics import Metrics
from certsync.progress import Progress
from certsync.refusal import Reason, Refusal
from certsync.target import Target
from sidecarkit import logs
from sidecarkit.liveness import Liveness
from sidecarkit.notify import Notice, Notifier

ALARM_AFTER_SECONDS = 60.0


@dataclass(slots=True)
class Tracked:
    """A target at work: what the last look said, and whether a reload or probe is under way."""

    target: Target
    verdict: Verdict | None = None
    undeliverable: Refusal | None = None
    busy: bool = False
    told: str = ""  # the trouble that people were last told of
    troubled_since: float = 0.0

    @property
    def refusal(self) -> Refusal | None:
        """Why the files are not what they should be."""
        return self.undeliverable or (self.verdict.refusal if self.verdict else None)


@dataclass(frozen=True, slots=True)
class Alarms:
    """Judges targets. *expiry_seconds*: a certificate with less time left is a trouble."""

    metrics: Metrics
    liveness: Liveness
    notifier: Notifier
    log: logs.Log
    expiry_seconds: float = 14 * 86400.0

    def judge(self, one: Tracked, known: Progress, now: float) -> None:
        """Say what is wrong with a target, or that nothing is."""
        trouble = one.refusal or known.refusal
        self.metrics.stands(one.target, known, trouble.reason if trouble else None)
        condition = f"target:{one.target.name}"
        left = _time_left(one, now)
        if trouble and trouble.reason is not Reason.DOWNGRADE:
            self.liveness.wrong(condition, f"{one.target.name}: {trouble}", grace_seconds=ALARM_AFTER_SECONDS)
            self._alarm(one, trouble, now)
        elif left is not None and left < self.expiry_seconds:
            self.liveness.wrong(condition, f"{one.target.name}: its certificate ends in {left / 86400:.2f} days")
            self._warn_of_end(one, left)
        else:
            self.liveness.right(condition)
            one.told, one.troubled_since = "", 0.0

    def tell(self, target: Target, event: str, title: str, body: str) -> None:
        """Tell people."""
        facts = {"target": target.name, "domains": list(target.wanted.domains)}
        self.notifier.tell(Notice(event, title, body, failure=True, facts=facts))

    def _alarm(self, one: Tracked, trouble: Refusal, now: float) -> None:
        one.troubled_since = one.troubled_since or now
        if one.told != trouble.reason and now - one.troubled_since >= ALARM_AFTER_SECONDS:
            one.told = trouble.reason
            self.tell(one.target, trouble.reason, f"{one.target.name}: {trouble.reason}", trouble.detail)

    def _warn_of_end(self, one: Tracked, left: float) -> None:
        if one.told != "expiry":
            one.told = "expiry"
            days = round(left / 86400, 2)
            self.log.warning("certificate_expiring", target=one.target.name, days=days)
            self.tell(one.target, "certificate_expiring", f"{one.target.name}: {days} days left", "")


def _time_left(one: Tracked, now: float) -> float | None:
    pair = one.verdict.on_disk if one.verdict else None
    return pair.certificate.not_after.timestamp() - now if pair else None
