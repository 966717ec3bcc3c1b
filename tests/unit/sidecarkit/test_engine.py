"""The engine's edge: where it is, what it is asked, and what its failures mean, against a real HTTP server."""

import json
import struct
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from lab import certificates as lab_certificates
from lab.server import CHUNKED, SmallServer, chunk, reply
from sidecarkit.engine import Endpoint, Engine, agreed_prefix, endpoint, frames, tls_context
from sidecarkit.errors import ContainerGone, EngineError, EngineTimeout, EngineUnavailable, Refused

PONG = reply(200, b"OK", Api_Version="1.41", Date="Sun, 22 Nov 2026 10:00:00 GMT")


def answering(*answers: bytes) -> Callable[[str], Iterable[bytes]]:
    """Answer /_ping as engine 20.10 does, anything else with *answers*."""
    return lambda line: [PONG] if line.endswith("/_ping") else answers


# Where the engine is


@pytest.mark.parametrize(
    ("docker_host", "url", "host"),
    [
        (None, "unix:///var/run/docker.sock", None),
        ("unix:///run/user/1000/docker.sock", "unix:///run/user/1000/docker.sock", None),
        ("/run/docker.sock", "unix:///run/docker.sock", None),
        ("tcp://proxy:2375", "tcp://proxy:2375", "proxy"),
        ("http://proxy", "http://proxy", "proxy"),
        ("tcp://[::1]:2375", "tcp://[::1]:2375", "::1"),
    ],
)
def test_the_engine_is_where_docker_host_says(docker_host: str | None, url: str, host: str | None) -> None:
    found = endpoint(docker_host, tls_verify=False, cert_path=None)

    assert (found.url, found.host, found.tls) == (url, host, None)


@pytest.mark.parametrize("docker_host", ["docker.sock", "unix://", "unix:///", "ssh://host", "tcp://", "tcp://h:x"])
def test_what_is_no_address_of_an_engine_is_not_guessed(docker_host: str) -> None:
    with pytest.raises(ValueError, match=r"unix:///path/to/docker\.sock or tcp://host:port"):
        endpoint(docker_host, tls_verify=False, cert_path=None)


def test_a_folder_without_certificates_says_which_files_are_wanted(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ca\.pem, cert\.pem, key\.pem in .*No such file"):
        endpoint("tcp://proxy:2376", tls_verify=True, cert_path=tmp_path)


def test_a_unix_socket_needs_no_certificates(tmp_path: Path) -> None:
    assert endpoint("unix:///run/docker.sock", tls_verify=True, cert_path=tmp_path).tls is None


# TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lab_certificates.make(tmp_path_factory.mktemp("certificates"))


def _tls_server(certificates: Path) -> SmallServer:
    return SmallServer(answering(reply(200, {"Version": "20.10"})), tls=lab_certificates.server_context(certificates))


def test_an_engine_over_tls_knows_us_and_is_known(certificates: Path) -> None:
    with _tls_server(certificates) as server:
        engine = Engine(endpoint(server.url, tls_verify=True, cert_path=certificates))

        assert engine.version() == {"Version": "20.10"}


def test_an_engine_that_another_authority_vouches_for_is_not_spoken_to(certificates: Path, tmp_path: Path) -> None:
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).symlink_to(certificates / name)
    (tmp_path / "ca.pem").symlink_to(certificates / "cert.pem")

    with _tls_server(certificates) as server:
        with pytest.raises(EngineUnavailable, match="certificate verify failed"):
            Engine(endpoint(server.url, tls_verify=True, cert_path=tmp_path)).ping()
        assert server.asked == []


def test_without_tls_verify_the_engine_need_not_be_known(certificates: Path, tmp_path: Path) -> None:
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).symlink_to(certificates / name)

    with _tls_server(certificates) as server:
        Engine(endpoint(server.url, tls_verify=False, cert_path=tmp_path)).ping()

        assert server.asked == ["GET /_ping"]


def test_the_certificates_may_have_other_names(certificates: Path, tmp_path: Path) -> None:
    for other, name in (("ca", "ca"), ("client-cert", "cert"), ("client-key", "key")):
        (tmp_path / f"{other}.pem").symlink_to(certificates / f"{name}.pem")

    context = tls_context(tmp_path, verify=True, names=("ca.pem", "client-cert.pem", "client-key.pem"))

    with _tls_server(certificates) as server:
        Engine(Endpoint(server.url, context)).ping()


