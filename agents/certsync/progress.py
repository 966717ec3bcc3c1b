"""How far a target is: written, reloaded, verified. Each step is remembered, and retried until it holds.

Pure: every function takes what is known and the time, and returns what is known next. The store of it is the ledger.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from certsync.refusal import Reason, Refusal

LONGEST_WAIT_SECONDS = 15.0
ABSENT_WAIT_SECONDS = 5.0
VERIFY_EVERY_SECONDS = 0.5
TRIES_BEFORE_PUTTING_BACK = 2


class Step(StrEnum):
    """What a target needs next."""

    NOTHING = "nothing"
    RELOAD = "reload"
    VERIFY = "verify"
    PUT_BACK = "put_back"  # the previous pair, which was served, in place of one that is not
    ACQUIT = "acquit"  # the previous pair is not served either: the new one was not to blame


class Seen(StrEnum):
    """What a probe saw."""

    SERVED = "served"  # what was delivered
    OTHER = "other"  # a certificate, but another one
    ABSENT = "absent"  # nobody there
    BROKEN = "broken"  # no connection or no handshake


class Trial(StrEnum):
    """Where the suspicion against a new pair stands."""

    NONE = ""
    HELD = "held"  # put back: the previous pair is in place, the new one is held
    ACQUITTED = "acquitted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What is remembered of a target. Times are Unix times, 0 for never."""

    target: str
    identity: str = ""  # of the pair on disk that we put there
    intended: str = ""  # of a delivery that was begun; equal to identity when it was finished
    spki: str = ""
    not_after: float = 0.0
    previous_identity: str = ""  # of what it replaced
    previous_spki: str = ""  # of the certificate before the last one; empty when there was none
    written_at: float = 0.0
    reloaded_at: float = 0.0
    verified_at: float = 0.0  # when the present pair was first seen served
    served_serial: str = ""
    served_not_after: float = 0.0
    served_spki: str = ""
    seen: Seen | None = None  # by the last probe
    probed_at: float = 0.0
    attempts: int = 0
    next_at: float = 0.0
    reason: str = ""
    detail: str = ""
    held: str = ""  # identity of the pair that is not delivered again until the source has another
    trial: Trial = Trial.NONE
    foreign_at: float = 0.0
    foreign: int = 0
    cost_seconds: float = 0.0  # how long the last reload took

    @property
    def served(self) -> bool:
        """Whether the last probe saw the pair that is on disk."""
        return self.seen is Seen.SERVED

    @property
    def refusal(self) -> Refusal | None:
        """Why the target is not where it should be."""
        return Refusal(Reason(self.reason), self.detail) if self.reason else None


@dataclass(frozen=True, slots=True)
class Pair:
    """What is remembered of a certificate and its key."""

    identity: str
    spki: str
    not_after: float


@dataclass(frozen=True, slots=True)
class Abilities:
    """What can be done for a target at all, and how long it may take."""

    verifies: bool
    probe_every_seconds: float = 300.0
    window_seconds: float = 15.0  # how long after a reload the new pair may need until it is served
    patience_seconds: float = 0.0  # how long the consumer may take to serve it without being reloaded
    can_put_back: bool = False  # the previous pair is kept, and it was served


def intended(known: Progress, identity: str) -> Progress:
    """Note that a delivery begins. A kill before `written` then still leads to a reload."""
    return replace(known, intended=identity)


def written(known: Progress, pair: Pair, now: float) -> Progress:
    """Note that a pair is on disk and nobody has been told yet."""
    replaces = pair.identity != known.identity
    stays_acquitted = known.trial is Trial.ACQUITTED and known.held == pair.identity
    return replace(
        known,
        identity=pair.identity,
        intended=pair.identity,
        spki=pair.spki,
        not_after=pair.not_after,
        previous_identity=known.identity if replaces else known.previous_identity,
        previous_spki=known.spki if replaces else known.previous_spki,
        written_at=now,
        reloaded_at=0.0,
        verified_at=0.0,
        seen=None,
        attempts=0,
        next_at=now,
        reason="",
        detail="",
        held=known.held if stays_acquitted else "",
        trial=Trial.ACQUITTED if stays_acquitted else Trial.NONE,
    )


def adopted(known: Progress, pair: Pair, now: float) -> Progress:
    """Note that the pair was on disk before we came. Whether it is served shows the first probe."""
    return replace(written(known, pair, now), reloaded_at=now)


