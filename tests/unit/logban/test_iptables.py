import pytest

from logban.firewall import Fence
from logban.iptables import chain, load, no_chain, ours, rules, save

MAIL = Fence(tcp=frozenset({25, 465, 587}), udp=frozenset({443}))


def test_a_rule_names_protocol_ports_set_and_that_the_packet_is_for_this_host() -> None:
    banned = "-m set --match-set logban4 src -m addrtype --dst-type LOCAL -j DROP"

    assert rules(4, [MAIL]) == [
        f"-A LOGBAN -p tcp -m multiport --dports 25,465,587 {banned}",
        f"-A LOGBAN -p udp -m multiport --dports 443 {banned}",
    ]


def test_each_fence_looks_into_its_own_set() -> None:
    (line,) = rules(6, [Fence("mail-auth", tcp=frozenset({143}))])

    assert "--match-set logban6-mail-auth src" in line


def test_no_rule_names_more_ports_than_multiport_takes_and_a_range_counts_as_two() -> None:
    odd = frozenset(range(1, 40, 2))
    lines = rules(4, [Fence(tcp=odd | frozenset(range(100, 200)))])

    lists = [line.split("--dports ")[1].split(" ")[0] for line in lines]
    assert [len(listed.replace(":", ",").split(",")) for listed in lists] == [15, 7]
    assert lists[1].endswith("100:199")


def test_a_fence_without_ports_has_no_rule() -> None:
    assert rules(4, [Fence()]) == []


@pytest.mark.parametrize("jumps", [0, 2])
def test_the_chain_is_asked_first_and_once(jumps: int) -> None:
    lines = chain(4, [MAIL], jumps).splitlines()

    assert lines[:2] == ["*raw", ":LOGBAN - [0:0]"]
    assert lines.count("-D PREROUTING -j LOGBAN") == jumps
    assert lines[-2:] == ["-I PREROUTING 1 -j LOGBAN", "COMMIT"]


def test_a_jump_that_is_there_stays_where_it_is() -> None:
    assert "PREROUTING" not in chain(4, [MAIL], jumps=1)


def test_removing_takes_every_jump_and_then_the_chain() -> None:
    assert no_chain(jumps=2).splitlines() == [
        "*raw",
        *["-D PREROUTING -j LOGBAN"] * 2,
        "-F LOGBAN",
        "-X LOGBAN",
        "COMMIT",
    ]


SAVED = """\
*mangle
-A PREROUTING -j LOGBAN
COMMIT
*raw
:PREROUTING ACCEPT [12:3400]
:LOGBAN - [0:0]
:LOGBAND - [0:0]
-A PREROUTING -p tcp -j DROP
-A PREROUTING -j LOGBAN
-A LOGBAN -p tcp -j DROP
-A LOGBAND -j ACCEPT
COMMIT
"""


def test_only_our_lines_of_the_raw_table_are_ours() -> None:
    assert ours(SAVED) == (":LOGBAN -", "-A PREROUTING -j LOGBAN", "-A LOGBAN -p tcp -j DROP")


def test_the_programs_are_those_of_the_variant_and_the_family() -> None:
    assert save(6, "-legacy") == ("ip6tables-legacy-save", "-t", "raw")
    assert save(4, "", table=None) == ("iptables-save",)
    assert load(4, "-nft") == ("iptables-nft-restore", "--wait=5", "--noflush")
