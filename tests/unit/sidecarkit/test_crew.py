"""A crew: so many at once and no more, and nobody is lost."""

import threading

from lab.wire import wait_for
from sidecarkit.crew import Crew


def test_no_more_jobs_than_its_size_are_done_at_once_and_all_of_them_in_the_end() -> None:
    crew = Crew("test", 3)
    lock, release = threading.Lock(), threading.Event()
    running: list[int] = []
    done: list[int] = []

    def job(number: int) -> None:
        with lock:
            running.append(number)
        release.wait(10.0)
        with lock:
            done.append(number)

    for number in range(10):
        crew.do(lambda number=number: job(number))  # type: ignore[misc]
    wait_for(lambda: len(running) == 3, "three at once")
    assert running == [0, 1, 2]
    release.set()
    wait_for(lambda: len(done) == 10, "all are done")

    assert sorted(done) == list(range(10))
    assert crew._threads == 3


def test_a_free_thread_is_used_before_another_is_started() -> None:
    crew = Crew("test", 3)
    threads: list[str] = []

    for number in range(5):
        crew.do(lambda: threads.append(threading.current_thread().name))
        wait_for(lambda number=number: len(threads) > number and crew._idle == 1, "it is free again")  # type: ignore[misc]

    assert set(threads) == {"test-1"}


def test_a_thread_that_is_busy_does_not_keep_the_next_job_waiting() -> None:
    crew = Crew("test", 2)
    release, second = threading.Event(), threading.Event()

    def long() -> None:
        release.wait(10.0)

    crew.do(long)
    crew.do(second.set)

    assert second.wait(10.0)
    release.set()
