"""Brings the files of one target to where they should be, or says why not."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from certsync import forms, policy, progress, store
from certsync import key as keys
from certsync.acme import Contents
from certsync.certificate import Offer
from certsync.dhparams import FFDHE2048
from certsync.forms import Form
from certsync.ledger import Attic, Ledger
from certsync.progress import Progress, Trial
from certsync.refusal import Reason, Refusal, RefusalError
from certsync.store import Placement, Store
from certsync.target import Target
from sidecarkit import logs

# Somebody else who writes the same files is outwritten this often within the hour, then left to it, with an alarm.
FOREIGN_WRITES = 3


class State(StrEnum):
    """How a look at a target's files ended."""

    IN_PLACE = "in_place"
    DELIVERED = "delivered"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a look at a target's files found and did. *due*: the certificate it should have, if there is one."""

    state: State
    due: Offer | None = None
    on_disk: Offer | None = None
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What a source held when it was last read, or why it could not be."""

    source: str
    contents: Contents | None
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class Files:
    """What a target has on disk."""

    content: Mapping[Form, bytes]
    pair: Offer | None
    password: bytes | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """The shell around the policy: reads the target, asks, writes, remembers."""

    store: Store
    ledger: Ledger
    attic: Attic
    log: logs.Log
    clock: Callable[[], float] = time.time

    def settle(
        self, target: Target, readings: Sequence[Reading], *, force: bool = False, dry_run: bool = False
    ) -> Verdict:
        """Look at *target* and deliver what it lacks. A dry run says what it would do."""
        try:
            files = read_files(target)
        except OSError as error:
            detail = f"{target.password_file}: {error.strerror}"
            return Verdict(State.REFUSED, refusal=Refusal(Reason.TARGET_NOT_REPLACEABLE, detail))
        known = self.ledger.load(target.name)
        chosen = self._choose(target, readings, files, known, force=force)
        if isinstance(chosen, Refusal):
            return Verdict(State.REFUSED, None, files.pair, chosen)
        if _in_place(target, files, chosen, known):
            self._note_in_place(known, chosen, dry_run=dry_run)
            return Verdict(State.IN_PLACE, chosen, files.pair or chosen)
        refusal = self._objection(target, files, chosen, known, force=force)
        if refusal is None:
            refusal = (
                self.store.objection(_placements(target, chosen, files.password))
                if dry_run
                else self._deliver(target, files, chosen, known)
            )
        if refusal:
            return Verdict(State.REFUSED, chosen, files.pair, refusal)
        return Verdict(State.DELIVERED, chosen, files.pair if dry_run else chosen)

    def put_back(self, target: Target) -> Refusal | None:
        """Give *target* the pair that it had before."""
        known = self.ledger.load(target.name)
        try:
            self.store.deliver(target.name, self.attic.take(target.name))
        except (RefusalError, OSError) as error:
            return (
                error.refusal if isinstance(error, RefusalError) else Refusal(Reason.VERIFY_FAILED, str(error.strerror))
            )
        pair = read_files(target).pair
        if pair is None:
            return Refusal(Reason.VERIFY_FAILED, "what was kept of the previous pair is not one")
        self.ledger.save(progress.put_back(known, _remembered(pair), self.clock()))
        return None

    def _choose(
        self, target: Target, readings: Sequence[Reading], files: Files, known: Progress, *, force: bool
    ) -> Offer | Refusal:
        asked = [one for one in readings if target.source in {None, one.source}]
        offers = [offer for one in asked if one.contents for offer in one.contents.offers]
        failed = [one.refusal for one in asked if one.refusal]
        if not offers and failed:
            return failed[0]
        chosen = policy.choose(offers, target.wanted, files.pair, self._now())
        if isinstance(chosen, Refusal):
            return failed[0] if failed else _with_damage(chosen, asked)
        if known.trial is Trial.HELD and chosen.identity == known.held and not force:
            return known.refusal or Refusal(Reason.VERIFY_FAILED, "held: it was not served")
        return chosen

    def _objection(
        self, target: Target, files: Files, chosen: Offer, known: Progress, *, force: bool
    ) -> Refusal | None:
        if force:
            return None
        if files.pair and (refusal := policy.objection_to_replacing(files.pair, chosen, target.wanted, self._now())):
            return refusal
        if not target.outputs and chosen.certificate.not_after.timestamp() < known.not_after > self.clock():
            return Refusal(Reason.DOWNGRADE, "what was delivered last is valid longer")
        recent = known.foreign if self.clock() - known.foreign_at < 3600 else 0
        if recent >= FOREIGN_WRITES and _is_foreign(target, files, chosen, known):
            return Refusal(Reason.FOREIGN_WRITER, f"somebody else wrote these files {recent} times within an hour")
        return None

    def _note_in_place(self, known: Progress, chosen: Offer, *, dry_run: bool) -> None:
        if dry_run or known.identity == chosen.identity:
            return
        note = progress.written if known.intended == chosen.identity else progress.adopted
        self.ledger.save(note(known, _remembered(chosen), self.clock()))

    def _deliver(self, target: Target, files: Files, chosen: Offer, known: Progress) -> Refusal | None:
        try:
            keys.prove(chosen.key)
            self._write(target, files, chosen, known)
        except RefusalError as error:
            return error.refusal
        except OSError as error:  # the previous pair cannot be kept: then the new one is not delivered
            return Refusal(Reason.NO_SPACE, f"certsync's own state folder: {error.strerror}")
        return None

    def _write(self, target: Target, files: Files, chosen: Offer, known: Progress) -> None:
        if _is_foreign(target, files, chosen, known):
            known = progress.foreign_content(known, self.clock())
            self.log.warning("foreign_content_replaced", target=target.name, times=known.foreign)
        self.ledger.save(progress.intended(known, chosen.identity))
        if known.served and known.identity != chosen.identity and files.pair:
            self.attic.keep(target.name, _as_they_are(target, files))
        self.store.deliver(target.name, _placements(target, chosen, files.password))
        self.ledger.save(progress.written(progress.intended(known, chosen.identity), _remembered(chosen), self.clock()))

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self.clock(), UTC)


def read_files(target: Target) -> Files:
    """Read what *target* has. Raises OSError when its PKCS#12 password cannot be read."""
    password = target.password()
    found = {one.form: content for one in target.outputs if (content := store.content_of(one.path)) is not None}
    return Files(found, forms.read_back(found, password), password)


