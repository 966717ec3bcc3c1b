from logban.firewall import Fence
from logban.nftables import ruleset

MAIL = Fence(tcp=frozenset({25, 465, 466, 467}), udp=frozenset({443}))


def test_the_table_has_one_chain_before_everything_else_and_two_sets() -> None:
    lines = ruleset([MAIL], capacity=100).splitlines()

    assert lines[:3] == [
        "add table inet logban",
        "add chain inet logban prerouting { type filter hook prerouting priority raw; policy accept; }",
        "flush chain inet logban prerouting",
    ]
    assert "add set inet logban logban4 { type ipv4_addr; flags timeout; size 100; }" in lines
    assert "add set inet logban logban6 { type ipv6_addr; flags timeout; size 100; }" in lines


def test_a_rule_names_protocol_ports_set_and_that_the_packet_is_for_this_host() -> None:
    prefix = "add rule inet logban prerouting"
    rules = [line.removeprefix(prefix) for line in ruleset([MAIL], 1).splitlines() if line.startswith(prefix)]

    assert rules == [
        " tcp dport { 25, 465-467 } ip saddr @logban4 fib daddr type local drop",
        " tcp dport { 25, 465-467 } ip6 saddr & ffff:ffff:ffff:ffff:: @logban6 fib daddr type local drop",
        " udp dport { 443 } ip saddr @logban4 fib daddr type local drop",
        " udp dport { 443 } ip6 saddr & ffff:ffff:ffff:ffff:: @logban6 fib daddr type local drop",
    ]


def test_sets_stay_unless_they_are_named_as_gone() -> None:
    text = ruleset([MAIL], 1, gone=["logban4-old"])

    assert "delete table" not in text
    assert text.index("flush chain") < text.index("delete set inet logban logban4-old")


def test_made_anew_the_table_goes_and_comes_in_the_same_transaction() -> None:
    lines = ruleset([MAIL], 1, anew=True).splitlines()

    assert lines[:3] == ["add table inet logban", "delete table inet logban", "add table inet logban"]
    assert lines[3:] == ruleset([MAIL], 1).splitlines()[1:]
