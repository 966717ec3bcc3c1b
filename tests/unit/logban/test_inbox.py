"""News that wake a selector."""

import threading
from selectors import EVENT_READ, DefaultSelector

from logban.inbox import Inbox


def test_what_another_thread_puts_wakes_the_selector_and_comes_in_order() -> None:
    inbox, selector = Inbox(), DefaultSelector()
    selector.register(inbox, EVENT_READ)
    assert not selector.select(0)

    sender = threading.Thread(target=lambda: [inbox.put(number) for number in range(3)])
    sender.start()

    assert selector.select(5.0)
    sender.join()
    assert inbox.take() == [0, 1, 2]
    assert not selector.select(0)
    assert inbox.take() == []
