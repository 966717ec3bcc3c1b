"""The services that mail flows through, over HTTP: ZoneMTA, Rspamd, WildDuck, the webmail, and OpenSearch beside them.

Each is asked what it can answer by itself: a check that needs a database would blame the service for it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from stats import exposition, fetch
from stats.document import number, text
from stats.exposition import Exposition
from stats.facts import Reading, Value
from stats.rates import Derived, Rate, Ratio
from stats.source import SourceDown

DELIVERY_WINDOW_SECONDS = 300.0  # deliveries come in bursts: what is told is the average of five minutes
SPAM_WINDOW_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class ZoneMta:
    """Its /metrics answer although its database hangs."""

    url: str
    timeout_seconds: float
    name: ClassVar[str] = "zonemta"
    derived: ClassVar[tuple[Derived, ...]] = tuple(
        Rate(f"{status}_per_minute", status, DELIVERY_WINDOW_SECONDS, per_seconds=60.0)
        for status in ("delivered", "rejected", "deferred")
    )
    trends: ClassVar[tuple[str, ...]] = ("queued", "delivered_per_minute")

    def look(self) -> Reading:
        return zonemta(exposition.scrape(self.url, self.timeout_seconds))


def zonemta(found: Exposition) -> Reading:
    """Read ZoneMTA's figures. The sizes of the queue are missing in its first ten seconds.

    Its counters are named without the `_total` that the parser gives each of them.
    """
    if "zonemta_delivery_status" not in found.families:
        raise SourceDown("answers, but not with ZoneMTA's figures")
    counters = {
        status: found.total("zonemta_delivery_status_total", status=status) or 0.0
        for status in ("delivered", "rejected", "deferred")
    }
    sizes = {kind: found.total("zonemta_queue_size", type=kind) for kind in ("queued", "deferred")}
    figures: dict[str, Value] = {
        "queued": _whole(sizes["queued"]),
        "deferred": _whole(sizes["deferred"]),
        **{f"{status}_total": int(count) for status, count in counters.items()},
        "bounces_total": _whole(found.total("zonemta_bounce_generation_total")),
        "dropped_total": _whole(found.total("zonemta_message_drop_total")),
    }
    return Reading(found.seconds, figures, counters)


@dataclass(frozen=True, slots=True)
class Rspamd:
    """Its controller: /ping says that it lives, /stat what it scanned, for whom knows the password."""

    url: str
    password: str | None
    timeout_seconds: float
    name: ClassVar[str] = "rspamd"
    derived: ClassVar[tuple[Derived, ...]] = (
        Rate("scanned_per_minute", "scanned", DELIVERY_WINDOW_SECONDS, per_seconds=60.0),
        Ratio("spam_share", "spam", "scanned", SPAM_WINDOW_SECONDS),
    )
    trends: ClassVar[tuple[str, ...]] = ("scanned_per_minute", "scan_time_seconds")

    def look(self) -> Reading:
        ping = fetch.get(self.url, "/ping", self.timeout_seconds / 2)
        if ping.status != 200 or ping.body.strip() != b"pong":
            raise SourceDown(f"answers /ping with status {ping.status}, and not with pong")
        headers = {"Password": self.password} if self.password else {}
        try:
            answer = fetch.get(self.url, "/stat", self.timeout_seconds / 2, headers)
        except SourceDown as error:
            return Reading(ping.seconds, note=f"does not tell its figures: {error}")
        if answer.status in {401, 403}:
            return Reading(ping.seconds, note="does not tell its figures: it wants another password")
        return rspamd(ping.seconds, _document(answer))


def rspamd(latency_seconds: float, stat: Mapping[str, Any]) -> Reading:
    """Read /stat. `scan_times` are the last scans, in seconds; those not used yet are null."""
    times = [time for time in map(number, stat.get("scan_times") or []) if time is not None]
    known = {"scanned": number(stat.get("scanned")), "spam": number(stat.get("spam_count"))}
    figures: dict[str, Value] = {
        "version": text(stat.get("version")),
        "uptime_seconds": number(stat.get("uptime")),
        "scanned_total": known["scanned"],
        "spam_total": known["spam"],
        "ham_total": number(stat.get("ham_count")),
        "learned_total": number(stat.get("learned")),
        "scan_time_seconds": sum(times) / len(times) if times else None,
    }
    return Reading(latency_seconds, figures, {name: float(count) for name, count in known.items() if count is not None})


@dataclass(frozen=True, slots=True)
class Answering:
    """A service of which it is enough that it answers a request quickly, with any status below 500.

    WildDuck's API without a token (its own /health writes to both databases, and hangs with them), and the webmail's
    icon (any page makes a session that stays in Redis for a day).
    """

    name: str
    url: str
    path: str
    timeout_seconds: float
    derived: ClassVar[tuple[Derived, ...]] = ()
    trends: ClassVar[tuple[str, ...]] = ("latency_seconds",)

    def look(self) -> Reading:
        answer = fetch.get(self.url, self.path, self.timeout_seconds, whole=False)
        if answer.status >= 500:
            raise SourceDown(f"answers with status {answer.status}")
        return Reading(answer.seconds)


@dataclass(frozen=True, slots=True)
class OpenSearch:
    """The health of its cluster, in its own words: green, yellow or red."""

    url: str
    timeout_seconds: float
    name: ClassVar[str] = "opensearch"
    derived: ClassVar[tuple[Derived, ...]] = ()
    trends: ClassVar[tuple[str, ...]] = ("latency_seconds",)

    def look(self) -> Reading:
        answer = fetch.get(self.url, "/_cluster/health", self.timeout_seconds)
        if answer.status != 200:
            raise SourceDown(f"answers with status {answer.status}")
        return opensearch(answer.seconds, _document(answer))


def opensearch(latency_seconds: float, health: Mapping[str, Any]) -> Reading:
    """Read /_cluster/health. A single node is yellow for want of a second one to copy to, which is no fault of its."""
    status, nodes = text(health.get("status")), number(health.get("number_of_data_nodes"))
    figures: dict[str, Value] = {
        "cluster_status": status,
        "data_nodes": nodes,
        "active_shards": number(health.get("active_shards")),
        "unassigned_shards": number(health.get("unassigned_shards")),
        "pending_tasks": number(health.get("number_of_pending_tasks")),
    }
    note = None
    if status == "red":
        note = "the cluster is red: some of its data cannot be searched"
    elif status == "yellow" and nodes != 1:
        note = "the cluster is yellow: some of its data has no copy"
    elif status not in {"green", "yellow"}:
        note = "does not say how its cluster is"
    return Reading(latency_seconds, figures, note=note)


def _document(answer: fetch.Answer) -> Mapping[str, Any]:
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise SourceDown(f"answers with status {answer.status} and no JSON object")
    return document


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
