"""A small HTTP server that answers with the very bytes it is told: whole, torn, slow, or never."""

import json
import shutil
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

Answer = Callable[[str], Iterable[bytes]]


class SmallServer:
    """Calls *answer* with the request line, such as `GET /v1.41/events?since=1`, and sends what it yields.

    Listens on a Unix socket, or with *tls* or *tcp* on a loopback port. After the answer the connection is closed.
    """

    def __init__(self, answer: Answer, *, tcp: bool = False, tls: ssl.SSLContext | None = None) -> None:
        self._answer, self._tls = answer, tls
        self._folder = Path(tempfile.mkdtemp(prefix="sidecars-server-"))
        self._connections: list[socket.socket] = []
        self.asked: list[str] = []
        self.bodies: list[bytes] = []
        if tcp or tls:
            self._listener = socket.create_server(("127.0.0.1", 0))
            self.port = int(self._listener.getsockname()[1])
            self.url = f"tcp://127.0.0.1:{self.port}"
        else:
            self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._listener.bind(str(self._folder / "sock"))
            self._listener.listen(32)
            self.url = f"unix://{self._folder / 'sock'}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for end in (self._listener, *self._connections):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._connections.append(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError):
            if self._tls:
                client = self._tls.wrap_socket(client, server_side=True)
            with client, client.makefile("rb") as received:
                line = received.readline().decode().rpartition(" ")[0]
                length = 0
                while (header := received.readline().strip()) != b"":
                    if header.lower().startswith(b"content-length:"):
                        length = int(header.split(b":")[1])
                self.bodies.append(received.read(length))
                self.asked.append(line)
                for part in self._answer(line):
                    client.sendall(part)
                with suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)


def reply(status: int, body: bytes | Mapping[str, Any] | list[Any] = b"", **headers: str) -> bytes:
    """Make a whole answer; `Api_Version="1.41"` is the header Api-Version."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {"Content-Length": str(len(content)), **{key.replace("_", "-"): text for key, text in headers.items()}}
    lines = [f"HTTP/1.1 {status} X", *(f"{key}: {text}" for key, text in fields.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(content: bytes) -> bytes:
    """Make one piece of an answer that began with CHUNKED."""
    return f"{len(content):x}\r\n".encode() + content + b"\r\n"
