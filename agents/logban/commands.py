"""The commands that look at a running logban, or tell it something through its state folder.

Where no agent runs, a command does itself what it would have asked for, in the kernel and in the state alike.
"""

import argparse
import os
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

from logban import address, backends, policy, rulebook, store
from logban.config import Config
from logban.firewall import Ban, Firewall, FirewallError, Source
from logban.guard import MANUAL
from logban.host import own_addresses
from logban.policy import Protected
from logban.rulebook import Rulebook
from logban.store import BanRecord, Request, Store
from sidecarkit import logs, settings, state
from sidecarkit.command import DONE, MISUSED, PROBLEM, print_json, print_table, printable
from sidecarkit.engine import Engine
from sidecarkit.errors import EngineError, SettingsError, SidecarError, StateBusy

ANSWER_SECONDS = 5.0
NO_STATE = "logban has not run with this state folder"


def rules(config: Config) -> Rulebook:
    """Read the rulebook that the settings ask for. Raises SettingsError."""
    book = rulebook.load(config.rules)
    unknown = [name for name in config.jails if name not in book.jails]
    if unknown:
        known = ", ".join(book.jails)
        raise SettingsError(tuple(f"LOGBAN_JAILS: there is no jail {name!r}; known are {known}" for name in unknown))
    if not config.dry_run:
        return book
    return replace(book, jails={name: replace(jail, dry_run=True) for name, jail in book.jails.items()})


def open_state(config: Config) -> sqlite3.Connection:
    """Open the database to look at it. Raises SidecarError when logban never ran here."""
    try:
        database = state.open_read_only(config.state / store.FILE)
        database.execute("SELECT 1 FROM bans LIMIT 1")
    except sqlite3.Error as error:
        raise SidecarError(f"{config.state / store.FILE}: {NO_STATE} ({error})") from None
    return database


def json_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


# status, bans, why


def status(config: Config, chosen: argparse.Namespace) -> int:
    view = store.read_fact(open_state(config), "status")
    if view is None:
        raise SidecarError(f"{config.state}: {NO_STATE} for long enough")
    view["running"] = agent_runs(config)
    if chosen.json:
        print_json(view)
        return DONE
    now = time.time()
    guarded = sorted({port for ports in view["ports"] for port in (*ports["tcp"], *ports["udp"])})
    sys.stdout.write(f"{'running' if view['running'] else 'NOT RUNNING'}, firewall: {view['backend']},")
    sys.stdout.write(f" guarded ports: {', '.join(map(str, guarded)) or 'none'}\n\n")
    print_table(
        ("CONTAINER", "FILTERS", "JAILS", "READ BY", "LINES", "LAST LINE", "LAG", "OFFENCES"),
        [
            (
                each["container"],
                ", ".join(each["filters"]) + (" (guessed)" if each["guessed"] else ""),
                ", ".join(each["jails"]),
                each["reading"],
                each["lines"],
                "" if each["last_line_at"] is None else f"{max(0.0, now - each['last_line_at']):.0f} s ago",
                "" if each["lag_seconds"] is None else f"{each['lag_seconds'] * 1000:.0f} ms",
                ", ".join(f"{kind} {count}" for kind, count in each["offences"].items()),
            )
            for each in view["containers"]
        ],
    )
    for line in _remarks(view):
        sys.stdout.write(f"\n{printable(line)}\n")
    return DONE


def _remarks(view: dict[str, Any]) -> Iterator[str]:
    for each in view["containers"]:
        for problem in each["problems"]:
            yield f"{each['container']}: {problem}"
        for lost in each["unattributed"]:
            yield f"{each['container']}: {lost['count']} x {lost['kind']} by unknown clients: {lost['advice']}"
    for hidden in view["hidden_clients"]:
        yield f"{hidden['offences']} offences from {hidden['address']} ({hidden['network']}): {hidden['advice']}"


def bans(config: Config, chosen: argparse.Namespace) -> int:
    now = time.time()
    found = store.read_bans(open_state(config), now)
    if chosen.json:
        print_json([{**each, "remaining_seconds": round(each["until"] - now, 1)} for each in found])
        return DONE
    print_table(
        ("SOURCE", "JAIL", "SINCE", "LEFT", "BAN", "CONTAINER", "REASON"),
        [
            (
                _named(each["source"]),
                each["jail"] + (" (dry run)" if each["dry_run"] else ""),
                _when(each["at"]),
                _span(each["until"] - now),
                each["number"],
                each["container"] or "",
                each["reason"] or "",
            )
            for each in found
        ],
    )
    return DONE


def why_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("address", type=_source, metavar="ADDR")
    json_argument(parser)


