"""Notices: every target gets them, none is waited for, and no address is ever shown."""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.server import SmallServer, reply
from lab.wire import wait_for
from sidecarkit import logs, notify
from sidecarkit.agent import CommonSettings
from sidecarkit.notify import AppriseServer, AppriseUrl, Notice, Notifier, Webhook

GOOD = Notice("heal_ended", "haraka is well again", "It took 3 s.", failure=False, facts={"seconds": 3.0})
BAD = Notice("gave_up", "haraka is given up", "", failure=True)
TOKEN = "T0KEN-in-the-address"


class Mailbox:
    """A target that fails or hangs as often as it is told, and keeps the rest."""

    def __init__(self, name: str = "mailbox", *, failures: int = 0, hang: threading.Event | None = None) -> None:
        self.name, self._failures, self._hang = name, failures, hang
        self.got: list[Notice] = []
        self.attempts = 0

    def send(self, notice: Notice) -> None:
        self.attempts += 1
        if self._hang:
            self._hang.wait(30.0)
        if self.attempts <= self._failures:
            raise OSError("no route")
        self.got.append(notice)


Make = Callable[..., Notifier]


@pytest.fixture
def notifier() -> Iterator[Make]:
    """Make notifiers that wait only a little between attempts."""
    made: list[Notifier] = []

    def make(*targets: notify.Target, on_failure: Callable[[], None] = lambda: None) -> Notifier:
        made.append(Notifier(targets, logs.get("demo"), on_failure, first_wait_seconds=0.01))
        return made[-1]

    yield make
    for one in made:
        for lane in one._lanes:
            lane.close()


