"""MongoDB, asked through its own commands: ping for the latency, serverStatus for the rest.

Where authentication is on, the role clusterMonitor is needed.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import pymongo
from pymongo.errors import OperationFailure, PyMongoError

from stats.facts import Reading, Value
from stats.rates import Derived, Rate, Ratio
from stats.source import SourceDown

_KINDS = ("insert", "query", "update", "delete", "getmore", "command")


class Mongo:
    """One server, even where it is part of a replica set."""

    name = "mongo"
    derived: ClassVar[tuple[Derived, ...]] = (
        Rate("operations_per_second", "operations"),
        *(Rate(f"{kind}_per_second", kind) for kind in _KINDS),
        Ratio("read_latency_seconds", "reads_seconds", "reads"),
        Ratio("write_latency_seconds", "writes_seconds", "writes"),
    )
    trends = ("latency_seconds", "operations_per_second")

    def __init__(self, url: str, timeout_seconds: float) -> None:
        """Raise ValueError when *url* is none of MongoDB's. The text says no part of it."""
        self._timeout_seconds = timeout_seconds
        limit = int(timeout_seconds * 750)  # a ping and a look at the status, and the first is what a hung one fails
        try:
            self._client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(
                url,
                connect=False,
                directConnection=True,
                appname="wildduck-sidecars stats",
                serverSelectionTimeoutMS=limit,
                connectTimeoutMS=limit,
                socketTimeoutMS=limit,
                maxPoolSize=1,
                retryReads=False,
            )
        except (PyMongoError, ValueError, TypeError) as error:
            raise ValueError(f"mongodb://host:port ({type(error).__name__})") from None

    def look(self) -> Reading:
        with self._told():
            started = time.perf_counter()
            self._client.admin.command("ping")
            latency = time.perf_counter() - started
            status = self._client.admin.command("serverStatus", repl=0, metrics=0, locks=0)
        return reading(latency, status)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OperationFailure as error:
            reason = (error.details or {}).get("codeName") or f"code {error.code}"
            raise SourceDown(f"refused to answer ({reason})") from None
        except PyMongoError:
            raise SourceDown("no answer in time") from None


def reading(latency_seconds: float, status: Mapping[str, Any]) -> Reading:
    """Read serverStatus. Servers and stand-ins leave parts out: what is not there is not known."""
    counters = {
        kind: float(count)
        for kind, count in (status.get("opcounters") or {}).items()
        if kind in _KINDS and isinstance(count, (int, float))
    }
    if counters:
        counters["operations"] = sum(counters.values())
    for kind, seen in (status.get("opLatencies") or {}).items():
        if isinstance(seen, Mapping) and {"latency", "ops"} <= seen.keys():
            counters[kind] = float(seen["ops"])
            counters[f"{kind}_seconds"] = seen["latency"] / 1e6
    connections, memory = status.get("connections") or {}, status.get("mem") or {}
    resident = memory.get("resident")
    figures: dict[str, Value] = {
        "version": status.get("version"),
        "uptime_seconds": status.get("uptime"),
        "connections": connections.get("current"),
        "connections_available": connections.get("available"),
        "memory_bytes": None if resident is None else int(resident * 2**20),
        "waiting_operations": ((status.get("globalLock") or {}).get("currentQueue") or {}).get("total"),
    }
    return Reading(latency_seconds, figures, counters)
