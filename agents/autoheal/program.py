"""How autoheal is put together, and what its command line offers."""

import argparse
import os
from queue import SimpleQueue
from typing import Any

from prometheus_client import CollectorRegistry

from autoheal import commands
from autoheal.config import Config
from autoheal.hands import Hands
from autoheal.ledger import Ledger
from autoheal.loop import Loop
from autoheal.metrics import Metrics
from autoheal.script import PostRestartScript
from autoheal.tools import Tools
from autoheal.world import EVENTS, World
from sidecarkit import identity, logs, settings, state
from sidecarkit.command import DONE, Agent, Command
from sidecarkit.engine import Engine
from sidecarkit.errors import SettingsError
from sidecarkit.http import HttpServer
from sidecarkit.lifecycle import stop_on_signals
from sidecarkit.liveness import Liveness
from sidecarkit.metrics import package_version
from sidecarkit.notify import Notifier
from sidecarkit.watch import Watch

LOOKBACK_SECONDS = 600.0  # how much of the engine's memory is asked for at the start


def run(config: Config, _: argparse.Namespace) -> int:
    """Heal until told to stop."""
    log = logs.get("autoheal")
    if wrong := commands.wrong_settings(config):
        raise SettingsError(tuple(wrong))
    endpoint = config.engine_endpoint()
    lock = state.own(config.state)
    for warning in settings.unknown(Config, os.environ, "AUTOHEAL_"):
        log.warning("unknown_setting", reason=warning)

    metrics = Metrics(CollectorRegistry())
    engine = Engine(endpoint, timeout_seconds=config.request_timeout_seconds, observe=metrics.observe_request)
    inbox: SimpleQueue[Any] = SimpleQueue()
    tools = Tools(
        config=config,
        world=World(config, identity.kin(endpoint.host), os.environ.get("COMPOSE_PROJECT_NAME")),
        ledger=Ledger(config.state, log),
        hands=Hands(engine, inbox.put, config.max_parallel),
        notifier=Notifier(config.targets(), log, metrics.errors.labels("notify").inc),
        metrics=metrics,
        script=PostRestartScript(config.post_restart_script, log),
        log=log,
    )
    liveness = Liveness(config.state / "heartbeat.json")
    liveness.wrong("engine", "the engine was not reached yet", grace_seconds=60.0)
    stop_on_signals(inbox)
    watch = Watch(engine, inbox.put, {"type": ["container"], "event": list(EVENTS)}, lookback_seconds=LOOKBACK_SECONDS)
    server = HttpServer(config.http, metrics.registry, liveness.reasons, log) if config.http else None

    log.info("autoheal_started", version=package_version(), engine=endpoint.url, label=config.label, scope=config.scope)
    watch.start()
    if server:
        server.start()
    stop = Loop(tools, inbox, liveness).run()
    log.info("autoheal_stopped", signal=stop.signal)
    watch.close()
    tools.notifier.close()
    tools.ledger.close()
    os.close(lock)
    return DONE


AUTOHEAL = Agent(
    name="autoheal",
    summary="Restarts unhealthy containers: root cause first, without restart storms, with evidence kept.",
    schema=Config,
    commands=(
        Command("run", "heal until stopped (the default)", run),
        Command(
            "check", "check settings, state folder, engine and labels, and print all that is wrong", commands.check
        ),
        Command("status", "say how each watched container fares", commands.status, commands.status_arguments),
        Command("history", "list what was decided, newest first", commands.history, commands.history_arguments),
        Command("show", "show one record with its evidence", commands.show, commands.show_arguments),
        Command("pause", "maintenance: leave a container, or all, alone", commands.pause, commands.pause_arguments),
        Command(
            "resume", "end maintenance, and heal again what was given up", commands.resume, commands.resume_arguments
        ),
    ),
)
