"""Bans made, lifted, kept and repaired; the kernel's part is played."""

from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, cast

import pytest
from kernel import Kernel
from prometheus_client import CollectorRegistry

from logban.firewall import LONGEST_SECONDS, Fence, Source
from logban.guard import MANUAL, Guard
from logban.metrics import Metrics
from logban.policy import Protected
from logban.store import BanRecord, Store
from sidecarkit import logs

PORTS = (Fence("", frozenset({25, 993}), frozenset()), Fence("auth", frozenset({465}), frozenset()))
DAY = 86_400.0


def source(text: str) -> Source:
    return cast("Source", ip_network(text))


EVIL, OTHER, EVIL6 = source("198.51.100.66"), source("198.51.100.67"), source("2001:db8:0:666::/64")


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_795_000_000.0

    def __call__(self) -> float:
        return self.now


class Scene:
    """A guard with its kernel, state and clock, which may die and come back."""

    def __init__(self, folder: Path, capacity: int = 1000) -> None:
        self.folder, self.clock, self.kernel = folder, Clock(), Kernel(capacity)
        self.troubles: list[str | None] = []
        self.begin()

    def begin(self) -> None:
        log = logs.get("test")
        self.store = Store(self.folder, log)
        self.metrics = Metrics(CollectorRegistry())
        self.guard = Guard(self.kernel, self.store, self.metrics, log, self.troubles.append, self.clock)
        self.guard.begin()
        self.guard.fence_in(PORTS)

    def die(self, *, reboot: bool = False) -> None:
        """End without a word, and come back; after a *reboot* the kernel has forgotten everything."""
        self.store.close()
        if reboot:
            self.kernel = Kernel()
        self.begin()

    def ban(self, who: Source = EVIL, seconds: float = 600.0, **further: Any) -> None:
        until = self.clock.now + seconds
        self.guard.ban(
            BanRecord(who, further.pop("fence", ""), further.pop("jail", "tls"), self.clock.now, until, **further)
        )

    def write(self) -> None:
        with self.store.together():
            self.guard.write()
        self.guard.written()

    def tick(self) -> None:
        self.guard.tick(self.clock.now)

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.store.close()


def held(scene: Scene) -> set[Source]:
    return {who for who, _ in scene.kernel.held}


def test_a_ban_is_in_the_kernel_before_it_is_on_disk(scene: Scene) -> None:
    scene.ban()

    assert held(scene) == {EVIL}
    assert list(scene.store.standing()) == []
    scene.write()
    assert len(list(scene.store.standing())) == 1


@pytest.mark.parametrize("reboot", [False, True])
def test_bans_outlive_the_agent_and_the_host_with_the_time_they_have_left(scene: Scene, reboot: bool) -> None:
    scene.ban(seconds=600.0)
    scene.ban(EVIL6, seconds=60.0, fence="auth")
    scene.write()
    scene.clock.now += 100.0

    scene.die(reboot=reboot)

    assert scene.kernel.held == {(EVIL, ""): 500.0}
    assert len(scene.guard.bans) == 1


def test_what_the_kernel_lost_is_put_back(scene: Scene) -> None:
    scene.ban()
    scene.kernel.held.clear()

    scene.tick()

    assert held(scene) == {EVIL}
    assert scene.value("logban_repairs_total") == 1


def test_a_ban_that_the_kernel_refused_is_made_as_soon_as_it_can_be(scene: Scene) -> None:
    longer = {source(f"203.0.113.{number}") for number in range(9)}
    for who in longer:
        scene.ban(who, 6000.0)
    scene.kernel.broken = True
    scene.ban(EVIL)
    scene.ban(OTHER)
    assert held(scene) == longer
    assert scene.troubles[-1] == "nftables: ban: out of order"
    assert scene.value("logban_backend_up", backend="nftables") == 0

    scene.kernel.broken = False
    scene.tick()
    scene.tick()

    assert held(scene) == {EVIL, OTHER} | longer
    assert scene.troubles[-1] is None
    assert scene.value("logban_backend_up", backend="nftables") == 1


def test_a_ban_ends_by_itself_and_is_counted_once(scene: Scene) -> None:
    scene.ban(seconds=60.0)
    scene.write()
    scene.clock.now += 61.0

    scene.tick()
    scene.tick()

    assert len(scene.guard.bans) == 0
    assert scene.value("logban_unbans_total", jail="tls", reason="expired") == 1
    assert scene.value("logban_active_bans", jail="tls", family="ipv4") == 0