# Which version is spoken


@pytest.mark.parametrize(
    ("server_version", "prefix"),
    [
        *(("1.41", "/v1.41"), ("1.52", "/v1.52"), ("1.99", "/v1.52"), ("2.0", "/v1.52"), ("1.9", "/v1.9")),
        *((None, ""), ("", ""), ("1.41x", ""), ("one", "")),
    ],
)
def test_the_lower_of_both_versions_is_agreed_on(server_version: str | None, prefix: str) -> None:
    assert agreed_prefix(server_version) == prefix


def test_the_version_is_asked_once_and_again_after_the_engine_was_away() -> None:
    with SmallServer(answering(reply(200, []))) as server:
        engine = Engine(Endpoint(server.url))
        engine.containers()
        engine.containers()
        assert [line.partition("?")[0] for line in server.asked] == [
            "GET /_ping",
            "GET /v1.41/containers/json",
            "GET /v1.41/containers/json",
        ]

    with pytest.raises(EngineUnavailable):
        engine.containers()

    newer = reply(200, b"OK", Api_Version="1.44")
    with SmallServer(lambda line: [newer] if line.endswith("/_ping") else [reply(200, [])]) as server:
        engine.endpoint = Endpoint(server.url)
        engine.containers()
        assert [line.partition("?")[0] for line in server.asked] == ["GET /_ping", "GET /v1.44/containers/json"]


@pytest.mark.parametrize("headers", [{}, {"Date": "just now"}])
def test_where_ping_hears_no_clock_ours_is_taken(headers: dict[str, str]) -> None:
    with SmallServer(lambda _: [reply(200, b"OK", **headers)]) as server:
        assert Engine(Endpoint(server.url)).ping() == pytest.approx(time.time(), abs=60.0)


def test_ping_tells_the_engines_clock() -> None:
    with SmallServer(answering()) as server:
        assert Engine(Endpoint(server.url)).ping() == 1795341600.0


# What is asked


def test_each_method_is_its_endpoint() -> None:
    with SmallServer(lambda line: [PONG if line.endswith("/_ping") else reply(200, [])]) as server:
        engine = Engine(Endpoint(server.url))
        engine.containers({"label": ["autoheal"]})
        engine.inspect("a/../b")
        engine.restart("box", 7, 7.0)
        engine.restart("box", None, 0.0)
        engine.stop("box", None, 0.0)
        engine.kill("box", "SIGHUP")
        engine.logs("box", tail=0, until=1.5, tty=True)
        engine.events("1.000000002", {"type": ["container"]}).close()
        engine.post_json("exec", "/containers/box/exec", {"Cmd": ["true"]})

        assert server.asked[1:] == [
            "GET /v1.41/containers/json?all=1&filters=%7B%22label%22%3A+%5B%22autoheal%22%5D%7D",
            "GET /v1.41/containers/a%2F..%2Fb/json",
            "POST /v1.41/containers/box/restart?t=7",
            "POST /v1.41/containers/box/restart",
            "POST /v1.41/containers/box/stop",
            "POST /v1.41/containers/box/kill?signal=SIGHUP",
            "GET /v1.41/containers/box/logs?stdout=1&stderr=1&tail=0&until=1.500000000",
            "GET /v1.41/events?since=1.000000002&filters=%7B%22type%22%3A+%5B%22container%22%5D%7D",
            "POST /v1.41/containers/box/exec",
        ]
        assert json.loads(server.bodies[-1]) == {"Cmd": ["true"]}


# What failures mean


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        *((404, ContainerGone), (401, Refused), (403, Refused), (500, EngineError), (409, EngineError)),
        *((502, EngineUnavailable), (503, EngineUnavailable), (504, EngineUnavailable)),
    ],
)
def test_a_status_means_what_the_caller_does_next(status: int, meaning: type[EngineError]) -> None:
    with SmallServer(answering(reply(status, {"message": "so it is"}))) as server, pytest.raises(EngineError) as caught:
        Engine(Endpoint(server.url)).inspect("box")

    assert type(caught.value) is meaning
    assert (str(caught.value), caught.value.status) == (f"inspect: so it is ({status})", status)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b"{}", b"\xff"])