def expected_chain(target: Target, pair: Offer) -> tuple[bytes, ...]:
    """List the certificates that a consumer of *target* can serve, leaf first."""
    delivered = {one.form for one in target.outputs}
    whole = not delivered or delivered & {Form.CERTIFICATE, Form.CHAIN, Form.COMBINED, Form.PKCS12}
    return pair.certificate.chain if whole else pair.certificate.chain[:1]


def _in_place(target: Target, files: Files, chosen: Offer, known: Progress) -> bool:
    if not target.outputs:
        return known.identity == chosen.identity
    unplaced = [Placement(one.path, b"", one.mode, target.owner) for one in target.outputs]
    return all(_holds(one.form, files, chosen) for one in target.outputs) and all(map(store.stands_as, unplaced))


def _holds(form: Form, files: Files, chosen: Offer) -> bool:
    return form in files.content and forms.holds(form, files.content[form], chosen, files.password)


def _is_foreign(target: Target, files: Files, chosen: Offer, known: Progress) -> bool:
    """Whether somebody else wrote what we had delivered; a file that is gone, or has another mode, is no writer."""
    ours = bool(target.outputs) and known.identity == chosen.identity
    return ours and any(one.form in files.content and not _holds(one.form, files, chosen) for one in target.outputs)


def _placements(target: Target, chosen: Offer, password: bytes | None) -> Iterable[Placement]:
    dhparams = target.dhparams
    if dhparams and not Path(dhparams.path).exists():
        yield Placement(dhparams.path, FFDHE2048, dhparams.mode, target.owner, dhparams.root)
    for one in target.outputs:
        yield Placement(one.path, forms.render(one.form, chosen, password), one.mode, target.owner, one.root)


def _as_they_are(target: Target, files: Files) -> list[Placement]:
    return [
        Placement(one.path, files.content[one.form], one.mode, target.owner, one.root)
        for one in target.outputs
        if one.form in files.content
    ]


def _with_damage(refusal: Refusal, asked: Iterable[Reading]) -> Refusal:
    damaged = [entry for one in asked if one.contents for entry in one.contents.damaged]
    if not damaged or refusal.reason is not Reason.NO_CERTIFICATE:
        return refusal
    return replace(
        refusal, detail=f"{refusal.detail}; {len(damaged)} entries could not be read: {', '.join(damaged[:3])}"
    )


def _remembered(pair: Offer) -> progress.Pair:
    return progress.Pair(pair.identity, pair.certificate.spki, pair.certificate.not_after.timestamp())