def test_a_shorter_ban_does_not_shorten_a_longer_one_unless_a_person_says_so(scene: Scene) -> None:
    scene.ban(seconds=6000.0)
    scene.ban(seconds=60.0, jail="mail-auth")
    assert scene.kernel.held[EVIL, ""] == 6000.0

    scene.ban(seconds=60.0, jail=MANUAL)

    assert scene.kernel.held[EVIL, ""] == 60.0


def test_a_dry_ban_is_written_and_touches_nothing(scene: Scene) -> None:
    scene.ban(dry_run=True)
    scene.write()

    assert held(scene) == set()
    assert len(scene.guard.bans) == 0
    assert scene.value("logban_bans_total", jail="tls") == 1


def test_lifting_a_ban_lifts_it_everywhere_and_for_ever(scene: Scene) -> None:
    scene.ban()
    scene.ban(fence="auth")
    scene.write()

    assert scene.guard.unban(EVIL)
    scene.write()
    scene.die()

    assert held(scene) == set()
    assert not scene.guard.unban(EVIL)


def test_a_lifted_ban_is_no_damage(scene: Scene) -> None:
    scene.ban()
    scene.tick()
    scene.guard.unban(EVIL)

    scene.tick()

    assert scene.value("logban_repairs_total") == 0


def test_all_bans_are_lifted_at_once(scene: Scene) -> None:
    scene.ban()
    scene.ban(EVIL6)
    scene.write()

    assert scene.guard.unban_all() == 2
    scene.write()

    assert held(scene) == set()
    assert list(scene.store.standing()) == []
    assert scene.value("logban_unbans_total", jail="tls", reason="unbanned") == 2


def test_who_had_to_make_room_is_remembered_as_evicted(tmp_path: Path) -> None:
    scene = Scene(tmp_path, capacity=1)
    scene.ban(EVIL, 60.0)
    scene.write()

    scene.ban(OTHER, 600.0)
    scene.write()

    assert held(scene) == {OTHER}
    assert len(scene.guard.bans) == 1
    assert scene.value("logban_unbans_total", jail="tls", reason="evicted") == 1
    scene.store.close()


def test_a_ban_longer_than_the_kernel_can_count_is_armed_again_every_day(scene: Scene) -> None:
    days = 60
    scene.ban(seconds=days * DAY)
    armed_until = scene.clock.now + min(LONGEST_SECONDS, days * DAY)

    for _ in range(days):
        scene.kernel.calls.clear()
        scene.tick()
        if "ban" in scene.kernel.calls:
            armed_until = scene.clock.now + min(LONGEST_SECONDS, scene.kernel.held[EVIL, ""])
        assert armed_until > scene.clock.now
        scene.clock.now += DAY

    assert armed_until == pytest.approx(scene.clock.now, abs=2.0)


@pytest.mark.parametrize(
    ("protected", "who"),
    [
        (Protected(ignoreip=(ip_network("198.51.100.0/24"),)), EVIL),
        (Protected(own=frozenset({ip_address("198.51.100.66")})), EVIL),
        (Protected(proxies=(ip_network("2001:db8:0:666::7/128"),)), EVIL6),
        (Protected(container_networks=(ip_network("2001:db8::/32"),)), EVIL6),
        (Protected(gateways=frozenset({ip_address("2001:db8:0:666::1")})), EVIL6),
    ],
)
def test_who_may_never_be_banned_is_let_in_again_and_sheltered(scene: Scene, protected: Protected, who: Source) -> None:
    scene.ban(who)
    scene.ban(OTHER) if protected.ignoreip == () else None

    lifted = scene.guard.protect(protected)

    assert lifted == [who]
    assert who not in held(scene)
    assert scene.guard.shelters(who)
    assert not scene.guard.shelters(source("203.0.113.9"))


def test_a_fence_that_is_gone_takes_its_bans_along(scene: Scene) -> None:
    scene.ban(fence="auth")
    scene.ban(OTHER)

    assert scene.guard.fence_in(PORTS[:1])
    scene.write()

    assert [ban.source for ban in scene.guard.bans.all()] == [OTHER]
    assert not scene.guard.fence_in(PORTS[:1])


def test_bans_found_in_the_kernel_are_taken_over_when_the_state_was_lost(scene: Scene) -> None:
    scene.ban()
    scene.store.close()
    for file in scene.folder.iterdir():
        file.unlink()
    scene.begin()

    assert held(scene) == {EVIL}
    assert [ban.source for ban in scene.guard.bans.all()] == [EVIL]


@pytest.mark.parametrize(("flush", "left"), [(False, {EVIL}), (True, set())])
def test_bans_stay_when_the_agent_stops_unless_it_is_told_otherwise(
    scene: Scene, flush: bool, left: set[Source]
) -> None:
    scene.ban()

    scene.guard.end(flush=flush)

    assert held(scene) == left
    assert scene.kernel.calls[-1] == "close"
