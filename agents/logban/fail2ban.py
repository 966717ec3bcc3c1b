"""fail2ban both ways: our jails as its filter.d and jail.d files, its filter.d files as our filters. Text only."""

from __future__ import annotations

import configparser
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from logban import rules
from logban.offence import WEAK_KINDS
from sidecarkit.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from logban.policy import Jail
    from logban.rules import Filter, Rule

# fail2ban cannot ask the engine which ports the containers publish.
_MAIL_PORTS = "25,110,143,443,465,587,993,995"
_HEADER = "# Written by `logban export fail2ban`.\n"
_NAMED = re.compile(r"\(\?P<(addr|id|reason)>((?:\\.|\[(?:\\.|[^\]\\])*\]|[^()\[\\]|\((?:\\.|[^()\\])*\))*)\)")
_OPTIONAL_ADDRESS = re.compile(r"\(\?:[^()]*\x00ADDR\x01[^()]*\)\?")
# What ends a reason in the patterns that hold one.
_REASON_END = r"""(?=[:,()"'\\]|$)"""


def export(jails: Iterable[Jail], filters: Mapping[str, Filter]) -> dict[str, str]:
    """Write every jail as two files, by name: what to find (filter.d) and what to do about it (jail.d).

    fail2ban has one filter for each jail and no weights, so a jail's filters become one, and kinds that weigh nothing
    by themselves are left out. What takes our blocks, echoes or PROXY headers to see is left out as well.
    """
    files = {}
    for jail in jails:
        kinds = {kind for kind, weight in jail.weights.items() if weight > 0 and kind not in WEAK_KINDS}
        expressions = [line for name in sorted(jail.filters) for line in _expressions(filters[name], kinds)]
        files[f"filter.d/{jail.name}.conf"] = _filter_file(expressions)
        files[f"jail.d/{jail.name}.conf"] = _jail_file(jail)
    return files


def _expressions(each: Filter, kinds: set[str]) -> Iterable[str]:
    offences = [line for rule in each.rules if (line := _offence(rule, kinds)) is not None]
    if any("<F-MLFID>" in line and "<ADDR>" not in line for line in offences):
        yield from (_opening(rule) for rule in each.rules if rule.role == "opens")
    yield from offences


def _offence(rule: Rule, kinds: set[str]) -> str | None:
    if rule.role != "offence" or not (rule.pattern.addr or rule.pattern.id):
        return None
    if rule.vocabulary is None:
        return _translate(rule, "") if rule.kind in kinds else None
    texts = [_literal(text) for text, kind in rule.vocabulary.exact.items() if kind in kinds]
    texts += [f'{_literal(text)}[^"]*' for text, kind in rule.vocabulary.beginnings if kind in kinds]
    return _translate(rule, f"(?:{'|'.join(texts)})") if texts else None


def _literal(text: str) -> str:
    return re.escape(text).replace(r"\ ", " ")


def _opening(rule: Rule) -> str:
    # A line with <F-NOFAIL> is no failure: it only tells whose connection an id is.
    return _translate(rule, "").replace("^", "^(?=<F-NOFAIL>.</F-NOFAIL>)", 1)


def _translate(rule: Rule, reasons: str) -> str:
    """Write the rule's pattern in fail2ban's words."""

    def group(found: re.Match[str]) -> str:
        if found[1] == "addr":
            return "\0ADDR\1"
        if found[1] == "reason":
            if "_code" not in rule.pattern.text:
                return f"{reasons}{_REASON_END}"
            return f"(?i:(?:ERR_SSL_)?{reasons.replace(' ', '[ _]')}){_REASON_END}"  # Node's codes
        tagged = f"\0F-MLFID\1{found[2]}\0/F-MLFID\1"
        return f"(?:{found[2]})" if named else tagged

    # The address of a peer is good for a connection that nothing else is known of: fail2ban shall wait for its own.
    named = rule.role == "offence" and rule.pattern.addr and not (rule.peer and rule.pattern.id)
    text = _NAMED.sub(group, rule.pattern.expanded)
    if rule.peer and rule.pattern.id:
        text = _OPTIONAL_ADDRESS.sub("", text)
    # A < of ours is no tag of fail2ban's; a % is none of configparser's.
    return text.replace("<", r"\x3c").replace("%", "%%").replace("\0", "<").replace("\1", ">")


