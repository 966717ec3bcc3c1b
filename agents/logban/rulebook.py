"""The rulebook: shipped jails and filters, and what logban.yml adds to them or changes."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import yaml

from logban import rules
from logban.policy import Increment, Jail
from sidecarkit import schema, settings
from sidecarkit.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from logban.address import Network
    from logban.rules import Filter

_NEEDED = ("filters", "kinds", "maxretry", "findtime", "bantime")


@dataclass(frozen=True, slots=True)
class Watched:
    """A container named in logban.yml; None: as its label or image says."""

    filters: tuple[str, ...] | None
    jails: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Rulebook:
    """All jails and filters by name, and the containers that are watched without a label."""

    jails: Mapping[str, Jail]
    filters: Mapping[str, Filter]
    containers: Mapping[str, Watched]

    def choose(self, names: Iterable[str]) -> list[Filter]:
        """Give the filters of these *names*. Raises SettingsError for unknown ones, all at once."""
        wanted = list(dict.fromkeys(names))
        unknown = [name for name in wanted if name not in self.filters]
        if unknown:
            known = ", ".join(self.filters)
            raise SettingsError(tuple(f"there is no filter '{name}'; known are {known}" for name in unknown))
        return [self.filters[name] for name in wanted]

    def guess(self, image: str) -> list[Filter]:
        """Guess the filters for a container whose label names none, by the name of its *image*."""
        name = image.rsplit("@", 1)[0].lower()
        return [each for each in self.filters.values() if any(text in name for text in each.images)]


def load(path: Path | None) -> Rulebook:
    """Read the shipped rulebook, changed by the file at *path* if there is one. Raises SettingsError."""
    shipped = rules.load_yaml((resources.files("logban") / "jails.yml").read_text())
    if path is None or not path.exists():
        return _build({}, shipped, "")
    try:
        document = rules.load_yaml(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError((f"{path}: {' '.join(str(error).split())}",)) from None
    return _build(document, shipped, str(path))


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Read addresses and CIDRs. Raises ValueError naming the first that is neither."""
    found = []
    for text in texts:
        try:
            found.append(ip_network(text, strict=False))
        except ValueError:
            raise ValueError(f"addresses and networks such as 192.0.2.7 or 2001:db8::/32, not {text!r}") from None
    return tuple(found)


def _build(document: dict[str, Any], shipped: dict[str, Any], origin: str) -> Rulebook:
    problems = [f"{origin}: {problem}" for problem in schema.errors(document, schema.load("logban", "logban"))]
    if problems:
        raise SettingsError(tuple(problems))
    filters = dict(rules.shipped())
    for name, own in document.get("filters", {}).items():
        try:
            filters[name] = rules.build(name, own, f"{origin}: filters.{name}")
        except SettingsError as error:
            problems += error.complaints
    jails = {}
    for name, changes in {**{name: {} for name in shipped}, **document.get("jails", {})}.items():
        merged = {**shipped.get(name, {}), **changes}
        found, wrong = _jail(name, merged, filters, f"{origin}: jails.{name}")
        problems += wrong
        if found is not None:
            jails[name] = found
    containers = {}
    for name, watched in document.get("containers", {}).items():
        place = f"{origin}: containers.{name}"
        problems += _unknown(watched.get("filters", ()), filters, f"{place}.filters")
        problems += _unknown(watched.get("jails", ()), jails, f"{place}.jails")
        containers[name] = Watched(*(tuple(watched[key]) if key in watched else None for key in ("filters", "jails")))
    if problems:
        raise SettingsError(tuple(problems))
    return Rulebook(jails, filters, containers)


def _jail(
    name: str, document: dict[str, Any], filters: Mapping[str, Filter], place: str
) -> tuple[Jail | None, list[str]]:
    problems = [f"{place}: '{key}' is missing" for key in _NEEDED if key not in document]
    if problems:
        return None, problems
    problems += _unknown(document["filters"], filters, f"{place}.filters")
    increment = document.get("increment", {})
    seconds = {}
    spans = {**document, "maximum": increment.get("maximum", "7d")}
    for key in ("findtime", "bantime", "maximum"):
        try:
            seconds[key] = settings.positive_duration(str(spans[key]))
        except ValueError as error:
            problems.append(f"{place}.{key}: {spans[key]!r}: expected {error}")
    try:
        ignoreip = networks(document.get("ignoreip", ()))
    except ValueError as error:
        problems.append(f"{place}.ignoreip: expected {error}")
    if problems:
        return None, problems
    return Jail(
        name=name,
        filters=frozenset(document["filters"]),
        weights={kind: float(weight) for kind, weight in document["kinds"].items()},
        maxretry=float(document["maxretry"]),
        findtime_seconds=seconds["findtime"],
        bantime_seconds=seconds["bantime"],
        increment=Increment(float(increment.get("factor", 1)), seconds["maximum"], float(increment.get("jitter", 0))),
        ports=tuple(str(port) for port in document.get("ports", ())),
        ignoreip=ignoreip,
        forgive=document.get("forgive", True),
        dry_run=document.get("dry_run", False),
        enabled=document.get("enabled", True),
    ), []


def _unknown(names: Iterable[str], known: Mapping[str, object], place: str) -> list[str]:
    return [f"{place}: '{name}' is none of {', '.join(known)}" for name in names if name not in known]
