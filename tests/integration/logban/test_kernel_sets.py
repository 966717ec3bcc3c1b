"""Our netlink against what the kernel's own programs say."""

import json
import re
from collections.abc import Iterator
from contextlib import closing
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest

from lab.mailhost import lacking
from lab.network import NewNamespace
from logban import nftset
from logban.bansets import KernelSets, SetFull
from logban.firewall import FAMILIES, Family
from logban.ipset import IpSets, SetInUse
from logban.netlink import Connection, Message, NetlinkError
from logban.nftset import INET, NfTable

HOUR = 3600
ABSENT = "absent"


class Beside:
    """One kind of sets, and the program that shows them."""

    def __init__(self, kind: str, namespace: NewNamespace, kernel: Connection) -> None:
        self.kind, self.namespace = kind, namespace
        self.sets: KernelSets
        if kind == "ipset":
            self.sets = ipsets = IpSets(kernel)
            for family in FAMILIES:
                ipsets.create(f"s{family}", family, 5000)
        else:
            self.sets = NfTable(kernel, INET, "t")
            sets = "".join(f"set s{n} {{ type ipv{n}_addr; flags timeout; size 5000; }}\n" for n in FAMILIES)
            namespace.run("nft", "-f", "-", stdin=f"table inet t {{\n{sets}}}\n")

    def add_by_hand(self, name: str, address: str) -> None:
        command = (
            ("ipset", "add", name, address)
            if self.kind == "ipset"
            else ("nft", f"add element inet t {name} {{ {address} }}")
        )
        self.namespace.run(*command)

    def shown(self, name: str) -> dict[bytes, int]:
        """Ask the program: addresses, and the seconds each has left."""
        if self.kind == "ipset":
            lines = re.findall(rf"add {name} (\S+)(?: timeout (\d+))?", self.namespace.run("ipset", "save", name))
            return {ip_address(address.split("/")[0]).packed: int(seconds or 0) for address, seconds in lines}
        listed = json.loads(self.namespace.run("nft", "-j", "list", "set", "inet", "t", name))
        elements = next(entry["set"] for entry in listed["nftables"] if "set" in entry).get("elem", [])
        whole = [element["elem"] if isinstance(element, dict) else {"val": element} for element in elements]
        return {ip_address(element["val"]).packed: element.get("expires", 0) for element in whole}


@pytest.fixture(params=["ipset", "nft"])
def beside(request: pytest.FixtureRequest) -> Iterator[Beside]:
    if lacking():
        pytest.skip(f"needs {lacking()}")
    with NewNamespace("sets") as namespace, namespace.entered(), closing(Connection()) as kernel:
        yield Beside(request.param, namespace, kernel)


def key(family: Family, number: int = 0) -> bytes:
    if family == 4:
        return (IPv4Address("192.0.2.1") + number).packed
    return IPv6Address(int(IPv6Address("2001:db8::")) + (number << 64)).packed


@pytest.mark.parametrize("family", FAMILIES)
def test_what_we_add_the_program_shows_and_what_we_remove_it_does_not(beside: Beside, family: Family) -> None:
    name = f"s{family}"
    for number in range(3):
        beside.sets.add(name, key(family, number), HOUR)
    assert beside.sets.delete(name, key(family, 1))

    shown = beside.shown(name)

    assert shown.keys() == {key(family, 0), key(family, 2)}
    assert all(HOUR - 10 < seconds <= HOUR for seconds in shown.values())
    assert beside.sets.count(name) == 2
    assert dict(beside.sets.elements(name)).keys() == shown.keys()


@pytest.mark.parametrize("family", FAMILIES)
def test_what_the_program_adds_for_ever_we_see_with_no_seconds_left(beside: Beside, family: Family) -> None:
    beside.add_by_hand(
        f"s{family}", str(ip_address(key(family))) + ("/64" if beside.kind == "ipset" and family == 6 else "")
    )

    assert list(beside.sets.elements(f"s{family}")) == [(key(family), 0)]
    assert beside.sets.contains(f"s{family}", key(family))


@pytest.mark.parametrize("family", FAMILIES)
def test_adding_again_sets_the_time_anew(beside: Beside, family: Family) -> None:
    for seconds in (100, HOUR, 50):
        beside.sets.add(f"s{family}", key(family), seconds)
        (shown,) = beside.shown(f"s{family}").values()
        assert seconds - 10 < shown <= seconds


def test_removing_and_asking_for_what_is_not_there_is_answered_with_no(beside: Beside) -> None:
    assert not beside.sets.delete("s4", key(4))
    assert not beside.sets.contains("s4", key(4))
    assert not beside.sets.delete(ABSENT, key(4))
    assert not beside.sets.contains(ABSENT, key(4))
    assert beside.sets.count(ABSENT) == 0
    assert list(beside.sets.elements(ABSENT)) == []


