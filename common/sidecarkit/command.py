"""The command line that all agents share: run, check, status, settings, healthcheck, --version, --help."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sidecarkit import logs, settings
from sidecarkit.agent import LogSettings
from sidecarkit.errors import SettingsError, SidecarError
from sidecarkit.liveness import run_healthcheck
from sidecarkit.metrics import package_version

C = TypeVar("C", bound=LogSettings)

DONE, PROBLEM, MISUSED = 0, 1, 2


@dataclass(frozen=True)
class Command(Generic[C]):
    """One word after the agent's name. `arguments` adds what it takes; `perform` returns the exit status.

    `missing` complains of variables that this word cannot do without, so that they are told with all that is wrong.
    """

    name: str
    help: str
    perform: Callable[[C, argparse.Namespace], int]
    arguments: Callable[[argparse.ArgumentParser], None] = lambda _: None
    missing: Callable[[Mapping[str, str]], tuple[str, ...]] = lambda _: ()


@dataclass(frozen=True)
class Agent(Generic[C]):
    """What makes an agent's command line: the first of *commands* is what runs when none is given."""

    name: str
    summary: str
    schema: type[C]
    commands: Sequence[Command[C]]


def main(agent: Agent[C], arguments: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Parse, read the settings, perform; returns the exit status of CONTRIBUTING.md's table: 0, 1 or 2."""
    chosen = _parser(agent).parse_args(arguments)
    try:
        status = _perform(agent, chosen, environ)
        sys.stdout.flush()  # here and not at the end of the process, where a broken pipe would be a complaint
    except SettingsError as error:
        sys.stderr.write("".join(f"{agent.name}: {complaint}\n" for complaint in error.complaints))
        return MISUSED
    except SidecarError as error:
        sys.stderr.write(f"{agent.name}: {error}\n")
        return PROBLEM
    except KeyboardInterrupt:  # a command that was stopped by hand; the agent itself has a handler for it
        return DONE
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    return status


def _perform(agent: Agent[C], chosen: argparse.Namespace, environ: Mapping[str, str]) -> int:
    if chosen.command == "settings":
        sys.stdout.write(settings.table(agent.schema) + "\n")
        return DONE
    if chosen.command == "healthcheck":
        return run_healthcheck(agent.name)
    command: Command[C] = chosen.perform
    missing = command.missing(environ)
    try:
        config = settings.read(agent.schema, environ)
    except SettingsError as error:
        raise SettingsError((*error.complaints, *missing)) from None
    if missing:
        raise SettingsError(missing)
    logs.configure(config.log_level, config.log_format)
    return command.perform(config, chosen)


def _parser(agent: Agent[C]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=agent.name, description=agent.summary, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"{agent.name} {package_version()}")
    parser.set_defaults(command=agent.commands[0].name, perform=agent.commands[0])
    words = parser.add_subparsers(title="commands", metavar="COMMAND")
    for command in agent.commands:
        # A word that is not quite one of ours is a mistake: `--forc` might have meant something else.
        word = words.add_parser(command.name, help=command.help, description=command.help, allow_abbrev=False)
        command.arguments(word)
        word.set_defaults(command=command.name, perform=command)
    for name, help_text in (
        ("settings", "print the table of variables with defaults and meaning"),
        ("healthcheck", "say whether the running agent is well, for Docker's HEALTHCHECK"),
    ):
        words.add_parser(name, help=help_text, description=help_text).set_defaults(command=name)
    return parser


def print_json(document: Any) -> None:
    sys.stdout.write(json.dumps(document, indent=2, default=str) + "\n")


def print_table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print columns for people. Control characters are shown as escapes: a name must not steer a terminal."""
    cells = [headings, *[[printable(str(cell)) for cell in row] for row in rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headings))]
    for row in cells:
        sys.stdout.write("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n")


def printable(text: str) -> str:
    """Escape what is not printable, line ends too."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
