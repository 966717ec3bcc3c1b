"""Network namespaces for tests: hosts of their own on cables of their own. The machine's network is never touched."""

import ctypes
import os
import selectors
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Self

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
_serial = count()
SILENCE_SECONDS = 0.35  # a path that is open answers in well under a millisecond
PATIENCE_SECONDS = 15.0


class Namespace:
    """A network namespace that exists: one under /run/netns, or that of a process, /proc/PID/ns/net."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        """What `ip` calls one under /run/netns."""
        return self.path.name

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Have this thread's new sockets, and the programs it starts, live in the namespace."""
        here = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        there = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _setns(there)
            yield
        finally:
            _setns(here)
            os.close(here)
            os.close(there)

    def run(self, *command: str, stdin: str = "") -> str:
        with self.entered():
            return run(*command, stdin=stdin)

    def address(self, interface: str, *addresses: str) -> None:
        for address in addresses:
            # Without nodad an IPv6 address cannot be used for its first second.
            self.run("ip", "address", "add", address, "dev", interface, *(["nodad"] if ":" in address else []))

    def socket(self, family: int, kind: int) -> socket.socket:
        with self.entered():
            return socket.socket(family, kind)


class NewNamespace(Namespace):
    """A network namespace of a test's own, deleted with the block."""

    def __init__(self, role: str) -> None:
        super().__init__(Path("/run/netns") / f"lab{os.getpid()}-{role}-{next(_serial)}")
        run("ip", "netns", "add", self.name)
        self.run("ip", "link", "set", "lo", "up")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        run("ip", "netns", "delete", self.name)


def cable(one: Namespace, one_interface: str, other: Namespace, other_interface: str) -> None:
    """Join two namespaces."""
    peer = ["peer", "name", other_interface, "netns", other.name]
    run("ip", "-n", one.name, "link", "add", one_interface, "type", "veth", *peer)
    run("ip", "-n", one.name, "link", "set", one_interface, "up")
    run("ip", "-n", other.name, "link", "set", other_interface, "up")


class Echo:
    """A server that says back what it hears, on one address, TCP and UDP alike, until the block ends."""

    def __init__(self, namespace: Namespace, address: str, port: int) -> None:
        self.datagrams = 0
        self._selector = selectors.DefaultSelector()
        self._stop, self._stopped = os.pipe()
        self._selector.register(self._stop, selectors.EVENT_READ)
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            server = namespace.socket(_family(address), kind)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind((address, port))
            if kind == socket.SOCK_STREAM:
                server.listen()
            self._selector.register(server, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.write(self._stopped, b".")
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()
        os.close(self._stop)
        os.close(self._stopped)

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if not isinstance(key.fileobj, socket.socket):
                    return
                with suppress(OSError):
                    self._answer(key.fileobj)

    def _answer(self, ready: socket.socket) -> None:
        if ready.type == socket.SOCK_DGRAM:
            data, sender = ready.recvfrom(2048)
            self.datagrams += 1
            ready.sendto(data, sender)
        elif ready.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            self._selector.register(ready.accept()[0], selectors.EVENT_READ)
        elif data := ready.recv(2048):
            ready.sendall(data)
        else:
            self._selector.unregister(ready)
            ready.close()


@contextmanager
def knowing_no_name(namespace: Namespace, address: str) -> Iterator[None]:
    """Run a name server that answers at once that there is no such name, until the block ends."""
    server = namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((address, 53))

    def serve() -> None:
        while True:
            query, sender = server.recvfrom(4096)
            if not query:  # nobody asks for nothing: it was shut down
                return
            question = query[12 : query.index(b"\0", 12) + 5]
            server.sendto(query[:2] + b"\x81\x83" + query[4:6] + bytes(6) + question, sender)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        with suppress(OSError):  # one that is not connected says so, and wakes its reader all the same
            server.shutdown(socket.SHUT_RDWR)
        thread.join()
        server.close()


class Client:
    """A socket at one address of a namespace, towards an echo."""

    def __init__(self, namespace: Namespace, source: str, target: str, port: int, kind: str = "tcp") -> None:
        self._kind = socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM
        self._socket = namespace.socket(_family(source), self._kind)
        self._socket.settimeout(SILENCE_SECONDS)
        self._socket.bind((source, 0))
        self._target = (target, port)
        self._said = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def connects(self) -> bool:
        try:
            self._socket.connect(self._target)
        except OSError:
            return False
        return True

    def sends(self) -> bool:
        try:
            self._socket.send(b"flood")
        except OSError:  # a full buffer, or an answer of "unreachable" to the last one
            return False
        return True

    def hears(self) -> bool:
        """Say something new and wait for it to come back."""
        self._said += 1
        word = f"{self._said:04}".encode()
        try:
            self._socket.sendall(word)
            while answer := self._socket.recv(2048):
                if answer.endswith(word):
                    return True
        except OSError:
            return False
        return False


def reaches(namespace: Namespace, source: str, target: str, port: int, kind: str = "tcp") -> bool:
    """Whether a new client is served."""
    with Client(namespace, source, target, port, kind) as client:
        return client.connects() and client.hears()


def eventually(holds: Callable[[], bool], patience_seconds: float = PATIENCE_SECONDS) -> bool:
    """Whether it comes true in time."""
    deadline = time.monotonic() + patience_seconds
    while time.monotonic() < deadline:
        if holds():
            return True
        threading.Event().wait(0.02)
    return holds()


def run(*command: str, stdin: str = "") -> str:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def _family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _setns(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