def test_a_failure_without_the_engines_message_is_named_after_its_status(body: bytes) -> None:
    forbidden = pytest.raises(Refused, match=r"^inspect: Forbidden \(403\)$")
    with SmallServer(answering(reply(403, body))) as server, forbidden:
        Engine(Endpoint(server.url)).inspect("box")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n[{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 2",
        reply(200, b"not JSON"),
        reply(200, b"\xff\xfe"),
        reply(200, b""),
    ],
)
def test_a_torn_answer_is_an_engine_that_is_not_available(answer: bytes) -> None:
    with SmallServer(answering(answer)) as server, pytest.raises(EngineUnavailable):
        Engine(Endpoint(server.url)).containers()


def test_an_engine_that_is_not_there_is_not_available(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match=r"ping: .*No such file"):
        Engine(Endpoint(f"unix://{tmp_path}/none.sock")).ping()


def test_a_silent_engine_is_waited_for_as_long_as_was_said() -> None:
    silence = threading.Event()

    def answer(line: str) -> Iterable[bytes]:
        if line.endswith("/_ping"):
            yield PONG
        silence.wait(10.0)

    with SmallServer(answer) as server:
        engine = Engine(Endpoint(server.url), timeout_seconds=0.1)
        started = time.monotonic()
        with pytest.raises(EngineTimeout, match="list: the engine did not answer in time"):
            engine.containers()
        short = time.monotonic() - started
        with pytest.raises(EngineTimeout):
            engine.restart("box", 1, patience_seconds=0.4)
        long = time.monotonic() - started - short
        silence.set()

    assert 0.1 <= short < 0.4
    assert 0.5 <= long < 5.0


def test_each_request_is_observed_with_its_duration_and_its_reason_of_failure() -> None:
    seen: list[tuple[str, str | None]] = []
    with SmallServer(answering(reply(404))) as server:
        engine = Engine(Endpoint(server.url), observe=lambda name, seconds, reason: seen.append((name, reason)))
        with pytest.raises(ContainerGone):
            engine.kill("box")
        with pytest.raises(ContainerGone):
            engine.events("0", {})

    assert seen == [("ping", None), ("kill", "ContainerGone"), ("events", "ContainerGone")]


# Streams


def test_a_stream_gives_its_lines_as_they_come() -> None:
    more = threading.Event()

    def answer(line: str) -> Iterable[bytes]:
        if line.endswith("/_ping"):
            yield PONG
            return
        yield CHUNKED + chunk(b'{"a":1}\n{"b"')
        more.wait(10.0)
        yield chunk(b":2}\n") + chunk(b"")

    with SmallServer(answer) as server:
        lines = iter(Engine(Endpoint(server.url)).events("0", {}))
        assert next(lines) == b'{"a":1}\n'
        more.set()
        assert list(lines) == [b'{"b":2}\n']


def test_a_silent_stream_ends_with_a_timeout() -> None:
    silence = threading.Event()

    def answer(line: str) -> Iterable[bytes]:
        yield PONG if line.endswith("/_ping") else CHUNKED
        silence.wait(10.0)

    with SmallServer(answer) as server:
        stream = Engine(Endpoint(server.url)).stream("events", "/events", {}, silence_seconds=0.1)
        with pytest.raises(EngineTimeout):
            next(iter(stream))
        silence.set()


