"""Filters: YAML documents that say which lines tell what, read into compiled rules."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import yaml

from logban.pattern import Pattern, PatternError, compile_pattern
from sidecarkit import schema
from sidecarkit.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# libyaml is ten times faster; PyYAML's wheels have it.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

ROLES = ("opens", "renames", "closes", "proxied", "success", "offence")
_DEFAULT_BLOCK_LINES = 64


def spoken(reason: str) -> str:
    """Node's code for a reason (``ERR_SSL_NO_SHARED_CIPHER``) as OpenSSL says it; any other text as it is."""
    return reason.removeprefix("ERR_SSL_").replace("_", " ").lower() if reason.startswith("ERR_SSL_") else reason


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What kind of offence a reason text means."""

    exact: Mapping[str, str]
    beginnings: tuple[tuple[str, str], ...]

    def kind(self, reason: str) -> str | None:
        """Give the kind that *reason* means; None for a reason that says nothing against the client."""
        if reason in self.exact:
            return self.exact[reason]
        return next((kind for beginning, kind in self.beginnings if reason.startswith(beginning)), None)


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """One pattern and what a match means."""

    filter: str
    role: str
    pattern: Pattern
    kind: str | None = None
    reason: str = ""
    vocabulary: Vocabulary | None = None
    peer: bool = False
    name: str = ""
    echo_of: tuple[str, ...] = ()
    advice: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Lines that belong together; *rules* are tried on them joined by LF."""

    filter: str
    begin: Pattern
    line: Pattern | None
    end: Pattern
    most_lines: int
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Filter:
    """All that is known about the log of one kind of server."""

    name: str
    about: str
    images: tuple[str, ...]
    advice: tuple[str, ...]
    rules: tuple[Rule, ...]
    blocks: tuple[Block, ...]
    reuses_ids: bool = False


@cache
def shipped() -> Mapping[str, Filter]:
    """Give the filters that come with logban, by name."""
    files = sorted((resources.files("logban") / "filters").iterdir(), key=lambda file: file.name)
    return {
        file.name.removesuffix(".yml"): read(file.name.removesuffix(".yml"), file.read_text(), f"filters/{file.name}")
        for file in files
        if file.name.endswith(".yml")
    }


def load_yaml(text: str) -> Any:
    """Read the document in *text*. Raises yaml.YAMLError."""
    return yaml.load(text, _Loader)  # noqa: S506 -- a safe loader


@cache
def vocabularies() -> Mapping[str, Vocabulary]:
    """Give the reason texts of the TLS libraries, by library."""
    document = load_yaml((resources.files("logban") / "reasons.yml").read_text())
    return {name: _vocabulary(kinds) for name, kinds in document.items()}


def read(name: str, text: str, origin: str) -> Filter:
    """Read the filter *name* out of YAML *text*. Raises SettingsError with all that is wrong in *origin*."""
    try:
        document = load_yaml(text)
    except yaml.YAMLError as error:
        raise SettingsError((f"{origin}: {' '.join(str(error).split())}",)) from None
    return build(name, document, origin)


def build(name: str, document: Any, origin: str) -> Filter:
    """Build the filter *name* out of an already read *document*. Raises SettingsError."""
    problems = schema.errors(document, schema.load("logban", "filter"))
    if problems:
        raise SettingsError(tuple(f"{origin}: {problem}" for problem in problems))
    builder = _Builder(name, document)
    rules = tuple(builder.rules(document.get("patterns", []), "patterns"))
    blocks = tuple(builder.blocks(document.get("blocks", [])))
    if not builder.problems:
        builder.check_names((*rules, *(rule for block in blocks for rule in block.rules)))
    if builder.problems:
        raise SettingsError(tuple(f"{origin}: {problem}" for problem in builder.problems))
    return Filter(
        name,
        document["about"].strip(),
        tuple(document.get("images", ())),
        tuple(document.get("advice", ())),
        rules,
        blocks,
        document.get("reuses_ids", False),
    )


