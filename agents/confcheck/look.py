"""One look at the whole configuration: read, put together, judged, and parted by the allow-list."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confcheck import allowance, checks, rules, stack, tree
from confcheck.allowance import Allowance
from confcheck.finding import SEVERITIES, Finding
from confcheck.rules import Rule
from sidecarkit.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Book:
    """What is looked for, and what is accepted."""

    rules: Mapping[str, Rule]
    allowances: tuple[Allowance, ...]


@dataclass(frozen=True, slots=True)
class Look:
    """What one look saw."""

    files: int
    findings: tuple[Finding, ...]
    silenced: tuple[tuple[Finding, Allowance], ...]
    unused: tuple[Allowance, ...]  # that silence nothing

    @property
    def counts(self) -> dict[str, int]:
        """Count the findings by severity, those without any too."""
        return {word: sum(each.severity == word for each in self.findings) for word in SEVERITIES}

    def as_document(self) -> dict[str, Any]:
        return {
            "files": self.files,
            "findings": [dataclasses.asdict(each) for each in self.findings],
            "silenced": [{**dataclasses.asdict(each), "reason": by.reason} for each, by in self.silenced],
            "unused_allowances": [str(each) for each in self.unused],
        }

    def __str__(self) -> str:
        parts = [f"{count} {word}{'' if count == 1 else 's'}" for word, count in self.counts.items() if count]
        silenced = f", {len(self.silenced)} silenced by the allow-list" if self.silenced else ""
        return f"{', '.join(parts) or 'no findings'} in {self.files} files{silenced}"


def book(own_rules: Path, allow_list: Path) -> Book:
    """Read the rules and the allow-list. Raises SettingsError with all that is wrong in both."""
    known: Mapping[str, Rule] | None = None
    allowances: tuple[Allowance, ...] = ()
    complaints: list[str] = []
    try:
        known = rules.load(own_rules)
    except SettingsError as error:
        complaints += error.complaints
    try:
        allowances = allowance.load(allow_list, known)
    except SettingsError as error:
        complaints += error.complaints
    if known is None or complaints:
        raise SettingsError(tuple(complaints))
    return Book(known, allowances)


def look(root: Path, by: Book, environment: str) -> Look:
    """Look at the folder *root*. Raises NotCheckable when it holds nothing to check."""
    found = tree.read(root)
    findings = checks.judge(stack.compose(found, rules.services(), environment), by.rules)
    told, silenced = allowance.sift(findings, by.allowances)
    used = {covering for _, covering in silenced}
    unused = tuple(each for each in by.allowances if each not in used)
    return Look(len(found.documents), tuple(told), tuple(silenced), unused)
