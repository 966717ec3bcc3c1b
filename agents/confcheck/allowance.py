"""The allow-list: findings that an operator knows of and accepts, each with the reason."""

import fnmatch
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confcheck import rules
from confcheck.finding import Finding
from sidecarkit import schema
from sidecarkit.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Allowance:
    """Findings of one rule, in files that fit a pattern, that shall not be told."""

    rule: str
    file: str
    reason: str

    def covers(self, finding: Finding) -> bool:
        return finding.rule == self.rule and fnmatch.fnmatchcase(finding.file, self.file)

    def __str__(self) -> str:
        return self.rule if self.file == "*" else f"{self.rule} in {self.file}"


def load(path: Path, known: Mapping[str, object] | None) -> tuple[Allowance, ...]:
    """Read the file at *path* if there is one. Raises SettingsError with all complaints.

    *known* are the rules; without them nothing is said about names of rules.
    """
    if not path.exists():
        return ()
    document = rules.read_yaml(path)
    complaints = [f"{path}: {each}" for each in schema.errors(document, schema.load("confcheck", "allow"))]
    if known is not None:
        complaints += [
            f"{path}: allow[{number}].rule: there is no rule '{name}'{rules.nearest(name, known)}"
            for number, name in _names(document)
            if name not in known
        ]
    if complaints:
        raise SettingsError(tuple(complaints))
    return tuple(
        Allowance(each["rule"], each.get("file", "*"), " ".join(each["reason"].split())) for each in document["allow"]
    )


def _names(document: Any) -> Iterator[tuple[int, str]]:
    """Give the names of rules in a document, whatever else is wrong with it."""
    entries = document.get("allow") if isinstance(document, dict) else None
    for number, each in enumerate(entries if isinstance(entries, list) else []):
        if isinstance(each, dict) and isinstance(each.get("rule"), str):
            yield number, each["rule"]


def sift(
    findings: Iterable[Finding], allowances: Iterable[Allowance]
) -> tuple[list[Finding], list[tuple[Finding, Allowance]]]:
    """Part *findings* into those to tell, and those that an allowance covers."""
    allowances = tuple(allowances)
    told: list[Finding] = []
    silenced: list[tuple[Finding, Allowance]] = []
    for finding in findings:
        covering = next((each for each in allowances if each.covers(finding)), None)
        if covering is None:
            told.append(finding)
        else:
            silenced.append((finding, covering))
    return told, silenced
