"""Where confcheck's findings join the doctor's: asked by its own command, so that each speaks for itself."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from sidecarkit.errors import SettingsError
from sidecars.finding import Finding, Severity

_PATIENCE_SECONDS = 120.0


def findings(root: Path, command: tuple[str, ...] = (sys.executable, "-m", "confcheck")) -> tuple[Finding, ...]:
    """Have confcheck look at the configuration folder. Raises SettingsError when it cannot."""
    asked = (*command, "check", "--root", str(root), "--json")
    try:
        done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=_PATIENCE_SECONDS)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SettingsError((f"--config {root}: confcheck does not run: {error}",)) from None
    if done.returncode not in {0, 1}:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise SettingsError((f"--config {root}: confcheck could not look: {last}",))
    try:
        return tuple(map(_finding, json.loads(done.stdout)))
    except (ValueError, TypeError, KeyError):
        raise SettingsError((f"--config {root}: confcheck's answer is not a list of findings",)) from None


def _finding(one: dict[str, Any]) -> Finding:
    where = f"{one['file']}:{one['line']}"
    told = f"{where}: {one['message']} ({one['rule']})"
    severity = one["severity"] if one["severity"] in set(Severity) else Severity.WARNING
    return Finding("configuration", None, told, f"correct {where}", Severity(severity))
