"""The loop on real files and a real ledger, with a clock that is set by hand and consumers that do as they are told."""

import itertools
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from certsync import certificate, report
from certsync.alarms import Alarms
from certsync.certificate import Offer
from certsync.delivery import Delivery
from certsync.discovery import Listed, NotListed
from certsync.forms import Form
from certsync.labels import Consumer
from certsync.ledger import SCHEMA, Attic, Ledger
from certsync.loop import Asking, Changed, Loop, Times
from certsync.metrics import Metrics
from certsync.mounts import Mount
from certsync.policy import Wanted
from certsync.progress import Progress, Seen
from certsync.refusal import Reason, Refusal
from certsync.source import AcmeJson
from certsync.store import Store
from certsync.target import Endpoint, Output, Reload, Restart, Target, Touch
from certsync.work import Probed, Put, Reloaded, Result
from lab.authority import NOW, Authority, Issued, acme_json, entry
from sidecarkit import logs, state
from sidecarkit.containers import row
from sidecarkit.liveness import Liveness
from sidecarkit.notify import Notice, Notifier

LOG = logs.get("test")
NAME = "mail.example.com"


@dataclass
class FakeWork:
    """Consumers that reload at once and then serve what they were given, unless told otherwise."""

    reloads: list[str] = field(default_factory=list)
    failures: list[Refusal] = field(default_factory=list)  # to come, before reloads succeed again
    sees: Callable[[Offer], Seen] = lambda _: Seen.SERVED
    pending: list[Result] = field(default_factory=list)

    def reload(self, target: Target, pair: Offer | None, known: Progress, put: Put) -> bool:
        assert pair is not None
        if self.failures:
            put(Result(target.name, known.identity, self.failures.pop(0)))
        else:
            self.reloads.append(f"{pair.certificate.serial_hex}")
            put(Result(target.name, known.identity, Reloaded("reloaded", 0.1)))
        return True

    def probe(self, target: Target, pair: Offer | None, known: Progress, put: Put) -> bool:
        assert pair is not None
        seen = self.sees(pair)
        serial = pair.certificate.serial_hex if seen is Seen.SERVED else ""
        put(Result(target.name, known.identity, Probed(seen, "as told", serial)))
        return True


@dataclass
class Mailbox:
    """A place for notices that keeps them."""

    name = "mailbox"
    notices: list[Notice] = field(default_factory=list)

    def tell(self, notice: Notice) -> None:
        self.notices.append(notice)


