"""Rules: what to look for, as data. Those in `book` ship; an operator adds others of the kind.

A rule looks in one of six ways: `text` at everything that is written, `value` at certain keys, `needed` for a key that
is not there, `equal` at keys that must agree, `path` at files that are referred to, `folder` at folders. The seventh,
`reader`, names what reading the files tells by itself.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import re2
import yaml

from confcheck.document import without_values
from confcheck.stack import Place, Service
from sidecarkit import schema
from sidecarkit.errors import SettingsError

KINDS = ("text", "value", "needed", "equal", "path", "folder", "reader")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # so that `file:line id message` can be taken apart
_BOOK = ("files", "leftovers", "secrets", "wildduck", "zone-mta", "haraka", "rspamd", "webmail", "between")


class Pattern:
    """A regular expression of RE2: its time grows with the text alone, so no rule can hang the agent."""

    def __init__(self, text: str) -> None:
        options = re2.Options()
        options.log_errors = False
        try:
            self._compiled = re2.compile(text, options)
        except re2.error as error:
            message = error.args[0]
            raise ValueError(message.decode() if isinstance(message, bytes) else str(message)) from None

    def find(self, text: str) -> Iterator[tuple[str, int]]:
        """Yield what was found and where it begins: the first group where there is one, else the whole match."""
        for found in self._compiled.finditer(_whole(text)):
            group = 1 if self._compiled.groups else 0
            if found.start(group) >= 0:
                yield found.group(group), found.start(group)

    def fits(self, text: str) -> bool:
        return self._compiled.search(_whole(text)) is not None


def _whole(text: str) -> str:
    """Put a mark in the place of half a character, which JSON's escapes can make and RE2 does not take."""
    return text.encode("utf-8", "replace").decode()


@dataclass(frozen=True, slots=True)
class Test:
    """What a value may be asked. All that is given must hold."""

    among: frozenset[str] | None = None
    fits: Pattern | None = None
    other_than: Pattern | None = None

    def holds(self, text: str) -> bool:
        return (
            (self.among is None or text in self.among)
            and (self.fits is None or self.fits.fits(text))
            and (self.other_than is None or not self.other_than.fits(text))
        )


@dataclass(frozen=True, slots=True)
class Condition:
    """Holds when some value at *place* passes the test; or with *missing*, when there is none but empty ones."""

    place: Place
    test: Test
    missing: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """Look at everything written in files that fit *inside*, names included."""

    inside: tuple[str, ...]
    pattern: Pattern
    but: Pattern | None
    shown: bool  # what is found is no secret, and may be shown


@dataclass(frozen=True, slots=True)
class Value:
    """Look at the values at some places."""

    at: tuple[Place, ...]
    test: Test


@dataclass(frozen=True, slots=True)
class Needed:
    """Miss a value at all of *at*, where there is one at *beside*."""

    at: tuple[Place, ...]
    beside: Place


@dataclass(frozen=True, slots=True)
class Equal:
    """Compare sides; of each side the first place that has a value counts. *part* is what is compared of it."""

    sides: tuple[tuple[Place, ...], ...]
    part: str
    both_or_none: bool


@dataclass(frozen=True, slots=True)
class Referred:
    """Look for the files and folders that the values at some places name."""

    at: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Folder:
    """Look for folders below the root, each where the one above it is there."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reader:
    """What reading tells by itself."""


Check = Text | Value | Needed | Equal | Referred | Folder | Reader


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. *message* says what was found, *reason* why that is bad, *mend* what to do."""

    id: str
    severity: str
    reason: str
    mend: str
    message: str
    check: Check
    when: tuple[Condition, ...] = ()
    unless: tuple[Condition, ...] = ()


def services() -> tuple[Service, ...]:
    """Give the servers that confcheck knows."""
    document = _load(_shipped("services"))
    return tuple(
        Service(
            name,
            tuple(each["files"]),
            each.get("composed", False),
            each["mounts"],
            each["workdir"],
            each.get("variables", {}),
            each.get("sections", {}),
        )
        for name, each in document.items()
    )


def load(own: Path) -> dict[str, Rule]:
    """Read the shipped rules, and those in the file *own* if there is one. Raises SettingsError with all complaints."""
    rules: dict[str, Rule] = {}
    for name in _BOOK:
        rules |= build(_load(_shipped(name)), name)
    if own.exists():
        rules |= build(read_yaml(own), str(own), shipped=rules)
    return rules


def build(document: Any, origin: str, *, shipped: Mapping[str, Rule] | None = None) -> dict[str, Rule]:
    """Build the rules of a document that came from *origin*; an operator's stand beside those that *shipped*.

    Raises SettingsError with all complaints.
    """
    wanted_form = schema.load("confcheck", "rules")
    complaints = [f"{origin}: {each}" for each in schema.errors(document, wanted_form)]
    rules: dict[str, Rule] = {}
    known = {each.name for each in services()}
    for name, wanted in _members(document):
        builder = _Builder(f"{origin}: rules.{name}", known)
        if not (isinstance(name, str) and _ID.fullmatch(name)):
            builder.complaints.append(f"{builder.origin}: an id is one word of letters, digits, '-', '_' and '.'")
        elif shipped and name in shipped:
            builder.complaints.append(f"{builder.origin}: a shipped rule has this id")
        if not schema.errors({"rules": {name: wanted}}, wanted_form):  # else it was told above
            if shipped and "reader" in wanted:
                builder.complaints.append(f"{builder.origin}.reader: only confcheck itself has such rules")
            if rule := builder.rule(name, wanted):
                rules[name] = rule
        complaints += builder.complaints
    if complaints:
        raise SettingsError(tuple(complaints))
    return rules


