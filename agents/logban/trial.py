"""`logban test`: what today's filters and jails make of a log, through the same code that reads live ones."""

from __future__ import annotations

import random
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from logban import blocks, rulebook
from logban.address import source_key
from logban.ledger import Ledger
from logban.offence import KINDS, Offence
from logban.policy import Protected
from logban.recognition import Log, Recogniser
from sidecarkit.command import DONE, print_json, print_table
from sidecarkit.errors import SettingsError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from logban.address import Address
    from logban.config import Config
    from logban.offence import Event

# Reasons of one source that are listed, and sources: a log can name more than memory holds.
_MOST_REASONS = 16
_MOST_SOURCES = 10_000


@dataclass(slots=True)
class Finding:
    """What one filter found about one address."""

    first_line: int
    last_line: int = 0
    last_at: float = 0.0
    kinds: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, None] = field(default_factory=dict)


class Trial:
    """Reads one log and keeps what it shows."""

    def __init__(self, recogniser: Recogniser, ledger: Ledger, *, stamped: bool) -> None:
        self._log = Log(recogniser, stamped=stamped)
        self._ledger = ledger
        self._findings: dict[tuple[Address, str], Finding] = {}
        self._banned: set[int] = set()
        # Not for secrets: it spreads the ends of bans that are never carried out.
        self._chance = random.Random(0).random  # noqa: S311
        self._left_out = 0

    def feed(self, block: bytes) -> None:
        """Read a block of whole lines."""
        for event in self._log.feed(block):
            self._take(event)
        self._ledger.changes()  # nobody stores them here

    def report(self, seconds: float) -> dict[str, Any]:
        """Report what was found, as documented for ``logban test --json``."""
        report: dict[str, Any] = {
            "lines": self._log.lines,
            "connections": self._log.connections,
            "sources": [self._source(*key, finding) for key, finding in self._findings.items()],
            "unattributed": self._unattributed(),
            "seconds": round(seconds, 3),
            "lines_per_second": round(self._log.lines / seconds) if seconds > 0 else 0,
        }
        if self._left_out:
            report["offences_of_sources_not_listed"] = self._left_out
        return report

    def advice(self) -> list[str]:
        """Say why offences could not be attributed, and what would help."""
        return [f"{each.count} x {each.kind} ({each.filter}): {each.advice}" for each in self._log.unattributed()]

    def _take(self, event: Event) -> None:
        at = event.at if event.at is not None else 0.0
        self._banned.update(
            source_key(ban.address) for ban in self._ledger.hear(event, at, self._chance) if not ban.jail.dry_run
        )
        if not isinstance(event, Offence):
            return
        key = (event.address, event.filter)
        finding = self._findings.get(key)
        if finding is None:
            if len(self._findings) >= _MOST_SOURCES:
                self._left_out += 1
                return
            finding = self._findings[key] = Finding(event.line)
        finding.last_line = max(finding.last_line, event.line)
        finding.first_line = min(finding.first_line, event.line)
        finding.last_at = at
        finding.kinds[event.kind] = finding.kinds.get(event.kind, 0) + 1
        if len(finding.reasons) < _MOST_REASONS:
            finding.reasons[event.reason] = None

    def _source(self, address: Address, name: str, finding: Finding) -> dict[str, Any]:
        ignored = self._ledger.ignored(address, finding.last_at)
        banned = source_key(address) in self._banned
        if banned and ignored == "trusted":
            ignored = None  # the good login came too late: a banned address has none
        return {
            "ip": str(address),
            "filter": name,
            "kinds": {kind: finding.kinds[kind] for kind in KINDS if kind in finding.kinds},
            "first_line": finding.first_line,
            "last_line": finding.last_line,
            "reasons": list(finding.reasons),
            "ignored": ignored,
            "would_ban": banned and ignored is None,
        }

    def _unattributed(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for each in self._log.unattributed():
            counts[each.kind] = counts.get(each.kind, 0) + each.count
        return counts


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``logban test`` takes."""
    parser.add_argument("file", metavar="FILE", nargs="?", help="a log as the server printed it; - is standard input")
    parser.add_argument("--filter", nargs="+", action="extend", default=[], metavar="NAME", help="default: all filters")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--docker-timestamps",
        action="store_true",
        help="lines begin with the engine's time, as of `docker logs -t`; without, all lines count as one moment",
    )


def perform(config: Config, chosen: argparse.Namespace) -> int:
    """Read the log that *chosen* names and print what it shows."""
    names, file = list(chosen.filter), chosen.file
    if file is None and len(names) > 1:
        file = names.pop()  # argparse gave the file to --filter
    if file is None:
        raise SettingsError(("which log? give a file, or - for standard input",))
    book = rulebook.load(config.rules)
    filters = book.choose(names or book.filters)
    protected = Protected(proxies=config.proxies, ignoreip=config.ignoreip)
    ledger = Ledger(book.jails.values(), protected, config.trust_seconds)
    trial = Trial(Recogniser(filters), ledger, stamped=chosen.docker_timestamps)
    started = time.perf_counter()
    with _opened(file) as stream:
        for block in blocks.read(stream):
            trial.feed(block)
    report = trial.report(time.perf_counter() - started)
    if chosen.json:
        print_json(report)
    else:
        _print(report, trial.advice())
    return DONE


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    if file == "-":
        yield sys.stdin.buffer
        return
    try:
        stream = Path(file).open("rb")  # noqa: SIM115 -- closed below; only opening it may be the user's mistake
    except OSError as error:
        raise SettingsError((f"{file}: {error.strerror}",)) from None
    with stream:
        yield stream


def _print(report: dict[str, Any], advice: Iterable[str]) -> None:
    rows = [
        (
            each["ip"],
            each["filter"],
            ", ".join(f"{kind} {count}" for kind, count in each["kinds"].items()),
            f"{each['first_line']}-{each['last_line']}",
            "would ban" if each["would_ban"] else each["ignored"] or "",
            "; ".join(each["reasons"]),
        )
        for each in report["sources"]
    ]
    print_table(("ADDRESS", "FILTER", "CONNECTIONS", "LINES", "VERDICT", "REASONS"), rows)
    out = sys.stdout.write
    out(f"\n{report['lines']} lines, {report['connections']} connections, {len(rows)} sources")
    out(f" in {report['seconds']} s ({report['lines_per_second']} lines/s)\n")
    for line in advice:
        out(f"not attributed: {line}\n")
