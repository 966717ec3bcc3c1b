"""MongoDB's wire, spoken by ourselves and judged by MongoDB's own library."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import bson as judge
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stats import bson, mongo
from stats.mongo import Mongo
from stats.scram import Exchange
from stats.source import SourceDown

# Documents

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
sent = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | texts | st.binary(),
    lambda inner: st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
).filter(lambda value: isinstance(value, dict))


@given(sent)
def test_what_we_write_mongodbs_library_reads(document: dict[str, Any]) -> None:
    assert judge.decode(bson.encode(document)) == document


@given(sent)
def test_what_mongodbs_library_writes_we_read(document: dict[str, Any]) -> None:
    assert bson.decode(judge.encode(document)) == document


def test_values_that_a_monitor_does_not_need_are_passed_over() -> None:
    document = {
        "at": datetime(2026, 1, 31, tzinfo=UTC), "id": judge.ObjectId(), "none": None, "pattern": judge.Regex("a", "i"),
        "stamp": judge.Timestamp(1, 2), "decimal": judge.Decimal128("1.5"), "low": judge.MinKey(),
        "high": judge.MaxKey(), "list": [1, "two", {"three": 3.5}], "code": judge.Code("x"), "last": 7,
    }  # fmt: skip
    found = bson.decode(judge.encode(document))
    assert (found["list"], found["code"], found["last"]) == ([1, "two", {"three": 3.5}], "x", 7)
    assert {found[name] for name in ("at", "id", "none", "pattern", "stamp", "decimal", "low", "high")} == {None}


@given(
    st.binary(max_size=60)
    | sent.map(judge.encode).flatmap(lambda whole: st.integers(0, len(whole) - 1).map(lambda cut: whole[:cut]))
)
def test_bytes_that_are_no_document_are_refused_as_such(data: bytes) -> None:
    with suppress(ValueError):
        bson.decode(data)


def test_a_document_without_a_floor_is_refused() -> None:
    document: dict[str, Any] = {}
    for _ in range(bson.DEEPEST):
        document = {"in": document}
    with pytest.raises(ValueError, match="too deep"):
        bson.decode(bson.encode(document))


# Logins: the example of RFC 7677


def test_a_login_is_the_one_of_the_standard() -> None:
    exchange = Exchange("user", "pencil", nonce="rOprNGfwEbeRWgbNEkqO")
    assert exchange.first() == b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    challenge = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    assert exchange.final(challenge) == (
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    exchange.check(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
    with pytest.raises(ValueError, match="does not know the password"):
        exchange.check(b"v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")


@pytest.mark.parametrize(
    "challenge",
    [b"r=other,s=W22Z,i=4096", b"r=mine+,s=W22Z,i=1", b"r=mine+,s=W22Z,i=9999999", b"r=mine+", b"", b"\xff"],
)
def test_a_challenge_that_is_none_is_not_answered(challenge: bytes) -> None:
    with pytest.raises((ValueError, KeyError)):
        Exchange("user", "pencil", nonce="mine").final(challenge)


# Addresses


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mongodb://mongo", ("mongo", 27017, None, "", "admin", False)),
        ("mongodb://a:1,b:2/?replicaSet=rs0", ("a", 1, None, "", "admin", False)),
        ("mongodb://us%40er:p%2Fw@mongo:27018/stats?tls=true", ("mongo", 27018, "us@er", "p/w", "stats", True)),
        ("mongodb://user:pw@[::1]:5/x?authSource=admin", ("::1", 5, "user", "pw", "admin", False)),
    ],
)
def test_connection_strings_are_read(url: str, expected: tuple[object, ...]) -> None:
    found = mongo.place(url)
    assert (found.host, found.port, found.user, found.password, found.source, found.tls) == expected


@pytest.mark.parametrize(
    "url",
    [
        "mongodb://mongo:port",
        "mongodb://",
        "mongodb://u:canary@m/?tls=perhaps",
        "mongodb://u:canary@m/?authMechanism=X",
    ],
)
def test_a_connection_string_that_is_none_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match="mongodb://") as caught:
        Mongo(url, 2.0)
    assert "canary" not in str(caught.value)


# Conversations


class Server:
    """Answers commands as it is told to, judged by MongoDB's library; each connection ends after *patience* answers."""

    def __init__(self, patience: int = 100) -> None:
        self.commands: list[dict[str, Any]] = []
        self.answers: dict[str, Any] = {
            "ping": {"ok": 1.0},
            "serverStatus": {"ok": 1.0, "version": "8.0.4", "opcounters": {"query": 3}},
        }
        self.connections = 0
        self._patience = patience
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"mongodb://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                with client, suppress(OSError, struct.error):
                    for _ in range(self._patience):
                        self._answer(client)

    def _answer(self, client: socket.socket) -> None:
        length, number, _, kind = struct.unpack("<iiii", client.recv(16, socket.MSG_WAITALL))
        body = client.recv(length - 16, socket.MSG_WAITALL)
        assert (kind, body[:5]) == (2013, bytes(5))
        command = judge.decode(body[5:])
        self.commands.append(command)
        answer = self.answers[next(iter(command))]
        answer = answer(command) if callable(answer) else answer
        data = answer if isinstance(answer, bytes) else bytes(5) + judge.encode(answer)
        client.sendall(struct.pack("<iiii", 16 + len(data), 1, number, 2013) + data)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@contextmanager
