"""Exact search: every answer compared with float64, and the speed beside other scans.

    python -m benchmarks.exact [--data text-minilm-384] [--by exact faiss-flat]

`exact-float32` is Paradox without the 8-bit codes. `≠ float64` counts the queries whose k nearest
differ from float64's in more than ties. Speeds are measured three times over, minutes apart, and
kept as those of a curve's point are; where all queries take more than ten seconds, once. The rows
of every set are made of uneven length, so that the three metrics differ.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import get_args

import numpy as np

from benchmarks import datasets, peers, tables
from benchmarks.curve import P50, P99, QPS, Point, fastest, figures_of
from benchmarks.datasets import N_QUERIES, Dataset
from benchmarks.goals import best_of
from benchmarks.in_turn import in_turn
from benchmarks.ours import Backend
from benchmarks.own_process import in_own_process
from benchmarks.report import Benchmark, Row, progress, row
from benchmarks.timing import answers, timed
from benchmarks.truth import Truth
from paradox import kernels
from paradox.core.metric import Metric

OURS = {"exact": True, "exact-float32": False}
"""Paradox's scans, and whether they have codes."""
K = 10
BATCHES = (1, 100, 1_000)
SINGLE_QUERIES = 100
"""How many are asked one at a time: a thousand took half of the run."""
QUICK_N, QUICK_QUERIES = 5_000, 100
SINGLE, OF_BATCHES = 3.0, {"amx": 10.0, "avx512vnni": 4.0}
"""Times the best peer that a single query is to be, and batches by level."""
OF_BANDWIDTH = 0.7
_CODED_ROW_BYTES = 16
"""What a scan of codes reads of a row besides a byte a dimension."""
_LONG_S = 10.0


@dataclass(frozen=True, slots=True)
class Case:
    """One scan on one set under one metric."""

    by: str
    data: str
    n: int
    seed: int
    n_queries: int
    metric: Metric
    threads: tuple[int, ...]
    budget_s: float
    turns: int


def measure_case(case: Case, truth: Truth) -> list[Row]:
    """Measure one scan, in this process.

    Args:
        case: what to measure.
        truth: the exact answers of the queries.
    """
    dataset = uneven(datasets.load(case.data, case.n, seed=case.seed), seed=case.seed)
    ours = case.by in OURS
    codes = OURS.get(case.by, False)
    scan = Backend(case.metric, "exact", codes=codes) if ours else peers.SCANS[case.by](case.metric)
    scan.build(dataset.base, max(case.threads))
    asked = {
        batch: dataset.queries[: min(case.n_queries, SINGLE_QUERIES if batch == 1 else N_QUERIES)]
        for batch in BATCHES
        if batch <= case.n_queries
    }
    ways = [(batch, threads) for batch in asked for threads in case.threads]
    counts = {}
    for batch, threads in ways:
        queries = asked[batch]
        found = answers(partial(scan.search, k=K, threads=threads), queries, batch)
        counts[batch, threads] = truth.slice(slice(len(queries))).found(
            found, queries, dataset.base
        )
    points: dict[tuple[int, int], list[Point]] = {way: [] for way in ways}
    for _ in range(case.turns):
        for batch, threads in ways:
            before, queries = points[batch, threads], asked[batch]
            if not before or len(queries) / before[0].figures[QPS] < _LONG_S:
                search = partial(scan.search, k=K, threads=threads)
                timing = timed(search, queries, batch=batch, budget_s=case.budget_s)
                before.append(Point(0, 1, 1.0, figures_of(timing)))
    rows: list[Row] = []
    for batch, threads in ways:
        n_threads = f"{threads} thread{'s' * (threads > 1)}"
        name = f"{dataset.label} {case.metric}: batch {batch}, {n_threads}"
        entry = partial(row, name, peer=None if codes else case.by)
        n_found = counts[batch, threads]
        wrong = int((n_found < truth.ids.shape[1]).sum())
        figures = fastest(points[batch, threads]).figures
        rows += [
            entry(f"recall@{K}", float(n_found.mean() / truth.ids.shape[1])),
            entry("≠ float64", wrong, target=0.0 if ours else None, better="less"),
            entry(QPS, figures[QPS]),
            entry("p50 of a call, µs", figures[P50]),
        ]
        if batch == 1:  # of batches there are too few calls
            rows.append(entry("p99 of a call, µs", figures[P99]))
    return rows


