"""The watch: it hears everything once, also across a cut, and says when it could not hear."""

import json
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from queue import Empty, SimpleQueue
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from lab.server import CHUNKED, SmallServer, chunk, reply
from lab.wire import wait_for
from sidecarkit.engine import Endpoint, Engine
from sidecarkit.watch import Event, Lost, Subscribed, Watch, parse

PONG = reply(200, b"OK", Api_Version="1.41", Date="Sun, 22 Nov 2026 10:00:00 GMT")
CLOCK = 1795341600


def line(action: str, at: int, identity: str = "a" * 64) -> bytes:
    """Make a line of the stream as engines from API 1.52 on write it."""
    actor = {"ID": identity, "Attributes": {"name": "box"}}
    document = {"Type": "container", "Action": action, "Actor": actor, "time": at // 10**9, "timeNano": at}
    return json.dumps(document).encode() + b"\n"


class Events:
    """An engine whose streams are scripted: each subscription gets the next script, the last one stays open."""

    def __init__(self, *scripts: list[bytes]) -> None:
        self._scripts = deque(scripts)
        self.over = threading.Event()

    def __call__(self, asked: str) -> Iterable[bytes]:
        if asked.endswith("/_ping"):
            return [PONG]
        return self._stream()

    def _stream(self) -> Iterator[bytes]:
        script = self._scripts.popleft() if self._scripts else []
        yield CHUNKED
        for part in script:
            yield chunk(part)
        if not self._scripts:
            self.over.wait(10.0)


class Heard:
    """A watch with what it put into the inbox."""

    def __init__(self, server: SmallServer, lookback_seconds: float = 0.0) -> None:
        self.inbox: SimpleQueue[Any] = SimpleQueue()
        engine = Engine(Endpoint(server.url))
        self.watch = Watch(engine, self.inbox.put, {"type": ["container"]}, lookback_seconds=lookback_seconds)
        self.watch.start()

    def next(self) -> Any:
        try:
            return self.inbox.get(timeout=10.0)
        except Empty:
            pytest.fail("nothing more is heard")

    def until_subscribed_again(self) -> list[Any]:
        """Gather what comes until the second Subscribed, without it."""
        heard = [self.next()]
        while heard.count(Subscribed()) < 2:
            heard.append(self.next())
        return heard[:-1]

    def end(self) -> None:
        self.watch.close()
        self.watch._thread.join(5.0)
        assert not self.watch._thread.is_alive()


def sinces(server: SmallServer) -> list[str]:
    return [parse_qs(urlsplit(asked).query)["since"][0] for asked in server.asked if "/events" in asked]


# Lines


def test_a_line_is_read_with_its_container_and_its_time() -> None:
    event = parse(line("health_status: unhealthy", 1_500_000_000, "abc"))

    assert event == Event("container", "health_status: unhealthy", "abc", {"name": "box"}, 1_500_000_000)
    assert event.seconds == 1.5


@pytest.mark.parametrize(
    "torn", [b"", b"\n", b"{", b"[]", b'"x"', b"{}", b"\xff", b'{"Type":"container","Action":"die"}']
)
def test_a_torn_line_is_no_event(torn: bytes) -> None:
    assert parse(torn) is None


def test_an_actor_without_attributes_has_none() -> None:
    text = b'{"Type": "container", "Action": "die", "Actor": {"ID": "x", "Attributes": null}, "timeNano": 1}'

    assert parse(text) == Event("container", "die", "x", {}, 1)


# Hearing


def test_it_says_that_it_listens_before_what_it_hears() -> None:
    script = Events([line("die", 1), b"torn\n", line("start", 2)])
    with SmallServer(script) as server:
        heard = Heard(server)

        assert heard.next() == Subscribed()
        assert [heard.next().action for _ in range(2)] == ["die", "start"]
        script.over.set()
        heard.end()


def test_the_first_subscription_looks_back_by_the_engines_clock() -> None:
    script = Events([])
    with SmallServer(script) as server:
        heard = Heard(server, lookback_seconds=2.5)
        heard.next()
        heard.end()
        script.over.set()

        assert sinces(server) == [f"{CLOCK - 3}.500000000"]


def test_a_cut_stream_goes_on_where_it_was_cut_without_repeats() -> None:
    at = (CLOCK + 5) * 10**9 + 7
    first = [line("kill", at - 1), line("die", at), line("die", at, "b" * 64)]
    again = [line("die", at), line("die", at, "b" * 64), line("stop", at), line("start", at + 1)]
    script = Events(first, again)
    with SmallServer(script) as server:
        heard = Heard(server)
        before = heard.until_subscribed_again()
        after = [heard.next() for _ in range(2)]
        script.over.set()
        heard.end()

        assert [(event.action, event.id[0]) for event in before[1:-1]] == [("kill", "a"), ("die", "a"), ("die", "b")]
        assert isinstance(before[-1], Lost)
        assert [event.action for event in after] == ["stop", "start"]
        assert sinces(server)[1] == f"{CLOCK + 5}.000000007"
        assert heard.inbox.empty()


def test_what_happens_again_is_heard_again() -> None:
    script = Events([line("die", 1), line("die", 2), line("die", 3)])
    with SmallServer(script) as server:
        heard = Heard(server)

        assert [heard.next() for _ in range(4)][1:] == [parse(line("die", at)) for at in (1, 2, 3)]
        script.over.set()
        heard.end()


def test_events_out_of_order_are_all_heard() -> None:
    script = Events([line("die", 9), line("start", 7), line("die", 7), line("start", 9)])
    with SmallServer(script) as server:
        heard = Heard(server)

        assert [heard.next() for _ in range(5)][1:] == [
            parse(line(action, at)) for action, at in (("die", 9), ("start", 7), ("die", 7), ("start", 9))
        ]
        script.over.set()
        heard.end()


def test_an_engine_that_is_away_is_asked_again_and_each_loss_is_said() -> None:
    refusals = deque([reply(503), reply(403)])

    def answer(asked: str) -> Iterable[bytes]:
        return [refusals.popleft()] if refusals else script(asked)

    script = Events([line("start", 1)])
    with SmallServer(answer) as server:
        heard = Heard(server)

        losses = [heard.next(), heard.next()]
        assert [loss.reason for loss in losses] == [
            "ping: Service Unavailable (503)",
            "ping: Forbidden (403)",
        ]
        assert heard.next() == Subscribed()
        script.over.set()
        heard.end()


def test_closing_ends_the_thread_while_it_listens_and_while_it_waits() -> None:
    script = Events([])
    with SmallServer(script) as server:
        listening = Heard(server)
        listening.next()
        listening.end()
        script.over.set()
    waiting = Heard(server)
    waiting.next()
    waiting.end()

    assert listening.inbox.empty()  # an end that was asked for is no loss


def test_closing_while_the_stream_is_being_opened_ends_the_thread_too() -> None:
    opened = threading.Event()

    def answer(asked: str) -> Iterator[bytes]:
        if asked.endswith("/_ping"):
            yield PONG
            return
        opened.wait(10.0)
        yield CHUNKED
        script.over.wait(10.0)

    script = Events()
    with SmallServer(answer) as server:
        heard = Heard(server)
        wait_for(lambda: sinces(server), "it subscribes")
        heard.watch.close()
        opened.set()

        heard.end()
        script.over.set()
