"""From lines to bans, and what is remembered of it."""

import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from framing import entry
from kernel import Kernel
from prometheus_client import CollectorRegistry

from logban import rulebook
from logban.court import MOST_NOTES, Court
from logban.firewall import Fence
from logban.guard import MANUAL, Guard
from logban.ledger import MOST_SOURCES, Ledger
from logban.metrics import Metrics
from logban.policy import Protected
from logban.store import Store
from logban.tail import Batch
from logban.world import Subject
from sidecarkit import logs

JAIL = "wildduck-legacytls"
SUBJECT = Subject("c1", "mail", "haraka", True, ("haraka",), frozenset({JAIL}), frozenset(), False, False)  # noqa: FBT003
EVIL, EVIL6 = "198.51.100.66", "2001:db8:0:666::66"
HELLO = "[NOTICE] [{id}] [core] connect ip={ip} port=4711 local_ip=172.20.0.5 local_port=25"
PROBE = (
    "[INFO] [{id}] [core] client connection error: Error: 40:error:0A000102:SSL routines:"
    "tls_early_post_process_client_hello:unsupported protocol:../deps/statem.c:1: ip={ip}"
)
LOGIN = (
    '[NOTICE] [{id}] [core] disconnect ip={ip} rdns=NXDOMAIN helo="a" relay=Y early=N esmtp=Y tls=Y pipe=N errors=0 '
    'txns=1 rcpts=1/0/0 msgs=1/0/0 bytes=1 lr="" time=0.1'
)


def identity(number: int) -> str:
    return f"AAAAAAAA-0000-0000-0000-{number:012X}"


class Bench:
    """A court that may die and come back."""

    def __init__(self, folder: Path, protected: Protected = Protected(), *, dry_run: bool = False) -> None:  # noqa: B008
        self.folder, self.kernel, self._protected, self._dry_run = folder, Kernel(), protected, dry_run
        self._clock = 1_795_000_000.0
        self.begin()

    def begin(self) -> None:
        log, book = logs.get("test"), rulebook.load(None)
        self.store = Store(self.folder, log)
        self.metrics = Metrics(CollectorRegistry())
        guard = Guard(self.kernel, self.store, self.metrics, log, lambda _: None)
        guard.begin()
        guard.fence_in((Fence("", frozenset({25}), frozenset()),))
        jails = [replace(jail, dry_run=self._dry_run) for jail in book.jails.values()]
        self.court = Court(book, Ledger(jails, self._protected, 86_400.0), guard, self.store, self.metrics, log)
        self.court.protect(self._protected)
        self.guard = guard
        self.court.admit(SUBJECT, 600.0)

    def die(self) -> None:
        self.store.close()
        self.begin()

    def commit(self) -> None:
        with self.store.together():
            self.court.write()
            self.guard.write()
        self.court.written()
        self.guard.written()

    def write_and_fail(self) -> None:
        with self.store.together():
            self.court.write()
            self.guard.write()
            raise RuntimeError

    def hear(self, *texts: str, known: tuple[str, ...] = ()) -> list[bytes]:
        """Have the court hear new lines, printed now; returns them."""
        lines = []
        for text in (*known, *texts):
            self._clock = max(self._clock + 1e-5, time.time())
            lines.append(entry(self._clock, text))
        new = lines[len(known) :]
        self.court.cases["c1"].cursor.sift([(1, line) for line in new])
        self.court.hear(Batch("c1", lines[: len(known)], new))
        return new

    def again(self, lines: list[bytes]) -> None:
        """Read these again, as after a restart."""
        known, new = self.court.cases["c1"].cursor.sift([(1, line) for line in lines])
        self.court.hear(Batch("c1", known, new))

    def probe(self, count: int, ip: str = EVIL, first: int = 0) -> list[bytes]:
        return self.hear(
            *(line.format(id=identity(first + number), ip=ip) for number in range(count) for line in (HELLO, PROBE))
        )

    @property
    def banned(self) -> list[str]:
        return [str(source) for source, _ in self.kernel.held]

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.store.close()


