"""How stats is put together, and what its command line offers."""

import argparse
import os

from prometheus_client import CollectorRegistry

from sidecarkit import logs, settings, state
from sidecarkit.command import DONE, Agent, Command
from sidecarkit.engine import Engine
from sidecarkit.http import HttpServer
from sidecarkit.lifecycle import stop_on_signals
from sidecarkit.liveness import Liveness
from sidecarkit.metrics import package_version
from stats import access, assembly, commands
from stats.config import Config
from stats.loop import Loop, asked
from stats.metrics import Metrics
from stats.web import PageServer, Site


def run(config: Config, _: argparse.Namespace) -> int:
    """Look at everything and serve the page until told to stop."""
    log = logs.get("stats")
    metrics = Metrics(CollectorRegistry())
    gate = access.gate(config, metrics, log)
    endpoint = config.engine_endpoint()
    sources = assembly.sources(config, Engine(endpoint, timeout_seconds=assembly.TIMEOUT_SECONDS))
    state.prepare(config.state, "STATS_STATE")
    lock = state.own(config.state)
    for warning in settings.unknown(Config, os.environ, "STATS_"):
        log.warning("unknown_setting", reason=warning)

    liveness = Liveness(config.state / "heartbeat.json")
    loop = Loop(
        sources={one.name: asked(one) for one in sources},
        metrics=metrics,
        liveness=liveness,
        log=log,
        interval_seconds=config.interval_seconds,
        timeout_seconds=assembly.TIMEOUT_SECONDS,
        publish=commands.publisher(config, metrics, log),
    )
    stop_on_signals(loop.inbox)
    site = Site(config=config, gate=gate, snapshot=lambda: loop.snapshot, metrics=metrics, log=log)
    pages = PageServer(site)
    figures = HttpServer(config.http, metrics.registry, liveness.reasons, log) if config.http else None
    log.info("stats_started", version=package_version(), engine=endpoint.url, sources=[one.name for one in sources])
    pages.start()
    if figures:
        figures.start()
    stop = loop.run()
    log.info("stats_stopped", signal=stop.signal)
    pages.close()
    if figures:
        figures.close()
    os.close(lock)
    return DONE


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


STATS = Agent(
    name="stats",
    summary="One page that says whether mail flows, what was healed, what expires and who is banned.",
    schema=Config,
    commands=(
        Command(
            "run", "look at everything and serve the page until stopped (the default)", run, missing=access.missing
        ),
        Command(
            "check",
            "check settings and password, ask every source once, print all that is wrong",
            commands.check,
            missing=access.missing,
        ),
        Command("status", "print what the page shows", commands.status, _json),
        Command("hash", "read a password from the terminal or stdin, print its hash", commands.hash_),
    ),
)
