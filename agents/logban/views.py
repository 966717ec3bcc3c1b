"""What `logban status` says."""

from collections.abc import Mapping
from typing import Any

from logban.address import Address
from logban.court import Case, Court
from logban.guard import Guard
from logban.tail import Follower, Tail


def overview(court: Court, guard: Guard, tail: Tail, gateways: Mapping[Address, str]) -> dict[str, Any]:
    """Describe everything that is watched. Times are Unix seconds."""
    return {
        "backend": guard.backend,
        "ports": [
            {"fence": fence.name or "published", "tcp": sorted(fence.tcp), "udp": sorted(fence.udp)}
            for fence in guard.fences
        ],
        "bans": {
            f"{jail}": {f"ipv{family}": guard.bans.counts[jail, family] for family in (4, 6)}
            for jail in sorted({jail for jail, _ in guard.bans.counts})
        },
        "hidden_clients": [
            {"address": str(address), "network": gateways.get(address, ""), "offences": count, "advice": HIDDEN}
            for address, count in court.hidden.items()
        ],
        "containers": sorted(
            (_container(case, tail.followers.get(case.subject.id)) for case in court.cases.values()),
            key=lambda view: str(view["container"]),
        ),
    }


HIDDEN = (
    "this is a bridge's own address: clients come through docker-proxy or IPv6 address translation, and the container"
    " never sees theirs; enable ip6tables and IPv6 in the engine, or do not publish the port on IPv6"
)


def _container(case: Case, follower: Follower | None) -> dict[str, Any]:
    subject = case.subject
    return {
        "container": subject.name,
        "container_id": subject.id,
        "filters": list(subject.filters),
        "guessed": subject.guessed,
        "jails": sorted(subject.jails),
        "ports": sorted(f"{port}/{protocol}" for protocol, port in subject.ports),
        "reading": _reading(follower),
        "problems": [*subject.complaints, *([follower.complaint] if follower and follower.complaint else [])],
        "lines": case.lines,
        "last_line_at": case.last_line_at,
        "lag_seconds": case.lag_seconds,
        "offences": dict(case.kinds),
        "unattributed": [
            {"kind": each.kind, "filter": each.filter, "count": each.count, "advice": each.advice}
            for each in case.log.unattributed()
        ],
    }


def _reading(follower: Follower | None) -> str:
    if follower is None:
        return "no filter"
    if follower.reading:
        return "file" if follower.file else "api"
    return "container is not running" if follower.drained else "opening"
