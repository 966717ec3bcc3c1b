"""The kit's store of files, whose refusals are told in certsync's words."""

from collections.abc import Iterable
from dataclasses import dataclass

from certsync.refusal import Reason, Refusal, RefusalError
from sidecarkit import store
from sidecarkit.store import Cause, NotStored, Owner, Placement, content_of, stands_as, sweep, write_own

__all__ = ["Owner", "Placement", "Store", "content_of", "stands_as", "sweep", "write_own"]

_REASONS = {
    Cause.MISSING: Reason.TARGET_MISSING,
    Cause.READ_ONLY: Reason.TARGET_READ_ONLY,
    Cause.NO_SPACE: Reason.NO_SPACE,
    Cause.NOT_REPLACEABLE: Reason.TARGET_NOT_REPLACEABLE,
}


@dataclass(frozen=True, slots=True)
class Store(store.Store):
    """Delivers files; see `sidecarkit.store`."""

    def deliver(self, target: str, placements: Iterable[Placement]) -> None:
        """Put all *placements* in their places, or raise `RefusalError` with everything as it was."""
        try:
            store.Store.deliver(self, target, placements)  # not super(): with slots, the class is made anew
        except NotStored as error:
            raise RefusalError(_REASONS[error.cause], str(error)) from None

    def objection(self, placements: Iterable[Placement]) -> Refusal | None:
        """Say what would keep *placements* from their places, as far as that can be seen without writing."""
        try:
            self.examine(placements)
        except NotStored as error:
            return Refusal(_REASONS[error.cause], str(error))
        return None