def _members(document: Any) -> list[tuple[Any, Any]]:
    """Give the rules of a document, whatever else is wrong with it."""
    rules = document.get("rules") if isinstance(document, dict) else None
    return list(rules.items()) if isinstance(rules, dict) else []


def read_yaml(path: Path) -> Any:
    """Read one of the operator's files. Raises SettingsError, which repeats no value: a map holds secrets."""
    try:
        return _load(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror or str(error)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        reason = without_values(getattr(error, "problem", None) or "not YAML in UTF-8") + place
    except (
        ValueError,
        LookupError,
        AttributeError,
        RecursionError,
    ):  # of values that are not of the `!!type` before them
        reason = "not YAML in UTF-8"
    raise SettingsError((f"{path}: {reason}",))


def nearest(word: str, known: Mapping[str, object]) -> str:
    """Say which of *known* was perhaps meant, as the end of a sentence."""
    found = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean '{found[0]}'?" if found else ""


class _UniqueLoader(yaml.SafeLoader):
    """Takes no name twice: the second would silently replace the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
        names = [named.value for named, _ in node.value if isinstance(named, yaml.ScalarNode)]
        for number, name in enumerate(names):
            if name in names[:number]:
                raise yaml.constructor.ConstructorError(
                    problem=f"{name} stands there twice", problem_mark=node.value[number][0].start_mark
                )
        return super().construct_mapping(node, deep)


def _load(text: str) -> Any:
    return yaml.load(text, _UniqueLoader)  # noqa: S506 - a safe loader


def _shipped(name: str) -> str:
    return (resources.files("confcheck") / "book" / f"{name}.yml").read_text(encoding="utf-8")


class _Builder:
    """Builds one rule and gathers what is wrong with it."""

    def __init__(self, origin: str, known: set[str]) -> None:
        self.origin, self._known = origin, known
        self.complaints: list[str] = []

    def rule(self, name: str, wanted: dict[str, Any]) -> Rule | None:
        kinds = [kind for kind in KINDS if kind in wanted]
        if len(kinds) != 1:
            self.complaints.append(f"{self.origin}: needs exactly one of {', '.join(KINDS)}")
            return None
        check = getattr(self, f"_{kinds[0]}")(wanted[kinds[0]], kinds[0])
        when, unless = (
            tuple(self._condition(each, f"{word}[{number}]") for number, each in enumerate(wanted.get(word, [])))
            for word in ("when", "unless")
        )
        reason, mend, message = (" ".join(wanted[part].split()) for part in ("reason", "mend", "message"))
        return Rule(name, wanted["severity"], reason, mend, message, check, when, unless)

    def _text(self, wanted: dict[str, Any], place: str) -> Text:
        return Text(
            tuple(wanted.get("in", ["**"])),
            self._pattern(wanted["matches"], f"{place}.matches") or Pattern(""),
            self._pattern(wanted.get("except"), f"{place}.except"),
            wanted.get("shown", False),
        )

    def _value(self, wanted: dict[str, Any], place: str) -> Value:
        return Value(self._places(wanted["at"], f"{place}.at"), self._test(wanted, place))

    def _needed(self, wanted: dict[str, Any], place: str) -> Needed:
        (beside,) = self._places([wanted["beside"]], f"{place}.beside")
        return Needed(self._places(wanted["at"], f"{place}.at"), beside)

    def _equal(self, wanted: dict[str, Any], place: str) -> Equal:
        sides = tuple(self._places(side, f"{place}.between[{number}]") for number, side in enumerate(wanted["between"]))
        return Equal(sides, wanted.get("part", "whole"), wanted.get("both_or_none", False))

    def _path(self, wanted: dict[str, Any], place: str) -> Referred:
        return Referred(self._places(wanted["at"], f"{place}.at"))

    def _folder(self, wanted: dict[str, Any], _: str) -> Folder:
        return Folder(tuple(wanted["names"]))

    def _reader(self, _wanted: object, _place: str) -> Reader:
        return Reader()

    def _condition(self, wanted: dict[str, Any], place: str) -> Condition:
        (where,) = self._places([wanted["at"]], f"{place}.at")
        return Condition(where, self._test(wanted, place), wanted.get("missing", False))

    def _test(self, wanted: dict[str, Any], place: str) -> Test:
        among = frozenset(wanted["is"]) if "is" in wanted else None
        return Test(
            among,
            self._pattern(wanted.get("matches"), f"{place}.matches"),
            self._pattern(wanted.get("other_than"), f"{place}.other_than"),
        )

    def _places(self, texts: list[str], where: str) -> tuple[Place, ...]:
        places = tuple(map(Place.read, texts))
        for place in places:
            if place.service not in self._known:
                self.complaints.append(f"{self.origin}.{where}: '{place.service}' is none of {', '.join(self._known)}")
        return places

    def _pattern(self, text: str | None, where: str) -> Pattern | None:
        if text is None:
            return None
        try:
            return Pattern(text)
        except ValueError as error:
            self.complaints.append(f"{self.origin}.{where}: {error}")
            return None
