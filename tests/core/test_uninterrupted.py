"""What a signal's handler raises comes after the change it came into."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from paradox.core.uninterrupted import uninterrupted


class Stop(KeyboardInterrupt):
    pass


@pytest.fixture
def alarms():
    """Let SIGALRM and SIGUSR1 raise Stop with their number."""

    def stop(number, frame):
        raise Stop(number)

    numbers = (signal.SIGALRM, signal.SIGUSR1)
    before = [signal.signal(number, stop) for number in numbers]
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def test_it_returns_what_the_work_does():
    assert uninterrupted(lambda: 5) == 5


def test_it_raises_what_the_work_does():
    with pytest.raises(ZeroDivisionError):
        uninterrupted(lambda: 1 / 0)
    assert uninterrupted(lambda: 5) == 5


def test_the_first_interruption_is_raised_after_the_end(alarms):
    steps = []

    def work():
        for _ in range(5):
            time.sleep(0.02)
            steps.append(1)
        signal.raise_signal(signal.SIGUSR1)
        time.sleep(0.02)
        steps.append(1)

    signal.setitimer(signal.ITIMER_REAL, 0.03)
    with pytest.raises(Stop, match=str(int(signal.SIGALRM))):
        uninterrupted(work)
    assert len(steps) == 6


def test_an_interruption_names_what_the_work_raised(alarms):
    def work():
        signal.raise_signal(signal.SIGALRM)
        time.sleep(0.02)
        raise ValueError("of the work")

    with pytest.raises(Stop) as caught:
        uninterrupted(work)
    assert "of the work" in str(caught.value.__cause__)


def test_a_handler_that_raises_nothing_runs_meanwhile():
    ran, seen = threading.Event(), []
    before = signal.signal(signal.SIGALRM, lambda number, frame: ran.set())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        uninterrupted(lambda: seen.append(ran.wait(30)))
    finally:
        signal.signal(signal.SIGALRM, before)
    assert seen == [True]


def test_a_handler_may_change_something_too():
    order = []
    before = signal.signal(
        signal.SIGALRM, lambda number, frame: uninterrupted(lambda: order.append("handler"))
    )

    def work():
        signal.raise_signal(signal.SIGALRM)
        time.sleep(0.02)
        order.append("work")

    try:
        uninterrupted(work)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert order == ["work", "handler"]


def test_other_threads_do_the_work_themselves():
    threads = []

    def run():
        uninterrupted(lambda: threads.append(threading.current_thread()))

    runner = threading.Thread(target=run)
    runner.start()
    runner.join()
    run()
    assert threads[0] is runner
    assert threads[1] not in (runner, threading.main_thread())


def test_work_within_work_needs_no_second_worker():
    assert uninterrupted(lambda: uninterrupted(lambda: 5)) == 5


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_has_a_worker_of_its_own():
    assert uninterrupted(lambda: 5) == 5
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        os._exit(uninterrupted(lambda: 5))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
