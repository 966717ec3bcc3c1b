"""Redis, asked for PING and INFO. Two commands and an answer of text are no reason for a client library."""

import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import closing
from typing import BinaryIO, ClassVar
from urllib.parse import SplitResult, unquote, urlsplit

from stats.facts import Reading, Value
from stats.fetch import told
from stats.rates import Derived, Rate
from stats.source import SourceDown

_LARGEST_BYTES = 1024 * 1024


class Redis:
    """One server: `redis://[[user]:password@]host[:port]`, or `rediss://` for TLS."""

    name = "redis"
    derived: ClassVar[tuple[Derived, ...]] = (Rate("operations_per_second", "commands"),)
    trends = ("latency_seconds", "operations_per_second")

    def __init__(self, url: str, timeout_seconds: float) -> None:
        self._parts, self._timeout_seconds = urlsplit(url), timeout_seconds

    def look(self) -> Reading:
        with told(self._timeout_seconds), closing(_connect(self._parts, self._timeout_seconds)) as sock:
            answers = sock.makefile("rb")
            if self._parts.password:
                user = [unquote(self._parts.username)] if self._parts.username else []
                _ask(sock, answers, "AUTH", *user, unquote(self._parts.password))
            started = time.perf_counter()
            _ask(sock, answers, "PING")
            latency = time.perf_counter() - started
            return reading(latency, info(_ask(sock, answers, "INFO")))


def _connect(parts: SplitResult, timeout_seconds: float) -> socket.socket:
    host = parts.hostname or ""
    sock = socket.create_connection((host, parts.port or 6379), timeout_seconds)
    if parts.scheme != "rediss":
        return sock
    return ssl.create_default_context().wrap_socket(sock, server_hostname=host)


def _ask(sock: socket.socket, answers: BinaryIO, *words: str) -> str:
    """Send a command and read its answer: a line, or a text of announced length."""
    parts = [word.encode() for word in words]
    sock.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
    line = answers.readline(4096).rstrip(b"\r\n")
    if line.startswith(b"-"):
        # The first word is the kind of error, such as NOAUTH; what follows may repeat what was sent.
        raise SourceDown(f"refused {words[0]} ({line[1:].split(b' ', 1)[0].decode('ascii', 'replace')})")
    if line.startswith(b"+"):
        return line[1:].decode("utf-8", "replace")
    if not line.startswith(b"$") or not line[1:].isdigit() or int(line[1:]) > _LARGEST_BYTES:
        raise SourceDown("does not speak Redis' protocol")
    return answers.read(int(line[1:]) + 2).decode("utf-8", "replace")


def info(text: str) -> dict[str, str]:
    """Read the lines `name:value` of INFO."""
    pairs = (line.partition(":") for line in text.splitlines() if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def reading(latency_seconds: float, facts: Mapping[str, str]) -> Reading:
    figures: dict[str, Value] = {
        "version": facts.get("redis_version"),
        "uptime_seconds": _whole(facts, "uptime_in_seconds"),
        "connections": _whole(facts, "connected_clients"),
        "memory_bytes": _whole(facts, "used_memory"),
        "memory_limit_bytes": _whole(facts, "maxmemory") or None,  # 0: without a limit
        "keys": sum(_keys(value) for name, value in facts.items() if name.startswith("db") and name[2:].isdigit()),
        "evicted_keys": _whole(facts, "evicted_keys"),
        "rejected_connections": _whole(facts, "rejected_connections"),
    }
    commands = _whole(facts, "total_commands_processed")
    return Reading(latency_seconds, figures, {} if commands is None else {"commands": commands}, _note(facts))


def _note(facts: Mapping[str, str]) -> str | None:
    if facts.get("loading") == "1":
        return "is still loading its data"
    if facts.get("rdb_last_bgsave_status", "ok") != "ok":
        return "could not save its data (last bgsave failed)"
    if facts.get("aof_enabled") == "1" and facts.get("aof_last_write_status", "ok") != "ok":
        return "could not write its append-only file"
    return None


def _whole(facts: Mapping[str, str], name: str) -> int | None:
    value = facts.get(name, "")
    return int(value) if value.isdigit() else None


def _keys(value: str) -> int:
    """Read `keys=3,expires=0,avg_ttl=0`."""
    found = dict(part.partition("=")[::2] for part in value.split(","))
    return int(found["keys"]) if found.get("keys", "").isdigit() else 0
