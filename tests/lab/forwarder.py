"""A loopback port that leads to an engine's Unix socket, in the clear or over TLS with clients' certificates."""

import socket
import ssl
import threading
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

_CHUNK = 65536


class Forwarder:
    """Passes on one request without a body for each connection, which is how agents ask.

    *upstream* is a unix:// address of something that closes after its answer: a Recorder. One thread serves a
    connection, because a TLS connection is not for two threads at once.
    """

    def __init__(self, upstream: str, tls: ssl.SSLContext | None = None) -> None:
        self._upstream, self._tls = urlsplit(upstream).path, tls
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, name="forwarder", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for end in (self._listener, *self._open):
            with suppress(OSError):
                socket.socket.shutdown(end, socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), name="forwarder", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        engine = socket.socket(socket.AF_UNIX)
        self._open += [client, engine]
        with client, engine, suppress(OSError):  # a client without a certificate, or either side's end
            if self._tls:
                client = self._tls.wrap_socket(client, server_side=True)
                self._open.append(client)
            with client:
                engine.connect(self._upstream)
                request = b""
                while b"\r\n\r\n" not in request:
                    if not (received := client.recv(_CHUNK)):
                        return
                    request += received
                engine.sendall(request)
                while answer := engine.recv(_CHUNK):
                    client.sendall(answer)
