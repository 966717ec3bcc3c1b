"""Sets of the kernel's ipset, over netlink. Numbers are from linux/netfilter/ipset/ip_set.h.

All that `ipset` could do for us is done here without starting it, so that a ban costs some ten microseconds and the
container need not hold the program. `ipset list` shows the same sets.
"""

import errno
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from logban.bansets import SetFull
from logban.firewall import Family
from logban.netlink import (
    EXCLUSIVE,
    Connection,
    Message,
    NetlinkError,
    attribute,
    attributes,
    family,
    nested,
    number,
    text,
)

_SUBSYSTEM: Final = 6
_PROTOCOL: Final = 6  # understood since Linux 2.6.39
_CREATE: Final = 2
_DESTROY: Final = 3
_FLUSH: Final = 4
_SWAP: Final = 6
_LIST: Final = 7
_ADD: Final = 9
_DELETE: Final = 10
_TEST: Final = 11

# Attributes of a command
_A_PROTOCOL: Final = 1
_A_NAME: Final = 2
_A_TYPE: Final = 3
_A_OTHER_NAME: Final = 3  # of swap
_A_REVISION: Final = 4
_A_FAMILY: Final = 5
_A_FLAGS: Final = 6
_A_DATA: Final = 7
_A_ELEMENTS: Final = 8
_A_LINE: Final = 9
_NAMES_ONLY: Final = 1 << 1
_HEADER_ONLY: Final = 1 << 2

# Attributes of a set or an element
_E_ADDRESS: Final = 1
_E_PREFIX: Final = 3
_E_TIMEOUT: Final = 6
_E_HASH_SIZE: Final = 18
_E_CAPACITY: Final = 19
_E_COUNT: Final = 24

_NO_SUCH_ELEMENT: Final = 4103
_IN_USE: Final = (4100, 4108)
_FULL: Final = 4352
_AF: Final[dict[Family, int]] = {4: 2, 6: 10}
_PREFIX: Final = {4: 32, 16: 64}
_ELEMENTS_PER_MESSAGE: Final = 1000  # an attribute holds 64 KiB

# One element on the wire, everything but its address and time the same: data{address{v4 or v6}, prefix, timeout}
_ELEMENT: Final = {
    4: struct.Struct("=HHHHHH4sHHB3xHH4s"),
    16: struct.Struct("=HHHHHH16sHHB3xHH4s"),
}
_NESTED: Final = 0x8000
_NETWORK_ORDER: Final = 0x4000


class SetInUse(Exception):
    """A rule still refers to a set; the kernel lets go of rules a moment after they are removed."""


@dataclass(frozen=True, slots=True)
class SetHeader:
    """A set without its elements. *count* includes what has expired and was not yet swept."""

    type: str
    family: int
    timeouts: bool
    count: int

    def fits(self, family: Family) -> bool:
        """Whether it is as `IpSets.create` would make it, its capacity apart."""
        return (self.type, self.family, self.timeouts) == ("hash:net", _AF[family], True)