def test_the_fifth_probe_is_banned_and_the_fourth_is_not(bench: Bench) -> None:
    bench.probe(4)
    assert bench.banned == []

    bench.probe(1, first=4)

    assert bench.banned == [f"{EVIL}/32"]
    assert bench.value("logban_bans_total", jail=JAIL) == 1
    assert bench.value("logban_log_matches_total", source="haraka", rule="haraka_legacy_tls") == 5
    assert bench.value("logban_log_lines_total", source="haraka") == 10


def test_an_ipv6_client_is_banned_with_its_64_whichever_of_its_addresses_it_uses(bench: Bench) -> None:
    for number in range(5):
        bench.probe(1, ip=f"2001:db8:0:666::{number + 1:x}", first=number)

    assert bench.banned == ["2001:db8:0:666::/64"]


def test_counts_and_cursor_outlive_a_kill_together(bench: Bench) -> None:
    lines = bench.probe(3)
    bench.commit()
    lost = bench.probe(1, first=3)

    bench.die()
    bench.again([*lines, *lost])  # the log is read again from before the kill

    assert bench.banned == []
    assert bench.court.cases["c1"].lines == 8
    assert bench.court.cases["c1"].kinds == {"legacy_tls": 4}
    bench.probe(1, first=4)
    assert bench.banned == [f"{EVIL}/32"]


def test_a_ban_that_was_not_written_before_the_kill_is_made_again_from_the_log(bench: Bench) -> None:
    lines = bench.probe(4)
    bench.commit()
    last = bench.probe(1, first=4)
    bench.kernel.held.clear()

    bench.die()
    bench.again([*lines, *last])
    bench.commit()

    assert bench.banned == [f"{EVIL}/32"]
    assert len(list(bench.store.standing())) == 1


def test_a_connection_opened_before_a_restart_is_known_after_it(bench: Bench) -> None:
    opened = bench.hear(*(HELLO.format(id=identity(number), ip=EVIL) for number in range(5)))
    bench.commit()
    bench.die()
    bench.again(opened)

    bench.hear(*(PROBE.format(id=identity(number), ip="192.0.2.99") for number in range(5)))

    assert bench.banned == [f"{EVIL}/32"]


@pytest.mark.parametrize(
    "protected",
    [
        Protected(ignoreip=(ip_network(f"{EVIL}/32"),)),
        Protected(own=frozenset({ip_address(EVIL)})),
        Protected(container_networks=(ip_network("198.51.100.0/24"),)),
        Protected(gateways=frozenset({ip_address(EVIL)})),
    ],
)
def test_a_protected_address_is_counted_as_ignored_and_never_banned(tmp_path: Path, protected: Protected) -> None:
    bench = Bench(tmp_path, protected)
    bench.probe(9)

    assert bench.banned == []
    assert bench.value("logban_ignored_total", jail=JAIL) == 9
    assert bench.court.hidden == ({ip_address(EVIL): 9} if protected.gateways else {})
    bench.store.close()


def test_a_64_that_holds_somebody_protected_is_not_banned(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Protected(ignoreip=(ip_network("2001:db8:0:666::1/128"),)))
    bench.probe(9, ip=EVIL6)

    assert bench.banned == []
    bench.store.close()


def test_a_good_login_protects_and_is_remembered(bench: Bench) -> None:
    bench.hear(HELLO.format(id=identity(99), ip=EVIL), LOGIN.format(id=identity(99), ip=EVIL))
    bench.commit()
    bench.die()

    bench.probe(9)

    assert bench.banned == []


def test_a_proxy_that_a_log_shows_is_let_in_again_and_never_banned_any_more(bench: Bench) -> None:
    bench.probe(5, ip="192.0.2.80")
    assert bench.banned == ["192.0.2.80/32"]

    line = f"[INFO] [{identity(50)}] [core] HAProxy proto=TCP4 src_ip={EVIL}:4711 dst_ip=192.0.2.1:25"
    bench.hear(HELLO.format(id=identity(50), ip="192.0.2.80"), line)
    assert bench.banned == []


