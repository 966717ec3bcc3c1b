"""What nf_tables holds, over netlink: its generation, the handles in a table, elements of sets.

Numbers are from linux/netfilter/nf_tables.h. Tables, chains and rules are made by `nft`; here they are only looked at,
since a look every second must cost microseconds.
"""

import errno
import struct
from collections.abc import Iterator
from itertools import islice
from typing import Final

from logban.bansets import Contents, SetFull
from logban.netlink import CREATE, Connection, Message, NetlinkError, attribute, attributes, family, nested, text

INET: Final = 1
IPV4: Final = 2
IPV6: Final = 10

_SUBSYSTEM: Final = 10
_GET_TABLE: Final = 1
_DELETE_TABLE: Final = 2
_GET_CHAIN: Final = 4
_DELETE_CHAIN: Final = 5
_GET_RULE: Final = 7
_GET_SET: Final = 10
_NEW_ELEMENT: Final = 12
_GET_ELEMENT: Final = 13
_DELETE_ELEMENT: Final = 14
_GET_GENERATION: Final = 16

_ELEMENTS_TABLE: Final = 1
_ELEMENTS_SET: Final = 2
_ELEMENTS: Final = 3
_LIST_ITEM: Final = 1
_KEY: Final = 1
_TIMEOUT: Final = 4
_EXPIRES_IN: Final = 5
_SET_KEY_LENGTH: Final = 5
_SET_DESCRIPTION: Final = 9
_SET_COUNT: Final = 20  # since Linux 6.16 or so
_SET_FLAGS: Final = 3
_FLAG_TIMEOUT: Final = 0x10
_RULE_TABLE: Final = 1
_RULE_HANDLE: Final = 3
_CHAIN_TABLE: Final = 1
_CHAIN_NAME: Final = 3
_CHAIN_POLICY: Final = 5
_CHAIN_USE: Final = 6
_POLICY_ACCEPT: Final = 1

_NESTED: Final = 0x8000
_ELEMENTS_PER_MESSAGE: Final = 1000  # an attribute holds 64 KiB

# item{key{value}, timeout in milliseconds}
_ELEMENT: Final = {
    4: struct.Struct("=HHHHHH4sHH8s"),
    16: struct.Struct("=HHHHHH16sHH8s"),
}


def generation(kernel: Connection) -> int:
    """Tell the number that changes with every change to nf_tables, whoever makes it."""
    answer = kernel.get(_message(_GET_GENERATION, 0))
    return int.from_bytes(dict(attributes(answer[4:]))[1], "big")


