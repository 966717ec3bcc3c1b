"""Builds a certsync out of its parts."""

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry

from certsync import config as configuration
from certsync import report, work
from certsync.alarms import Alarms
from certsync.config import Config, Plan
from certsync.delivery import Delivery
from certsync.ledger import SCHEMA, Attic, Ledger
from certsync.loop import Loop, Times
from certsync.metrics import Metrics
from certsync.reload import Reloader
from certsync.store import Store
from sidecarkit import logs, settings, state
from sidecarkit.engine import Engine
from sidecarkit.liveness import Liveness
from sidecarkit.notify import Notifier

LOG = logs.get("certsync")


@dataclass(frozen=True, slots=True)
class Assembly:
    """Everything that a running certsync consists of."""

    plan: Plan
    loop: Loop
    engine: Engine | None
    liveness: Liveness
    registry: CollectorRegistry
    notifier: Notifier


@contextlib.contextmanager
def assembled(config: Config, environ: Mapping[str, str] = os.environ) -> Iterator[Assembly]:
    """Build it, owning the state folder. Raises SettingsError, or StateBusy when another certsync runs."""
    plan = configuration.plan(config)
    for warning in settings.unknown(Config, environ, "CERTSYNC_"):
        LOG.warning("setting_unknown", hint=warning)
    state.prepare(config.state, "CERTSYNC_STATE")
    descriptor = state.own(config.state)
    database = state.open_database(config.state / "certsync.db", SCHEMA, LOG)
    for folder in ("journals", "previous"):
        (config.state / folder).mkdir(mode=0o700, exist_ok=True)
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    liveness = Liveness(config.state / "heartbeat.json")
    notifier = Notifier(config.targets(), LOG, lambda: metrics.errors.labels("notify").inc())
    engine = Engine(config.engine_endpoint()) if plan.needs_engine or config.asks_labels else None

    def stored(complaint: str) -> None:
        if complaint:
            metrics.errors.labels("state").inc()
            liveness.wrong("state", f"progress is not stored: {complaint}")
        else:
            liveness.right("state")

    loop = Loop(
        sources=plan.sources,
        static=plan.targets,
        delivery=Delivery(
            Store(config.state / "journals"), Ledger(database, stored), Attic(config.state / "previous"), LOG
        ),
        work=work.Work(Reloader(engine, config.api_token)),
        metrics=metrics,
        liveness=liveness,
        alarms=Alarms(metrics, liveness, notifier, LOG, config.expiry_seconds),
        log=LOG,
        times=Times(poll=config.poll_seconds, settle=config.settle_seconds, probe=config.probe_seconds),
        publish=lambda loop: report.save(config.state / "status.json", status_of(loop)),
    )
    try:
        yield Assembly(plan, loop, engine, liveness, registry, notifier)
    finally:
        notifier.close()
        database.close()
        os.close(descriptor)


def status_of(loop: Loop) -> dict[str, Any]:
    """Describe where everything stands."""
    tracked = [(one, loop.known(one.target)) for one in loop.tracked.values()]
    return report.status(tracked, loop.readings, time.time()) | {"tlsa": report.tlsa(tracked)}
