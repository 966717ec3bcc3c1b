"""Tells people. Never in the way: each target has its own thread, a bounded queue and bounded retries."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import Empty, Full, Queue
from typing import Any, Protocol

from sidecarkit import logs

QUEUE_LENGTH = 100
ATTEMPTS = 4
FIRST_WAIT_SECONDS = 2.0
SEND_TIMEOUT_SECONDS = 10.0
FLUSH_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing worth telling. *facts* go with it to targets that take more than text."""

    event: str
    title: str
    body: str
    failure: bool
    facts: dict[str, Any] = field(default_factory=dict)


class Target(Protocol):
    """Where notices go. `send` raises OSError (or a subclass) when the notice did not arrive."""

    name: str

    def send(self, notice: Notice) -> None: ...


class Webhook:
    """POST of a JSON object. With a *key*, the object has this one field, as Slack or Discord want it."""

    name = "webhook"

    def __init__(self, url: str, key: str | None) -> None:
        self._url, self._key = url, key

    def send(self, notice: Notice) -> None:
        text = f"{notice.title}\n{notice.body}" if notice.body else notice.title
        everything = {"text": text, "event": notice.event, "title": notice.title, "body": notice.body, **notice.facts}
        post_json(self._url, {self._key: text} if self._key else everything)


class AppriseServer:
    """An Apprise API server, as APPRISE_URL of docker-autoheal names it."""

    name = "apprise_server"

    def __init__(self, url: str) -> None:
        self._url = url

    def send(self, notice: Notice) -> None:
        kind = "failure" if notice.failure else "success"
        post_json(self._url, {"title": notice.title, "body": notice.body or notice.title, "type": kind})


class AppriseUrls:
    """Apprise in this process, imported with the first notice: it costs memory that most never need to spend."""

    name = "notify_urls"

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = urls

    def send(self, notice: Notice) -> None:
        import apprise  # noqa: PLC0415 - see above

        sender = apprise.Apprise()
        for url in self._urls:
            sender.add(url)
        kind = apprise.NotifyType.FAILURE if notice.failure else apprise.NotifyType.SUCCESS
        if not sender.notify(body=notice.body or notice.title, title=notice.title, notify_type=kind):
            raise OSError("Apprise could not deliver to every address")


def post_json(url: str, document: dict[str, Any]) -> None:
    """POST *document*; any answer of 400 and more is an OSError, without the address in it: addresses hold tokens."""
    request = urllib.request.Request(  # noqa: S310 - the settings took http and https only
        url, json.dumps(document).encode(), {"Content-Type": "application/json", "User-Agent": "wildduck-sidecars"}
    )
    try:
        with urllib.request.urlopen(request, timeout=SEND_TIMEOUT_SECONDS):  # noqa: S310
            pass
    except urllib.error.HTTPError as error:
        with error:
            raise OSError(f"HTTP {error.code}") from None
    except ValueError as error:
        raise OSError(type(error).__name__) from None


class Notifier:
    """Hands each notice to every target. `tell` returns at once, whatever hangs."""

    def __init__(self, targets: Sequence[Target], log: logs.Log, on_failure: Callable[[], None] = lambda: None) -> None:
        self._lanes = [_Lane(target, log, on_failure) for target in targets]

    def tell(self, notice: Notice) -> None:
        for lane in self._lanes:
            lane.put(notice)

    def close(self) -> None:
        """Give what is queued a last chance, together not longer than FLUSH_SECONDS."""
        for lane in self._lanes:
            lane.close()
        for lane in self._lanes:
            lane.join(FLUSH_SECONDS / max(1, len(self._lanes)))


class _Lane:
    def __init__(self, target: Target, log: logs.Log, on_failure: Callable[[], None]) -> None:
        self._target, self._log, self._on_failure = target, log, on_failure
        self._queue: Queue[Notice] = Queue(QUEUE_LENGTH)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"notify-{target.name}", daemon=True)
        self._thread.start()

    def put(self, notice: Notice) -> None:
        try:
            self._queue.put_nowait(notice)
        except Full:
            self._failed("the queue is full", notice)

    def close(self) -> None:
        self._closing.set()

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def _run(self) -> None:
        while True:
            try:
                notice = self._queue.get(timeout=1.0)
            except Empty:
                if self._closing.is_set():
                    return
                continue
            self._deliver(notice)

    def _deliver(self, notice: Notice) -> None:
        reason = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                self._closing.wait(FIRST_WAIT_SECONDS * 2 ** (attempt - 1))
            try:
                self._target.send(notice)
            except OSError as error:
                reason = str(getattr(error, "reason", None) or error) or type(error).__name__
            else:
                return
        self._failed(reason, notice)

    def _failed(self, reason: str, notice: Notice) -> None:
        self._log.error("notice_not_delivered", target=self._target.name, notice=notice.event, reason=reason)
        self._on_failure()
