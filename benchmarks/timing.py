"""How speed is measured: after a warm-up, call by call, over the same queries again and again.

A call's time is its median over the passes, so that what else runs on the machine is left out.
"""

from __future__ import annotations

import ctypes
import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.peers.contestant import Ids
from paradox.core.types import F32Matrix, I64Matrix

WARM_UP_CALLS = 20
LEAST_PASSES, PATIENCE = 5, 5
"""Passes that a median is wanted of, and the budgets that may be spent to come by them."""


@dataclass(frozen=True, slots=True)
class Timing:
    """The times of many calls.

    Attributes:
        queries_per_s: queries of a pass, over the sum of the median times of its calls.
        p50_us: median time of a call, over all calls.
        p99_us: 99th percentile of it.
        cpu_us: processor time of a query, all threads together, over all calls: what is left of
            a speed on a machine that is busy with something else.
    """

    queries_per_s: float
    p50_us: float
    p99_us: float
    cpu_us: float


def timed(
    search: Callable[[F32Matrix], object], queries: F32Matrix, *, batch: int, budget_s: float
) -> Timing:
    """Call `search` on batches of the queries, pass after pass, for about `budget_s` seconds.

    Every query is asked at least once, however long it takes.
    """
    batches = [queries[i : i + batch] for i in range(0, len(queries) - batch + 1, batch)]
    for warm_up in batches[: max(1, WARM_UP_CALLS // batch)]:
        search(warm_up)
    times_ns: list[int] = []
    spent_ns = 0
    budget_ns = budget_s * 1e9
    cpu_before = time.process_time_ns()
    while (
        len(times_ns) < len(batches)
        or spent_ns < budget_ns
        or (len(times_ns) < LEAST_PASSES * len(batches) and spent_ns < PATIENCE * budget_ns)
    ):
        part = batches[len(times_ns) % len(batches)]
        start = time.perf_counter_ns()
        search(part)
        times_ns.append(time.perf_counter_ns() - start)
        spent_ns += times_ns[-1]
    cpu_ns = time.process_time_ns() - cpu_before
    return _summary(times_ns, batch, len(batches), cpu_ns)


def interleaved(
    searches: Mapping[str, Callable[[F32Matrix], object]],
    queries: F32Matrix,
    *,
    rounds: int,
    passes: int = 1,
) -> dict[str, Timing]:
    """Time single queries of several searches in turns, so that all meet the same machine.

    Args:
        searches: name to what answers a (1, dim) query.
        queries: asked in order, a share of them in each round; each search gets all of them.
        rounds: how many turns each search has in a pass.
        passes: how often each search gets all of the queries.
    """
    times_ns: dict[str, list[int]] = {name: [] for name in searches}
    cpu_ns = dict.fromkeys(searches, 0)
    for turn in np.array_split(queries, rounds) * passes:
        for name, search in searches.items():
            search(turn[:1])
            cpu_before = time.process_time_ns()
            for query in turn:
                start = time.perf_counter_ns()
                search(query[np.newaxis])
                times_ns[name].append(time.perf_counter_ns() - start)
            cpu_ns[name] += time.process_time_ns() - cpu_before
    n = len(queries)
    return {name: _summary(times, 1, n, cpu_ns[name]) for name, times in times_ns.items()}


def answers(search: Callable[[F32Matrix], Ids], queries: F32Matrix, batch: int) -> I64Matrix:
    """Return the ids found for all queries, asked in batches, as int64.

    The greatest of a type without a sign, which libraries pad with, is -1.
    """
    found = np.concatenate([search(queries[i : i + batch]) for i in range(0, len(queries), batch)])
    if found.dtype.kind == "u":
        found = found.view(f"i{found.itemsize}")
    return found.astype(np.int64, copy=False)


def _summary(times_ns: Sequence[int], batch: int, n_batches: int, cpu_ns: int) -> Timing:
    whole_passes = len(times_ns) // n_batches
    passes = np.reshape(times_ns[: whole_passes * n_batches], (whole_passes, n_batches))
    pass_s = float(np.median(passes, axis=0).sum()) / 1e9
    p50, p99 = np.percentile(times_ns, [50, 99]) / 1e3
    cpu_us = cpu_ns / 1e3 / (batch * len(times_ns))
    return Timing(batch * n_batches / pass_s, float(p50), float(p99), cpu_us)


def anonymous_bytes() -> int:
    """Return the memory this process holds beyond the pages of files, and no freed memory."""
    gc.collect()
    release = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of the GNU C library
    if release is not None:
        release(0)
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status: expected a line RssAnon; got none")
