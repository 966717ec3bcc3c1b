"""Wiring: settings, adapters, loop, commands."""

import argparse

from certsync import source
from certsync.assembly import LOG, assembled
from certsync.commands import check, list_, status, sync, tlsa
from certsync.config import Config
from certsync.discovery import Discovery
from certsync.inotify import Watcher
from certsync.loop import Asking, Changed, Loop
from certsync.requests import Requests
from sidecarkit.command import DONE, Agent, Command
from sidecarkit.http import HttpServer
from sidecarkit.lifecycle import stop_on_signals
from sidecarkit.mountpoints import own_mount_points


def run(config: Config, _: argparse.Namespace) -> int:
    """Keep every target in sync until told to stop."""
    with assembled(config) as parts:
        loop = parts.loop
        stop_on_signals(loop.inbox)
        watcher = Watcher([path for one in loop.sources for path in one.paths], lambda: loop.inbox.put(Changed()))
        watcher.start()
        for one in loop.sources:
            if hint := source.warning(one, own_mount_points()):
                LOG.warning("source_is_a_single_file", source=one.name, hint=hint)
        requests = Requests(config.state)
        loop.idle = lambda: _between_turns(loop, watcher, requests)
        engine = parts.engine if config.asks_labels else None
        finder = Discovery(engine, loop.inbox.put, config.resync_seconds) if engine else None
        server = HttpServer(config.http, parts.registry, parts.liveness.reasons, LOG) if config.http else None
        LOG.info("started", sources=[one.name for one in loop.sources], targets=[one.name for one in loop.static])
        for part in (finder, server):
            if part:
                part.start()
        loop.run()
        for closing in (finder, server, watcher):
            if closing:
                closing.close()
    LOG.info("stopped")
    return DONE


def _between_turns(loop: Loop, watcher: Watcher, requests: Requests) -> None:
    watcher.rewatch()
    if asked := requests.pending():
        requests.accept(asked)
        loop.handle(Asking(asked.force))  # the next turn looks; only after it can everything have settled
    elif loop.settled():
        requests.answer()


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def _sync_arguments(parser: argparse.ArgumentParser) -> None:
    _json(parser)
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, change nothing")
    parser.add_argument("--force", action="store_true", help="also deliver what is held, or ends earlier")


CERTSYNC = Agent(
    name="certsync",
    summary="Delivers Traefik's certificates to mail servers, and proves that they serve them.",
    schema=Config,
    commands=(
        Command("run", "keep every target in sync (the default)", run),
        Command("check", "print all that is wrong with settings, sources, targets and engine", check, _json),
        Command("status", "print where each target stands", status, _json),
        Command("list", "print the certificates that the sources hold", list_, _json),
        Command("sync", "deliver now, once", sync, _sync_arguments),
        Command("tlsa", "print the TLSA record of each target", tlsa, _json),
    ),
)