def _filter_file(expressions: list[str]) -> str:
    lines = "\n            ".join(expressions)
    return (
        f"{_HEADER}[Definition]\nfailregex = {lines}\nignoreregex =\n"
        "# The lines' own times are part of the patterns.\ndatepattern = {NONE}\n"
    )


def _jail_file(jail: Jail) -> str:
    increment = jail.increment
    facts = {
        "enabled": str(jail.enabled and not jail.dry_run).lower(),
        "filter": jail.name,
        "port": ",".join(port.split("/")[0].replace("-", ":") for port in jail.ports) or _MAIL_PORTS,
        "maxretry": f"{max(1, round(jail.maxretry))}",
        "findtime": f"{jail.findtime_seconds:.0f}",
        "bantime": f"{jail.bantime_seconds:.0f}",
        "bantime.increment": str(increment.factor > 1).lower(),
        "bantime.factor": f"{increment.factor:g}",
        "bantime.maxtime": f"{increment.maximum_seconds:.0f}",
        "bantime.rndtime": f"{increment.jitter * jail.bantime_seconds:.0f}",
        "ignoreip": " ".join(["127.0.0.0/8", "::1", *map(str, jail.ignoreip)]),
        "logpath": "/var/log/mail-containers/*.log",
    }
    body = "".join(f"{name} = {value}\n" for name, value in facts.items())
    return f"{_HEADER}# logpath: files with the containers' lines, as `docker logs` prints them.\n[{jail.name}]\n{body}"


@dataclass(frozen=True, slots=True)
class Imported:
    """A filter of ours, as YAML, and what of fail2ban's could not be taken over."""

    text: str
    left_out: tuple[str, ...]


_PLAIN_TAG = re.compile(r"<F-(?!MLFID|CONTENT)([A-Z0-9_]+)>([^|]*?)</F-\1>(?![*+?{])")
_F_TAG = re.compile(r"<(/?)F-[A-Z0-9_]+(/?)>")
# Lines that are no failure, or the end of a connection: of interest only where they tell its address.
_NO_FAILURE = re.compile(r"<F-(?:NOFAIL|MLFGAINED|MLFFORGET)>")
_REFERENCE = re.compile(r"%\(([^)]+)\)s|<([a-z_][\w-]*)>")
_HOSTS = re.compile(r"<(?:HOST|ADDR|IP4|IP6)>")
# What fail2ban's common.conf calls __prefix_line: time, host, daemon and its process id.
_HOST = r"(?:[A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8} |<TIME>)?(?:[^ ]+ )?"
_PREFIX = _HOST + r"(?:\S*(?:%s)\S*(?:\[[0-9]+\])?:? )?"
# The same where the process id stands for the connection.
_PREFIX_WITH_ID = _HOST + r"\S*(?:%s)\S*\[(?P<id>[0-9]+)\]:? "
# What else of it other files refer to.
_COMMON = {
    "__hostname": r"\S+",
    "__md5hex": r"(?:[\da-f]{2}:){15}[\da-f]{2}",
    "__pam_auth": "pam_unix",
    "__pid_re": r"(?:\[\d+\])",
}
# fail2ban cuts the time out of a line before it looks at the rest.
_OWN_TIME = r"(?:\[?[0-9A-Z][0-9A-Za-z/:., +-]{7,38}\]? *)?"
_CANNOT = {
    "ignoreregex": "ignoreregex: logban has no such lines; make the failregex itself narrower",
    "journalmatch": "journalmatch: logban reads containers' logs",
    "maxlines": "maxlines: use a block or a connection id instead",
}


