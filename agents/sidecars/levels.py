"""How much the mail servers log, as their configuration files say. Pure: of a file nothing but that is kept."""

import configparser
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Level:
    """A log level, and the file, or the variable, that says it. *elsewhere*: the lines go to a GELF server."""

    name: str
    said_in: str
    elsewhere: bool = False


def read(path: str, text: str) -> Level | None:
    """Find the level in one of FILES; None when it says nothing, or cannot be read: that is confcheck's to tell."""
    try:
        return _read_ini(path, text) if path.endswith(".ini") else _read_toml(path, tomllib.loads(text))
    except (configparser.Error, tomllib.TOMLDecodeError):
        return None


def _read_ini(path: str, text: str) -> Level | None:
    parser = configparser.ConfigParser(strict=False, interpolation=None, allow_no_value=True)
    parser.read_string(text)
    level = parser.get("main", "level", fallback=None)
    return Level(level.strip().lower().removeprefix("log"), path) if level else None


def _read_toml(path: str, document: Mapping[str, Any]) -> Level | None:
    """Read `[log]`, or a file that is included there and has its keys at the top."""
    log = document if path.endswith("/log.toml") else document.get("log")
    if not isinstance(log, dict) or not isinstance(log.get("level"), str):
        return None
    gelf = log.get("gelf")
    return Level(log["level"].lower(), path, elsewhere=isinstance(gelf, dict) and gelf.get("enabled") is True)


# Where upstream's images have them, the telling ones first.
FILES: Mapping[str, tuple[str, ...]] = {
    "haraka": ("/app/config/log.ini",),
    "zonemta": ("/app/config/log.toml", "/app/config/zonemta.toml", "/app/config/default.toml"),
    "wildduck": ("/wildduck/config/default.toml",),
}

_NPMLOG = {"silly", "verbose", "info"}
ENOUGH: Mapping[str, set[str]] = {
    "haraka": {"data", "protocol", "debug", "info"},
    "zonemta": _NPMLOG,
    "wildduck": _NPMLOG,
}


def first(paths: tuple[str, ...], content: Callable[[str], str | None]) -> Level | None:
    """Take the first level that one of *paths* says; *content* gives a file's text, or None where there is none."""
    for path in paths:
        text = content(path)
        if text is not None and (level := read(path, text)):
            return level
    return None


def complaint(kind: str, level: Level) -> tuple[str, str] | None:
    """Say what is wrong with a level, and what to write instead; None when nothing is."""
    told = f"{level.said_in} says level {level.name}"
    if level.name not in ENOUGH[kind]:
        return f"{told}: failed handshakes, or the good logins that clear an address, are logged at info", "info"
    if kind == "zonemta" and level.name == "silly":
        return f"{told}: ZoneMTA then logs what clients say, their passwords too", "info"
    return None
