"""What takes time, in threads: reloads and probes. Each puts one result into the loop's inbox and ends."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from certsync import probe
from certsync.certificate import Offer
from certsync.delivery import expected_chain
from certsync.probe import ProbeError, Trouble
from certsync.progress import Progress, Seen
from certsync.refusal import Reason, Refusal, RefusalError
from certsync.reload import Reloader
from certsync.target import Target
from sidecarkit.errors import SidecarError


@dataclass(frozen=True, slots=True)
class Reloaded:
    """The consumer was told."""

    detail: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Probed:
    """What a probe saw; nothing of a certificate when there was none."""

    seen: Seen
    detail: str
    serial: str = ""
    not_after: float = 0.0
    spki: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """The end of a piece of work, for the pair of that identity."""

    target: str
    identity: str
    outcome: Reloaded | Refusal | Probed


Put = Callable[[Result], None]


class Work:
    """Begins pieces of work. One that hangs keeps nobody else waiting; the loop never begins two for one target."""

    def __init__(self, reloader: Reloader) -> None:
        self._reloader = reloader

    def reload(self, target: Target, pair: Offer | None, known: Progress, put: Put) -> bool:
        """Begin to tell the consumer; False when there is nothing to tell it of."""
        if pair is None:
            return False
        return _begin(f"reload-{target.name}", target, known, put, lambda: self._reloaded(target, pair, known))

    def probe(self, target: Target, pair: Offer | None, known: Progress, put: Put) -> bool:
        """Begin to look at what is served; False when there is nothing to compare it with."""
        if pair is None or target.verify is None:
            return False
        return _begin(f"probe-{target.name}", target, known, put, lambda: look(target, pair))

    def _reloaded(self, target: Target, pair: Offer, known: Progress) -> Reloaded | Refusal:
        started = time.monotonic()
        try:
            detail = self._reloader.perform(target, pair, known.written_at)
        except RefusalError as error:
            return error.refusal
        except SidecarError as error:
            return Refusal(Reason.RELOAD_FAILED, str(error))
        return Reloaded(detail, time.monotonic() - started)


def look(target: Target, pair: Offer) -> Probed:
    """Compare what *target* serves with *pair*."""
    if target.verify is None:
        return Probed(Seen.ABSENT, "nothing says where it serves")
    try:
        served = probe.look(target.verify, target.wanted.domains[0])
    except ProbeError as error:
        return Probed(Seen.ABSENT if error.trouble is Trouble.ABSENT else Seen.BROKEN, str(error))
    fact = served.certificate
    unlike = probe.difference(served, expected_chain(target, pair))
    seen = Seen.SERVED if unlike is None else Seen.OTHER
    return Probed(seen, unlike or "", fact.serial_hex, fact.not_after.timestamp(), fact.spki)


def _begin(
    name: str, target: Target, known: Progress, put: Put, act: Callable[[], Reloaded | Refusal | Probed]
) -> bool:
    def run() -> None:
        put(Result(target.name, known.identity, act()))

    threading.Thread(target=run, name=name, daemon=True).start()
    return True