def why(config: Config, chosen: argparse.Namespace) -> int:
    """Exit with 1 when nothing is known of the address."""
    source: Source = chosen.address
    case = store.read_case(open_state(config), source)
    now = time.time()
    standing = [each for each in case["bans"] if each["ended_at"] is None and each["until"] > now]
    known = bool(case["bans"] or case["offences"])
    if chosen.json:
        print_json({"source": str(source), "banned": any(not each["dry_run"] for each in standing), **case})
        return DONE if known else PROBLEM
    out = sys.stdout.write
    if not known:
        out(f"{_named(source)}: nothing is known\n")
        return PROBLEM
    for each in case["bans"]:
        out(printable(_story(each, now)) + "\n")
        if each["evidence"]:
            out(f"    {printable(each['evidence'])}\n")
    if not standing:
        out(f"{_named(source)} is not banned\n")
    for jail, (marks, _, _) in case["counts"].items():
        if marks:
            out(f"{jail}: {len(marks)} offences count at present\n")
    if case["offences"]:
        out("\noffences, the newest first\n")
    for each in case["offences"]:
        ignored = f" (ignored: {each['ignored']})" if each["ignored"] else ""
        said = f"{each['kind']} in {each['container']} by filter {each['filter']}: {each['reason']}{ignored}"
        out(f"  {_when(each['at'])}  {each['address']}  {printable(said)}\n    {printable(each['evidence'])}\n")
    return DONE


def _story(ban: dict[str, Any], now: float) -> str:
    kinds = ", ".join(f"{count} x {kind}" for kind, count in ban["kinds"].items())
    parts = [
        f"{_named(ban['source'])} was {'to be ' if ban['dry_run'] else ''}banned by {ban['jail']}",
        f"at {_when(ban['at'])} for {_span(ban['until'] - ban['at'])} (ban number {ban['number']})",
    ]
    if kinds:
        parts.append(f"for {kinds}")
    if ban["container"]:
        parts.append(f"seen in {ban['container']} by filter {ban['filter']}")
    if ban["reason"]:
        parts.append(f"the last: {ban['reason']}")
    if ban["ended_at"] is not None:
        parts.append(f"{ban['ended']} at {_when(ban['ended_at'])}")
    elif ban["until"] > now:
        parts.append(f"{_span(ban['until'] - now)} left")
    return "; ".join(parts)


# ban, unban, uninstall


def ban_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("address", type=_source, metavar="ADDR", help="an address; of IPv6 its /64 is banned")
    parser.add_argument("--for", dest="seconds", type=_duration, default=3600.0, metavar="1h", help="default 1h")
    parser.add_argument("--reason", metavar="TEXT", help="kept for `why`")


def ban(config: Config, chosen: argparse.Namespace) -> int:
    source: Source = chosen.address
    if why_not := _never_banned(config, source):
        raise SidecarError(f"{_named(source)} is never banned: {why_not}")
    now = time.time()
    request = Request(source, chosen.seconds, chosen.reason, now)
    with alone(config) as own:
        if own is None:
            _ask(config, request)
            if not _is_banned(config, source):
                raise SidecarError(f"{_named(source)} is never banned: it belongs to a container network or a proxy")
        else:
            kept, firewall = own
            record = BanRecord(source, "", MANUAL, now, now + chosen.seconds, reason=chosen.reason)
            firewall.guard(kept.fences())
            firewall.ban(Ban(source, chosen.seconds))
            kept.ban(record)
    sys.stdout.write(f"{_named(source)} is banned for {_span(chosen.seconds)}\n")
    return DONE


def _never_banned(config: Config, source: Source) -> str | None:
    """Say why a person may not ban it either; what only the running agent knows, it refuses itself."""
    protected = Protected(config.proxies, config.ignoreip, own=own_addresses())
    found = policy.ignored(source.network_address, protected, trusted=False)
    inside = [each for each in (*config.proxies, *config.ignoreip) if each.version == source.version]
    if any(source.overlaps(cast("Any", each)) for each in inside):
        return found or "ignoreip"
    return "own_address" if any(each in source for each in protected.own) else found


def unban_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("address", type=_source, nargs="?", metavar="ADDR")
    parser.add_argument("--all", action="store_true", help="lift every ban")


def unban(config: Config, chosen: argparse.Namespace) -> int:
    """Exit with 1 when the address was not banned."""
    if (chosen.address is None) != chosen.all:
        raise SettingsError(("unban one address, or --all",))
    source: Source | None = chosen.address
    was_banned = _is_banned(config, source)
    with alone(config) as own:
        if own is None:
            _ask(config, Request(source, None, "command", time.time()))
        else:
            kept, firewall = own
            was_banned = _lift(kept, firewall, source) or was_banned
    said = f"{_named(source)} is not banned{' any more' if was_banned else ''}" if source else "every ban is lifted"
    sys.stdout.write(said + "\n")
    return DONE if was_banned or source is None else PROBLEM