class Stage:
    """A loop with everything around it. `advance` lets time pass and the loop do what is due in it."""

    def __init__(self, folder: Path, *targets: Target, poll: float = 30.0) -> None:
        self.folder, self.now = folder, NOW.timestamp()
        self.acme = folder / "acme.json"
        for name in ("state/journals", "state/previous", "haraka"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self.work, self.mailbox = FakeWork(), Mailbox()
        self.targets = targets or (self.target(),)
        self.poll = poll
        self.loop = self.fresh_loop()

    def fresh_loop(self) -> Loop:
        """As after a start of the process: only what is on disk is known."""
        database = state.open_database(self.folder / "state" / "certsync.db", SCHEMA, LOG)
        self.registry = CollectorRegistry()
        metrics, self.liveness = Metrics(self.registry), Liveness(clock=lambda: self.now)
        notifier = Notifier([], LOG)
        notifier.tell = self.mailbox.tell  # type: ignore[method-assign]
        folder = self.folder / "state"
        loop = Loop(
            sources=(AcmeJson("acme", self.acme),),
            static=tuple(self.targets),
            delivery=Delivery(
                Store(folder / "journals"), Ledger(database), Attic(folder / "previous"), LOG, lambda: self.now
            ),
            work=self.work,  # type: ignore[arg-type]
            metrics=metrics,
            liveness=self.liveness,
            alarms=Alarms(metrics, self.liveness, notifier, LOG),
            log=LOG,
            times=Times(poll=self.poll, settle=1.0),
            clock=lambda: self.now,
        )
        loop.start()
        return loop

    def target(self, **changes: object) -> Target:
        made = Target(
            name="haraka",
            wanted=Wanted((NAME,)),
            outputs=(
                Output(Form.CERTIFICATE, str(self.folder / "haraka" / "tls_cert.pem"), 0o640),
                Output(Form.KEY, str(self.folder / "haraka" / "tls_key.pem"), 0o600),
            ),
            reload=Touch(str(self.folder / "haraka" / "tls.ini")),
            verify=Endpoint("haraka", 25, "smtp"),
        )
        return replace(made, **changes)  # type: ignore[arg-type]

    def store(self, *issued: Issued) -> None:
        self.acme.write_text(acme_json(le=[entry(one) for one in issued]))

    def renew(self, *issued: Issued, settle: float = 1.0) -> None:
        """Traefik writes, the watcher tells, the burst settles."""
        self.store(*issued)
        self.loop.handle(Changed())
        self.advance(settle)

    def advance(self, seconds: float = 0.0, step: float = 0.5) -> None:
        end = self.now + seconds
        while True:
            for _ in range(20):
                self.loop.turn()
                if self.loop.inbox.empty():
                    break
                self.loop.handle(self.loop.inbox.get())
            if self.now >= end:
                return
            self.now = min(self.now + step, end)

    def on_disk(self) -> Offer:
        folder = self.folder / "haraka"
        chain = certificate.certificates((folder / "tls_cert.pem").read_bytes())
        found = certificate.read("", chain, (folder / "tls_key.pem").read_bytes())
        assert found.flaw is None
        return found

    def files(self) -> dict[str, tuple[bytes, int, int]]:
        folder = self.folder / "haraka"
        return {one.name: (one.read_bytes(), one.stat().st_ino, one.stat().st_mtime_ns) for one in folder.iterdir()}

    def known(self) -> Progress:
        return self.loop.known(self.targets[0])

    def reason(self) -> str:
        one = self.loop.tracked["haraka"]
        refusal = one.refusal or self.known().refusal
        return refusal.reason if refusal else ""

    def figure(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


@pytest.fixture
def first(authority: Authority) -> Issued:
    return authority.issue(NAME, days=30)


@pytest.fixture
def renewed(authority: Authority) -> Issued:
    return authority.issue(NAME, days=90)


def test_a_certificate_is_delivered_reloaded_and_seen(stage: Stage, first: Issued) -> None:
    stage.renew(first)
    assert stage.on_disk().certificate.serial == first.serial
    assert stage.work.reloads == [stage.on_disk().certificate.serial_hex]
    assert stage.known().verified_at
    assert stage.loop.settled()
    assert stage.reason() == ""
    assert stage.figure("certsync_target_in_sync", domain=NAME, target="haraka") == 1
    assert stage.figure("certsync_served_in_sync", domain=NAME, target="haraka") == 1
    assert stage.figure("certsync_syncs_total", result="changed") == 1
    assert stage.figure("certsync_reloads_total", target="haraka", result="ok") == 1
    for where in ("source", "target"):
        ends = stage.figure("certsync_cert_not_after_timestamp_seconds", domain=NAME, where=where)
        assert ends == first.leaf.not_valid_after_utc.timestamp()


def test_a_burst_of_writes_is_one_delivery_and_one_reload(stage: Stage, first: Issued, authority: Authority) -> None:
    stage.renew(first)
    for number in range(1, 6):
        stage.renew(authority.issue(NAME, days=30 + number), settle=0.4)
    assert len(stage.work.reloads) == 1
    stage.advance(1.0)
    assert len(stage.work.reloads) == 2


def test_a_writer_that_is_never_quiet_is_heard_after_ten_seconds(stage: Stage, first: Issued) -> None:
    for _ in range(22):
        stage.store(first)
        stage.loop.handle(Changed())
        stage.advance(0.5)
    assert len(stage.work.reloads) == 1


def test_what_the_watcher_missed_the_poll_finds(stage: Stage, first: Issued, renewed: Issued) -> None:
    stage.renew(first)
    stage.store(renewed)
    stage.advance(29.0)
    assert stage.on_disk().certificate.serial == first.serial
    stage.advance(2.0)
    assert stage.on_disk().certificate.serial == renewed.serial


@pytest.mark.parametrize("text", ["", "{", "{}", '{"le": null}', "\0" * 5000, "noise " * 1000])
def test_a_broken_source_changes_no_target_and_a_good_one_is_taken_up_again(
    stage: Stage, first: Issued, renewed: Issued, text: str
) -> None:
    stage.renew(first)
    before = stage.files()
    stage.acme.write_text(text)
    stage.loop.handle(Changed())
    stage.advance(3.0)
    assert stage.files() == before
    assert stage.reason() in {Reason.SOURCE_TORN, Reason.NO_CERTIFICATE}
    stage.renew(renewed)
    assert stage.on_disk().certificate.serial == renewed.serial
    assert stage.reason() == ""


def test_a_torn_source_is_tried_again_soon_without_any_news(stage: Stage, first: Issued, renewed: Issued) -> None:
    stage.renew(first)
    stage.acme.write_text("{")
    stage.loop.handle(Changed())
    stage.advance(1.0)
    stage.store(renewed)  # unheard
    stage.advance(2.0)
    assert stage.on_disk().certificate.serial == renewed.serial


def test_a_broken_source_becomes_an_alarm_after_a_minute_not_before(stage: Stage, first: Issued) -> None:
    stage.renew(first)
    stage.acme.write_text("{")
    stage.loop.handle(Changed())
    stage.advance(55.0)
    assert stage.liveness.reasons() == []
    assert stage.mailbox.notices == []
    stage.advance(15.0)
    assert "source_torn" in " ".join(stage.liveness.reasons())
    assert [one.event for one in stage.mailbox.notices] == [Reason.SOURCE_TORN]
    stage.advance(300.0, step=5.0)
    assert len(stage.mailbox.notices) == 1


def test_a_worse_certificate_is_refused_and_force_takes_it(stage: Stage, first: Issued, renewed: Issued) -> None:
    stage.renew(renewed)
    before = stage.files()
    stage.renew(first)
    assert stage.reason() == Reason.DOWNGRADE
    assert stage.files() == before
    assert stage.figure("certsync_target_refused", target="haraka", reason="downgrade") == 1
    stage.loop.handle(Asking(force=True))
    stage.advance(1.0)
    assert stage.on_disk().certificate.serial == first.serial
    assert stage.figure("certsync_target_refused", target="haraka", reason="downgrade") is None


def test_a_reload_that_fails_is_tried_until_it_succeeds_once(stage: Stage, first: Issued) -> None:
    stage.work.failures = [Refusal(Reason.RELOAD_FAILED, "engine away")] * 3
    stage.renew(first)
    assert stage.reason() == Reason.RELOAD_FAILED
    assert not stage.loop.settled()
    stage.advance(20.0)
    assert len(stage.work.reloads) == 1
    assert stage.reason() == ""
    assert stage.figure("certsync_reloads_total", target="haraka", result="failed") == 3


def test_killed_between_writing_and_reloading_the_next_life_reloads_once(stage: Stage, first: Issued) -> None:
    stage.work.failures = [Refusal(Reason.RELOAD_FAILED, "dying")]
    stage.renew(first)
    assert stage.work.reloads == []
    stage.loop = stage.fresh_loop()
    stage.advance(40.0)
    assert len(stage.work.reloads) == 1
    stage.loop = stage.fresh_loop()
    stage.advance(40.0)
    assert len(stage.work.reloads) == 1


def test_killed_before_the_delivery_was_noted_the_next_life_still_reloads(
    stage: Stage, first: Issued, renewed: Issued
) -> None:
    stage.renew(first)
    stage.renew(renewed)
    known = stage.known()
    # As the ledger was when the files were renamed, and the kill came before it learnt of it.
    before = replace(known, identity="older", verified_at=1.0, next_at=stage.now + 999)
    stage.loop.delivery.ledger.save(before)
    stage.loop = stage.fresh_loop()
    stage.advance(2.0)
    assert len(stage.work.reloads) == 3


def test_a_pair_that_was_there_before_us_is_looked_at_and_nobody_is_disturbed(stage: Stage, first: Issued) -> None:
    stage.renew(first)
    for path in (stage.folder / "state").glob("certsync.db*"):
        path.unlink()
    stage.loop = stage.fresh_loop()
    stage.advance(2.0)
    assert len(stage.work.reloads) == 1
    assert stage.known().served


def test_a_pair_that_breaks_its_server_is_put_back_and_held_until_the_source_has_another(
    stage: Stage, first: Issued, renewed: Issued, authority: Authority
) -> None:
    stage.renew(first)
    good = stage.on_disk().identity
    stage.work.sees = lambda pair: Seen.SERVED if pair.identity == good else Seen.BROKEN
    stage.renew(renewed)
    stage.advance(60.0)
    assert stage.on_disk().certificate.serial == first.serial
    assert stage.known().served
    assert stage.reason() == Reason.VERIFY_FAILED
    assert "previous_pair_put_back" in [one.event for one in stage.mailbox.notices]
    reloads = len(stage.work.reloads)
    stage.advance(200.0, step=5.0)
    assert len(stage.work.reloads) == reloads
    assert stage.liveness.reasons()
    status = report.status([(stage.loop.tracked["haraka"], stage.known())], stage.loop.readings, stage.now)
    assert status["targets"][0]["state"] == "held"

    stage.work.sees = lambda _: Seen.SERVED
    stage.renew(authority.issue(NAME, days=91))
    assert stage.reason() == ""
    assert stage.on_disk().certificate.serial not in {first.serial, renewed.serial}
    assert list((stage.folder / "state" / "previous").iterdir()) == []


def test_a_held_pair_is_delivered_when_forced(stage: Stage, first: Issued, renewed: Issued) -> None:
    stage.renew(first)
    good = stage.on_disk().identity
    stage.work.sees = lambda pair: Seen.SERVED if pair.identity == good else Seen.BROKEN
    stage.renew(renewed)
    stage.advance(60.0)
    stage.work.sees = lambda _: Seen.SERVED
    stage.loop.handle(Asking(force=True))
    stage.advance(2.0)
    assert stage.on_disk().certificate.serial == renewed.serial
    assert stage.reason() == ""


def test_a_server_that_is_down_whatever_it_is_given_ends_with_the_new_pair(
    stage: Stage, first: Issued, renewed: Issued
) -> None:
    stage.renew(first)
    stage.work.sees = lambda _: Seen.BROKEN
    stage.renew(renewed)
    stage.advance(300.0)
    assert stage.on_disk().certificate.serial == renewed.serial
    stage.work.sees = lambda _: Seen.SERVED
    stage.advance(60.0)
    assert stage.reason() == ""
    assert stage.known().served


def test_a_server_that_falls_back_is_noticed_within_five_minutes_and_reloaded(stage: Stage, first: Issued) -> None:
    stage.renew(first)
    answers: Iterator[Seen] = itertools.chain([Seen.OTHER], itertools.repeat(Seen.SERVED))
    stage.work.sees = lambda _: next(answers)
    stage.advance(301.0, step=5.0)
    stage.advance(20.0)
    assert len(stage.work.reloads) == 2
    assert stage.known().served


def test_a_served_certificate_that_differs_shows_in_health_and_figure(stage: Stage, first: Issued) -> None:
    stage.renew(first)
    stage.work.sees = lambda _: Seen.OTHER
    stage.advance(301.0, step=5.0)
    assert stage.figure("certsync_served_in_sync", domain=NAME, target="haraka") == 0
    stage.advance(70.0)
    assert "verify_failed" in " ".join(stage.liveness.reasons())


def test_another_writer_is_outwritten_three_times_then_left_with_an_alarm(
    stage: Stage, first: Issued, authority: Authority
) -> None:
    stage.renew(first)
    foreign = authority.issue(NAME, days=20)
    for _ in range(3):
        (stage.folder / "haraka" / "tls_cert.pem").write_bytes(foreign.chain_pem)
        stage.advance(31.0)
        assert stage.on_disk().certificate.serial == first.serial
    (stage.folder / "haraka" / "tls_cert.pem").write_bytes(foreign.chain_pem)
    stage.advance(31.0)
    assert stage.reason() == Reason.FOREIGN_WRITER
    assert (stage.folder / "haraka" / "tls_cert.pem").read_bytes() == foreign.chain_pem


def test_a_file_that_was_deleted_or_got_another_mode_is_mended(stage: Stage, first: Issued) -> None:
    stage.renew(first)
    (stage.folder / "haraka" / "tls_key.pem").unlink()
    stage.advance(31.0)
    assert stage.on_disk().certificate.serial == first.serial
    (stage.folder / "haraka" / "tls_key.pem").chmod(0o666)
    stage.advance(31.0)
    assert (stage.folder / "haraka" / "tls_key.pem").stat().st_mode & 0o777 == 0o600
    assert stage.known().foreign == 0


def test_dhparams_are_there_before_the_first_pair_and_never_replaced(
    stage: Stage, first: Issued, renewed: Issued
) -> None:
    path = stage.folder / "haraka" / "dhparams.pem"
    stage.targets = (stage.target(dhparams=Output(Form.CERTIFICATE, str(path), 0o644)),)
    stage.loop = stage.fresh_loop()
    stage.renew(first)
    assert b"BEGIN DH PARAMETERS" in path.read_bytes()
    path.write_text("the operator's own")
    stage.renew(renewed)
    assert path.read_text() == "the operator's own"


def test_one_target_that_cannot_be_written_keeps_no_other_waiting(tmp_path: Path, first: Issued) -> None:
    plain = Stage(tmp_path).target()
    lost = replace(plain, name="lost", outputs=(Output(Form.COMBINED, str(tmp_path / "absent" / "all.pem"), 0o600),))
    stage = Stage(tmp_path, plain, lost)
    stage.renew(first)
    assert stage.on_disk().certificate.serial == first.serial
    refusal = stage.loop.tracked["lost"].refusal
    assert refusal is not None
    assert refusal.reason is Reason.TARGET_MISSING
    (tmp_path / "absent").mkdir()
    stage.advance(31.0)
    assert (tmp_path / "absent" / "all.pem").exists()


def test_a_key_that_changes_with_the_renewal_is_told_for_tlsa(
    stage: Stage, first: Issued, authority: Authority
) -> None:
    stage.renew(first)
    stage.renew(authority.issue(NAME, days=60))  # the same key, as Traefik renews
    assert stage.mailbox.notices == []
    stage.renew(authority.issue(NAME, days=90, number=77))
    assert [one.event for one in stage.mailbox.notices] == ["tlsa_changed"]
    assert stage.figure("certsync_tlsa_changes_total", target="haraka") == 1
    (record,) = report.tlsa([(stage.loop.tracked["haraka"], stage.known())])
    assert record["changed"] is True
    assert record["name"] == "_25._tcp.mail.example.com."


def test_an_end_that_comes_near_is_an_alarm(stage: Stage, authority: Authority) -> None:
    stage.renew(authority.issue(NAME, days=14.01))
    assert stage.liveness.reasons() == []
    stage.advance(1200.0, step=30.0)
    assert "ends in" in " ".join(stage.liveness.reasons())
    assert [one.event for one in stage.mailbox.notices] == ["certificate_expiring"]


def consumer(name: str, source: Path, **labels: str) -> Consumer:
    all_labels = {"certsync": "true", "com.docker.compose.service": name, "certsync.domains": NAME}
    all_labels |= {f"certsync.{key}": value for key, value in labels.items()}
    mount = Mount.read({"Type": "bind", "Source": str(source), "Destination": "/tls", "RW": True})
    return Consumer(row({"Id": "a" * 64, "Names": [f"/{name}"], "Labels": all_labels}), (mount,))


def test_a_container_that_asks_by_labels_is_served_and_let_go_with_its_files(stage: Stage, first: Issued) -> None:
    (stage.folder / "web").mkdir()
    wants = consumer("web", stage.folder / "web", combined="/tls/all.pem", reload="restart")
    stage.renew(first)
    stage.loop.handle(Listed((wants,), None))
    stage.advance(1.0)
    assert (stage.folder / "web" / "all.pem").exists()
    assert set(stage.loop.tracked) == {"haraka", "web"}
    stage.loop.handle(Listed((), None))
    stage.advance(1.0)
    assert set(stage.loop.tracked) == {"haraka"}
    assert (stage.folder / "web" / "all.pem").exists()


def test_a_target_that_nobody_asks_for_any_more_leaves_neither_figures_nor_complaints(
    stage: Stage, first: Issued
) -> None:
    served, lost = consumer("web", stage.folder / "web", combined="/tls/all.pem"), consumer("shop", Path("/srv/shop"))
    (stage.folder / "web").mkdir()
    stage.renew(first)
    stage.loop.handle(Listed((served, lost), None))
    stage.advance(70.0)
    assert any("shop" in reason for reason in stage.liveness.reasons())

    stage.loop.handle(Listed((), ()))
    stage.advance(1.0)

    named = {sample.labels.get("target") for family in stage.registry.collect() for sample in family.samples}
    assert named == {None, "haraka"}
    assert not stage.liveness.reasons()


def test_a_target_that_asks_for_another_name_is_shown_under_that_name_alone(
    stage: Stage, authority: Authority, first: Issued
) -> None:
    (stage.folder / "web").mkdir()
    other = authority.issue("other.example.com", days=30)
    stage.store(first, other)
    stage.loop.handle(Listed((consumer("web", stage.folder / "web", combined="/tls/all.pem"),), None))
    stage.advance(1.0)

    renamed = consumer("web", stage.folder / "web", domains="other.example.com", combined="/tls/all.pem")
    stage.loop.handle(Listed((renamed,), None))
    stage.advance(1.0)

    assert stage.figure("certsync_target_in_sync", domain="other.example.com", target="web") == 1
    assert stage.figure("certsync_target_in_sync", domain=NAME, target="web") is None


def test_a_target_that_cannot_be_delivered_to_is_not_in_sync(stage: Stage, first: Issued) -> None:
    stage.renew(first)
    stage.loop.handle(Listed((consumer("web", Path("/srv/web"), combined="/tls/all.pem"),), ()))
    stage.advance(1.0)

    assert stage.figure("certsync_target_in_sync", domain=NAME, target="web") == 0


def test_a_container_without_a_shared_mount_is_told_what_to_add(stage: Stage, first: Issued) -> None:
    stage.renew(first)
    stage.loop.handle(Listed((consumer("web", Path("/srv/web"), combined="/tls/all.pem"),), ()))
    stage.advance(1.0)
    refusal = stage.loop.tracked["web"].refusal
    assert refusal is not None
    assert refusal.reason is Reason.UNDELIVERABLE
    assert "/srv/web:/targets/web" in refusal.detail


def test_an_undeliverable_target_is_not_written_where_its_path_happens_to_exist_here(
    stage: Stage, first: Issued
) -> None:
    here = stage.folder / "here"
    here.mkdir()
    mount = Mount.read({"Type": "volume", "Name": "theirs", "Destination": str(here), "RW": True})
    wants = consumer("web", here, combined=f"{here}/all.pem")
    stage.renew(first)
    stage.loop.handle(Listed((replace(wants, mounts=(mount,)),), ()))
    stage.advance(60.0)
    assert list(here.iterdir()) == []
    refusal = stage.loop.tracked["web"].refusal
    assert refusal is not None
    assert refusal.reason is Reason.UNDELIVERABLE


def test_news_of_a_pair_that_was_replaced_meanwhile_is_not_taken_for_news_of_the_new_one(
    stage: Stage, first: Issued, renewed: Issued
) -> None:
    stage.renew(first)
    old = stage.known().identity
    stage.work.failures = [Refusal(Reason.CONTAINER_MISSING, "not yet")]
    stage.renew(renewed)
    assert not stage.known().reloaded_at
    stage.loop.handle(Result("haraka", old, Reloaded("late", 9.0)))
    assert not stage.known().reloaded_at


def test_a_pair_that_cannot_be_kept_aside_is_not_replaced(stage: Stage, first: Issued, renewed: Issued) -> None:
    stage.renew(first)
    previous = stage.folder / "state" / "previous"
    previous.rmdir()
    stage.renew(renewed)
    assert stage.on_disk().certificate.serial == first.serial
    assert stage.reason() == Reason.NO_SPACE
    previous.mkdir()
    stage.advance(31.0)
    assert stage.on_disk().certificate.serial == renewed.serial


def test_a_refused_downgrade_is_no_trouble(stage: Stage, first: Issued, renewed: Issued) -> None:
    stage.renew(renewed)
    stage.renew(first)
    stage.advance(200.0, step=5.0)
    assert stage.reason() == Reason.DOWNGRADE
    assert stage.liveness.reasons() == []
    assert stage.mailbox.notices == []


def test_an_engine_that_is_away_is_an_alarm_after_a_minute(stage: Stage, first: Issued) -> None:
    stage.renew(first)
    for _ in range(14):
        stage.loop.handle(NotListed("no socket"))
        stage.advance(5.0)
    assert "no socket" in " ".join(stage.liveness.reasons())
    stage.loop.handle(Listed((), None))
    assert stage.liveness.reasons() == []


def test_the_status_is_plain_json_without_a_key(stage: Stage, first: Issued) -> None:
    stage.renew(first)
    text = json.dumps(report.status([(stage.loop.tracked["haraka"], stage.known())], stage.loop.readings, stage.now))
    (target,) = json.loads(text)["targets"]
    assert target["state"] == "in_sync"
    assert target["source"] == target["on_disk"]
    assert target["served"]["serial"] == target["source"]["serial"]
    assert target["reason"] is None
    assert "PRIVATE" not in text


def test_restarts_are_given_longer_than_touches(stage: Stage) -> None:
    reload: Reload = Restart("z", patience_seconds=5.0)
    assert stage.loop.abilities(stage.target(reload=reload)).window_seconds == 60.0
    assert stage.loop.abilities(stage.target()).window_seconds == 15.0
    assert os.path.isabs(stage.target().outputs[0].path)  # noqa: PTH117
