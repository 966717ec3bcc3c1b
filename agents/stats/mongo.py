"""MongoDB, asked through its own commands: ping for the latency, serverStatus for the rest.

Three messages over its wire protocol (OP_MSG, since 3.6), written here: the client library costs 8 MB of memory, for
pools, elections and retries that a look at one server has no use for. Where authentication is on, the user needs the
role clusterMonitor.
"""

import re
import socket
import ssl
import struct
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

from stats import bson
from stats.document import number, text
from stats.facts import Reading, Value
from stats.fetch import told
from stats.rates import Derived, Rate, Ratio
from stats.scram import Exchange
from stats.source import SourceDown

_KINDS = ("insert", "query", "update", "delete", "getmore", "command")
_HEADER = struct.Struct("<iiii")  # length, number, number of what it answers, kind
_OP_MSG = 2013
_LARGEST_BYTES = 48_000_000  # the protocol's own limit
_MECHANISM = "SCRAM-SHA-256"


@dataclass(frozen=True, slots=True)
class Place:
    """What a connection string says, as far as it is of use here."""

    host: str
    port: int
    user: str | None
    password: str
    source: str
    tls: bool
    authority: str | None


def place(url: str) -> Place:
    """Read `mongodb://[user:password@]host[:port][/database][?options]`, of several hosts the first.

    Raises ValueError, whose text repeats nothing of it.
    """
    expected = "mongodb://[user:password@]host[:port][/?tls=true&authSource=admin]"
    scheme, _, rest = url.partition("://")
    credentials, _, behind = rest.rpartition("@")
    hosts, slash, database = behind.partition("/")
    try:
        parts = urlsplit(f"{scheme}://{hosts.split(',')[0]}")
        port = parts.port or 27017
        options = {name: values[-1] for name, values in parse_qs(database.partition("?")[2]).items()}
    except ValueError:
        raise ValueError(expected) from None
    tls = options.get("tls", options.get("ssl", "false"))
    no_hosts = re.search(r"\s", hosts) or ("?" in hosts and not slash)
    if scheme != "mongodb" or not parts.hostname or no_hosts or tls not in {"true", "false"}:
        raise ValueError(expected)
    if options.get("authMechanism", _MECHANISM) != _MECHANISM:
        raise ValueError(f"{expected}, with the mechanism {_MECHANISM}")
    user, _, password = credentials.partition(":")
    return Place(
        host=parts.hostname,
        port=port,
        user=unquote(user) or None,
        password=unquote(password),
        source=options.get("authSource") or database.partition("?")[0] or "admin",
        tls=tls == "true",
        authority=options.get("tlsCAFile"),
    )


class Mongo:
    """One server, even where it is part of a replica set. The connection is kept from look to look."""

    name = "mongo"
    derived: ClassVar[tuple[Derived, ...]] = (
        Rate("operations_per_second", "operations"),
        *(Rate(f"{kind}_per_second", kind) for kind in _KINDS),
        Ratio("read_latency_seconds", "reads_seconds", "reads"),
        Ratio("write_latency_seconds", "writes_seconds", "writes"),
    )
    trends = ("latency_seconds", "operations_per_second")

    def __init__(self, url: str, timeout_seconds: float) -> None:
        """Raise ValueError when *url* is none of MongoDB's."""
        self._place, self._timeout_seconds = place(url), timeout_seconds
        self._connection: _Connection | None = None

    def look(self) -> Reading:
        with told(self._timeout_seconds):
            kept = self._connection is not None
            try:
                return self._look()
            except ConnectionError:
                if not kept:
                    raise
                return self._look()  # a server that was started anew does not know the connection, and is well

    def _look(self) -> Reading:
        try:
            connection = self._connection = self._connection or _Connection(self._place, self._timeout_seconds)
            started = time.perf_counter()
            connection.command("admin", {"ping": 1})
            latency = time.perf_counter() - started
            status = connection.command("admin", {"serverStatus": 1, "repl": 0, "metrics": 0, "locks": 0})
        except BaseException:
            self._hang_up()
            raise
        return reading(latency, status)

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            connection.close()


class _Connection:
    """A conversation with one server, after the login if there is one."""

    def __init__(self, where: Place, timeout_seconds: float) -> None:
        self._number = 0
        sock = socket.create_connection((where.host, where.port), timeout_seconds)
        try:
            if where.tls:
                sock = ssl.create_default_context(cafile=where.authority).wrap_socket(sock, server_hostname=where.host)
            self._sock = sock
            if where.user:
                self._log_in(where, where.user)
        except BaseException:
            sock.close()
            raise

    def command(self, database: str, words: Mapping[str, Any]) -> dict[str, Any]:
        """Send a command and return the answer. Raises SourceDown when it is a refusal."""
        self._number += 1
        body = bytes(5) + bson.encode({**words, "$db": database})  # no flags, one section of one document
        self._sock.sendall(_HEADER.pack(16 + len(body), self._number, 0, _OP_MSG) + body)
        length, _, answered, kind = _HEADER.unpack(self._read(16))
        if kind != _OP_MSG or answered != self._number or not 26 <= length <= _LARGEST_BYTES:
            raise SourceDown("does not speak MongoDB's protocol")
        answer = bson.decode(self._read(length - 16)[5:])
        if answer.get("ok") != 1:
            raise SourceDown(f"refused to answer ({answer.get('codeName') or answer.get('code')})")
        return answer

    def close(self) -> None:
        with suppress(OSError):
            self._sock.close()

    def _log_in(self, where: Place, user: str) -> None:
        exchange = Exchange(user, where.password)
        options = {"skipEmptyExchange": True}
        begun = self.command(
            where.source,
            {"saslStart": 1, "mechanism": _MECHANISM, "payload": exchange.first(), "options": options},
        )
        proof = {
            "saslContinue": 1,
            "conversationId": begun["conversationId"],
            "payload": exchange.final(begun["payload"]),
        }
        try:
            exchange.check(self.command(where.source, proof)["payload"])
        except ValueError:
            raise SourceDown("does not know the password itself: it is somebody else") from None

    def _read(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            part = self._sock.recv(length - len(data))
            if not part:
                raise ConnectionResetError(104, "closed by the server")
            data += part
        return bytes(data)


def reading(latency_seconds: float, status: Mapping[str, Any]) -> Reading:
    """Read serverStatus. Servers and stand-ins leave parts out: what is not there is not known."""
    counters = {
        kind: float(count)
        for kind, counted in (status.get("opcounters") or {}).items()
        if kind in _KINDS and (count := number(counted)) is not None
    }
    if counters:
        counters["operations"] = sum(counters.values())
    for kind, seen in (status.get("opLatencies") or {}).items():
        found = seen if isinstance(seen, Mapping) else {}
        spent, operations = number(found.get("latency")), number(found.get("ops"))
        if spent is not None and operations is not None:
            counters[kind] = float(operations)
            counters[f"{kind}_seconds"] = spent / 1e6
    connections, memory = status.get("connections") or {}, status.get("mem") or {}
    resident = number(memory.get("resident"))
    figures: dict[str, Value] = {
        "version": text(status.get("version")),
        "uptime_seconds": number(status.get("uptime")),
        "connections": number(connections.get("current")),
        "connections_available": number(connections.get("available")),
        "memory_bytes": None if resident is None else int(resident * 2**20),
        "waiting_operations": number(((status.get("globalLock") or {}).get("currentQueue") or {}).get("total")),
    }
    return Reading(latency_seconds, figures, counters)
