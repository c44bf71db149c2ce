"""Threads: the same answer from any number of them, calls side by side, the GIL, and forks."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from kernel_cases import PAIRS, draw_pair

from paradox import kernels
from paradox._native import kernels as native
from paradox.core.metric import METRICS
from paradox.kernels import level


@pytest.mark.parametrize("n_queries", [1, 3, 4, 33, 300, 600])
@pytest.mark.parametrize("dtypes", PAIRS, ids="-".join)
def test_the_answer_does_not_depend_on_threads(isa, dtypes, n_queries):
    queries, rows = draw_pair(1, n_queries, 6000, 7, dtypes)
    rows[4000:] = rows[:2000]  # ties across slices
    allow = np.random.default_rng(2).random(6000) < 0.7
    for metric, mask in zip(METRICS, (None, allow, allow), strict=True):
        expected = kernels.top_k(queries, rows, 30, metric, allow=mask)
        for threads in (2, 3, 8):
            found = kernels.top_k(queries, rows, 30, metric, allow=mask, threads=threads)
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("k", [1, 1500, 6000, 7000])
def test_nor_does_it_with_slices_smaller_than_k(isa, k):
    queries, rows = draw_pair(3, 2, 6000, 7, PAIRS[0])
    expected = kernels.top_k(queries, rows, k, "l2")
    found = kernels.top_k(queries, rows, k, "l2", threads=4)
    np.testing.assert_array_equal(found, expected)


def test_more_threads_than_work_and_than_the_pool_has():
    queries, rows = draw_pair(4, 5, 30, 7, PAIRS[0])
    expected = kernels.top_k(queries, rows, 3, "l2")
    for threads in (64, 1000, 2**31 - 1):
        found = kernels.top_k(queries, rows, 3, "l2", threads=threads)
        np.testing.assert_array_equal(found, expected)


def test_calls_from_several_threads_share_the_pool():
    queries, rows = draw_pair(5, 40, 5000, 16, PAIRS[0])
    expected = [kernels.top_k(queries[i : i + 5], rows, 9, "l2") for i in range(0, 40, 5)]

    def ask(turn: int) -> tuple[np.ndarray, np.ndarray]:
        first = turn % 8 * 5
        return kernels.top_k(queries[first : first + 5], rows, 9, "l2", threads=1 + turn % 4)

    with ThreadPoolExecutor(8) as callers:
        for turn, found in enumerate(callers.map(ask, range(64))):
            np.testing.assert_array_equal(found, expected[turn % 8])


@pytest.fixture(params=["distances", "top_k", "refine", "row_norms"])
def scan(request: pytest.FixtureRequest) -> Callable[[], None]:
    """Each native function, with its results allocated: a call does nothing else."""
    queries, rows = draw_pair(6, 16, 20_000, 64, PAIRS[0])
    metric, chosen = 0, level.chosen
    floats, doubles = np.empty(len(rows), np.float32), np.empty(len(rows))
    positions, found = np.zeros((16, 5), np.int64), np.empty((16, 5), np.float32)
    everything = np.tile(np.arange(len(rows)), (16, 1))
    refined = np.empty(everything.shape)
    scans: dict[str, Callable[[], None]] = {
        "distances": lambda: chosen.distances(queries[:1], rows, metric, floats),
        "top_k": lambda: chosen.top_k(queries, rows, metric, 5, None, 1, positions, found),
        "refine": lambda: native.refine(queries, rows, metric, everything, refined),
        "row_norms": lambda: native.row_norms(rows, doubles),
    }
    return scans[request.param]


def test_another_thread_runs_during_a_scan(scan):
    """With involuntary switches put off for ever, a thread runs only where the GIL is released."""
    ticks, stop = 0, threading.Event()

    def tick() -> None:
        nonlocal ticks
        while not stop.is_set():
            ticks += 1
            time.sleep(0)  # releases the GIL

    before = sys.getswitchinterval()
    ticker = threading.Thread(target=tick)
    sys.setswitchinterval(1000)
    try:
        ticker.start()
        for _ in range(2000):  # until the system gave the other thread a core meanwhile
            ticks_before = ticks
            scan()
            if ticks > ticks_before:
                break
        else:
            pytest.fail("no scan of 2000 let another thread run")
    finally:
        stop.set()
        sys.setswitchinterval(before)
        ticker.join()


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
def test_a_forked_child_makes_a_pool_of_its_own():
    script = """
import os, signal
import numpy as np
from paradox import kernels

def threads():
    return len(os.listdir("/proc/self/task"))

rows = np.random.default_rng(7).standard_normal((8000, 16)).astype(np.float32)
expected = kernels.top_k(rows[:9], rows, 5, "l2", threads=4)
child = os.fork()
signal.alarm(100)  # a call that never returns fails, too
before = threads()
found = kernels.top_k(rows[:9], rows, 5, "l2", threads=4)
assert child != 0 or threads() == before + 3
np.testing.assert_array_equal(found, expected)
if child == 0:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