def facts(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [record.facts for record in caplog.records]  # type: ignore[attr-defined]


# The notifier


def test_every_target_gets_every_notice_in_order(notifier: Make) -> None:
    one, other = Mailbox("one"), Mailbox("other")

    telling = notifier(one, other)
    telling.tell(GOOD)
    telling.tell(BAD)
    telling.close()

    assert one.got == other.got == [GOOD, BAD]


def test_a_target_that_fails_is_tried_again(notifier: Make, caplog: pytest.LogCaptureFixture) -> None:
    mailbox = Mailbox(failures=notify.ATTEMPTS - 1)

    telling = notifier(mailbox)
    telling.tell(GOOD)
    wait_for(lambda: mailbox.got, "the notice arrived")

    assert (mailbox.attempts, facts(caplog)) == (notify.ATTEMPTS, [])


def test_a_target_that_fails_for_good_is_said_counted_and_left(
    notifier: Make, caplog: pytest.LogCaptureFixture
) -> None:
    mailbox = Mailbox(failures=notify.ATTEMPTS)
    counted = threading.Event()

    telling = notifier(mailbox, on_failure=counted.set)
    telling.tell(BAD)
    telling.tell(GOOD)
    wait_for(lambda: mailbox.got, "the next notice arrived")

    assert mailbox.got == [GOOD]
    assert counted.is_set()
    assert facts(caplog) == [{"target": "mailbox", "notice": "gave_up", "reason": "no route"}]


def test_a_hanging_target_delays_neither_the_teller_nor_another_target(notifier: Make) -> None:
    release = threading.Event()
    hanging, other = Mailbox("hanging", hang=release), Mailbox("other")
    telling = notifier(hanging, other)
    started = time.monotonic()

    for _ in range(notify.QUEUE_LENGTH // 2):
        telling.tell(GOOD)
    told = time.monotonic() - started
    wait_for(lambda: len(other.got) == notify.QUEUE_LENGTH // 2, "the other target has all")

    assert told < 1.0
    assert hanging.attempts == 1
    release.set()


def test_the_queue_of_a_hanging_target_is_bounded(notifier: Make, caplog: pytest.LogCaptureFixture) -> None:
    release = threading.Event()
    hanging = Mailbox(hang=release)
    telling = notifier(hanging)
    telling.tell(GOOD)
    wait_for(lambda: hanging.attempts, "it hangs")

    for _ in range(notify.QUEUE_LENGTH + 3):
        telling.tell(GOOD)

    assert [line["reason"] for line in facts(caplog)] == ["the queue is full"] * 3
    release.set()
    wait_for(lambda: len(hanging.got) == notify.QUEUE_LENGTH + 1, "the queued ones arrive")


def test_closing_waits_for_what_is_queued_and_not_for_what_hangs(notifier: Make) -> None:
    release = threading.Event()
    hanging, other, waiting = Mailbox("hanging", hang=release), Mailbox("other"), Mailbox("waiting", failures=1)
    patient = Notifier([waiting], logs.get("demo"), first_wait_seconds=60.0)
    telling = notifier(hanging, other)
    telling.tell(GOOD)
    patient.tell(GOOD)

    started = time.monotonic()
    telling.close()
    patient.close()
    took = time.monotonic() - started

    assert other.got == waiting.got == [GOOD]
    assert notify.FLUSH_SECONDS <= took < notify.FLUSH_SECONDS + 2.0
    release.set()


def test_closing_an_idle_notifier_takes_no_time(notifier: Make) -> None:
    telling = notifier(Mailbox(), Mailbox())
    started = time.monotonic()

    telling.close()

    assert time.monotonic() - started < 0.5
    assert not any(lane._thread.is_alive() for lane in telling._lanes)


# Webhooks


@pytest.fixture
def served() -> Iterator[SmallServer]:
    with SmallServer(lambda _: [reply(200)], tcp=True) as server:
        yield server


def address(server: SmallServer) -> str:
    return f"http://127.0.0.1:{server.port}/hooks/{TOKEN}"


def test_a_webhook_gets_all_facts_and_a_text(served: SmallServer) -> None:
    Webhook(address(served), None).send(GOOD)

    assert served.asked == [f"POST /hooks/{TOKEN}"]
    assert json.loads(served.bodies[0]) == {
        "text": "haraka is well again\nIt took 3 s.",
        "content": "haraka is well again\nIt took 3 s.",
        "event": "heal_ended",
        "title": "haraka is well again",
        "body": "It took 3 s.",
        "seconds": 3.0,
    }


def test_a_webhook_with_a_key_gets_one_field(served: SmallServer) -> None:
    Webhook(address(served), "content").send(BAD)

    assert json.loads(served.bodies[0]) == {"content": "haraka is given up"}


def test_text_that_a_container_chose_stays_one_json_string(served: SmallServer) -> None:
    text = '"},\n\0\x1b[31m\ud800é'

    Webhook(address(served), None).send(
        Notice("x", text, "", failure=True, facts={"nan": float("nan"), "at": Path("/")})
    )

    document = json.loads(served.bodies[0])
    assert (document["text"], document["nan"], document["at"]) == (text, "nan", "/")


def test_an_apprise_server_gets_what_it_wants(served: SmallServer) -> None:
    AppriseServer(address(served)).send(GOOD)
    AppriseServer(address(served)).send(BAD)

    assert [json.loads(body) for body in served.bodies] == [
        {"title": "haraka is well again", "body": "It took 3 s.", "type": "success"},
        {"title": "haraka is given up", "body": "haraka is given up", "type": "failure"},
    ]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (reply(404), "HTTP 404"),
        (reply(500, b"T0KEN-in-the-address"), "HTTP 500"),
        (reply(301, b"", Location=f"/hooks/{TOKEN}"), "HTTP 301"),
        (reply(307, b"", Location=f"/hooks/{TOKEN}"), "HTTP 307"),
        (b"SSH-2.0-T0KEN-in-the-address\r\n\r\n", "BadStatusLine"),
        (b"", "RemoteDisconnected"),
    ],
)
def test_what_a_webhook_does_not_take_is_a_failure_that_shows_no_address(
    answer: bytes, reason: str, caplog: pytest.LogCaptureFixture, notifier: Make
) -> None:
    counted = threading.Event()
    with SmallServer(lambda _: [answer], tcp=True) as server:
        notifier(Webhook(address(server), None), on_failure=counted.set).tell(GOOD)
        assert counted.wait(10.0)

        assert len(server.asked) == notify.ATTEMPTS
    assert facts(caplog) == [{"target": "webhook", "notice": "heal_ended", "reason": reason}]
    assert TOKEN not in caplog.text


@pytest.mark.parametrize(
    "url",
    [
        f"http://127.0.0.1:1/{TOKEN}",
        f"http://{TOKEN}.invalid/",
        f"http://127.0.0.1:port/{TOKEN}",
        f"http://127.0.0.1/a b{TOKEN}",
        f"http://127.0.0.1:1/{TOKEN}\u00e9",
        f"http://{'x' * 70}/{TOKEN}",
    ],
)
def test_an_address_that_cannot_be_used_is_a_failure_that_shows_no_token(
    url: str, caplog: pytest.LogCaptureFixture, notifier: Make
) -> None:
    counted = threading.Event()

    notifier(Webhook(url, None), on_failure=counted.set).tell(GOOD)

    assert counted.wait(10.0)
    (line,) = facts(caplog)
    assert TOKEN not in str(line) and line["reason"]


def test_a_webhook_that_never_answers_is_given_up() -> None:
    silence = threading.Event()

    def answer(_: str) -> Iterable[bytes]:
        silence.wait(10.0)
        return []

    with SmallServer(answer, tcp=True) as server, pytest.raises(OSError, match="timed out"):
        notify.post_json(address(server), {}, timeout_seconds=0.1)
    silence.set()


# Apprise itself

_APPRISE = """
import enum, json
class NotifyType(enum.Enum):
    FAILURE = "failure"
    SUCCESS = "success"
class Apprise:
    def add(self, url):
        self.url = url
        return "nonsense" not in url
    def notify(self, body, title, notify_type):
        if "crash" in self.url:
            raise TypeError(self.url)
        print(json.dumps([self.url, title, body, notify_type.value]))
        return "away" not in self.url
"""


@pytest.fixture
def apprise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `import apprise` find a stand-in with its interface."""
    (tmp_path / "apprise.py").write_text(_APPRISE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "apprise", raising=False)


@pytest.mark.usefixtures("apprise")
def test_apprise_is_given_title_text_and_kind(capsys: pytest.CaptureFixture[str]) -> None:
    AppriseUrl("json://host", 1).send(GOOD)
    AppriseUrl("json://host", 1).send(BAD)

    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        ["json://host", "haraka is well again", "It took 3 s.", "success"],
        ["json://host", "haraka is given up", "haraka is given up", "failure"],
    ]


@pytest.mark.usefixtures("apprise")
@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("json://away", "Apprise could not deliver"),
        (f"nonsense://{TOKEN}", "Apprise does not understand the address"),
        (f"json://crash/{TOKEN}", "Apprise failed: TypeError"),
    ],
)
def test_what_apprise_does_not_deliver_is_a_failure(url: str, reason: str) -> None:
    with pytest.raises(OSError, match=f"^{reason}$"):
        AppriseUrl(url, 1).send(GOOD)


def test_without_apprise_its_addresses_are_failures_that_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)  # what Python keeps for a module that is not there

    with pytest.raises(OSError, match="Apprise is not installed"):
        AppriseUrl("json://host", 1).send(GOOD)


def test_each_address_is_a_target_of_its_own() -> None:
    config = CommonSettings(
        **dict.fromkeys(("docker_host", "docker_tls_verify", "docker_cert_path", "log_format", "webhook_json_key")),
        log_level="info",
        notify_urls=("json://one", "json://two"),
        webhook_url="http://hook",
    )

    assert [target.name for target in config.targets()] == ["notify_urls_1", "notify_urls_2", "webhook"]
