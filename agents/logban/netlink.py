"""Talking with the kernel's packet filter over netlink, with nothing but a socket.

Starting a program for each ban costs milliseconds, a message some ten microseconds. Only what changes with every ban
goes this way; chains and rules, which change a few times a day, are left to iptables and nft. Numbers are from
linux/netlink.h and linux/netfilter/nfnetlink.h. Integers in headers are in the machine's order, in attributes in the
network's.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Self

from logban.firewall import FirewallError

ACK: Final = 0x4
REPLACE: Final = 0x100  # with a request that makes something
EXCLUSIVE: Final = 0x200
CREATE: Final = 0x400
_REQUEST: Final = 0x1
_DUMP: Final = 0x300
_DUMP_INTERRUPTED: Final = 0x10  # what was listed changed meanwhile: the listing may be torn

_ERROR: Final = 2
_DONE: Final = 3
_BATCH_BEGIN: Final = 0x10
_BATCH_END: Final = 0x11
_SOL_NETLINK: Final = 270
_CAP_ACK: Final = 10
_SO_SNDBUFFORCE: Final = 32
_NETFILTER: Final = 12

_HEADER: Final = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_ATTRIBUTE: Final = struct.Struct("=HH")  # length with this header, type
_NESTED: Final = 0x8000
_NETWORK_ORDER: Final = 0x4000
_TYPE_MASK: Final = 0x3FFF
_ANSWER_SECONDS: Final = 30.0
_LISTING_ATTEMPTS: Final = 20


class NetlinkError(FirewallError):
    """The kernel refused, or did not answer. *code* is an errno, or from 4096 on a number of the subsystem's own."""

    def __init__(self, code: int) -> None:
        super().__init__(f"netlink: {os.strerror(code)}" if code < 4096 else f"netlink: ipset error {code}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Message:
    """One request. *kind* is subsystem and command, *body* starts with `family()`."""

    kind: int
    body: bytes
    flags: int = 0


def family(number: int, resource: int = 0) -> bytes:
    """Make the header that every netfilter message starts with (struct nfgenmsg)."""
    return struct.pack("=BB", number, 0) + struct.pack(">H", resource)


def attribute(kind: int, payload: bytes) -> bytes:
    """Make one attribute, padded to four bytes as all are."""
    return _ATTRIBUTE.pack(4 + len(payload), kind) + payload + bytes(-len(payload) % 4)


def nested(kind: int, *parts: bytes) -> bytes:
    """Make one attribute of attributes."""
    return attribute(kind | _NESTED, b"".join(parts))


def number(kind: int, layout: str, value: int) -> bytes:
    """Make one attribute that is an integer of this struct *layout*, marked as being in network order."""
    return attribute(kind | _NETWORK_ORDER, struct.pack(layout, value))


def text(kind: int, value: str) -> bytes:
    """Make one attribute that is a C string."""
    return attribute(kind, value.encode() + b"\0")


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield every attribute as type and payload, flags removed."""
    at, end = 0, len(data)
    while at + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < 4:  # a torn message would otherwise be read for ever
            return
        yield kind & _TYPE_MASK, data[at + 4 : at + length]
        at += length + 3 & ~3


class Connection:
    """A netlink socket in the network namespace of the thread that opened it. Not for several threads."""

    def __init__(self) -> None:
        """Open it; needs no privilege, using it needs CAP_NET_ADMIN."""
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETFILTER)
        self._socket.bind((0, 0))
        self._socket.settimeout(_ANSWER_SECONDS)
        self._socket.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)  # refusals come without a copy of what was refused
        self._sequence = 0
        self._send_buffer = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()

    def call(self, message: Message) -> None:
        """Have one request carried out. Raises NetlinkError."""
        sequence = self._send(message, ACK)
        for kind, _, answer in self._answers(sequence):
            if kind == _ERROR:
                _raise_refusal(answer)
                return

    def get(self, message: Message) -> bytes:
        """Ask for one thing and return the body of the answer. Raises NetlinkError."""
        sequence = self._send(message, 0)
        for kind, _, answer in self._answers(sequence):
            if kind == _ERROR:
                _raise_refusal(answer)
            return answer
        raise AssertionError("unreachable: answers end by being read or by an error")

    def listing(self, message: Message) -> list[bytes]:
        """Ask for many things and return the bodies of the answers. Raises NetlinkError.

        It asks again when somebody's change tore the answers.
        """
        for _ in range(_LISTING_ATTEMPTS):
            bodies, torn = self._list_once(message)
            if not torn:
                return bodies
        raise NetlinkError(errno.EINTR)

    def transaction(self, subsystem: int, messages: Sequence[Message]) -> None:
        """Have all requests carried out together, or none. Raises NetlinkError with the first refusal."""
        edge = family(0, resource=subsystem)
        begin = self._next()
        parts = [_pack(_BATCH_BEGIN, _REQUEST, begin, edge)]
        parts += [_pack(m.kind, _REQUEST | m.flags, self._next(), m.body) for m in messages[:-1]]
        last = self._next()  # the kernel reports refusals in order, so that this one's answer ends them
        parts.append(_pack(messages[-1].kind, _REQUEST | ACK | messages[-1].flags, last, messages[-1].body))
        parts.append(_pack(_BATCH_END, _REQUEST, self._next(), edge))
        self._write(b"".join(parts))
        refusal = self._transaction_refusal(begin, last)
        if refusal:
            raise NetlinkError(refusal)

    def _transaction_refusal(self, begin: int, last: int) -> int:
        refusal = 0
        while True:
            for kind, _, sequence, answer in self._read():
                if kind != _ERROR or not begin <= sequence <= last:
                    continue
                refusal = refusal or _refusal(answer)
                if sequence in (begin, last):  # a refusal of the first message speaks for the whole
                    return refusal

    def _list_once(self, message: Message) -> tuple[list[bytes], bool]:
        sequence = self._send(message, _DUMP)
        bodies, torn = [], False
        for kind, flags, answer in self._answers(sequence):
            torn = torn or bool(flags & _DUMP_INTERRUPTED)
            if kind in (_DONE, _ERROR):
                _raise_refusal(answer)
                break
            bodies.append(answer)
        return bodies, torn

    def _send(self, message: Message, flags: int) -> int:
        sequence = self._next()
        self._write(_pack(message.kind, _REQUEST | flags | message.flags, sequence, message.body))
        return sequence

    def _write(self, data: bytes) -> None:
        if len(data) + 32 > self._send_buffer:  # a transaction travels in one piece, however large
            self._send_buffer = max(2 * len(data), 1 << 18)
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, self._send_buffer)
        with _kernel_errors():
            self._socket.sendto(data, (0, 0))

    def _answers(self, sequence: int) -> Iterator[tuple[int, int, bytes]]:
        while True:
            for kind, flags, answered, body in self._read():
                if answered == sequence:  # anything else answers a question that was given up
                    yield kind, flags, body

    def _read(self) -> list[tuple[int, int, int, bytes]]:
        with _kernel_errors():
            data = self._socket.recv(1 << 17)
        messages, at = [], 0
        while at + _HEADER.size <= len(data):
            length, kind, flags, sequence, _ = _HEADER.unpack_from(data, at)
            messages.append((kind, flags, sequence, data[at + _HEADER.size : at + length]))
            at += length + 3 & ~3
        return messages

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence & 0xFFFFFFFF


@contextmanager
def _kernel_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise NetlinkError(error.errno or errno.ETIMEDOUT) from error


def _pack(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, sequence, 0) + body


def _refusal(answer: bytes) -> int:
    code: int = struct.unpack_from("=i", answer)[0]
    return -code


def _raise_refusal(answer: bytes) -> None:
    if _refusal(answer):
        raise NetlinkError(_refusal(answer))