def serving(patience: int = 100) -> Iterator[Server]:
    server = Server(patience)
    try:
        yield server
    finally:
        server.close()


def test_a_look_is_two_commands_and_the_connection_is_kept() -> None:
    with serving() as server:
        source = Mongo(server.url, 5.0)
        assert [source.look().figures["version"] for _ in range(2)] == ["8.0.4", "8.0.4"]
        assert [next(iter(command)) for command in server.commands] == ["ping", "serverStatus"] * 2
        assert {command["$db"] for command in server.commands} == {"admin"}
        assert server.connections == 1


def test_a_server_that_was_started_anew_is_well_at_the_next_look() -> None:
    with serving(patience=2) as server:
        source = Mongo(server.url, 5.0)
        for _ in range(3):
            assert source.look().counters == {"query": 3.0, "operations": 3.0}
        assert server.connections == 3


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"ok": 0.0, "codeName": "Unauthorized", "errmsg": "canary"}, r"refused to answer \(Unauthorized\)"),
        ({"ok": 0.0, "code": 13}, r"refused to answer \(13\)"),
        (b"\0\0\0\0\0canary: this is no document", "the connection failed"),
    ],
)
def test_a_refusal_and_nonsense_are_failures_in_words(answer: Any, words: str) -> None:
    with serving() as server:
        server.answers["serverStatus"] = answer
        with pytest.raises(SourceDown, match=words) as caught:
            Mongo(server.url, 5.0).look()
    assert "canary" not in str(caught.value)


def test_a_password_is_never_sent_and_a_server_that_does_not_know_it_is_found_out() -> None:
    def challenge(command: dict[str, Any]) -> dict[str, Any]:
        nonce = command["payload"].decode().partition("r=")[2]
        payload = f"r={nonce}more,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096".encode()
        return {"ok": 1.0, "conversationId": 1, "done": False, "payload": payload}

    with serving() as server:
        server.answers["saslStart"] = challenge
        server.answers["saslContinue"] = {"ok": 1.0, "conversationId": 1, "done": True, "payload": b"v=AAAA"}
        with pytest.raises(SourceDown, match="does not know the password itself"):
            Mongo(server.url.replace("//", "//user:canary@"), 5.0).look()
    assert server.commands[0]["mechanism"] == "SCRAM-SHA-256"
    assert "canary" not in repr(server.commands)
