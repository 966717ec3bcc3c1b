"""`logban export` and `logban import`: the files that other programs read, and those that we read of theirs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from logban import fail2ban, rulebook
from logban.offence import KINDS
from sidecarkit.command import DONE
from sidecarkit.errors import SettingsError

if TYPE_CHECKING:
    import argparse

    from logban.config import Config


def export_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``logban export`` takes."""
    parser.add_argument("program", choices=["fail2ban"])
    parser.add_argument("folder", metavar="DIR", type=Path, help="gets filter.d and jail.d")


def export(config: Config, chosen: argparse.Namespace) -> int:
    """Write all jails below the folder and name the files."""
    book = rulebook.load(config.rules)
    try:
        for name, text in fail2ban.export(book.jails.values(), book.filters).items():
            file = chosen.folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            sys.stdout.write(f"{file}\n")
    except OSError as error:
        raise SettingsError((f"{error.filename}: {error.strerror}",)) from None
    return DONE


def import_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``logban import`` takes."""
    parser.add_argument("program", choices=["fail2ban"])
    parser.add_argument("file", metavar="FILE", type=Path, help="a file of its filter.d")
    parser.add_argument("--kind", choices=KINDS, default="auth_failure", help="what a match is; default: auth_failure")


def read(_config: Config, chosen: argparse.Namespace) -> int:
    """Print the filter as YAML, and on standard error what could not be taken over."""
    try:
        text = chosen.file.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError((f"{chosen.file}: {error.strerror}",)) from None
    except UnicodeDecodeError as error:
        raise SettingsError((f"{chosen.file}: {error}",)) from None
    imported = fail2ban.read(chosen.file.name, text, chosen.kind)
    sys.stdout.write(imported.text)
    for line in imported.left_out:
        sys.stderr.write(f"not taken over: {line}\n")
    return DONE
