"""The rules of every socket proxy, in this machine's own HAProxy, before an engine that grants whatever reaches it."""

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lab.intruder import DANGEROUS, disguised
from lab.wire import wait_for

RULES = Path(__file__).parents[3] / "contrib/socket-proxy"
PROXIES = sorted(file.stem for file in RULES.glob("*.cfg"))
ACTING = ("autoheal", "certsync")
WHOLE_ID = "a" * 64


@dataclass(slots=True)
class Willing:
    """An engine that says yes to everything, a change of protocol included, and remembers what it was asked."""

    path: Path
    reached: list[bytes] = field(default_factory=list)
    _listener: socket.socket = field(init=False)

    def __post_init__(self) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self._talk, args=self._listener.accept()[:1], daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while asked := connection.recv(65536):
                self.reached.append(asked)
                if b"\r\nupgrade:" in asked.lower():
                    connection.sendall(
                        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
                    )
                    continue
                body = f'[{{"Id": "{WHOLE_ID}"}}]'.encode()  # the answer to whether that container opted in
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rules")


@pytest.fixture(scope="module")
def engine_behind(folder: Path) -> Iterator[Willing]:
    willing = Willing(folder / "engine.sock")
    yield willing
    willing.close()


@pytest.fixture(scope="module")
def proxies(folder: Path, engine_behind: Willing) -> Iterator[dict[str, Path]]:
    """Run each proxy with the rules as they are shipped, before that engine; gives their sockets."""
    if not shutil.which("haproxy"):
        pytest.skip("needs HAProxy")
    for file in RULES.iterdir():
        moved = file.read_text().replace("/var/run/docker.sock", str(engine_behind.path))
        (folder / file.name).write_text(moved.replace("/etc/haproxy/", f"{folder}/"))
    sockets = {name: folder / f"{name}.sock" for name in PROXIES}
    running = [
        subprocess.Popen(
            ["haproxy", "-db", "-f", folder / f"{name}.cfg"], env=os.environ | {"LISTEN": f"unix@{sockets[name]}"}
        )
        for name in PROXIES
    ]
    try:
        wait_for(lambda: all(path.exists() for path in sockets.values()), "each proxy listens")
        yield sockets
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()


def status(proxy: Path, request: str) -> int:
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(20)
        asking.connect(str(proxy))
        asking.sendall(request.encode("latin-1"))
        return int(asking.recv(65536).split(b" ", 2)[1])


def request(method: str, target: str, *headers: str) -> str:
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: engine", *headers]) + "\r\n\r\n"


@pytest.mark.parametrize("name", PROXIES)
def test_nobody_changes_the_protocol_to_one_that_the_rules_do_not_read(
    proxies: dict[str, Path], engine_behind: Willing, name: str
) -> None:
    before = len(engine_behind.reached)
    for kind in ("Upgrade: h2c", "Upgrade: tcp", "Upgrade: websocket", "upgrade:"):
        asking = request(
            "GET", "/_ping", "Connection: Upgrade, HTTP2-Settings", kind, "HTTP2-Settings: AAMAAABkAAQAAP__"
        )

        assert status(proxies[name], asking) in {400, 403}, kind  # 400: it is not even a WebSocket

    assert engine_behind.reached[before:] == []


@pytest.mark.parametrize("name", PROXIES)
def test_no_dangerous_request_reaches_the_engine_however_it_is_written(
    proxies: dict[str, Path], engine_behind: Willing, name: str
) -> None:
    before = len(engine_behind.reached)
    told = "/info" if name == "cadvisor" else ""  # the one of them that a proxy lets through

    answers = {
        (method, target): status(proxies[name], request(method, target))
        for method, path in DANGEROUS
        for target in disguised(path.replace("ID", WHOLE_ID))
        if path != told
    }

    assert {asked: answer for asked, answer in answers.items() if answer not in {400, 403}} == {}
    assert engine_behind.reached[before:] == []


@pytest.mark.parametrize("name", ACTING)
@pytest.mark.parametrize("length", ["1", "2147483648", "4294967296", "18446744073709551616"])
def test_a_body_is_refused_however_long_it_says_it_is(
    proxies: dict[str, Path], engine_behind: Willing, name: str, length: str
) -> None:
    before = len(engine_behind.reached)

    answer = status(
        proxies[name], request("POST", f"/containers/{WHOLE_ID}/restart", f"Content-Length: {length}") + "{"
    )

    assert answer in {400, 403}
    assert engine_behind.reached[before:] == []


@pytest.mark.parametrize("name", PROXIES)
def test_a_plain_request_reaches_the_engine(proxies: dict[str, Path], name: str) -> None:
    assert status(proxies[name], request("GET", "/v1.41/_ping", "Content-Length: 0")) == 200


@pytest.mark.parametrize("name", ACTING)
def test_an_action_without_a_body_reaches_the_engine(proxies: dict[str, Path], name: str) -> None:
    assert status(proxies[name], request("POST", f"/containers/{WHOLE_ID}/restart?t=3", "Content-Length: 0")) == 200
