"""certsync's figures. Labels: the first domain of a target, its name, results; never a path or an address."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from certsync.delivery import State, Verdict
from certsync.progress import Progress
from certsync.refusal import Reason
from certsync.target import Target
from sidecarkit.metrics import AgentMetrics

RESULTS = ("changed", "unchanged", "failed")


class Metrics(AgentMetrics):
    """What Prometheus wants to know."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__("certsync", registry, operations=("list", "notify", "state"))
        self.not_after = Gauge(
            "certsync_cert_not_after_timestamp_seconds",
            "When the certificate ends: in the source, on disk, and as served; of several targets the earliest.",
            ["domain", "where"],
            registry=registry,
        )
        self.last_success = Gauge(
            "certsync_last_success_timestamp_seconds", "When all targets were last in place.", registry=registry
        )
        self.syncs = Counter("certsync_syncs", "Looks at a target, by result.", ["result"], registry=registry)
        self.sync_duration = Histogram("certsync_sync_duration_seconds", "How long a look took.", registry=registry)
        self.target_in_sync = Gauge(
            "certsync_target_in_sync",
            "1 when the files are what the source has.",
            ["domain", "target"],
            registry=registry,
        )
        self.served_in_sync = Gauge(
            "certsync_served_in_sync", "1 when the delivered pair is served.", ["domain", "target"], registry=registry
        )
        self.reloads = Counter("certsync_reloads", "Reloads, by result.", ["target", "result"], registry=registry)
        self.refusals = Gauge(
            "certsync_target_refused",
            "1 for the reason that a target waits for.",
            ["target", "reason"],
            registry=registry,
        )
        self.key_changes = Counter(
            "certsync_tlsa_changes", "Deliveries with another public key.", ["target"], registry=registry
        )
        self._reasons: dict[str, str] = {}
        self._ends: dict[tuple[str, str], dict[str, float]] = {}
        for result in RESULTS:
            self.syncs.labels(result)

    def introduce(self, target: Target) -> None:
        """Make a target's series at 0: a counter's first increase shows, and what never gets there is not in sync."""
        for result in ("ok", "failed"):
            self.reloads.labels(target.name, result)
        self.key_changes.labels(target.name)
        self.target_in_sync.labels(_domain(target), target.name)

    def forget(self, target: Target) -> None:
        """End the series of a target that nobody asks for any more: its last figures would stand for ever."""
        for series in (self.target_in_sync, self.served_in_sync, self.reloads, self.refusals, self.key_changes):
            series.remove_by_labels({"target": target.name})
        self._reasons.pop(target.name, None)
        for key, of_targets in list(self._ends.items()):
            if of_targets.pop(target.name, None) is None:
                continue
            if of_targets:
                self.not_after.labels(*key).set(min(of_targets.values()))
            else:
                del self._ends[key]
                self.not_after.remove(*key)

    def looked(self, target: Target, verdict: Verdict) -> None:
        """Count a look at a target's files."""
        domain = _domain(target)
        result = {State.DELIVERED: "changed", State.IN_PLACE: "unchanged", State.REFUSED: "failed"}[verdict.state]
        self.syncs.labels(result).inc()
        self.target_in_sync.labels(domain, target.name).set(verdict.state is not State.REFUSED)
        for where, pair in (("source", verdict.due), ("target", verdict.on_disk)):
            if pair is not None:
                self._show_end(target, where, pair.certificate.not_after.timestamp())

    def stands(self, target: Target, known: Progress, reason: Reason | None) -> None:
        """Show how far a target is."""
        if target.verify is not None and known.seen is not None:
            self.served_in_sync.labels(_domain(target), target.name).set(known.served)
            if known.served_not_after:
                self._show_end(target, "served", known.served_not_after)
        before = self._reasons.pop(target.name, None)
        if before and before != reason:
            self.refusals.remove(target.name, before)
        if reason:
            self.refusals.labels(target.name, reason).set(1)
            self._reasons[target.name] = reason

    def _show_end(self, target: Target, where: str, ends: float) -> None:
        key = (_domain(target), where)
        of_targets = self._ends.setdefault(key, {})
        of_targets[target.name] = ends
        self.not_after.labels(*key).set(min(of_targets.values()))


def _domain(target: Target) -> str:
    return target.wanted.domains[0] if target.wanted.domains else ""
