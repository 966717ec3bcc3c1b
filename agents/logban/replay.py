"""`logban replay`: what today's filters and jails would have done with a container's log. Touches nothing."""

import argparse
import random
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from logban import commands, world
from logban.config import Config
from logban.cursor import seconds, stamp_at
from logban.frames import STAMP, Frames, Line, Terminal
from logban.hands import anatomy_of
from logban.host import own_addresses
from logban.ledger import Ban, Ledger
from logban.offence import Offence
from logban.policy import Protected
from logban.recognition import Log, Recogniser
from logban.rulebook import Rulebook
from logban.world import Subject
from sidecarkit import settings
from sidecarkit.command import DONE, print_json, print_table
from sidecarkit.containers import row
from sidecarkit.engine import Engine
from sidecarkit.errors import SidecarError
from sidecarkit.identity import Kin

_READ_BYTES = 262_144
_NO_KIN = Kin(frozenset(), None, frozenset())


class Rehearsal:
    """Reads one log with a ledger of its own."""

    def __init__(self, subject: Subject, book: Rulebook, ledger: Ledger) -> None:
        self._subject, self._ledger = subject, ledger
        self._log = Log(Recogniser(book.choose(subject.filters)), stamped=True)
        self._chance = random.Random(0).random  # noqa: S311 - spreads the ends of bans that nobody carries out
        self.bans: list[dict[str, Any]] = []
        self.ignored: Counter[tuple[str, str]] = Counter()

    def hear(self, lines: list[Line]) -> None:
        """Read lines as the live agent does."""
        for event in self._log.feed(b"".join(text for _, text in lines)):
            at = event.at or 0.0
            found = self._ledger.hear(event, at, self._chance, self._subject.jails)
            self.bans += [_told(ban) for ban in found]
            if isinstance(event, Offence) and (reason := self._ledger.ignored(event.address, at)):
                self.ignored[str(event.address), reason] += 1

    def report(self) -> dict[str, Any]:
        return {
            "container": self._subject.name,
            "filters": list(self._subject.filters),
            "jails": sorted(self._subject.jails),
            "lines": self._log.lines,
            "bans": self.bans,
            "ignored": [
                {"ip": ip, "reason": reason, "offences": count} for (ip, reason), count in self.ignored.items()
            ],
            "unattributed": [
                {"kind": each.kind, "count": each.count, "advice": each.advice} for each in self._log.unattributed()
            ],
        }


def _told(ban: Ban) -> dict[str, Any]:
    return {
        "at": ban.sentence.at,
        "ip": str(ban.address),
        "source": str(ban.source),
        "jail": ban.jail.name,
        "dry_run": ban.jail.dry_run,
        "seconds": round(ban.sentence.seconds, 1),
        "ban": ban.sentence.bans,
        "kinds": dict(Counter(mark.kind for mark in ban.sentence.marks)),
        "evidence": ban.last.evidence,
    }


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--container", required=True, metavar="N", help="name, Compose service or id")
    parser.add_argument("--since", type=settings.positive_duration, default=86_400.0, metavar="24h", help="default 24h")
    commands.json_argument(parser)


def perform(config: Config, chosen: argparse.Namespace) -> int:
    """Read the log through the engine, not following it."""
    book = commands.rules(config)
    engine = Engine(config.engine_endpoint())
    documents = engine.containers()
    subject = _find(documents, chosen.container, config, book)
    place = world.neighbourhood(documents)
    protected = Protected(
        config.proxies, config.ignoreip, tuple(place.networks), own_addresses(), frozenset(place.gateways)
    )
    rehearsal = Rehearsal(subject, book, Ledger(book.jails.values(), protected, config.trust_seconds))
    since = stamp_at(time.time() - chosen.since)
    for lines in read(engine, subject.id, since):
        rehearsal.hear([line for line in lines if line[1][:STAMP] >= since])
    report = rehearsal.report()
    if chosen.json:
        print_json(report)
    else:
        _print(report)
    return DONE


def read(engine: Engine, container: str, since: bytes) -> Iterator[list[Line]]:
    """Read a log from *since*, a time as the engine writes it, to its present end."""
    reader = Terminal() if anatomy_of(engine.inspect(container)).terminal else Frames()
    query: dict[str, str | int] = {"stdout": 1, "stderr": 1, "timestamps": 1, "since": f"{seconds(since):.6f}"}
    sock, data = engine.bare_stream("logs", f"/containers/{quote(container, safe='')}/logs", query)
    with sock:
        yield reader.feed(data)
        while data := _received(sock):
            yield reader.feed(data)
    yield reader.end()


def _received(sock: socket.socket) -> bytes:
    try:
        return sock.recv(_READ_BYTES)
    except OSError as error:
        raise SidecarError(f"logs: the engine hung up: {error}") from None


def _find(documents: list[dict[str, Any]], name: str, config: Config, book: Rulebook) -> Subject:
    """Find a container, watched or not: one without the label is read as if it had it."""
    for document in documents:
        listed = row(document)
        if name in {listed.name, listed.service} or (len(name) >= 4 and listed.id.startswith(name)):
            labelled = {**document, "Labels": {**listed.labels, world.LABEL: "true"}}
            (subject,) = world.subjects([labelled], book, _NO_KIN, config.jails, config.source)
            if not subject.filters:
                raise SidecarError("; ".join(subject.complaints))
            return subject
    raise SidecarError(f"there is no container {name!r}")


def _print(report: dict[str, Any]) -> None:
    print_table(
        ("TIME", "ADDRESS", "JAIL", "FOR", "BAN", "OFFENCES"),
        [
            (
                f"{datetime.fromtimestamp(ban['at'], UTC):%Y-%m-%d %H:%M:%S}Z",
                ban["ip"],
                ban["jail"] + (" (dry run)" if ban["dry_run"] else ""),
                f"{ban['seconds']:.0f} s",
                ban["ban"],
                ", ".join(f"{kind} {count}" for kind, count in ban["kinds"].items()),
            )
            for ban in report["bans"]
        ],
    )
    out = sys.stdout.write
    out(f"\n{report['lines']} lines of {report['container']}, {len(report['bans'])} bans\n")
    for each in report["ignored"]:
        out(f"ignored: {each['ip']} ({each['reason']}), {each['offences']} offences\n")
    for each in report["unattributed"]:
        out(f"not attributed: {each['count']} x {each['kind']}: {each['advice']}\n")