def test_a_proxy_is_remembered(bench: Bench) -> None:
    line = f"[INFO] [{identity(50)}] [core] HAProxy proto=TCP4 src_ip={EVIL}:4711 dst_ip=192.0.2.1:25"
    bench.hear(HELLO.format(id=identity(50), ip="192.0.2.80"), line)
    bench.commit()
    bench.die()

    bench.probe(9, ip="192.0.2.80", first=60)

    assert bench.banned == []


def test_a_dry_run_says_who_would_be_banned_and_bans_nobody(tmp_path: Path) -> None:
    bench = Bench(tmp_path, dry_run=True)
    bench.probe(5)

    assert bench.banned == []
    assert [(str(ban.address), ban.dry_run) for ban in bench.court.fresh_bans] == [(EVIL, True)]
    bench.store.close()


def test_a_flood_leaves_out_evidence_but_no_ban(bench: Bench) -> None:
    for source in range(60):
        bench.probe(5, ip=f"198.18.0.{source}", first=1000 * source)

    assert len(bench.banned) == 60
    bench.commit()
    assert bench.store._database.execute("SELECT count(*) FROM offences").fetchone()[0] == MOST_NOTES
    assert bench.store._database.execute("SELECT count(*) FROM bans WHERE evidence IS NOT NULL").fetchone()[0] == 60


def test_any_number_of_sources_does_not_grow_the_database(bench: Bench) -> None:
    for part in range(20):
        for number in range(part * 2_000, part * 2_000 + 2_000):
            bench.probe(1, ip=f"2001:db8:{number:x}::1", first=number)
        bench.commit()

    stored = bench.store.histories()
    assert len(stored) == len(bench.court.ledger.histories) <= MOST_SOURCES


def test_a_pardoned_address_begins_anew(bench: Bench) -> None:
    bench.probe(5)
    bench.guard.unban(next(iter(bench.kernel.held))[0])
    bench.court.pardon(int(ip_address(EVIL)))

    bench.probe(4, first=10)
    assert bench.banned == []
    bench.probe(1, first=20)
    assert bench.banned == [f"{EVIL}/32"]


def test_what_the_disk_refused_is_written_the_next_time(bench: Bench) -> None:
    bench.probe(5)
    with pytest.raises(RuntimeError):
        bench.write_and_fail()

    bench.commit()

    assert len(list(bench.store.standing())) == 1
    assert bench.store.reading("c1") is not None
    assert bench.store.histories()


def test_offences_of_long_ago_lead_to_no_ban_that_is_over_already(bench: Bench) -> None:
    old = [
        entry(time.time() - 7 * 86_400 + n / 1000, line.format(id=identity(n // 2), ip=EVIL))
        for n, line in enumerate([HELLO, PROBE] * 5)
    ]

    bench.court.hear(Batch("c1", [], old))

    assert bench.banned == []


def test_ten_thousand_attackers_leave_the_series_as_they_were(bench: Bench) -> None:
    bench.metrics.introduce(bench.guard.backend, [JAIL, MANUAL])
    bench.metrics.watch({"haraka": ("haraka",)})
    bench.probe(5, ip="203.0.113.7")
    bench.guard.tick(time.time())
    before = series(bench.metrics)

    for number in range(10_000):
        ip = f"2001:db8:{number:x}::1" if number % 2 else f"198.18.{number // 250}.{number % 250}"
        bench.probe(5 if number % 100 < 2 else 1, ip=ip, first=10 * (number + 1))
    bench.guard.tick(time.time())

    assert len(bench.banned) == 201
    assert series(bench.metrics) == before
    assert not [labels for _, *labels in before if "203.0.113.7" in str(labels)]


def series(metrics: Metrics) -> set[tuple[str, ...]]:
    """Name every series there is: the metric, and each label with its value."""
    return {
        (sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items())))
        for family in metrics.registry.collect()
        for sample in family.samples
    }
