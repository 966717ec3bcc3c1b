"""confcheck's findings beside the doctor's."""

import json
import sys
from pathlib import Path

import pytest

from lab.deployed import ids
from sidecarkit.errors import SettingsError
from sidecars import configuration
from sidecars.finding import Severity

ONE = {"file": "haraka/wildduck.yaml", "line": 7, "rule": "leftover", "severity": "error", "message": "has a __TOKEN__"}


def saying(text: str, status: int) -> tuple[str, ...]:
    """Make a command that prints *text* whatever it is asked."""
    return (sys.executable, "-c", f"print({text!r}); raise SystemExit({status})")


def test_confchecks_findings_stand_among_the_doctors(tmp_path: Path) -> None:
    (found,) = configuration.findings(tmp_path, saying(json.dumps([ONE]), 1))

    assert (found.id, found.severity) == ("configuration", Severity.ERROR)
    assert found.evidence == "haraka/wildduck.yaml:7: has a __TOKEN__ (leftover)"
    assert ids(configuration=(found,)) == ["configuration", "no_deployment"]


def test_a_configuration_without_findings_adds_none(tmp_path: Path) -> None:
    assert configuration.findings(tmp_path, saying("[]", 0)) == ()


def test_a_severity_that_is_not_ours_is_a_warning(tmp_path: Path) -> None:
    (found,) = configuration.findings(tmp_path, saying(json.dumps([{**ONE, "severity": "odd"}]), 1))

    assert found.severity is Severity.WARNING


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (saying("", 2), "confcheck could not look: exit status 2"),
        (saying("nonsense", 1), "confcheck's answer is not a list of findings"),
        (saying("[{}]", 1), "confcheck's answer is not a list of findings"),
        (("/nowhere/confcheck",), "confcheck does not run"),
    ],
)
def test_a_confcheck_that_cannot_look_is_a_mistake(tmp_path: Path, command: tuple[str, ...], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        configuration.findings(tmp_path, command)


def test_the_real_confcheck_is_understood(tmp_path: Path) -> None:
    (tmp_path / "wildduck").mkdir()
    (tmp_path / "wildduck" / "default.toml").write_text('hostname = "__MAIL_HOSTNAME__"\n')

    found = configuration.findings(tmp_path)

    assert [one.evidence for one in found if one.evidence.startswith("wildduck/default.toml:1: ")]
    with pytest.raises(SettingsError, match="confcheck could not look"):
        configuration.findings(tmp_path / "absent")
