"""logban's rules for fail2ban, and fail2ban's for logban.

What fail2ban cannot do is left out and said: blocks of lines, counting once a line that repeats another, addresses that a
later line corrects (PROXY headers), and successes that forgive.
"""

import argparse
import configparser
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from logban import commands, rules
from logban.config import Config
from logban.offence import KINDS
from logban.policy import Jail
from logban.rules import Filter, Rule
from sidecarkit.command import DONE, PROBLEM
from sidecarkit.errors import SettingsError, SidecarError

# export

_ADDRESS = re.compile(r"\(\?P<addr>\[0-9A-Fa-f:\.\]\{2,45\}\(\?:%\[0-9A-Za-z\._-\]\{1,16\}\)\?\)")
_IDENTITY = "(?P<id>"
_REASON = re.compile(r"\(\?P<reason>(\[\^(?:[^\]\\]|\\.)*\])(\+\??)\)")
_UNKNOWN = 1  # findtime and bantime are whole seconds in fail2ban, one at least


@dataclass(frozen=True, slots=True)
class Exported:
    """A filter.d file's expressions, and what could not be put into it."""

    expressions: tuple[str, ...]
    left_out: tuple[str, ...]


def export_arguments(parser: argparse.ArgumentParser) -> None:
    words = parser.add_subparsers(metavar="PROGRAM", required=True)
    word = words.add_parser("fail2ban", help="write filter.d and jail.d files")
    word.add_argument("folder", type=Path, metavar="DIR")


