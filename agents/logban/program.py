"""How logban is put together, and what its command line offers."""

import argparse
import os

from prometheus_client import CollectorRegistry

from logban import backends, commands, exchange, replay, trial
from logban.config import Config
from logban.court import Court
from logban.firewall import Firewall, NoFirewall
from logban.guard import MANUAL, Guard
from logban.hands import Hands
from logban.inbox import Inbox
from logban.ledger import Ledger
from logban.loop import EVENTS, Loop
from logban.metrics import Metrics
from logban.notices import Notices
from logban.policy import Protected
from logban.store import Store
from logban.tail import Tail
from logban.tools import Tools
from sidecarkit import identity, logs, settings, state
from sidecarkit.command import DONE, Agent, Command
from sidecarkit.engine import Engine
from sidecarkit.http import HttpServer
from sidecarkit.lifecycle import stop_on_signals
from sidecarkit.liveness import Liveness
from sidecarkit.metrics import package_version
from sidecarkit.notify import Notifier
from sidecarkit.watch import Watch

EVENT_FILTERS = {"type": ["container", "network"], "event": list(EVENTS)}


def run(config: Config, _: argparse.Namespace) -> int:
    """Read, judge and ban until told to stop."""
    log = logs.get("logban")
    book = commands.rules(config)
    endpoint = config.engine_endpoint()
    state.prepare(config.state, "LOGBAN_STATE")
    lock = state.own(config.state)
    for warning in settings.unknown(Config, os.environ, "LOGBAN_"):
        log.warning("unknown_setting", reason=warning)

    metrics = Metrics(CollectorRegistry())
    liveness = Liveness(config.state / "heartbeat.json")
    liveness.wrong("engine", "the engine was not reached yet", grace_seconds=60.0)
    inbox = Inbox()
    stop_on_signals(inbox)
    engine = Engine(endpoint)
    store = Store(config.state, log)
    notifier = Notifier(config.targets(), log, metrics.errors.labels("notify").inc)
    firewall = open_firewall(config)
    notices = Notices(notifier.tell)

    def trouble(reason: str | None) -> None:
        if reason is None:
            liveness.right("firewall")
        else:
            liveness.wrong("firewall", reason)

    guard = Guard(firewall, store, metrics, log, trouble)
    metrics.introduce(firewall.name, [*(jail.name for jail in book.jails.values() if jail.enabled), MANUAL])
    store.show("status", None)  # the last run's
    guard.begin()
    ledger = Ledger(book.jails.values(), Protected(config.proxies, config.ignoreip), config.trust_seconds)
    hands = Hands(engine, inbox.put)
    court = Court(book, ledger, guard, store, metrics, log)
    tools = Tools(
        config, book, court, guard, Tail(hands.open), hands, store, metrics, notices, identity.kin(endpoint.host), log
    )
    watch = Watch(engine, inbox.put, EVENT_FILTERS, lookback_seconds=0.0)
    server = HttpServer(config.http, metrics.registry, liveness.reasons, log) if config.http else None

    log.info(
        "logban_started",
        version=package_version(),
        engine=endpoint.url,
        backend=firewall.name,
        jails=[jail.name for jail in ledger.jails],
        dry_run=config.dry_run,
        bans=len(guard.bans),
    )
    watch.start()
    if server:
        server.start()
    stop = Loop(tools, inbox, liveness).run()
    log.info("logban_stopped", signal=stop.signal)
    watch.close()
    notifier.close()
    guard.end(flush=config.flush_on_stop)
    store.close()
    os.close(lock)
    return DONE


def open_firewall(config: Config) -> Firewall:
    """Open the back end, and remove what another one left. Raises FirewallError with what is lacking."""
    if config.dry_run:
        return NoFirewall()
    firewall = backends.choose(config.backend, config.max_bans)
    if firewall.name != "none":
        backends.sweep(kept=firewall)
    return firewall


LOGBAN = Agent(
    name="logban",
    summary="Watches containers' logs and has the kernel drop whoever probes their TLS.",
    schema=Config,
    commands=(
        Command("run", "read, judge and ban until stopped (the default)", run),
        Command("check", "check settings, rules, engine and firewall, and print all that is wrong", commands.check),
        Command("status", "say how each watched log fares", commands.status, commands.json_argument),
        Command("bans", "list who is banned", commands.bans, commands.json_argument),
        Command("ban", "ban an address", commands.ban, commands.ban_arguments),
        Command("unban", "lift a ban, or all", commands.unban, commands.unban_arguments),
        Command("why", "say what is known about an address, with the lines", commands.why, commands.why_arguments),
        Command(
            "test", "say what the filters and jails make of a log; touches nothing", trial.perform, trial.arguments
        ),
        Command("replay", "say what today's jails would have done", replay.perform, replay.arguments),
        Command("export", "write the jails as files for fail2ban", exchange.export, exchange.export_arguments),
        Command("import", "print a filter of fail2ban's as one of ours", exchange.read, exchange.import_arguments),
        Command("uninstall", "take rules, sets and bans out of the kernel", commands.uninstall),
    ),
)
