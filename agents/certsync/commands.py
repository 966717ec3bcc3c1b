"""What an operator may ask: check, sync, status, list, tlsa."""

import argparse
import contextlib
import json
import logging
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from certsync import config as configuration
from certsync import discovery, labels, report, source
from certsync.assembly import LOG, Assembly, assembled, status_of
from certsync.config import Config
from certsync.delivery import Delivery, Reading, State
from certsync.discovery import Listed
from certsync.ledger import SCHEMA, Attic, Ledger
from certsync.loop import Asking
from certsync.refusal import RefusalError
from certsync.requests import Requests
from certsync.store import Store
from sidecarkit import state
from sidecarkit.command import DONE, PROBLEM, print_json, print_table
from sidecarkit.engine import Engine
from sidecarkit.errors import SettingsError, StateBusy
from sidecarkit.mountpoints import own_mount_points

SYNC_PATIENCE_SECONDS = 180.0


def check(config: Config, arguments: argparse.Namespace) -> int:
    """Print all that is wrong with settings, files, sources, targets and the engine."""
    plan = configuration.plan(config)
    problems: list[str] = []
    found, consumers = list(plan.targets), []
    if plan.needs_engine or config.asks_labels:
        listed = discovery.look(Engine(config.engine_endpoint(), timeout_seconds=5.0))
        if isinstance(listed, Listed):
            consumers = [labels.read(one, listed.ours) for one in listed.consumers]
        else:
            problems.append(f"engine: {listed.reason}")
    problems += [f"{one.target.name}: {one.refusal}" for one in consumers if one.refusal]
    found += [one.target for one in consumers if not one.refusal]
    readings = [_reading(one, {name for target in found for name in target.wanted.domains}) for one in plan.sources]
    problems += [f"source {one.source}: {one.refusal}" for one in readings if one.refusal]
    problems += [hint for one in plan.sources if (hint := source.warning(one, own_mount_points()))]
    with _looking(config) as delivery:
        for target in found:
            verdict = delivery.settle(target, readings, dry_run=True)
            if verdict.refusal and verdict.refusal not in [one.refusal for one in readings]:
                problems.append(f"{target.name}: {verdict.refusal}")
    _print(
        arguments,
        {"problems": problems},
        lambda: sys.stdout.writelines(f"{one}\n" for one in problems or ["all is well"]),
    )
    return PROBLEM if problems else DONE


