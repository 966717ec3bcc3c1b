"""How confcheck is put together, and what its command line offers."""

import argparse
import os
from queue import SimpleQueue
from typing import Any

from prometheus_client import CollectorRegistry

from confcheck import commands
from confcheck.config import Config
from confcheck.ledger import Ledger
from confcheck.look import book
from confcheck.loop import Loop
from confcheck.metrics import Metrics
from sidecarkit import logs, settings, state
from sidecarkit.command import DONE, Agent, Command
from sidecarkit.http import HttpServer
from sidecarkit.lifecycle import stop_on_signals
from sidecarkit.liveness import Liveness
from sidecarkit.metrics import package_version
from sidecarkit.notify import Notifier


def run(config: Config, _: argparse.Namespace) -> int:
    """Look again and again until told to stop."""
    log = logs.get("confcheck")
    known = book(config.rules, config.allow)
    state.prepare(config.state, "CONFCHECK_STATE")
    lock = state.own(config.state)
    for warning in settings.unknown(Config, os.environ, "CONFCHECK_"):
        log.warning("unknown_setting", reason=warning)

    metrics = Metrics(CollectorRegistry())
    liveness = Liveness(config.state / "heartbeat.json")
    notifier = Notifier(config.targets(), log, metrics.errors.labels("notify").inc)
    ledger = Ledger(config.state, log)
    inbox: SimpleQueue[Any] = SimpleQueue()
    stop_on_signals(inbox)
    server = HttpServer(config.http, metrics.registry, liveness.reasons, log) if config.http else None
    loop = Loop(
        config=config,
        book=known,
        ledger=ledger,
        metrics=metrics,
        liveness=liveness,
        notifier=notifier,
        log=log,
        inbox=inbox,
    )

    log.info("confcheck_started", version=package_version(), root=str(config.root), rules=len(known.rules))
    if server:
        server.start()
    stop = loop.run()
    log.info("confcheck_stopped", signal=stop.signal)
    notifier.close()
    ledger.close()
    os.close(lock)
    return DONE


CONFCHECK = Agent(
    name="confcheck",
    summary="Finds what is left over, public, unequal or open in the stack's configuration files.",
    schema=Config,
    commands=(
        Command("run", "look again and again until stopped (the default)", run),
        Command("check", "look once and print every finding", commands.check, commands.check_arguments),
        Command("render", "fill the placeholders from a map, all or none", commands.render_, commands.render_arguments),
        Command("status", "print what the running confcheck saw last", commands.status, commands.status_arguments),
    ),
)
