"""The commands: look once, fill in placeholders, and ask what the running confcheck saw."""

import argparse
import dataclasses
import os
import sys
from datetime import datetime
from pathlib import Path

from confcheck import ledger, render, values
from confcheck.config import Config
from confcheck.look import Look, book, look
from confcheck.tree import NotCheckable
from confcheck.values import NotRendered
from sidecarkit import settings
from sidecarkit.command import DONE, PROBLEM, print_json, printable
from sidecarkit.errors import SettingsError


def root_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--root", type=Path, metavar="DIR", help="the folder to look at instead of CONFCHECK_ROOT")


def check_arguments(parser: argparse.ArgumentParser) -> None:
    root_argument(parser)
    parser.add_argument("--json", action="store_true", help="as a JSON list")


def check(config: Config, chosen: argparse.Namespace) -> int:
    """Look once and print every finding."""
    for warning in settings.unknown(Config, os.environ, "CONFCHECK_"):
        _say(warning)
    try:
        seen = look(_root(config, chosen), book(config.rules, config.allow), config.node_env)
    except NotCheckable as error:
        raise SettingsError((str(error),)) from None  # status 2: could not check
    if chosen.json:
        print_json([dataclasses.asdict(each) for each in seen.findings])
    else:
        sys.stdout.write("".join(f"{printable(str(each))}\n" for each in seen.findings))
    _summarise(seen)
    return PROBLEM if seen.findings else DONE


def _summarise(seen: Look) -> None:
    for unused in seen.unused:
        _say(f"the allow-list's {unused} silences nothing: take it out")
    _say(str(seen))


def render_arguments(parser: argparse.ArgumentParser) -> None:
    root_argument(parser)
    parser.add_argument("--map", type=Path, required=True, metavar="FILE", help="the file that names the values")


def render_(config: Config, chosen: argparse.Namespace) -> int:
    """Fill the placeholders, all or none."""
    root = _root(config, chosen)
    try:
        known = values.read(chosen.map.absolute())
        if render.recover(root):
            _say("a render that was interrupted has been finished first")
        rendered = render.plan(root, known)
        render.write(root, rendered)
    except NotCheckable as error:
        raise SettingsError((str(error),)) from None
    except NotRendered as error:
        for complaint in error.complaints:
            _say(complaint)
        _say("nothing was written")
        return PROBLEM
    for each in rendered:
        places = "1 placeholder" if each.count == 1 else f"{each.count} placeholders"
        sys.stdout.write(f"{printable(each.path)}: {places} filled\n")
    if not rendered:
        _say("there is no placeholder left to fill")
    return DONE


def status_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="as JSON")


def status(config: Config, chosen: argparse.Namespace) -> int:
    """Print what the running confcheck saw last."""
    document = ledger.read_status(config.state)
    if chosen.json:
        print_json(document)
        return DONE
    at = datetime.fromtimestamp(document["at"]).astimezone().isoformat(sep=" ", timespec="seconds")
    sys.stdout.write(f"{document['root']} at {at}: {document['files']} files, {len(document['findings'])} findings\n")
    for each in document["findings"]:
        sys.stdout.write(printable(f"{each['file']}:{each['line']} {each['rule']} {each['message']}") + "\n")
    for each in document["silenced"]:
        sys.stdout.write(printable(f"silenced: {each['file']}:{each['line']} {each['rule']} ({each['reason']})") + "\n")
    return DONE


def _root(config: Config, chosen: argparse.Namespace) -> Path:
    root: Path = chosen.root or config.root
    return root.absolute()


def _say(sentence: str) -> None:
    sys.stderr.write(f"confcheck: {printable(sentence)}\n")