@pytest.mark.parametrize("head", [CHUNKED, b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"])
@pytest.mark.parametrize("secure", [False, True])
def test_a_stream_is_closed_under_its_reader_without_a_strange_error(
    head: bytes,
    secure: bool,
    certificates: Path,
) -> None:
    silence = threading.Event()
    ends: list[BaseException | None] = []

    def answer(line: str) -> Iterable[bytes]:
        yield PONG if line.endswith("/_ping") else head
        silence.wait(10.0)

    def read(lines: Iterable[bytes]) -> None:
        try:
            list(lines)
            ends.append(None)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is shown below
            ends.append(error)

    with SmallServer(answer, tls=lab_certificates.server_context(certificates) if secure else None) as server:
        engine = Engine(endpoint(server.url, tls_verify=secure, cert_path=certificates if secure else None))
        for _ in range(20):
            stream = engine.events("0", {})
            reader = threading.Thread(target=read, args=(stream,))
            reader.start()
            stream.close()
            reader.join(5.0)
            assert not reader.is_alive()
        silence.set()

    assert [end for end in ends if end and not isinstance(end, EngineUnavailable)] == []
    assert len(ends) == 20


def test_a_stream_whose_opening_is_refused_says_so() -> None:
    with SmallServer(answering(reply(403))) as server, pytest.raises(Refused):
        Engine(Endpoint(server.url)).events("0", {})


# Logs


def test_the_multiplexed_form_is_split_into_its_frames() -> None:
    body = struct.pack(">B3xL", 1, 3) + b"out" + struct.pack(">B3xL", 2, 0) + struct.pack(">B3xL", 2, 3) + b"err"

    assert list(frames(body)) == [(1, b"out"), (2, b""), (2, b"err")]


def test_a_frame_that_was_cut_off_gives_what_there_is_of_it() -> None:
    whole = struct.pack(">B3xL", 1, 5) + b"whole"

    assert list(frames(whole + struct.pack(">B3xL", 1, 9) + b"torn")) == [(1, b"whole"), (1, b"torn")]
    assert list(frames(whole + b"\1\0\0")) == [(1, b"whole")]


def test_log_lines_come_without_frames_and_line_ends() -> None:
    body = struct.pack(">B3xL", 1, 6) + b"one\ntw" + struct.pack(">B3xL", 2, 2) + b"o\n"
    with SmallServer(answering(reply(200, body))) as server:
        engine = Engine(Endpoint(server.url))

        assert engine.logs("box", tail=9, until=1.0, tty=False) == [b"one", b"two"]
    with SmallServer(answering(reply(200, b"one\r\ntwo\r\n"))) as server:
        engine = Engine(Endpoint(server.url))

        assert engine.logs("box", tail=9, until=1.0, tty=True) == [b"one", b"two"]


def test_lines_printed_since_do_not_crowd_out_those_before() -> None:
    asked: list[int] = []

    def answer(line: str) -> Iterable[bytes]:
        if line.endswith("/_ping"):
            return [PONG]
        # The log has 30 lines: the last 20 came too late, which the engine sees after it has counted.
        asked.append(int(parse_qs(urlsplit(line).query)["tail"][0]))
        lines = [f"{number}\n".encode() for number in range(30)][-asked[-1] :]
        return [reply(200, b"".join(line for line in lines if int(line) < 10))]

    with SmallServer(answer) as server:
        engine = Engine(Endpoint(server.url))

        assert engine.logs("box", tail=3, until=1.0, tty=True) == [b"7", b"8", b"9"]
        assert engine.logs("box", tail=20, until=1.0, tty=True) == [str(number).encode() for number in range(10)]
    assert asked == [3, 24, 20, 160, 1280]


# The bare stream


BARE = b"HTTP/1.0 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n"


def read_bare(*answers: bytes) -> bytes:
    with SmallServer(answering(*answers)) as server:
        sock, data = Engine(Endpoint(server.url)).bare_stream("logs", "/containers/c/logs", {"tail": 5})
        with sock:
            while more := sock.recv(4096):
                data += more
        assert server.asked[-1] == "GET /v1.41/containers/c/logs?tail=5"
    return data


@pytest.mark.parametrize("cut", [1, len(BARE) - 1, len(BARE), len(BARE) + 3])
def test_a_bare_stream_is_the_answer_itself_however_it_is_cut(cut: int) -> None:
    whole = BARE + b"first\nsecond\n"

    assert read_bare(whole[:cut], whole[cut:]) == b"first\nsecond\n"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (reply(404, {"message": "No such container: c"}), ContainerGone),
        (reply(403), Refused),
        (reply(502), EngineUnavailable),
        (reply(501, {"message": "configured logging driver does not support reading"}), EngineError),
        (CHUNKED + chunk(b"line\n"), EngineError),
        (b"HTTP/1.0 200", EngineUnavailable),
        (b"", EngineUnavailable),
        (b"no answer of HTTP\r\n\r\n", EngineUnavailable),
    ],
)
def test_a_bare_stream_that_cannot_be_had_is_an_error_of_the_engine(answer: bytes, error: type[EngineError]) -> None:
    with pytest.raises(error) as raised:
        read_bare(answer)

    assert type(raised.value) is error