def export(config: Config, chosen: argparse.Namespace) -> int:
    """Write one filter and one jail for each of ours."""
    book = commands.rules(config)
    for name in ("filter.d", "jail.d"):
        try:
            (chosen.folder / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError((f"{chosen.folder / name}: {error.strerror}",)) from None
    for jail in book.jails.values():
        filters = [book.filters[name] for name in sorted(jail.filters)]
        exported = expressions(filters, [kind for kind, weight in jail.weights.items() if weight >= 1])
        for folder, text in (("filter.d", filter_file(jail, exported)), ("jail.d", jail_file(jail))):
            file = chosen.folder / folder / f"{jail.name}.conf"
            file.write_text(text)
            sys.stdout.write(f"{file}\n")
        for line in exported.left_out:
            sys.stdout.write(f"  {jail.name}: left out: {line}\n")
    return DONE


def expressions(filters: Iterable[Filter], kinds: Sequence[str]) -> Exported:
    """Write the patterns of *filters* that tell of an offence of *kinds* as fail2ban does."""
    found: dict[str, None] = {}
    left_out = []
    for each in filters:
        offences = [rule for rule in each.rules if rule.role == "offence" and _speaks_of(rule, kinds)]
        by_identity = [rule for rule in offences if not rule.pattern.addr and rule.pattern.id]
        openers = [rule for rule in each.rules if rule.role == "opens"] if by_identity else []
        for rule in (*openers, *offences):
            if not (rule.pattern.addr or rule.pattern.id):
                left_out.append(f"{each.name}: a line without address or connection id ({rule.pattern.text[:60]})")
            else:
                found[_expression(rule, kinds, identity=rule in openers or rule in by_identity)] = None
        if each.blocks:
            left_out.append(f"{each.name}: blocks of several lines")
    return Exported(tuple(found), tuple(left_out))


def _speaks_of(rule: Rule, kinds: Sequence[str]) -> bool:
    if rule.vocabulary is None:
        return rule.kind in kinds
    return bool(_reasons(rule, kinds))


def _reasons(rule: Rule, kinds: Sequence[str]) -> list[str]:
    if rule.vocabulary is None:
        return []
    exact = [re.escape(text) for text, kind in rule.vocabulary.exact.items() if kind in kinds]
    codes = [
        "ERR_SSL_" + text.upper().replace(" ", "_")
        for text, kind in rule.vocabulary.exact.items()
        if kind in kinds and re.fullmatch(r"[a-z0-9 ]+", text)
    ]
    return [*exact, *codes]


def _expression(rule: Rule, kinds: Sequence[str], *, identity: bool) -> str:
    text = rule.pattern.expanded
    text = _ADDRESS.sub("<ADDR>", text)
    if rule.vocabulary is not None:
        text = _REASON.sub(lambda found: _alternatives(rule, kinds, found), text)
    text = _without_identity(text) if not identity else _with_identity(text, quiet=rule.role == "opens")
    return text.replace("(?P<reason>", "(?:")


def _alternatives(rule: Rule, kinds: Sequence[str], found: re.Match[str]) -> str:
    """Write the reasons of these kinds in place of any reason. A beginning goes on with what a reason may hold."""
    beginnings = [
        f"{re.escape(text)}{found[1]}*"
        for text, kind in (rule.vocabulary.beginnings if rule.vocabulary else ())
        if kind in kinds
    ]
    end = "" if found[2].endswith("?") else f"(?!{found[1]})"
    return f"(?:{'|'.join([*_reasons(rule, kinds), *beginnings])}){end}"


def _without_identity(text: str) -> str:
    return text.replace(_IDENTITY, "(?:")


def _with_identity(text: str, *, quiet: bool) -> str:
    """Mark the connection id, by which fail2ban ties lines together; *quiet*: such a line is no failure."""
    start = text.index(_IDENTITY)
    end = _closing(text, start) + 1
    inner = f"<F-MLFID>(?:{text[start + len(_IDENTITY) : end - 1]})</F-MLFID>"
    if quiet:
        inner = f"<F-NOFAIL>{inner}</F-NOFAIL>"
    return text[:start] + inner + text[end:]


def _closing(text: str, start: int) -> int:
    """Find the parenthesis that closes the one at *start*."""
    depth, at, in_class = 0, start, False
    while at < len(text):
        character = text[at]
        if character == "\\":
            at += 1
        elif in_class:
            in_class = character != "]" or text[at - 1] == "[" or text[at - 2 : at] == "[^"
        elif character == "[":
            in_class = True
        else:
            depth += {"(": 1, ")": -1}.get(character, 0)
            if depth == 0:
                return at
        at += 1
    raise ValueError(text)


def filter_file(jail: Jail, exported: Exported) -> str:
    """Write the filter.d file of a jail."""
    lines = [expression.replace("%", "%%") for expression in exported.expressions]
    return "\n".join(
        [
            f"# logban's jail {jail.name} for fail2ban, written by `logban export fail2ban`.",
            *(f"# Left out: {line}" for line in exported.left_out),
            "",
            "[Definition]",
            "failregex = " + "\n            ".join(lines),
            "ignoreregex =",
            "# The lines are the servers' own, which begin with no date that fail2ban should cut out.",
            "datepattern = {NONE}",
            "",
        ]
    )


def jail_file(jail: Jail) -> str:
    """Write the jail.d file of a jail."""
    ports = ",".join(port.partition("/")[0].replace("-", ":") for port in jail.ports)
    return "\n".join(
        [
            "# Name the log files, then switch it on. fail2ban reads no container logs by itself.",
            f"[{jail.name}]",
            "enabled = false",
            f"filter = {jail.name}",
            "logpath = /var/log/mail/*.log",
            f"maxretry = {max(1, round(jail.maxretry))}",
            f"findtime = {max(_UNKNOWN, round(jail.findtime_seconds))}",
            f"bantime = {max(_UNKNOWN, round(jail.bantime_seconds))}",
            f"bantime.increment = {'true' if jail.increment.factor > 1 else 'false'}",
            f"bantime.factor = {jail.increment.factor:g}",
            f"bantime.maxtime = {max(_UNKNOWN, round(jail.increment.maximum_seconds))}",
            *([f"port = {ports}"] if ports else ["port = smtp,465,submission,imap2,imaps,pop3,pop3s"]),
            *([f"ignoreip = {' '.join(map(str, jail.ignoreip))}"] if jail.ignoreip else []),
            "",
        ]
    )


# import

_TAGS: Mapping[str, str] = {
    "HOST": "<ADDR>",
    "ADDR": "<ADDR>",
    "IP4": "<ADDR>",
    "IP6": "<ADDR>",
    "F-ID": "<ADDR>",
}
_DATE = r"(?:[A-Z][a-z]{2} [ 0-9]?[0-9] [0-9:]{8} )?<TIME>"
_PASSING = re.compile(r"</?F-(?:USER|ALT_USER[0-9]*|PORT|ERRCODE|CONTENT|MLFGAINED|MLFFORGET)/?>")
_CANNOT: Sequence[tuple[re.Pattern[str], str]] = (
    (re.compile(r"\(\?<?[=!]"), "it looks ahead or behind, which RE2 cannot in linear time"),
    (re.compile(r"\\[1-9]|\(\?P="), "it refers back to a group"),
    (re.compile(r"\(\?\("), "it is conditional"),
    (re.compile(r"<SKIPLINES>"), "it spans lines by <SKIPLINES>"),
    (re.compile(r"<(?:DNS|F-HOST|CIDR|SUBNET)>"), "it takes a name or a network for an address"),
)


@dataclass(frozen=True, slots=True)
class Taken:
    """A filter in our form, and what of the original is not in it."""

    document: dict[str, Any]
    refused: tuple[str, ...]


def take_arguments(parser: argparse.ArgumentParser) -> None:
    words = parser.add_subparsers(metavar="PROGRAM", required=True)
    word = words.add_parser("fail2ban", help="read a filter.d file and print it in our form")
    word.add_argument("file", type=Path, metavar="FILE")
    word.add_argument(
        "--kind", choices=KINDS, default="auth_failure", help="what its lines tell of; default auth_failure"
    )


def take(_: Config, chosen: argparse.Namespace) -> int:
    """Print the filter for `filters:` of logban.yml. Exit with 1 when some of it could not be taken."""
    try:
        definition = definitions(chosen.file)
    except (OSError, configparser.Error, UnicodeDecodeError) as error:
        raise SettingsError((f"{chosen.file}: {' '.join(str(error).split())}",)) from None
    taken = translated(chosen.file.stem, definition, chosen.kind)
    for line in taken.refused:
        sys.stderr.write(f"logban: {chosen.file.name}: not taken: {line}\n")
    if not taken.document.get("patterns"):
        raise SidecarError(f"{chosen.file}: nothing of it can be taken")
    rules.build(chosen.file.stem, taken.document, chosen.file.name)  # what is printed is good
    yaml.safe_dump({"filters": {chosen.file.stem: taken.document}}, sys.stdout, sort_keys=False, width=10_000)
    return PROBLEM if taken.refused else DONE


def definitions(file: Path) -> dict[str, str]:
    """Read the options of a filter.d file as fail2ban does: includes before and after, then %(name)s and <name>."""
    raw: dict[str, str] = {}
    _include(file, raw, set())
    return {name: _substituted(raw[name], raw, 0) for name in raw}


def _include(file: Path, raw: dict[str, str], seen: set[Path]) -> None:
    if file in seen:
        return
    seen.add(file)
    parser = configparser.RawConfigParser(strict=False, inline_comment_prefixes=None, comment_prefixes=("#", ";"))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(file.read_text())
    named = parser.items("INCLUDES") if parser.has_section("INCLUDES") else []
    included = {key: file.parent / name for key, name in named}
    if (before := included.get("before")) and before.exists():
        _include(before, raw, seen)
    for section in ("DEFAULT", "Init", "Definition"):
        if section in parser:
            raw.update(parser[section])
    if (after := included.get("after")) and after.exists():
        _include(after, raw, seen)


def _substituted(text: str, raw: Mapping[str, str], depth: int) -> str:
    """Put options into a text, as deep as fail2ban allows."""
    if depth > 16:
        return text

    def value(found: re.Match[str]) -> str:
        return _substituted(raw[found[1]], raw, depth + 1) if found[1] in raw else found[0]

    text = re.sub(r"%\(([A-Za-z0-9_-]+)\)s", value, text)
    replaced = re.sub(r"<([a-z_][A-Za-z0-9_-]*)>", value, text)
    return (_substituted(replaced, raw, depth + 1) if replaced != text else replaced).replace("%%", "%")


def translated(name: str, definition: Mapping[str, str], kind: str) -> Taken:
    """Write a filter.d file's options in our form."""
    refused: list[str] = []
    patterns = []
    prefix = definition.get("prefregex", "").strip()
    for text in _lines(definition.get("failregex", "")):
        whole = _prefixed(prefix, text)
        try:
            patterns.append({"offence": _translated(whole), "kind": kind, **_literals(_translated(whole))})
            rules.build(name, {"about": name, "patterns": patterns[-1:]}, name)
        except (SettingsError, ValueError) as error:
            if patterns and isinstance(error, SettingsError):
                patterns.pop()
            refused.append(f"{text}: {' '.join(str(error).split())}")
    if any(_lines(definition.get("ignoreregex", ""))):
        refused.append("ignoreregex: a line that must not count has to be kept out by the pattern itself")
    if definition.get("maxlines", "1").strip() not in {"", "1"}:
        refused.append("maxlines: lines are tied together by connection ids or blocks")
    return Taken({"about": f"fail2ban's {name}", "patterns": patterns}, tuple(refused))


def _lines(text: str) -> Iterator[str]:
    return (line.strip() for line in text.splitlines() if line.strip())


def _prefixed(prefix: str, text: str) -> str:
    """Put an expression in the place that prefregex keeps for it."""
    if not prefix:
        return text
    return re.sub(r"<F-CONTENT>.*</F-CONTENT>", lambda _: f"(?:{text.removeprefix('^')})", prefix)


def _translated(text: str) -> str:
    for pattern, why in _CANNOT:
        if pattern.search(text):
            raise ValueError(why)
    if "<F-NOFAIL>" in text or "<F-MLFID>" in text:
        raise ValueError("it ties lines together by <F-MLFID>: write `opens` and `offence` with <ID>")
    text = _PASSING.sub("", text)
    for tag, ours in _TAGS.items():
        text = text.replace(f"<{tag}>", ours)
    if left := re.search(r"<(?!ADDR>)[A-Z][A-Z0-9_-]*>", text):
        raise ValueError(f"{left[0]} is not known here")
    if text.count("<ADDR>") != 1:
        raise ValueError("it must name the address exactly once")
    if not text.startswith("^"):
        raise ValueError("it does not begin with ^, so a client's own text could pose as the server's")
    return f"^{_DATE}{text.removeprefix('^')}"


def _literals(text: str) -> dict[str, Any]:
    """Name a plain text that every match holds, where one can be seen: the longest run of words outside of groups."""
    bare = _outside_groups(text.replace("<ADDR>", "\0").replace("<TIME>", "\0"))
    runs = [
        run.strip("\0")
        for run in re.findall(r"(?:[A-Za-z0-9 ,:;='-]|\\[.\[\]()])+", re.sub(r"(?:\\.|.)[*?{+]", "\0", bare))
    ]
    plain = [re.sub(r"\\(.)", r"\1", run) for run in runs]
    longest = max(plain, key=len, default="")
    return {"literal": longest} if len(longest.strip()) >= 4 else {}


def _outside_groups(text: str) -> str:
    kept, at = [], 0
    while at < len(text):
        if text[at] == "\\":
            kept.append(text[at : at + 2] if text[at + 1 : at + 2] in ".[]()" else "\0")
            at += 2
        elif text[at] == "(":
            at = _closing(text, at) + 1
            kept.append("\0")
        elif text[at] == "[":
            at = text.index("]", at + 2) + 1
            kept.append("\0")
        else:
            kept.append(text[at])
            at += 1
    return "".join(kept)