def read(name: str, text: str, kind: str = "auth_failure") -> Imported:
    """Turn a filter.d file into a filter of ours, every failregex an offence of *kind*.

    Raises SettingsError when nothing of it can be taken over.
    """
    parser = configparser.RawConfigParser(strict=False, comment_prefixes=("#", ";"), allow_no_value=True)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise SettingsError((f"{name}: {' '.join(str(error).split())}",)) from None
    if not parser.has_section("Definition"):
        raise SettingsError((f"{name}: it has no [Definition]",))
    values = {
        key: value or "" for part in ("Definition", "Init") if part in parser for key, value in parser[part].items()
    }
    left_out = [why for key, why in _CANNOT.items() if values.get(key, "").strip()]
    included = [parser.get("INCLUDES", key, fallback="") for key in ("before", "after")]
    left_out += [f"{file}: another file, which was not read" for file in included if file not in ("", "common.conf")]
    head, has_head, _ = _resolve(values.get("prefregex", ""), values).partition("<F-CONTENT>")
    patterns: list[dict[str, Any]] = []
    for line in filter(None, map(str.strip, _resolve(values.get("failregex", ""), values).splitlines())):
        text = line.removeprefix("^") if line.startswith("^") else f".*{line}"
        pattern, problem = _pattern(f"{head if has_head else '^'}{text}", kind)
        if pattern is not None:
            patterns.append(pattern)
        else:
            left_out.append(f"{line}: {problem}")
    if not patterns:
        raise SettingsError(tuple(f"{name}: {why}" for why in left_out or ["it has no failregex"]))
    # Ids are mostly process ids, which come again.
    document = {"about": f"{name}, taken over from fail2ban", "reuses_ids": True, "patterns": patterns}
    return Imported(yaml.safe_dump(document, sort_keys=False, width=1000), tuple(left_out))


def _pattern(text: str, kind: str) -> tuple[dict[str, Any] | None, str]:
    role = "opens" if _NO_FAILURE.search(text) else "offence"
    text = _HOSTS.sub("<ADDR>", text).replace("<F-MLFID>", "(?P<id>")
    text = _PLAIN_TAG.sub(r"\2", text)
    text = _F_TAG.sub(lambda tag: "" if tag[2] else ")" if tag[1] else "(?:", text)
    if not text.startswith(f"^{_HOST}"):
        text = f"^{_OWN_TIME}{text[1:]}"
    if "<SKIPLINES>" in text:
        return None, "<SKIPLINES> spans lines; use a block or a connection id instead"
    if unresolved := _REFERENCE.search(text.replace("(?P<id>", "")):
        return None, f"{unresolved[0]} is defined elsewhere"
    entry = {role: text, "kind": kind} if role == "offence" else {role: text}
    try:
        (rule,) = rules.build("import", {"about": "x", "patterns": [entry]}, "import").rules
    except SettingsError as error:
        return None, error.complaints[0].split(": ", 2)[-1]
    if not (rule.pattern.addr or rule.pattern.id):
        return None, "it takes no address"
    return entry, ""


def _resolve(text: str, values: Mapping[str, str]) -> str:
    """Replace %(name)s and <name>, as far as this file defines them; the prefix of a syslog line is known."""

    def value(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if name in prefixes:
            return prefixes[name] % (values.get("_daemon", "").strip() or r"[^ :\[]+")
        return values.get(name.lower(), _COMMON.get(name, found[0])).strip()

    prefixes = {"__prefix_line": _PREFIX, "__prefix_id": _PREFIX_WITH_ID}
    text = text.replace("<F-MLFID>%(__prefix_line)s</F-MLFID>", "%(__prefix_id)s")
    for _ in range(8):  # definitions refer to others
        resolved = _REFERENCE.sub(value, text)
        if resolved == text:
            break
        text = resolved
    return text.replace("%%", "%")
