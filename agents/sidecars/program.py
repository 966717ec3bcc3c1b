"""The command line: `sidecars doctor`."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from sidecarkit import settings
from sidecarkit.agent import EngineSettings
from sidecarkit.command import DONE, MISUSED, PROBLEM, print_json
from sidecarkit.engine import Engine
from sidecarkit.errors import EngineError, SettingsError
from sidecarkit.metrics import package_version
from sidecars import configuration, policy, report, survey

_PATIENCE_SECONDS = 15.0
_DOCTOR = """Look at a running deployment and say what is wrong and what mends it.
Exit status: 0 nothing is wrong, 1 there are errors or warnings, 2 it could not look."""


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Parse, look, tell; returns the exit status."""
    chosen = _parser().parse_args(arguments)
    try:
        status = _doctor(chosen, environ)
        sys.stdout.flush()  # here and not at the end of the process, where a broken pipe would be a complaint
    except SettingsError as error:
        sys.stderr.write("".join(f"sidecars: {complaint}\n" for complaint in error.complaints))
        return MISUSED
    except EngineError as error:
        sys.stderr.write(f"sidecars: the engine cannot be looked at: {error}\n")
        return MISUSED
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    return status


def _doctor(chosen: argparse.Namespace, environ: Mapping[str, str]) -> int:
    engine = Engine(
        settings.read(EngineSettings, environ).engine_endpoint(),
        timeout_seconds=_PATIENCE_SECONDS,
    )
    checked = configuration.findings(chosen.config) if chosen.config else ()
    seen = survey.look(engine, chosen.project or (), checked, datetime.now(UTC))
    findings = policy.examine(seen.deployment)
    document = report.document(seen, findings)
    if chosen.json:
        print_json(document)
    else:
        sys.stdout.writelines(f"{line}\n" for line in report.text(document))
    return DONE if policy.is_well(findings) else PROBLEM


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sidecars", description="What concerns all agents of the suite.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"sidecars {package_version()}")
    words = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    doctor = words.add_parser(
        "doctor",
        help="look at a running deployment and say what is wrong and what mends it",
        description=_DOCTOR,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    doctor.add_argument("--json", action="store_true", help="as a JSON object")
    doctor.add_argument(
        "--project",
        nargs="+",
        action="extend",
        metavar="NAME",
        help="Compose projects to look at; default: all that have an agent or one of its labels in them",
    )
    doctor.add_argument(
        "--config",
        type=Path,
        metavar="DIR",
        help="have confcheck look at this configuration folder, too",
    )
    return parser
