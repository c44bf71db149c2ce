"""Many readers or one writer, and no reader that leaves it held."""

from __future__ import annotations

import random
import signal
import threading

import pytest

from paradox.core.shared_lock import SharedLock


class Stop(KeyboardInterrupt):
    pass


def start(work):
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_readers_hold_it_side_by_side():
    lock, n = SharedLock(), 40
    together = threading.Barrier(n)
    seen = []

    def read():
        with lock.reading():
            seen.append(together.wait(30))

    for reader in [start(read) for _ in range(n)]:
        reader.join(30)
    assert sorted(seen) == list(range(n))


def test_a_writer_holds_it_alone():
    lock = SharedLock()
    inside, most = [], []

    def read():
        for _ in range(300):
            with lock.reading():
                assert "writer" not in inside

    def write():
        for _ in range(100):
            with lock.writing():
                inside.append("writer")
                most.append(len(inside))
                inside.remove("writer")

    threads = [start(read) for _ in range(4)] + [start(write) for _ in range(3)]
    for thread in threads:
        thread.join(60)
    assert most == [1] * 300


def test_no_reader_passes_a_writer_that_waits():
    lock, order = SharedLock(), []
    reading, go_on = threading.Event(), threading.Event()

    def first():
        with lock.reading():
            reading.set()
            go_on.wait(30)
            order.append("first reader")

    def write():
        with lock.writing():
            order.append("writer")

    def second():
        with lock.reading():
            order.append("second reader")

    threads = [start(first)]
    reading.wait(30)
    threads.append(start(write))
    while not lock._gate.locked():
        pass
    threads.append(start(second))
    go_on.set()
    for thread in threads:
        thread.join(30)
    assert order == ["first reader", "writer", "second reader"]


def test_a_writer_that_fails_leaves_it_free():
    lock = SharedLock()
    with pytest.raises(ZeroDivisionError), lock.writing():
        raise ZeroDivisionError
    with lock.writing():
        pass


def test_an_interrupted_reader_leaves_it_free():
    def stop(number, frame):
        raise Stop

    lock, kept = SharedLock(), []
    random.seed(5)
    before = signal.signal(signal.SIGALRM, stop)
    try:
        for _ in range(2_000):
            try:
                signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, 1e-4))
                while True:
                    with lock.reading():
                        pass
            except Stop as error:
                kept.append(error)  # as a traceback keeps what was on the stack
            assert not any(part.locked() for part in [lock._gate, *lock._parts])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(kept) == 2_000
