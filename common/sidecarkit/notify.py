"""Tells people. Never in the way: each target has its own thread, a bounded queue and bounded retries."""

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from queue import Full, Queue
from typing import Any, Protocol

from sidecarkit import logs
from sidecarkit.backoff import doubling

QUEUE_LENGTH = 100
ATTEMPTS = 4
FIRST_WAIT_SECONDS = 2.0
LONGEST_WAIT_SECONDS = 8.0
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
    """POST of a JSON object. With a *key*, the object has this one field."""

    name = "webhook"

    def __init__(self, url: str, key: str | None) -> None:
        self._url, self._key = url, key

    def send(self, notice: Notice) -> None:
        text = f"{notice.title}\n{notice.body}" if notice.body else notice.title
        # Slack reads `text`, Discord `content`, which is also what the image of docker-autoheal sends when not told.
        known = {"text": text, "content": text, "event": notice.event, "title": notice.title, "body": notice.body}
        post_json(self._url, {self._key: text} if self._key else {**known, **notice.facts})


class AppriseServer:
    """An Apprise API server, as APPRISE_URL of docker-autoheal names it."""

    name = "apprise_server"

    def __init__(self, url: str) -> None:
        self._url = url

    def send(self, notice: Notice) -> None:
        kind = "failure" if notice.failure else "success"
        post_json(self._url, {"title": notice.title, "body": notice.body or notice.title, "type": kind})


class AppriseUrl:
    """Apprise in this process, imported with the first notice: it costs memory that most never need to spend.

    One address each, so that what failed is tried again and nothing else. *number* names it in the log.
    """

    def __init__(self, url: str, number: int) -> None:
        self._url, self.name = url, f"notify_urls_{number}"

    def send(self, notice: Notice) -> None:
        try:
            import apprise  # noqa: PLC0415 - see above
        except ImportError:
            raise OSError("Apprise is not installed") from None
        sender = apprise.Apprise()
        if not sender.add(self._url):
            raise OSError("Apprise does not understand the address")
        kind = apprise.NotifyType.FAILURE if notice.failure else apprise.NotifyType.SUCCESS
        try:
            delivered = sender.notify(body=notice.body or notice.title, title=notice.title, notify_type=kind)
        except Exception as error:  # noqa: BLE001 - the code of a hundred services
            raise OSError(f"Apprise failed: {type(error).__name__}") from None
        if not delivered:
            raise OSError("Apprise could not deliver")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Following a redirect turns a POST into a GET: the notice would be lost and count as delivered."""

    def redirect_request(self, *_: Any) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirect)


def post_json(url: str, document: dict[str, Any], *, timeout_seconds: float = SEND_TIMEOUT_SECONDS) -> None:
    """POST *document*; whatever goes wrong is an OSError, without the address in it: addresses hold tokens.

    That is any answer of 300 and more, too.
    """
    try:
        request = urllib.request.Request(  # noqa: S310 - the settings took http and https only
            url,
            logs.encoded(document).encode(),
            {"Content-Type": "application/json", "User-Agent": "wildduck-sidecars"},
        )
        with _opener.open(request, timeout=timeout_seconds):
            pass
    except urllib.error.HTTPError as error:
        with error:
            raise OSError(f"HTTP {error.code}") from None
    except urllib.error.URLError as error:
        raise OSError(str(error.reason)) from None
    except (HTTPException, ValueError) as error:  # their text repeats what was sent or received
        raise OSError(type(error).__name__) from None


class Notifier:
    """Hands each notice to every target. `tell` returns at once, whatever hangs."""

    def __init__(
        self,
        targets: Sequence[Target],
        log: logs.Log,
        on_failure: Callable[[], None] = lambda: None,
        *,
        first_wait_seconds: float = FIRST_WAIT_SECONDS,
    ) -> None:
        self._lanes = [_Lane(target, log, on_failure, first_wait_seconds) for target in targets]

    def tell(self, notice: Notice) -> None:
        for lane in self._lanes:
            lane.put(notice)

    def close(self) -> None:
        """Give what is queued a last chance, together not longer than FLUSH_SECONDS."""
        end = time.monotonic() + FLUSH_SECONDS
        for lane in self._lanes:
            lane.close()
        for lane in self._lanes:
            lane.join(max(0.0, end - time.monotonic()))


class _Lane:
    def __init__(
        self, target: Target, log: logs.Log, on_failure: Callable[[], None], first_wait_seconds: float
    ) -> None:
        self._target, self._log, self._on_failure = target, log, on_failure
        self._first_wait_seconds = first_wait_seconds
        self._queue: Queue[Notice | None] = Queue(QUEUE_LENGTH)  # None: there will be no more
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
        with suppress(Full):  # then there is more to do than the time that is left
            self._queue.put_nowait(None)

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def _run(self) -> None:
        while (notice := self._queue.get()) is not None:
            self._deliver(notice)

    def _deliver(self, notice: Notice) -> None:
        reason = ""
        waits = doubling(self._first_wait_seconds, LONGEST_WAIT_SECONDS)
        for attempt in range(ATTEMPTS):
            if attempt:
                self._closing.wait(next(waits))
            try:
                self._target.send(notice)
            except OSError as error:
                reason = str(error) or type(error).__name__
            else:
                return
        self._failed(reason, notice)

    def _failed(self, reason: str, notice: Notice) -> None:
        self._log.error("notice_not_delivered", target=self._target.name, notice=notice.event, reason=reason)
        self._on_failure()