def uneven(dataset: Dataset, *, seed: int) -> Dataset:
    """Return the set with rows of lengths between 0.5 and 2, so that the three metrics differ.

    Vectors of length 1 have the same neighbours under all three.
    """
    rng = np.random.default_rng(seed)
    lengths = rng.uniform(0.5, 2.0, size=(len(dataset.base), 1)).astype(np.float32)
    return replace(dataset, base=dataset.base * lengths)


def measure(given: argparse.Namespace) -> Iterator[Row]:
    """Measure every scan under every metric, in turn."""
    data = given.data or ("manifold-128" if given.quick else "text-minilm-384")
    n = given.n or (QUICK_N if given.quick else datasets.N_TEXTS)
    plain = datasets.load(data, n, seed=given.seed)
    dataset = uneven(plain, seed=given.seed)
    bytes_per_s = 0.0 if given.quick else in_own_process(read_bandwidth)
    for metric in given.metric or (["l2"] if given.quick else get_args(Metric)):
        progress(f"{dataset.label}, {metric}: exact answers in float64")
        queries = dataset.queries[: QUICK_QUERIES if given.quick else None]
        truth = Truth.of(queries, dataset.base, K, metric)
        case = Case(
            by="",
            data=data,
            n=n,
            seed=given.seed,
            n_queries=len(queries),
            metric=metric,
            threads=tuple(dict.fromkeys((1, given.threads))),
            budget_s=0.05 if given.quick else 2.0,
            turns=1 if given.quick else 3,
        )
        measured = partial(_measured, case, truth)
        names = given.by or (*OURS, *peers.SCANS)
        found, skipped = in_turn(
            names, f"{dataset.label}, {metric}", measured, given.journal, needed=OURS
        )
        for rows in found.values():
            yield from rows
        if not given.quick:
            yield from goals(f"{dataset.label} {metric}", found, plain.base.shape, bytes_per_s)
        yield from tables.skipped(f"{dataset.label} {metric}", skipped)


def goals(
    title: str,
    found: Mapping[str, list[Row]],
    shape: tuple[int, ...],
    bytes_per_s: float,
    level: str | None = None,
) -> Iterator[Row]:
    """Yield each goal whose both sides were measured, on one thread.

    Args:
        title: the set, its size and the metric.
        found: contestant to its rows.
        shape: of the base.
        bytes_per_s: what one core reads.
        level: of the kernels; None takes the one in use.
    """
    for batch in BATCHES:
        ending = f": batch {batch}, 1 thread"
        speeds = {
            by: one.value
            for by, rows in found.items()
            for one in rows
            if one.figure == QPS and one.case.endswith(ending)
        }
        mine = max((by for by in OURS if by in speeds), key=speeds.__getitem__, default=None)
        others = [by for by in peers.SCANS if by in speeds]
        if mine is not None and others:
            best = max(others, key=speeds.__getitem__)
            target = SINGLE if batch == 1 else OF_BATCHES.get(level or kernels.isa())
            case = f"{title} goals: batch {batch}, {mine} ÷ {best_of(best, len(others))}"
            yield row(case, "times", speeds[mine] / speeds[best], target=target)
        if batch == 1 and "exact" in speeds:
            n, dim = shape
            read = speeds["exact"] * n * (dim + _CODED_ROW_BYTES)
            case = f"{title} goals: bytes read by a single query ÷ what this core reads"
            yield row(case, "share", read / bytes_per_s, target=OF_BANDWIDTH)


def read_bandwidth() -> float:
    """Return how many bytes one core reads in sequence in a second, the best of several passes."""
    words = np.ones(1 << 26, np.uint64)
    times = []
    for _ in range(7):
        begin = time.perf_counter()
        np.bitwise_or.reduce(words)
        times.append(time.perf_counter() - begin)
    return words.nbytes / min(times)


def _measured(case: Case, truth: Truth, by: str) -> list[Row]:
    return in_own_process(measure_case, replace(case, by=by), truth)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", choices=datasets.names())
    parser.add_argument("--by", nargs="+", choices=[*OURS, *peers.SCANS])
    parser.add_argument("--metric", nargs="+", choices=get_args(Metric))
    parser.add_argument("--n", type=int, help="rows of the base")


BENCHMARK = Benchmark("exact", "exact search and its agreement with float64", measure, _options)

if __name__ == "__main__":
    BENCHMARK.main()