def test_adding_to_a_set_that_is_not_there_is_an_error(beside: Beside) -> None:
    with pytest.raises(NetlinkError, match="No such file"):
        beside.sets.add(ABSENT, key(4), HOUR)


@pytest.mark.parametrize("family", FAMILIES)
def test_thousands_at_once_are_all_there_and_a_full_set_says_so(beside: Beside, family: Family) -> None:
    elements = {key(family, number): HOUR + number for number in range(5000)}
    name = f"s{family}"
    if isinstance(beside.sets, IpSets):
        beside.sets.fill(name, elements.items())
    elif isinstance(beside.sets, NfTable):
        beside.sets.replace({name: elements})

    assert beside.shown(name).keys() == elements.keys()
    assert dict(beside.sets.elements(name)).keys() == elements.keys()

    def overfill() -> None:
        for number in range(5000, 10_000):  # a large ipset counts in parts, and is full somewhat later than it should
            beside.sets.add(name, key(family, number), HOUR)

    with pytest.raises(SetFull):
        overfill()


@pytest.mark.parametrize("beside", ["nft"], indirect=True)
def test_an_nft_set_is_replaced_by_all_or_nothing(beside: Beside) -> None:
    assert isinstance(beside.sets, NfTable)
    beside.sets.add("s4", key(4), HOUR)

    with pytest.raises(NetlinkError):
        beside.sets.replace({"s4": {key(4, 1): HOUR}, ABSENT: {key(4, 2): HOUR}})

    assert beside.shown("s4").keys() == {key(4)}


@pytest.mark.parametrize("beside", ["ipset"], indirect=True)
def test_swapped_ipsets_exchange_what_they_hold(beside: Beside) -> None:
    assert isinstance(beside.sets, IpSets)
    beside.sets.create("other", 4, 10, expected=5)
    beside.sets.add("other", key(4), HOUR)

    beside.sets.swap("other", "s4")
    beside.sets.destroy("other")

    assert beside.shown("s4").keys() == {key(4)}
    assert beside.sets.names() == {"s4", "s6"}


@pytest.mark.parametrize("beside", ["ipset"], indirect=True)
def test_an_ipset_in_use_is_not_destroyed_and_an_absent_one_is_no_error(beside: Beside) -> None:
    assert isinstance(beside.sets, IpSets)
    beside.namespace.run("iptables-nft", "-t", "raw", "-A", "PREROUTING", "-m", "set", "--match-set", "s4", "src")

    with pytest.raises(SetInUse):
        beside.sets.destroy("s4")
    beside.sets.destroy(ABSENT)


@pytest.mark.parametrize("beside", ["nft"], indirect=True)
def test_the_generation_and_the_handles_tell_of_every_change_but_elements(beside: Beside) -> None:
    assert isinstance(beside.sets, NfTable)
    table = beside.sets
    rule = "add chain inet t c; add rule inet t c ip saddr 192.0.2.9 drop"
    seen = set()
    for change in (rule, "flush chain inet t c", rule, "delete set inet t s4", "add table inet t { flags dormant; }"):
        with closing(Connection()) as kernel:
            before = nftset.generation(kernel)
            beside.namespace.run("nft", change)
            assert nftset.generation(kernel) != before
        seen.add(table.handles())
    assert len(seen) == 5
    table.add("s6", key(6), HOUR)
    assert table.handles() in seen


@pytest.mark.parametrize("beside", ["nft"], indirect=True)
@pytest.mark.parametrize("content", ["", "chain c { type filter hook prerouting priority raw; policy accept; }"])
def test_a_table_goes_if_nobody_would_miss_it(beside: Beside, content: str) -> None:
    assert "table ip raw" not in tables_after_cleaning(beside, content)


@pytest.mark.parametrize("beside", ["nft"], indirect=True)
@pytest.mark.parametrize(
    "content",
    [
        "chain c { type filter hook prerouting priority raw; policy drop; }",
        "chain c { type filter hook prerouting priority raw; policy accept; tcp dport 9 drop; }",
        "chain c { }",
        "set s { type ipv4_addr; }",
    ],
)
def test_a_table_stays_if_somebody_might_miss_it(beside: Beside, content: str) -> None:
    assert "table ip raw" in tables_after_cleaning(beside, content)


def tables_after_cleaning(beside: Beside, content: str) -> str:
    beside.namespace.run("nft", "-f", "-", stdin=f"table ip raw {{\n{content}\n}}\n")
    with closing(Connection()) as kernel:
        NfTable(kernel, nftset.IPV4, "raw").delete_if_bare()
    return beside.namespace.run("nft", "list", "tables")


def test_a_refusal_leaves_the_connection_usable(beside: Beside) -> None:
    with closing(Connection()) as kernel:
        for _ in range(3):
            with pytest.raises(NetlinkError):
                kernel.call(Message(6 << 8 | 99, bytes(4)))
        assert IpSets(kernel).names() == ({"s4", "s6"} if beside.kind == "ipset" else set())
