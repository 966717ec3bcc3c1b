"""Notices probes that no longer run on a running container.

Engine 20.10 with live-restore never resumes them after its own restart: the container reads healthy for ever.
"""

from autoheal import notices, policy
from autoheal.care import Care
from autoheal.health import Examination
from autoheal.tools import Tools

SILENT_CYCLES = 3


class Probes:
    """Doubts every container's probes after each subscription until they were seen to run."""

    def __init__(self, tools: Tools, care: Care) -> None:
        self._tools, self._care, self._world = tools, care, tools.world
        self._doubted: dict[str, float] = {}  # container: since when
        self.silent: dict[str, float] = {}  # container: when its last probe ended

    def subscribed(self, now: float) -> None:
        self._doubted = dict.fromkeys(self._world.containers, now)

    def gone(self, container: str) -> None:
        self._doubted.pop(container, None)
        self.silent.pop(container, None)

    def listed(self, now: float) -> None:
        """Inspect those whose next probe must have ended by now."""
        for container, since in list(self._doubted.items()):
            known = self._world.containers.get(container)
            healthcheck = known.anatomy.healthcheck if known and known.anatomy else None
            if not known or not self._world.watched(known) or (known.anatomy and not healthcheck):
                del self._doubted[container]
            elif healthcheck and known.running and now - since > healthcheck.cycle_seconds:
                self._tools.hands.examine(container)

    def examined(self, examination: Examination, now: float) -> bool:
        """Judge by an inspection; returns whether the container is to be restarted."""
        container, condition = examination.container, examination.condition
        since, healthcheck = self._doubted.get(container.id), container.healthcheck
        if since is None or not healthcheck or condition.state != "running":
            return False
        last = condition.probes[-1].end if condition.probes else condition.started_at
        if last > since:
            self.gone(container.id)
        elif now - max(last, condition.started_at) > SILENT_CYCLES * healthcheck.cycle_seconds:
            del self._doubted[container.id]
            return self._report(container.id, last, now)
        return False

    def _report(self, container: str, last: float, now: float) -> bool:
        known = self._world.containers[container]
        self.silent[container] = last
        self._care.write(known, "notify", policy.STALE, sick_at=last, detail=f"no probe for {now - last:.0f} s")
        self._tools.log.warning("probes_stopped", container=known.name, silent_seconds=round(now - last))
        self._tools.notifier.tell(notices.stale(known.subject, now - last))
        return self._tools.config.stale == "restart"