def sync(config: Config, arguments: argparse.Namespace) -> int:
    """Deliver now; exit 0 when every target is in sync."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(sys.stderr)  # stdout is for the answer
    if arguments.dry_run:
        return _dry_run(config, arguments)
    try:
        with assembled(config) as parts:
            document = _sync_here(parts, force=arguments.force)
    except StateBusy:
        configuration.plan(config)
        Requests(config.state).ask(force=arguments.force, patience_seconds=SYNC_PATIENCE_SECONDS)
        document = _published(config)
    _print_status(arguments, document)
    return DONE if _all_well(document) else PROBLEM


def _sync_here(parts: Assembly, *, force: bool) -> dict[str, Any]:
    loop = parts.loop
    loop.start()
    if parts.engine:
        loop.handle(discovery.look(parts.engine))
    loop.handle(Asking(force))
    loop.turn()
    deadline = time.monotonic() + SYNC_PATIENCE_SECONDS
    while not loop.settled() and time.monotonic() < deadline:
        loop.step()
    return status_of(loop)


def _dry_run(config: Config, arguments: argparse.Namespace) -> int:
    plan = configuration.plan(config)
    found = [*plan.targets, *_labelled(config)]
    readings = [_reading(one, {name for target in found for name in target.wanted.domains}) for one in plan.sources]
    rows = []
    with _looking(config) as delivery:
        for target in found:
            verdict = delivery.settle(target, readings, force=arguments.force, dry_run=True)
            would = {State.DELIVERED: "would deliver", State.IN_PLACE: "in place", State.REFUSED: "would refuse"}
            serial = verdict.due.certificate.serial_hex if verdict.due else ""
            rows.append((target.name, would[verdict.state], serial, str(verdict.refusal or "")))
    keys = ("target", "decision", "serial", "reason")
    document = [dict(zip(keys, row, strict=True)) for row in rows]
    _print(arguments, document, lambda: print_table([key.upper() for key in keys], rows))
    return DONE if all(row[1] == "in place" for row in rows) else PROBLEM


def status(config: Config, arguments: argparse.Namespace) -> int:
    """Print what the running certsync last knew."""
    document = _published(config)
    age = time.time() - datetime.fromisoformat(document["updated_at"]).timestamp()
    if age > 2 * config.poll_seconds + 60:
        sys.stderr.write(f"certsync: this is {age / 60:.0f} minutes old; no certsync seems to run\n")
    _print_status(arguments, document)
    return DONE if _all_well(document) else PROBLEM


def list_(config: Config, arguments: argparse.Namespace) -> int:
    """Print every certificate that the sources hold."""
    rows: list[dict[str, Any]] = []
    problems = []
    for one in configuration.plan(config).sources:
        reading = _reading(one, None)
        if reading.contents:
            rows += report.listing(one.name, reading.contents, time.time())
        if reading.refusal:
            problems.append(f"certsync: source {one.name}: {reading.refusal}\n")
    columns = ("source", "resolver", "names", "serial", "days_left", "flaw")
    cells = [[", ".join(row[one]) if one == "names" else row[one] or "" for one in columns] for row in rows]
    _print(arguments, rows, lambda: print_table([one.upper() for one in columns], cells))
    sys.stderr.writelines(problems)
    return PROBLEM if problems else DONE


def tlsa(config: Config, arguments: argparse.Namespace) -> int:
    """Print the TLSA record of each target, and whether the last renewal changed it."""
    records = _published(config).get("tlsa", [])

    def print_records() -> None:
        for one in records:
            sys.stdout.write(f"{one['name']} IN TLSA {one['record']}\n")
            if one["changed"]:
                sys.stdout.write(f"; {one['target']}: changed with the last renewal, it was {one['previous']}\n")

    _print(arguments, records, print_records)
    return DONE if records else PROBLEM


def _labelled(config: Config) -> list[Any]:
    if not config.asks_labels:
        return []
    listed = discovery.look(Engine(config.engine_endpoint(), timeout_seconds=5.0))
    if not isinstance(listed, Listed):
        return []
    return [asked.target for one in listed.consumers if not (asked := labels.read(one, listed.ours)).refusal]


@contextlib.contextmanager
def _looking(config: Config) -> Iterator[Delivery]:
    """Lend a delivery that only looks: it knows the ledger, if there is one, and writes nothing."""
    file = config.state / "certsync.db"
    database = state.open_read_only(file) if file.exists() else state.open_database(Path(":memory:"), SCHEMA, LOG)
    with contextlib.closing(database):
        yield Delivery(Store(config.state / "journals"), Ledger(database), Attic(config.state / "previous"), LOG)


def _reading(origin: source.Source, names: set[str] | None) -> Reading:
    try:
        return Reading(origin.name, source.read(origin, names))
    except RefusalError as error:
        return Reading(origin.name, None, error.refusal)


def _published(config: Config) -> dict[str, Any]:
    file = config.state / "status.json"
    try:
        document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise SettingsError(
            (f"{file}: expected the status of a certsync that runs, or `certsync sync` first",)
        ) from None
    return document


def _all_well(document: dict[str, Any]) -> bool:
    return all(one["state"] == "in_sync" for one in document["targets"])


def _print(arguments: argparse.Namespace, document: Any, people: Any) -> None:
    if arguments.json:
        print_json(document)
    else:
        people()


def _print_status(arguments: argparse.Namespace, document: dict[str, Any]) -> None:
    def people() -> None:
        rows = [
            (
                one["name"],
                one["state"],
                *((one[where] or {}).get("serial", "")[:16] for where in ("source", "on_disk", "served")),
                ((one["on_disk"] or {}).get("not_after") or "")[:10],
                f"{one['reason']}: {one['detail']}" if one["reason"] else _cost(one),
            )
            for one in document["targets"]
        ]
        print_table(("TARGET", "STATE", "SOURCE", "ON DISK", "SERVED", "UNTIL", "REMARK"), rows)

    _print(arguments, document, people)


def _cost(one: dict[str, Any]) -> str:
    seconds = one["reload_seconds"]
    return f"the last reload took {seconds} s" if seconds and seconds >= 1 else ""