class _Builder:
    """Compiles one document and collects what is wrong with it."""

    def __init__(self, name: str, document: Mapping[str, Any]) -> None:
        self.problems: list[str] = []
        self._name = name
        self._definitions = document.get("define", {})
        self._vocabularies = {
            **vocabularies(),
            **{own: _vocabulary(kinds) for own, kinds in document.get("reasons", {}).items()},
        }

    def rules(self, entries: list[dict[str, Any]], place: str, *, gated: bool = True) -> Iterable[Rule]:
        for number, entry in enumerate(entries):
            rule = self._rule(entry, f"{place}[{number}]", gated=gated)
            if rule is not None:
                yield rule

    def blocks(self, entries: list[dict[str, Any]]) -> Iterable[Block]:
        for number, entry in enumerate(entries):
            place = f"blocks[{number}]"
            begin = self._compile(entry["begin"], f"{place}.begin")
            line = self._compile(entry["line"], f"{place}.line", gated=False) if "line" in entry else None
            end = self._compile(entry["end"], f"{place}.end", gated=False)
            rules = tuple(self.rules(entry["patterns"], f"{place}.patterns", gated=False))
            if begin is not None and end is not None:
                most_lines = entry.get("most_lines", _DEFAULT_BLOCK_LINES)
                yield Block(self._name, begin, line, end, most_lines, rules)

    def check_names(self, rules: tuple[Rule, ...]) -> None:
        names = {rule.name for rule in rules}
        self.problems += [
            f"echo_of: no pattern is named '{name}'" for rule in rules for name in rule.echo_of if name not in names
        ]

    def _rule(self, entry: dict[str, Any], place: str, *, gated: bool) -> Rule | None:
        roles = [role for role in ROLES if role in entry]
        if len(roles) != 1:
            self.problems.append(f"{place}: needs exactly one of {', '.join(ROLES)}")
            return None
        role = roles[0]
        literal = entry.get("literal", [])
        literals = [literal] if isinstance(literal, str) else literal
        pattern = self._compile(entry[role], f"{place}.{role}", literals, gated=gated)
        vocabulary = self._vocabulary(entry, place)
        if pattern is None:
            return None
        self._check(entry, role, pattern, place)
        return Rule(
            self._name,
            role,
            pattern,
            kind=entry.get("kind"),
            reason=entry.get("reason", entry.get("kind", "")),
            vocabulary=vocabulary,
            peer=entry.get("peer", False),
            name=entry.get("name", ""),
            echo_of=tuple(entry.get("echo_of", ())),
            advice=entry.get("advice", ""),
        )

    def _check(self, entry: dict[str, Any], role: str, pattern: Pattern, place: str) -> None:
        if role in ("opens", "renames") and not (pattern.id and pattern.addr):
            self.problems.append(f"{place}.{role}: needs <ID> and <ADDR>")
        if role == "closes" and not pattern.id:
            self.problems.append(f"{place}.{role}: needs <ID>")
        if role == "success" and not (pattern.id or pattern.addr):
            self.problems.append(f"{place}.{role}: needs <ADDR> or <ID>")
        if role == "offence":
            if ("kind" in entry) == ("reasons" in entry):
                self.problems.append(f"{place}: an offence needs either 'kind' or 'reasons'")
            if "reasons" in entry and not pattern.reason:
                self.problems.append(f"{place}.{role}: 'reasons' needs <REASON> or <OPENSSL> in the pattern")

    def _vocabulary(self, entry: dict[str, Any], place: str) -> Vocabulary | None:
        name = entry.get("reasons")
        if name is not None and name not in self._vocabularies:
            self.problems.append(f"{place}.reasons: '{name}' is none of {', '.join(self._vocabularies)}")
        return self._vocabularies.get(name) if name is not None else None

    def _compile(self, text: str, place: str, literals: Sequence[str] = (), *, gated: bool = True) -> Pattern | None:
        try:
            return compile_pattern(text, self._definitions, literals, gated=gated)
        except PatternError as error:
            self.problems.append(f"{place}: {error}")
            return None


def _vocabulary(kinds: Mapping[str, list[str]]) -> Vocabulary:
    pairs = [(text, kind) for kind, texts in kinds.items() for text in texts]
    return Vocabulary(
        {text: kind for text, kind in pairs if not text.endswith("*")},
        tuple((text[:-1], kind) for text, kind in pairs if text.endswith("*")),
    )
