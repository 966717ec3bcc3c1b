"""The settings as the servers see them: each one's files put together, every value with its file and line."""

import fnmatch
import glob
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from confcheck.document import Document, Entry, Include, Key, Problem, Role
from confcheck.tree import Tree

_VARIABLE = re.compile(r"\$\{?([A-Z_]+)\}?")
_URL = re.compile(r"[a-z][a-z0-9+.-]*:(?!///)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Service:
    """How a server finds its configuration. *mounts*: its own paths, and the folders below ours that lie there."""

    name: str
    files: tuple[str, ...]  # read in this order, later ones win; `{env}` is NODE_ENV
    composed: bool  # with wild-config's includes; else each file is a section of its own
    mounts: Mapping[str, str]
    workdir: str
    variables: Mapping[str, str]  # of the configuration's language
    sections: Mapping[str, str]  # files that are not the section of their own name, and of which they are


@dataclass(frozen=True, slots=True)
class Place:
    """`SERVICE:KEY`, where `*` stands for one part of a key and `**` for any number of them."""

    service: str
    pattern: Key

    @classmethod
    def read(cls, text: str) -> "Place":
        service, _, pattern = text.partition(":")
        return cls(service, tuple(pattern.split(".")))

    def __str__(self) -> str:
        return f"{self.service}:{'.'.join(self.pattern)}"


@dataclass(frozen=True, slots=True)
class Setting:
    """A value at its full key."""

    key: Key
    entry: Entry
    document: Document

    @property
    def text(self) -> str:
        return self.entry.text


@dataclass(frozen=True, slots=True)
class Stack:
    """Everything to be judged."""

    tree: Tree
    services: Mapping[str, Service]
    settings: Mapping[str, tuple[Setting, ...]]
    problems: tuple[tuple[str, Problem], ...]
    incomplete: frozenset[str]  # services of which a file could not be read: what is missing there may be in it

    def at(self, place: Place) -> list[Setting]:
        """Give the values at *place* that count: those of the last file that has the key."""
        found = [
            each
            for each in self.settings.get(place.service, ())
            if each.entry.role is Role.VALUE and matches(each.key, place.pattern)
        ]
        last = {each.key: each.document.path for each in found}
        return [each for each in found if last[each.key] == each.document.path]

    def around(self, place: Place) -> list[Setting]:
        """Give all that stands at *place* or the nearest thing above it: values and names."""
        for length in range(len(place.pattern), 0, -1):
            pattern = (*place.pattern[:length], "**")
            if found := [each for each in self.settings.get(place.service, ()) if matches(each.key, pattern)]:
                return found
        return []

    def inside(self, service: Service, path: str) -> PurePosixPath | None:
        """Translate a path of the server into one below our root; None when it lies where we do not see."""
        path = path.removeprefix("file://")
        path = _VARIABLE.sub(lambda found: service.variables.get(found[1], found[0]), path)
        if not path or "$" in path or "\n" in path or _URL.match(path):
            return None
        parts = _normal(PurePosixPath(service.workdir) / path)
        for mount, folder in service.mounts.items():
            if parts is not None and parts.is_relative_to(mount):
                return PurePosixPath(folder) / parts.relative_to(mount)
        return None


def compose(tree: Tree, services: Iterable[Service], environment: str) -> Stack:
    """Put each server's settings together. *environment* is what its container has as NODE_ENV."""
    by_path = {document.path: document for document in tree.documents}
    settings: dict[str, tuple[Setting, ...]] = {}
    problems = list(tree.problems)
    services = tuple(services)
    for service in services:
        composer = _Composer(tree, by_path, service, environment)
        settings[service.name] = tuple(composer.settings())
        problems += composer.problems
    broken = {path.split("/", 1)[0] for path, problem in problems if problem.rule in {
        "syntax", "not-utf-8", "file-unreadable", "file-too-large", "include-missing",
    }}  # fmt: skip
    return Stack(tree, {each.name: each for each in services}, settings, tuple(problems), frozenset(broken))


def matches(key: Key, pattern: Key) -> bool:
    """Tell whether *key* fits *pattern*."""
    if not pattern:
        return not key
    if pattern[0] == "**":
        return any(matches(key[skipped:], pattern[1:]) for skipped in range(len(key) + 1))
    return bool(key) and fnmatch.fnmatchcase(key[0], pattern[0]) and matches(key[1:], pattern[1:])


class _Composer:
    """Reads one server's files in its order."""

    def __init__(self, tree: Tree, by_path: Mapping[str, Document], service: Service, environment: str) -> None:
        self._tree, self._by_path, self._service, self._environment = tree, by_path, service, environment
        self._known = {*by_path, *(path for path, _ in tree.problems)}
        self._read: set[str] = set()
        self.problems: list[tuple[str, Problem]] = []

    def settings(self) -> Iterator[Setting]:
        name = self._service.name
        paths = [path for pattern in self._service.files for path in self._existing(f"{name}/{pattern}")]
        if not self._service.composed:
            for path in paths:
                yield from self._separate(path)
            return
        found = [each for path in paths for each in self._composed(self._by_path[path], (), (path,))]
        yield from found
        if not any(self._by_path[path].reading.includes for path in self._read):
            yield from self._not_included({each.key[0] for each in found if each.entry.role is Role.VALUE})

    def _not_included(self, said: set[str]) -> Iterator[Setting]:
        """Where nothing says what belongs together, each file is the section of its name, or of its folder's."""
        for path in self._existing(f"{self._service.name}/**"):
            if path not in self._read and self._section(path) not in said:
                yield from self._separate(path)

    def _section(self, path: str) -> str:
        parts = PurePosixPath(path).parts[1:]
        for pattern, section in self._service.sections.items():
            if matches(parts, PurePosixPath(pattern.replace("{env}", self._environment)).parts):
                return section
        return PurePosixPath(path).stem

    def _separate(self, path: str) -> Iterator[Setting]:
        document, section = self._by_path[path], self._section(path)
        yield from (Setting((section, *each.key), each, document) for each in document.reading.entries)
        for include in document.reading.includes:
            inside = self._inside(include.pattern)
            if include.needed and inside and not glob.has_magic(str(inside)) and str(inside) not in self._known:
                self._missing(document, include)

    def _composed(self, document: Document, above: Key, chain: tuple[str, ...]) -> Iterator[Setting]:
        self._read.add(document.path)
        yield from (Setting((*above, *each.key), each, document) for each in document.reading.entries)
        for include in document.reading.includes:
            pattern = include.pattern.replace("{env}", self._environment).replace("{ENV}", self._environment)
            if pattern.startswith("/"):
                inside = self._inside(pattern)
            else:
                inside = _normal(PurePosixPath(document.path).parent / pattern)
            if inside is None:
                continue
            found = self._existing(str(inside))
            if "*" not in pattern and str(inside) not in self._known:
                self._missing(document, include)
            for path in found:
                if path in chain:
                    self.problems.append((document.path, Problem("include-missing", include.line, "includes itself")))
                else:
                    yield from self._composed(self._by_path[path], (*above, *include.key), (*chain, path))

    def _inside(self, path: str) -> PurePosixPath | None:
        stack = Stack(self._tree, {}, {}, (), frozenset())
        return stack.inside(self._service, path)

    def _existing(self, pattern: str) -> list[str]:
        pattern = pattern.replace("{env}", self._environment)
        wanted = PurePosixPath(pattern).parts
        return sorted(path for path in self._by_path if matches(PurePosixPath(path).parts, wanted))

    def _missing(self, document: Document, include: Include) -> None:
        message = f"includes {include.pattern}, which is not there"
        self.problems.append((document.path, Problem("include-missing", include.line, message)))


def _normal(path: PurePosixPath) -> PurePosixPath | None:
    """Resolve `..` by name; None when it leads above the top."""
    parts: list[str] = []
    for part in path.parts:
        if part == "..":
            if not parts or parts[-1] == "/":
                return None
            parts.pop()
        else:
            parts.append(part)
    return PurePosixPath(*parts)