def due(known: Progress, able: Abilities, now: float) -> Step:
    """Say what to do now."""
    if not known.identity or now < known.next_at:
        return Step.NOTHING
    if not known.verified_at and known.attempts >= TRIES_BEFORE_PUTTING_BACK and known.seen is not None:
        if known.trial is Trial.HELD:
            return Step.ACQUIT
        if able.can_put_back and known.trial is Trial.NONE and known.seen is Seen.BROKEN:
            return Step.PUT_BACK
    if not known.reloaded_at:
        noticing = able.verifies and now < known.written_at + able.patience_seconds
        return Step.VERIFY if noticing else Step.RELOAD
    return Step.VERIFY if able.verifies else Step.NOTHING


def reloaded(known: Progress, now: float, seconds: float) -> Progress:
    """Note that the consumer was told."""
    told = replace(known, reloaded_at=now, cost_seconds=seconds, next_at=now)
    if known.reason in {Reason.RELOAD_FAILED, Reason.CONTAINER_MISSING}:
        return replace(told, attempts=0, reason="", detail="")
    return told


def not_reloaded(known: Progress, refusal: Refusal, now: float) -> Progress:
    """Note that the consumer could not be told; it will be tried again."""
    attempts = known.attempts + 1
    wait = ABSENT_WAIT_SECONDS if refusal.reason is Reason.CONTAINER_MISSING else backoff_seconds(attempts)
    return replace(known, attempts=attempts, next_at=now + wait, reason=refusal.reason, detail=refusal.detail)


def probed(known: Progress, able: Abilities, seen: Seen, detail: str, now: float) -> Progress:
    """Note what a probe saw, and decide what it leads to."""
    known = replace(known, probed_at=now, seen=seen)
    if seen is Seen.SERVED:
        return _served(known, able, now)
    if not known.reloaded_at:  # it was given time to notice by itself
        return replace(known, next_at=now + VERIFY_EVERY_SECONDS)
    if known.verified_at:
        return _no_longer_served(known, seen, detail, now)
    if now < known.reloaded_at + able.window_seconds:
        return replace(known, next_at=now + VERIFY_EVERY_SECONDS)
    attempts = known.attempts + 1
    failed = replace(
        known,
        attempts=attempts,
        next_at=now + backoff_seconds(attempts),
        reason=Reason.VERIFY_FAILED,
        detail=detail,
    )
    return failed if seen is Seen.ABSENT else replace(failed, reloaded_at=0.0)


def put_back(known: Progress, previous: Pair, now: float) -> Progress:
    """Note that the previous pair is on disk again, and that the one it replaced is held."""
    suspect = known.identity
    again = written(known, previous, now)
    detail = f"put back the previous pair: the new one was not served ({known.detail})"
    return replace(again, held=suspect, trial=Trial.HELD, reason=Reason.VERIFY_FAILED, detail=detail)


def acquitted(known: Progress, now: float) -> Progress:
    """Note that the consumer does not serve the previous pair either: the new one may be delivered again."""
    return replace(known, trial=Trial.ACQUITTED, next_at=now + ABSENT_WAIT_SECONDS, attempts=0)


def foreign_content(known: Progress, now: float, within_seconds: float = 3600.0) -> Progress:
    """Note that somebody else wrote what we had written."""
    count = known.foreign + 1 if now - known.foreign_at < within_seconds else 1
    return replace(known, foreign=count, foreign_at=now)


def backoff_seconds(attempts: int) -> float:
    """How long to wait after so many failures in a row."""
    return min(2.0 ** (attempts - 1), LONGEST_WAIT_SECONDS)


def _served(known: Progress, able: Abilities, now: float) -> Progress:
    settled = replace(
        known,
        reloaded_at=known.reloaded_at or now,
        verified_at=known.verified_at or now,
        attempts=0,
        next_at=now + able.probe_every_seconds,
    )
    return settled if known.trial is Trial.HELD else replace(settled, reason="", detail="")


def _no_longer_served(known: Progress, seen: Seen, detail: str, now: float) -> Progress:
    """Note that a pair was served once and is not now. Another one there calls for a reload, a server down does not."""
    attempts = known.attempts + 1
    failed = replace(
        known,
        attempts=attempts,
        next_at=now + backoff_seconds(attempts),
        reason=Reason.VERIFY_FAILED,
        detail=detail,
    )
    return replace(failed, reloaded_at=0.0, verified_at=0.0) if seen is Seen.OTHER else failed
