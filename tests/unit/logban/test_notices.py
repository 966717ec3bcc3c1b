"""What people are told, and how often."""

from ipaddress import ip_address, ip_network
from typing import cast

from logban.firewall import Source
from logban.notices import GATHER_SECONDS, REPEAT_SECONDS, Notices
from logban.store import BanRecord
from sidecarkit.notify import Notice


def record(last: int) -> BanRecord:
    source = cast("Source", ip_network(f"198.51.100.{last}"))
    return BanRecord(
        source, "", "tls", 0.0, 600.0, address=ip_address(f"198.51.100.{last}"), reason="unsupported protocol"
    )


def test_the_first_ban_is_told_at_once_and_those_that_follow_together() -> None:
    told: list[Notice] = []
    notices = Notices(told.append)
    notices.bans([record(1)])
    notices.tick(100.0)
    assert [notice.title for notice in told] == ["198.51.100.1 was banned"]

    for number in range(2, 40):
        notices.bans([record(number)])
        notices.tick(100.0 + number / 10)
    notices.tick(100.0 + GATHER_SECONDS)
    notices.tick(100.0 + 9 * GATHER_SECONDS)

    assert [notice.title for notice in told[1:]] == ["38 bans"]
    assert told[1].facts["bans"] == 38 and "and 28 more" in told[1].body


def test_the_same_trouble_is_told_once_an_hour() -> None:
    told: list[Notice] = []
    notices = Notices(told.append)
    for now in (0.0, 10.0, REPEAT_SECONDS, REPEAT_SECONDS + 1):
        notices.trouble("hidden", "hidden clients", "advice", now)
    notices.trouble("other", "another", "advice", 20.0)

    assert [notice.event for notice in told] == ["hidden", "hidden", "other"]
