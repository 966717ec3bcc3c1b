"""A mail stack as stats may have seen it: most is well, something is not, and some names are what no name should be."""

import contextlib
import math
import time
from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry

from lab.agent import free_port
from lab.stats import PASSWORD
from sidecarkit import logs, settings
from stats import access
from stats.config import Config
from stats.facts import Ban, Bans, Certificate, Configuration, Container, Heals, Reading
from stats.metrics import Metrics
from stats.snapshot import Snapshot, Standing
from stats.web import PageServer, Site

HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"
DAY = 86400.0
ENDED: dict[str, Any] = {"state": "exited", "health": None, "started_at": None}


def _container(name: str, now: float, **further: Any) -> Container:
    known: dict[str, Any] = {
        "id": name.encode().hex().ljust(64, "0"), "name": f"mail-{name}-1", "service": name, "project": "mail",
        "image": f"registry.example/{name}:3", "state": "running", "health": "healthy", "failing_streak": 0,
        "restart_policy": "unless-stopped", "restarts": 0, "started_at": now - 3.2 * DAY, "cpu_percent": 1.7,
        "memory_bytes": 90 * 2**20,
    }  # fmt: skip
    return Container(**{**known, **further})


def standings(now: float) -> dict[str, Standing[Any]]:
    def fresh(answer: object, **further: Any) -> Standing[Any]:
        known: dict[str, Any] = {"used": True, "answer": answer, "answered_at": now - 4, "looked_at": now - 4}
        return Standing(**{**known, **further})

    wave = tuple(2 + math.sin(at / 9) + (at % 7) / 10 for at in range(120))
    broken = tuple(None if 40 < at < 60 else value * 3 for at, value in enumerate(wave))
    return {
        "engine": fresh(
            (
                _container("haraka", now, health="unhealthy", failing_streak=4, restarts=2, memory_limit_bytes=2**28),
                _container("mongo", now, memory_bytes=412 * 2**20, cpu_percent=3.4),
                _container("redis", now, cpu_percent=None, memory_bytes=None),
                _container("confcheck", now, **ENDED, exit_code=0, restart_policy="no"),
                _container("traefik", now, health=None),
                _container("opensearch", now, **ENDED, exit_code=137),
                _container("evil", now, service=HOSTILE, image=HOSTILE, health="starting"),
                _container("averylongname" * 4, now, project=None),
            )
        ),
        "mongo": fresh(
            Reading(0.0021, {"version": "8.0.4", "connections": 24, "memory_bytes": 412 * 2**20}),
            derived={"operations_per_second": 34.2, "read_latency_seconds": 0.0004, "write_latency_seconds": None},
            trends={"latency_seconds": wave, "operations_per_second": broken},
        ),
        "redis": fresh(
            Reading(0.0006, {"version": "7.0.15", "keys": 1834, "memory_bytes": 9 * 2**20, "connections": 12}),
            derived={"operations_per_second": 120.4},
            trends={"latency_seconds": wave},
        ),
        "zonemta": fresh(
            Reading(0.008, {"queued": 3, "deferred": 12, "delivered_total": 4210, "rejected_total": 17}),
            derived={"delivered_per_minute": 7.4, "rejected_per_minute": 0.2},
            trends={"queued": wave, "delivered_per_minute": broken},
        ),
        "rspamd": fresh(
            Reading(0.003, {"version": "3.4", "scanned_total": 9120, "spam_total": 2210, "scan_time_seconds": 0.31}),
            failure="no answer within 2 s", answered_at=now - 102,
            derived={"scanned_per_minute": 11.0, "spam_share": 0.243}, trends={"scanned_per_minute": broken},
        ),
        "wildduck": fresh(Reading(0.005), trends={"latency_seconds": wave}),
        "webmail": fresh(Reading(0.004, note=HOSTILE)),
        "autoheal": fresh(Heals({"haraka": 3}, now - DAY, frozenset(), sees_engine=True)),
        "certsync": fresh(
            (
                Certificate("haraka", "mail.example.com", now + 61.5 * DAY, in_sync=True, served=True, reason=None),
                Certificate("zonemta", "mail.example.com", now + 9.2 * DAY, in_sync=True, served=True, reason=None),
                Certificate("wildduck", "mail.example.com", None, in_sync=False, served=None, reason="source_torn"),
            )
        ),
        "confcheck": fresh(Configuration({"error": 0, "warning": 2}, 1)),
        "logban": fresh(
            Bans(
                {"wildduck-legacytls": 1204, "mail-auth": 3},
                (
                    Ban("wildduck-legacytls", now - 90, "203.0.113.66", now + 3500),
                    Ban("mail-auth", now - 800, "2001:db8:1234:5678::/64", now + 90_000),
                    Ban("mail-auth", now - 9000, "198.51.100.7", now - 5400, "expired"),
                    Ban("mail-auth", now - 9900),
                ),
                backend="nftables",
                backend_ok=True,
            )
        ),
    }  # fmt: skip


@contextlib.contextmanager
def shown(interval_seconds: float = 2.0) -> Iterator[str]:
    """Serve the scene, always a few seconds old; lends the page's address."""
    port = free_port()
    config = settings.read(Config, {"STATS_PASSWORD": PASSWORD, "STATS_LISTEN": f"127.0.0.1:{port}"})
    metrics, log = Metrics(CollectorRegistry()), logs.get("stats")
    site = Site(
        config=config,
        gate=access.gate(config, metrics, log),
        snapshot=lambda: Snapshot(time.time() - 1, interval_seconds, standings(time.time())),
        metrics=metrics,
        log=log,
    )
    server = PageServer(site)
    server.start()
    try:
        yield f"http://127.0.0.1:{port}/stats"
    finally:
        server.close()