class IpSets:
    """Sets of the network namespace the connection was opened in. Methods raise FirewallError."""

    def __init__(self, connection: Connection) -> None:
        """Speak through *connection*."""
        self._kernel = connection

    def names(self) -> set[str]:
        """All sets, whosever they are."""
        return {name for name, _ in self._list(number(_A_FLAGS, ">I", _NAMES_ONLY))}

    def header(self, name: str) -> SetHeader | None:
        """Describe a set, None where there is none of this name."""
        for _, fields in self._list(text(_A_NAME, name), number(_A_FLAGS, ">I", _HEADER_ONLY)):
            return _read_header(fields)
        return None

    def create(self, name: str, of: Family, capacity: int, expected: int = 0) -> None:
        """Make a set of networks with timeouts. *expected* elements will not need it to grow.

        Beyond a thousand hash buckets the kernel counts in parts, and lets in somewhat more than *capacity*.
        """
        hash_size = 1 << max(10, (expected // 2).bit_length())
        data = nested(
            _A_DATA,
            number(_E_HASH_SIZE, ">I", hash_size),
            number(_E_CAPACITY, ">I", capacity),
            number(_E_TIMEOUT, ">I", 0),
        )
        # Revision 0 has all we need, and an ipset program of any age can list it.
        kind = text(_A_TYPE, "hash:net") + attribute(_A_REVISION, b"\0") + attribute(_A_FAMILY, bytes([_AF[of]]))
        self._kernel.call(_message(_CREATE, text(_A_NAME, name), kind, data, flags=EXCLUSIVE))

    def destroy(self, name: str) -> None:
        """Remove a set. Raises SetInUse while a rule refers to it."""
        try:
            self._kernel.call(_message(_DESTROY, text(_A_NAME, name)))
        except NetlinkError as error:
            if error.code in _IN_USE:
                raise SetInUse(name) from error
            if error.code != errno.ENOENT:
                raise

    def flush(self, name: str) -> None:
        """Empty a set."""
        self._kernel.call(_message(_FLUSH, text(_A_NAME, name)))

    def swap(self, one: str, other: str) -> None:
        """Exchange two sets between two packets. Rules go on referring to the name."""
        self._kernel.call(_message(_SWAP, text(_A_NAME, one), text(_A_OTHER_NAME, other)))

    def add(self, name: str, key: bytes, seconds: int) -> None:
        """Add an element, or give it this time if it is there. Raises SetFull."""
        try:
            self._kernel.call(_message(_ADD, text(_A_NAME, name), _element(key, seconds)))
        except NetlinkError as error:
            if error.code == _FULL:
                raise SetFull(name) from error
            raise

    def fill(self, name: str, elements: Iterable[tuple[bytes, int]]) -> None:
        """Add many elements, some messages of a thousand instead of thousands of one."""
        remaining = iter(elements)
        while some := [_element(key, seconds) for key, seconds in islice(remaining, _ELEMENTS_PER_MESSAGE)]:
            line = attribute(_A_LINE, struct.pack("=I", 0))  # asked for with a list; it is where an error is reported
            self._kernel.call(_message(_ADD, text(_A_NAME, name), line, nested(_A_ELEMENTS, *some)))

    def delete(self, name: str, key: bytes) -> bool:
        """Remove an element. Whether it was there; it was not if there is no such set."""
        return self._found(_DELETE, name, key)

    def contains(self, name: str, key: bytes) -> bool:
        """Whether the kernel would match this source now. It would not if there is no such set."""
        return self._found(_TEST, name, key)

    def elements(self, name: str) -> Iterator[tuple[bytes, int]]:
        """All elements with the seconds each has left; 0 for one that was added by hand to stay for ever."""
        for _, fields in self._list(text(_A_NAME, name)):
            for _, element in attributes(fields.get(_A_ELEMENTS, b"")):
                yield _read_element(element)

    def count(self, name: str) -> int:
        """How many elements it holds; those that just expired may still be counted."""
        header = self.header(name)
        return header.count if header else 0

    def _found(self, command: int, name: str, key: bytes) -> bool:
        try:
            self._kernel.call(_message(command, text(_A_NAME, name), _element(key, None), flags=EXCLUSIVE))
        except NetlinkError as error:
            if error.code in (_NO_SUCH_ELEMENT, errno.ENOENT):  # the latter: no such set, so not in it either
                return False
            raise
        return True

    def _list(self, *parts: bytes) -> Iterator[tuple[str, dict[int, bytes]]]:
        try:
            answers = self._kernel.listing(_message(_LIST, *parts))
        except NetlinkError as error:
            if error.code == errno.ENOENT:
                return
            raise
        for answer in answers:
            fields = dict(attributes(answer[4:]))
            yield fields[_A_NAME].rstrip(b"\0").decode(), fields


def _message(command: int, *parts: bytes, flags: int = 0) -> Message:
    return Message(
        _SUBSYSTEM << 8 | command, family(0) + attribute(_A_PROTOCOL, bytes([_PROTOCOL])) + b"".join(parts), flags
    )


def _element(key: bytes, seconds: int | None) -> bytes:
    size = len(key)
    layout = _ELEMENT[size]
    whole = layout.pack(
        *(layout.size, _A_DATA | _NESTED),
        *(size + 8, _E_ADDRESS | _NESTED),
        *(size + 4, (1 if size == 4 else 2) | _NETWORK_ORDER, key),
        *(5, _E_PREFIX, _PREFIX[size]),
        *(8, _E_TIMEOUT | _NETWORK_ORDER, (seconds or 0).to_bytes(4, "big")),
    )
    if seconds is not None:
        return whole
    return struct.pack("=H", layout.size - 8) + whole[2:-8]


def _read_element(data: bytes) -> tuple[bytes, int]:
    fields = dict(attributes(data))
    key = next(address for _, address in attributes(fields[_E_ADDRESS]))
    return key, int.from_bytes(fields.get(_E_TIMEOUT, b"\0"), "big")


def _read_header(fields: dict[int, bytes]) -> SetHeader:
    data = dict(attributes(fields[_A_DATA]))
    return SetHeader(
        type=fields[_A_TYPE].rstrip(b"\0").decode(),
        family=fields[_A_FAMILY][0],
        timeouts=_E_TIMEOUT in data,
        count=int.from_bytes(data.get(_E_COUNT, b""), "big"),
    )