def _is_banned(config: Config, source: Source | None) -> bool:
    with suppress(SidecarError, sqlite3.Error):
        return source is not None and store.is_banned(open_state(config), source, time.time())
    return False


def _lift(kept: Store, firewall: Firewall, source: Source | None) -> bool:
    if source is None:
        firewall.unban_all()
        kept.ask(Request(None, None, "command", time.time()))
        return kept.end_all("unbanned") > 0
    kept.ask(Request(source, None, "command", time.time()))  # what is held against it goes at the next start
    return firewall.unban(source) | (kept.end(source, "unbanned") > 0)


def uninstall(config: Config, _: argparse.Namespace) -> int:
    """Remove everything of ours from the kernel. The agent must be stopped: it would put all of it back."""
    try:
        lock = state.own(config.state) if config.state.is_dir() else None
    except StateBusy:
        raise SidecarError("logban is running and would put everything back: stop it first") from None
    try:
        backends.sweep()
    finally:
        if lock is not None:
            os.close(lock)
    sys.stdout.write("nothing of logban is left in the kernel; its state folder is kept\n")
    return DONE


@contextmanager
def alone(config: Config) -> Iterator[tuple[Store, Firewall] | None]:
    """Take the place of the agent, if there is none: its state and its firewall. None where one runs."""
    state.prepare(config.state, "LOGBAN_STATE")
    try:
        lock = state.own(config.state)
    except StateBusy:
        yield None
        return
    try:
        kept = Store(config.state, logs.get("logban"))
        firewall = backends.choose(config.backend, config.max_bans)
        try:
            firewall.adopt(kept.fences())
            yield kept, firewall
        finally:
            firewall.close()
            kept.close()
    finally:
        os.close(lock)


def _ask(config: Config, request: Request) -> None:
    """Have the running agent do it, and wait until it has. Raises SidecarError when it does not answer."""
    kept = Store(config.state, logs.get("logban"), beside=True)
    try:
        number = kept.ask(request)
        deadline = time.monotonic() + ANSWER_SECONDS
        while kept.is_open(number):
            if time.monotonic() > deadline:
                raise SidecarError("logban has not answered yet; it will as soon as it can")
            time.sleep(0.02)
    except sqlite3.Error as error:
        raise SidecarError(f"{config.state / store.FILE}: {error}") from None
    finally:
        kept.close()


def agent_runs(config: Config) -> bool:
    """Whether an agent works in this state folder."""
    try:
        os.close(state.own(config.state))
    except StateBusy:
        return True
    except OSError:  # a folder that only root may write to
        return False
    return False


# check


def check(config: Config, _: argparse.Namespace) -> int:
    """Exit with 2 when settings or rules are wrong, 1 when something that must answer does not."""
    wrong: list[str] = []
    trouble: list[str] = []
    out = sys.stdout.write
    try:
        book = rules(config)
        on = [jail.name for jail in book.jails.values() if jail.enabled]
        out(f"rules: {len(book.filters)} filters, jails {', '.join(on)}\n")
    except SettingsError as error:
        wrong += error.complaints
    try:
        state.prepare(config.state, "LOGBAN_STATE")
        engine = Engine(config.engine_endpoint(), timeout_seconds=10.0)
        out(f"engine: {len(engine.containers())} containers\n")
    except SettingsError as error:
        wrong += error.complaints
    except EngineError as error:
        trouble.append(f"engine: {error}")
    try:
        firewall = backends.choose(config.backend, config.max_bans)
        out(f"firewall: {firewall.name}\n")
        firewall.close()
    except FirewallError as error:
        trouble.append(f"firewall: {error}")
    wrong += settings.unknown(Config, os.environ, "LOGBAN_")
    for line in (*wrong, *trouble):
        sys.stderr.write(f"logban: {line}\n")
    return MISUSED if wrong else PROBLEM if trouble else DONE


# Reading and writing


def _source(text: str) -> Source:
    parsed = address.parse(text.strip().removesuffix("/64").encode() if ":" in text else text.strip().encode())
    if parsed is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no address: expected one such as 192.0.2.7 or 2001:db8::1")
    return address.source(parsed)


def _named(source: Source | str) -> str:
    """Name an IPv4 source as people do: by its address."""
    return str(source).removesuffix("/32")


def _duration(text: str) -> float:
    try:
        return settings.positive_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: expected {error}") from None


def _when(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}Z"


def _span(seconds: float) -> str:
    """Write a duration in its two largest units."""
    left, parts = max(0, round(seconds)), []
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        if left >= size:
            parts.append(f"{left // size}{unit}")
            left %= size
    return " ".join(parts[:2]) or "0s"
