"""What a stack's settings break of the rules. Asks the disk for nothing but whether a named file is there."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from confcheck import tree
from confcheck.document import Document, Entry, dotted, masked
from confcheck.finding import Finding
from confcheck.rules import Condition, Equal, Folder, Needed, Reader, Referred, Rule, Text, Value
from confcheck.stack import Place, Setting, Stack, matches


def judge(stack: Stack, rules: Mapping[str, Rule]) -> list[Finding]:
    """Give all findings, in order of file and line."""
    judge_ = _Judge(stack)
    findings = list(_told_by_reading(stack, rules))
    # What is wrong in itself comes first: it is no use to say of a placeholder that it also differs from another file.
    order = (Text, Value, Referred, Folder, Needed, Equal)
    for kind in order:
        for rule in rules.values():
            if isinstance(rule.check, kind) and judge_.applies(rule):
                findings += judge_.findings(rule)
    return sorted(set(findings))


def _told_by_reading(stack: Stack, rules: Mapping[str, Rule]) -> Iterator[Finding]:
    for path, problem in stack.problems:
        rule = rules[problem.rule]
        yield _finding(rule, path, problem.line, {"problem": problem.message})


def _finding(rule: Rule, path: str, line: int, words: Mapping[str, str]) -> Finding:
    said = re.sub(r"\{(\w+)\}", lambda found: words.get(found[1], found[0]), rule.message)
    text = f"{said}: {rule.reason} {rule.mend}"
    printable = "".join(letter if letter.isprintable() else "�" for letter in text)
    return Finding(os.fsencode(path).decode("utf-8", "backslashreplace"), line, rule.id, rule.severity, printable)


@dataclass(slots=True)
class _Judge:
    stack: Stack
    blamed: set[tuple[str, tuple[int, int]]] = field(default_factory=set)  # files and spans that have a finding

    def applies(self, rule: Rule) -> bool:
        return all(map(self.holds, rule.when)) and not any(map(self.holds, rule.unless))

    def holds(self, condition: Condition) -> bool:
        found = self.stack.at(condition.place)
        if condition.missing:
            return not any(each.text for each in found)
        return any(condition.test.holds(each.text) for each in found)

    def findings(self, rule: Rule) -> Iterator[Finding]:
        match rule.check:
            case Text():
                yield from self.text(rule, rule.check)
            case Value():
                yield from self.value(rule, rule.check)
            case Needed():
                yield from self.needed(rule, rule.check)
            case Equal():
                yield from self.equal(rule, rule.check)
            case Referred():
                yield from self.referred(rule, rule.check)
            case Folder():
                yield from self.folder(rule, rule.check)
            case Reader():
                pass

    def text(self, rule: Rule, check: Text) -> Iterator[Finding]:
        for document in self.stack.tree.documents:
            if not any(matches(PurePosixPath(document.path).parts, PurePosixPath(each).parts) for each in check.inside):
                continue
            for entry in document.reading.entries:
                for found, at in check.pattern.find(entry.text):
                    if check.but and check.but.fits(found):
                        continue
                    line = entry.line + _lines_before(document, entry, at)
                    shown = found if check.shown else masked(found)
                    self.blame(document, entry)
                    yield _finding(rule, document.path, line, {"key": dotted(entry.key), "found": shown})

    def value(self, rule: Rule, check: Value) -> Iterator[Finding]:
        for setting in self.settings(check.at):
            if check.test.holds(setting.text):
                self.blame(setting.document, setting.entry)
                yield self.about(rule, setting)

    def referred(self, rule: Rule, check: Referred) -> Iterator[Finding]:
        for setting in self.settings(check.at):
            if self.is_blamed(setting):
                continue
            service = self.stack.services[_service_of(setting)]
            inside = self.stack.inside(service, setting.text)
            if inside is not None and tree.is_missing(self.stack.tree.root, inside):
                yield self.about(rule, setting, {"path": str(inside)})

    def folder(self, rule: Rule, check: Folder) -> Iterator[Finding]:
        root = self.stack.tree.root
        for name in check.names:
            inside = PurePosixPath(name)
            if not tree.is_missing(root, inside.parent) and tree.is_missing(root, inside):
                yield _finding(rule, name, 1, {"path": name})

    def needed(self, rule: Rule, check: Needed) -> Iterator[Finding]:
        beside = self.stack.at(check.beside)
        if not beside or check.beside.service in self.stack.incomplete:
            return
        found = self.settings(check.at)
        if any(each.text for each in found):
            return
        if found:
            yield self.about(rule, found[-1])
            return
        document, line = _where_it_would_stand(check.at[0], self.stack.around(check.beside))
        yield _finding(rule, document.path, line, {"key": str(check.at[0]).partition(":")[2]})

    def equal(self, rule: Rule, check: Equal) -> Iterator[Finding]:
        if any(place.service in self.stack.incomplete for side in check.sides for place in side):
            return
        sides = [self.first(side, check.part) for side in check.sides]
        known = [each for each in sides if each is not None]
        if not known or any(self.is_blamed(setting) for setting, _ in known):
            return
        # Of three, two are more likely right; of two, the first.
        common, _ = Counter(part for _, part in known).most_common(1)[0]
        right = next(setting for setting, part in known if part == common)
        for side, found in zip(check.sides, sides, strict=True):
            if found is None:
                if check.both_or_none:
                    yield from self.lonely(rule, side, right)
            elif found[1] != common:
                self.blame(found[0].document, found[0].entry)
                yield self.about(rule, found[0], {"other": _spot(right)})

    def first(self, side: Iterable[Place], part: str) -> tuple[Setting, str] | None:
        for place in side:
            for setting in self.stack.at(place):
                if setting.text and (found := _part(setting.text, part)) is not None:
                    return setting, found
        return None

    def lonely(self, rule: Rule, side: tuple[Place, ...], other: Setting) -> Iterator[Finding]:
        """Tell of a side that has nothing, if its server has anything around there."""
        place = side[0]
        if present := self.stack.at(place):  # it is there, and empty
            yield self.about(rule, present[-1], {"other": _spot(other)})
            return
        if around := self.stack.around(Place(place.service, place.pattern[:-1])):
            document, line = _where_it_would_stand(place, around)
            words = {"key": dotted(place.pattern), "value": "not set", "other": _spot(other)}
            yield _finding(rule, document.path, line, words)

    def settings(self, places: Iterable[Place]) -> list[Setting]:
        return [setting for place in places for setting in self.stack.at(place)]

    def about(self, rule: Rule, setting: Setting, words: Mapping[str, str] | None = None) -> Finding:
        shown = {"key": dotted(setting.entry.key), "value": masked(setting.text) if setting.text else "not set"}
        return _finding(rule, setting.document.path, setting.entry.line, {**shown, **(words or {})})

    def blame(self, document: Document, entry: Entry) -> None:
        self.blamed.add((document.path, entry.span))

    def is_blamed(self, setting: Setting) -> bool:
        return (setting.document.path, setting.entry.span) in self.blamed


def _service_of(setting: Setting) -> str:
    return setting.document.path.split("/", 1)[0]


def _spot(setting: Setting) -> str:
    return f"{setting.document.path}:{setting.entry.line}"


def _lines_before(document: Document, entry: Entry, at: int) -> int:
    """Count the line ends before the place *at* in a text of several lines that stands there as it is read."""
    if "\n" not in document.text[slice(*entry.span)]:
        return 0
    opening = document.text[slice(*entry.span)]
    return entry.text.count("\n", 0, at) + (1 if opening[len(entry.quote) :].lstrip("\r").startswith("\n") else 0)


def _part(text: str, part: str) -> str | None:
    """Take out of a value what two servers must agree on; None when it is not there to be compared."""
    if part == "whole":
        return text
    is_address = "://" in text
    try:
        named = urlsplit(text).path.strip("/") if is_address else text
    except ValueError:
        return None
    if part == "redis_database":
        return named or "0" if is_address or text.isdigit() else None
    return named or None


def _where_it_would_stand(place: Place, around: list[Setting]) -> tuple[Document, int]:
    """Find the line for what is not there: where it is commented out below what is *around*, else the first of that."""
    name = re.escape(place.pattern[-1])
    commented = re.compile(rf"^[ \t]*(?:[#;]|//)+[ \t]*[\"']?{name}[\"']?[ \t]*[:=]", re.MULTILINE)
    for document in {id(each.document): each.document for each in around}.values():
        start = min(each.entry.span[0] for each in around if each.document is document)
        if found := commented.search(document.text, start):
            return document, document.text.count("\n", 0, found.end()) + 1
    return around[0].document, around[0].entry.line
