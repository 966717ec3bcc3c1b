"""What certsync knows, for people and programs: the documents behind `status`, `list` and `tlsa`."""

import contextlib
import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from certsync.acme import Contents
from certsync.alarms import Tracked
from certsync.certificate import Certificate, Offer
from certsync.delivery import Reading, State
from certsync.progress import Progress


def status(tracked: Sequence[tuple[Tracked, Progress]], readings: Sequence[Reading], now: float) -> dict[str, Any]:
    """Describe every target and source."""
    return {
        "updated_at": _time(now),
        "sources": [_source(one) for one in readings],
        "targets": [_target(one, known) for one, known in tracked],
    }


def listing(source: str, contents: Contents, now: float) -> list[dict[str, Any]]:
    """Describe what a source holds."""
    moment = dt.datetime.fromtimestamp(now, dt.UTC)
    return [
        {
            "source": source,
            "resolver": one.resolver or None,
            "names": list(one.certificate.names),
            **_certificate(one.certificate),
            "days_left": round(one.certificate.days_left(moment), 2),
            "issuer": one.certificate.issuer,
            "staging": one.certificate.staging,
            "flaw": str(one.flaw) if one.flaw else None,
        }
        for one in contents.offers
    ]


def tlsa(tracked: Sequence[tuple[Tracked, Progress]]) -> list[dict[str, Any]]:
    """Give the TLSA records that fit what each target has: usage 3 (this key), selector 1, SHA-256 (RFC 7672)."""
    return [_record(one, known, domain) for one, known in tracked for domain in one.target.wanted.domains if _has(one)]


def _has(one: Tracked) -> bool:
    return one.verdict is not None and one.verdict.on_disk is not None


def _record(one: Tracked, known: Progress, domain: str) -> dict[str, Any]:
    pair = one.verdict.on_disk if one.verdict else None
    spki, previous = pair.certificate.spki if pair else "", known.previous_spki
    changed = bool(previous) and previous != spki
    port = one.target.verify.port if one.target.verify else 25
    return {
        "target": one.target.name,
        "name": f"_{port}._tcp.{domain.removeprefix('*.')}.",
        "record": f"3 1 1 {spki}",
        "changed": changed,
        "previous": f"3 1 1 {previous}" if changed else None,
    }


def save(file: Path, document: dict[str, Any]) -> None:
    """Leave the status where the command finds it; on a full disk the old one stays."""
    staged = file.with_suffix(".new")
    with contextlib.suppress(OSError):
        staged.write_text(json.dumps(document), encoding="utf-8")
        staged.replace(file)


def _source(reading: Reading) -> dict[str, Any]:
    refusal = reading.refusal
    return {
        "name": reading.source,
        "entries": reading.contents.entries if reading.contents else None,
        "damaged": list(reading.contents.damaged) if reading.contents else [],
        "reason": refusal.reason if refusal else None,
        "detail": refusal.detail if refusal else None,
    }


def _target(one: Tracked, known: Progress) -> dict[str, Any]:
    verdict, refusal = one.verdict, one.refusal or known.refusal
    served = {"serial": known.served_serial, "not_after": _time(known.served_not_after), "spki": known.served_spki}
    return {
        "name": one.target.name,
        "domains": list(one.target.wanted.domains),
        "state": state(one, known),
        "reason": refusal.reason if refusal else None,
        "detail": refusal.detail if refusal else None,
        "source": _pair(verdict.due if verdict else None),
        "on_disk": _pair(verdict.on_disk if verdict else None),
        "served": served if known.served_serial else None,
        "served_in_sync": known.served if one.target.verify and known.seen else None,
        "written_at": _time(known.written_at),
        "reloaded_at": _time(known.reloaded_at),
        "verified_at": _time(known.verified_at),
        "probed_at": _time(known.probed_at),
        "reload_seconds": round(known.cost_seconds, 3) if known.reloaded_at else None,
        "attempts": known.attempts,
        "held": bool(known.held) and known.trial == "held",
    }


def state(one: Tracked, known: Progress) -> str:
    """Name where a target stands: in_sync, pending (written, not yet reloaded or served), held, failing or refused."""
    if one.refusal:
        return "held" if known.trial == "held" else "refused"
    if known.reason:
        return "failing"
    if one.verdict is None or one.verdict.state is State.REFUSED:
        return "pending"
    verified = one.target.verify is None or known.served
    return "in_sync" if known.reloaded_at and verified else "pending"


def _pair(pair: Offer | None) -> dict[str, Any] | None:
    return _certificate(pair.certificate) if pair else None


def _certificate(fact: Certificate) -> dict[str, Any]:
    return {"serial": fact.serial_hex, "not_after": fact.not_after.isoformat(), "spki": fact.spki}


def _time(at: float) -> str | None:
    return dt.datetime.fromtimestamp(at, dt.UTC).isoformat(timespec="seconds") if at else None