class NfTable:
    """One table, which may not be there. Methods raise FirewallError."""

    def __init__(self, kernel: Connection, number: int, table: str) -> None:
        """Speak of *table* in the family of this number, in the network namespace of the connection."""
        self._kernel = kernel
        self._number = number
        self._table = table

    def handles(self) -> tuple[bytes, ...]:
        """List what stands for all a table holds but elements; equal as long as nothing was changed or replaced.

        The kernel never gives a handle twice in the life of a table, and a rule that is replaced gets a new one.
        """
        found = self._get(_GET_TABLE, text(1, self._table))
        if found is None:
            return ()
        chains = [
            f.get(2, b"") + f.get(_CHAIN_NAME, b"") + f.get(_CHAIN_POLICY, b"")
            for f in self._list(_GET_CHAIN)
            if f.get(_CHAIN_TABLE) == _c_string(self._table)
        ]
        rules = [f.get(_RULE_HANDLE, b"") for f in self._rules()]
        sets = [f.get(2, b"") + f.get(16, b"") for f in self._sets()]
        return (found.get(4, b"") + found.get(2, b""), *sorted(chains), *rules, *sorted(sets))

    def sets(self) -> dict[str, tuple[int, int]]:
        """Tell the length of the keys and the size of each named set with timeouts."""
        found = {}
        for fields in self._sets():
            if int.from_bytes(fields.get(_SET_FLAGS, b""), "big") == _FLAG_TIMEOUT:
                length = int.from_bytes(fields.get(_SET_KEY_LENGTH, b""), "big")
                size = dict(attributes(fields.get(_SET_DESCRIPTION, b""))).get(1, b"")
                found[fields[2].rstrip(b"\0").decode()] = length, int.from_bytes(size, "big")
        return found

    def add(self, name: str, key: bytes, seconds: int) -> None:
        """Add an element, or give it this time if it is there. Raises SetFull."""
        add = self._elements(_NEW_ELEMENT, name, _element(key, seconds), flags=CREATE)
        remove = self._elements(_DELETE_ELEMENT, name, _element(key, None))
        try:
            # Before Linux 6.12 adding leaves the time of what is there alone, and removing what is not there fails all.
            self._kernel.transaction(_SUBSYSTEM, (add, remove, add))
        except NetlinkError as error:
            if error.code == errno.ENFILE:
                raise SetFull(name) from error
            raise

    def delete(self, name: str, key: bytes) -> bool:
        """Remove an element. Whether it was there; it was not if there is no such set."""
        try:
            self._kernel.transaction(_SUBSYSTEM, (self._elements(_DELETE_ELEMENT, name, _element(key, None)),))
        except NetlinkError as error:
            if error.code == errno.ENOENT:
                return False
            raise
        return True

    def contains(self, name: str, key: bytes) -> bool:
        """Whether the kernel would match this source now. It would not if there is no such set."""
        try:
            self._kernel.get(self._elements(_GET_ELEMENT, name, _element(key, None)))
        except NetlinkError as error:
            if error.code == errno.ENOENT:
                return False
            raise
        return True

    def replace(self, contents: Contents) -> None:
        """Give sets new contents, all of them between two packets."""
        messages = []
        for name, elements in contents.items():
            messages.append(self._elements(_DELETE_ELEMENT, name))  # naming none empties the set
            remaining = iter(elements.items())
            while some := [_element(key, seconds) for key, seconds in islice(remaining, _ELEMENTS_PER_MESSAGE)]:
                messages.append(self._elements(_NEW_ELEMENT, name, *some, flags=CREATE))
        if messages:
            self._kernel.transaction(_SUBSYSTEM, messages)

    def elements(self, name: str) -> Iterator[tuple[bytes, int]]:
        """All elements with the seconds each has left; 0 for one that was added by hand to stay for ever."""
        for item in self._items(name):
            fields = dict(attributes(item))
            value = next(value for _, value in attributes(fields[_KEY]))
            yield value, -(-int.from_bytes(fields.get(_EXPIRES_IN, b""), "big") // 1000)

    def count(self, name: str) -> int:
        """How many elements it holds; those that just expired may still be counted."""
        for fields in self._sets():
            if fields[2] == _c_string(name) and _SET_COUNT in fields:
                return int.from_bytes(fields[_SET_COUNT], "big")
        return sum(1 for _ in self._items(name))

    def delete_if_bare(self) -> None:
        """Remove a table that holds nothing but base chains that accept everything."""
        chains = [f for f in self._list(_GET_CHAIN) if f.get(_CHAIN_TABLE) == _c_string(self._table)]
        if self._get(_GET_TABLE, text(1, self._table)) is None or any(self._sets()) or not all(map(_is_bare, chains)):
            return
        table = text(1, self._table)
        removals = [
            *(_message(_DELETE_CHAIN, self._number, table, attribute(_CHAIN_NAME, f[_CHAIN_NAME])) for f in chains),
            _message(_DELETE_TABLE, self._number, table),
        ]
        try:
            self._kernel.transaction(_SUBSYSTEM, removals)
        except NetlinkError as error:
            if error.code != errno.EBUSY:  # somebody has put a rule into one of the chains since
                raise

    def _elements(self, command: int, name: str, *items: bytes, flags: int = 0) -> Message:
        where = text(_ELEMENTS_TABLE, self._table) + text(_ELEMENTS_SET, name)
        return _message(command, self._number, where, nested(_ELEMENTS, *items) if items else b"", flags=flags)

    def _items(self, name: str) -> Iterator[bytes]:
        for answer in self._listing(self._elements(_GET_ELEMENT, name)):
            for kind, items in attributes(answer[4:]):
                if kind == _ELEMENTS:
                    yield from (item for _, item in attributes(items))

    def _rules(self) -> Iterator[dict[int, bytes]]:
        rules = self._list(_GET_RULE, text(_RULE_TABLE, self._table))
        return (fields for fields in rules if fields.get(_RULE_TABLE) == _c_string(self._table))

    def _sets(self) -> Iterator[dict[int, bytes]]:
        sets = self._list(_GET_SET, text(1, self._table))
        return (fields for fields in sets if fields.get(1) == _c_string(self._table))

    def _get(self, command: int, *parts: bytes) -> dict[int, bytes] | None:
        try:
            return dict(attributes(self._kernel.get(_message(command, self._number, *parts))[4:]))
        except NetlinkError as error:
            if error.code == errno.ENOENT:
                return None
            raise

    def _list(self, command: int, *parts: bytes) -> list[dict[int, bytes]]:
        return [dict(attributes(answer[4:])) for answer in self._listing(_message(command, self._number, *parts))]

    def _listing(self, message: Message) -> list[bytes]:
        try:
            return self._kernel.listing(message)
        except NetlinkError as error:
            if error.code == errno.ENOENT:
                return []
            raise


def _message(command: int, number: int, *parts: bytes, flags: int = 0) -> Message:
    return Message(_SUBSYSTEM << 8 | command, family(number) + b"".join(parts), flags)


def _element(key: bytes, seconds: int | None) -> bytes:
    size = len(key)
    layout = _ELEMENT[size]
    whole = layout.pack(
        *(layout.size, _LIST_ITEM | _NESTED),
        *(size + 8, _KEY | _NESTED),
        *(size + 4, 1, key),
        *(12, _TIMEOUT, (1000 * (seconds or 0)).to_bytes(8, "big")),
    )
    if seconds is not None:
        return whole
    return struct.pack("=H", layout.size - 12) + whole[2:-12]


def _is_bare(chain: dict[int, bytes]) -> bool:
    accepts = int.from_bytes(chain.get(_CHAIN_POLICY, b""), "big") == _POLICY_ACCEPT  # only base chains have a policy
    return accepts and int.from_bytes(chain.get(_CHAIN_USE, b""), "big") == 0


def _c_string(value: str) -> bytes:
    return value.encode() + b"\0"
