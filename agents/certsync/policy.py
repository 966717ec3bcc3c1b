"""Which certificate a target should have, and whether it may have it now. No clock, no files, no network."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from certsync.certificate import Certificate, Offer
from certsync.refusal import Reason, Refusal


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a target asks of a certificate."""

    domains: tuple[str, ...]
    resolver: str | None = None
    allow_staging: bool = False


# Of several refusals the operator hears the one that came closest to a delivery.
_CLOSENESS = (
    Reason.NAME_NOT_COVERED,
    Reason.KEY_MISMATCH,
    Reason.WEAK_KEY,
    Reason.CHAIN_BROKEN,
    Reason.STAGING,
    Reason.EXPIRED,
    Reason.NOT_YET_VALID,
)


def choose(offers: Iterable[Offer], wanted: Wanted, current: Offer | None, now: datetime) -> Offer | Refusal:
    """Choose the usable offer that lasts longest, a real one before one for tests.

    Of two that last equally long the *current* one stays, so that nothing is replaced for nothing.
    """
    considered = [one for one in offers if wanted.resolver is None or one.resolver == wanted.resolver]
    if not considered:
        where = f" of resolver {wanted.resolver}" if wanted.resolver is not None else ""
        return Refusal(Reason.NO_CERTIFICATE, f"no certificate{where} names {', '.join(wanted.domains)}")
    usable: list[Offer] = []
    refusals: list[Refusal] = []
    for one in considered:
        refusal = _objection(one, wanted, now)
        if refusal is None:
            usable.append(one)
        else:  # which of them: the next one may be refused for the same reason
            refusals.append(replace(refusal, detail=f"serial {one.certificate.serial_hex}: {refusal.detail}"))
    if not usable:
        return max(refusals, key=lambda refusal: _CLOSENESS.index(refusal.reason))
    kept = current.identity if current is not None else ""

    def preference(one: Offer) -> tuple[bool, datetime, bool, str]:
        fact = one.certificate
        return (not fact.staging, fact.not_after, one.identity == kept, fact.fingerprint)

    return max(usable, key=preference)


def objection_to_replacing(current: Offer, chosen: Offer, wanted: Wanted, now: datetime) -> Refusal | None:
    """Say why *chosen* would be worse than what the target has; None when it is as good, or the target's is no good."""
    if _objection(current, wanted, now) is not None:
        return None
    have, offered = current.certificate, chosen.certificate
    if offered.staging and not have.staging:
        return Refusal(Reason.DOWNGRADE, "the target has a certificate of a real CA, this one is for tests")
    if have.staging and not offered.staging:
        return None
    if offered.not_after < have.not_after:
        until = f"{offered.not_after:%Y-%m-%d %H:%M}", f"{have.not_after:%Y-%m-%d %H:%M}"
        return Refusal(Reason.DOWNGRADE, f"valid until {until[0]}, the target's until {until[1]} UTC")
    if len(offered.chain) == 1 and len(have.chain) > 1 and offered.issuer == have.issuer:
        return Refusal(Reason.CHAIN_BROKEN, "the intermediate is gone that the target's certificate from this CA has")
    return None


def _objection(one: Offer, wanted: Wanted, now: datetime) -> Refusal | None:
    fact = one.certificate
    if (missing := _uncovered(fact, wanted)) != ():
        return Refusal(Reason.NAME_NOT_COVERED, f"{', '.join(missing)} not among {', '.join(fact.names) or 'no names'}")
    if one.flaw is not None:
        return one.flaw
    if fact.staging and not wanted.allow_staging:
        return Refusal(Reason.STAGING, f"issued by a CA for tests ({fact.issuer})")
    return _untimely(fact, now)


def _untimely(fact: Certificate, now: datetime) -> Refusal | None:
    if now > fact.not_after:
        return Refusal(Reason.EXPIRED, f"expired {fact.not_after:%Y-%m-%d %H:%M} UTC")
    if now < fact.not_before:
        return Refusal(Reason.NOT_YET_VALID, f"valid from {fact.not_before:%Y-%m-%d %H:%M} UTC")
    if now > fact.chain_not_after:
        return Refusal(Reason.CHAIN_BROKEN, f"an intermediate expired {fact.chain_not_after:%Y-%m-%d %H:%M} UTC")
    return None


def _uncovered(fact: Certificate, wanted: Wanted) -> tuple[str, ...]:
    return tuple(domain for domain in wanted.domains if not fact.covers(domain))
