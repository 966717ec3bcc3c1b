"""Notices containers whose namespaces' donor stopped or was recreated: a restart would leave them dead."""

from autoheal import notices
from autoheal.care import Care
from autoheal.tools import Tools

GRACE_SECONDS = 5.0  # a donor that is being restarted is away for a moment


class Donors:
    """Who has lost a donor, and who was told of it."""

    def __init__(self, tools: Tools, care: Care) -> None:
        self._tools, self._care, self._world = tools, care, tools.world
        self.lost: dict[str, tuple[str, str]] = {}  # container: (needs_recreation or donor_stopped, the donor's name)
        self._since: dict[str, float] = {}

    def gone(self, container: str) -> None:
        self.lost.pop(container, None)
        self._since.pop(container, None)

    def consider(self, now: float) -> None:
        for known in self._world.containers.values():
            if known.donors:
                self._consider(known.id, now)

    def _consider(self, container: str, now: float) -> None:
        known = self._world.containers[container]
        found = self._world.lost_donor(known.donors)
        if not found or not known.running or not self._world.watched(known):
            self.gone(container)
            return
        since = self._since.setdefault(container, now)
        if now - since < GRACE_SECONDS or self.lost.get(container) == found:
            return
        self.lost[container] = found
        why, donor = found
        self._care.write(known, "skip", "needs_recreation", detail=f"{why}: {donor}")
        self._tools.log.warning("needs_recreation", container=known.name, donor=donor, why=why)
        self._tools.notifier.tell(notices.lost_donor(known.subject, why, donor))
