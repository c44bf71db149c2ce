"""Approximate search: speed against recall, beside every peer.

    python -m benchmarks.index [--data text-minilm-384] [--by hnsw hnswlib] [--k 100] [--repeat 3]

Every contestant is built in a process of its own, in turn, and climbs its efforts on queries that
are not in the base, several times over: one at a time and in batches. A climb ends where four
efforts brought nothing, or a query takes 10 ms. Its speed at a recall is read off that curve, of
which each point has the best of its speeds and the median of its p99.
What Paradox reaches when it is told a recall and nothing else is measured too; it may look at 200
queries that are not asked afterwards. `engine:<backend>` is the whole engine.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from benchmarks import datasets, ours, peers, tables
from benchmarks.curve import (
    P50,
    Kept,
    Measured,
    Point,
    batched,
    combined,
    fastest,
    figures_of,
    spread,
)
from benchmarks.datasets import Dataset
from benchmarks.in_turn import in_turn
from benchmarks.journal import Journal
from benchmarks.own_process import in_own_process
from benchmarks.report import Benchmark, Row, progress, row
from benchmarks.timing import anonymous_bytes, answers, timed
from benchmarks.truth import Truth
from paradox.core.errors import CallerError
from paradox.core.metric import Metric
from paradox.core.types import F32Matrix

BATCH = 100
RECALLS = (0.90, 0.95, 0.99)
TUNING_QUERIES = 200
FULL_SETS = (
    "text-minilm-384",
    "text-use-512",
    "tokens-576",
    "glove-50",
    "glove-50-ip",
    "manifold-128",
    "manifold-hard-128",
)
QUICK_N, QUICK_QUERIES = 4_000, 200
FULL_BY = ("exact", "graph", "graph-none", "graph-none-compact", "ivf", "engine:auto")
"""Of ours. What wraps a library is not: the library itself is among the peers."""
QUICK_BY = ("exact", "graph", "hnsw", "hnswlib", "symphonyqg", "glass-sq8")
_ENOUGH = 0.9995
_GAIN = 0.0005
_STEPS_WITHOUT_GAIN = 4
_SLOWEST_US = 10_000
"""What a scan of the texts takes: who is slower has no use for the effort."""
_SLOW_US, _QUERIES_OF_SLOW = 1_000, 200
"""From so many a query on, no more queries are timed: minutes would bring a figure no nearer."""


@dataclass(frozen=True, slots=True)
class Case:
    """One contestant on one set.

    Attributes:
        by: the contestant.
        data: the set.
        n: rows of its base.
        seed: of the set.
        k: neighbours asked for.
        recalls: what our contestants are told to reach.
        n_queries: how many are asked.
        threads: of builds, and of batches beside those on one.
        budget_s: for each speed of each point, each time.
        climbs: how often each point is measured.
        stride: efforts of the ladder from one to the next.
    """

    by: str
    data: str
    n: int
    seed: int
    k: int
    recalls: tuple[float, ...]
    n_queries: int
    threads: int
    budget_s: float
    climbs: int
    stride: int


def measure_case(case: Case, truth: Truth) -> Measured:
    """Build and measure one contestant, in this process.

    Args:
        case: what to measure.
        truth: the exact answers of the queries asked.
    """
    dataset, asked, tuning = _loaded(case)
    contestant = _contestant(case.by, dataset.metric)

    before = anonymous_bytes()
    start = time.perf_counter()
    contestant.build(dataset.base, case.threads)
    build_s = time.perf_counter() - start
    n_bytes, n_mapped = anonymous_bytes() - before, 0
    if isinstance(contestant, ours.MappedLists):
        n_bytes = max(n_bytes, contestant.resident_bytes)
        n_mapped = contestant.mapped_bytes
    n = len(dataset.base)

    points: list[Point] = []
    kept: list[Kept] = []
    if not isinstance(contestant, ours.Engine):
        for depth in contestant.depths:
            contestant.depth = depth
            climbed = [list(_climb(contestant, asked, dataset.base, truth, case))]
            for _ in range(case.climbs - 1):
                climbed.append([_again(contestant, asked, point, case) for point in climbed[0]])
            points += map(fastest, zip(*climbed, strict=True))
    if isinstance(contestant, ours.Backend | ours.Engine) and contestant.can_be_asked:
        for recall in case.recalls:
            effort = contestant.ask(tuning, case.k, recall)
            reached, figures = _measure(contestant, asked, dataset.base, truth, case)
            kept.append(Kept(recall, reached, effort, figures))
    return Measured(build_s, n_bytes / n, tuple(points), tuple(kept), n_mapped / n)


def _climb(
    contestant: ours.Backend | peers.Approximate,
    queries: F32Matrix,
    base: F32Matrix,
    truth: Truth,
    case: Case,
) -> Iterator[Point]:
    """Yield a point for each effort, until more of it brings nothing."""
    best, without_gain = 0.0, 0
    for effort in contestant.efforts(case.k)[:: case.stride]:
        contestant.effort = effort
        recall, figures = _measure(contestant, queries, base, truth, case)
        yield Point(effort, contestant.depth, recall, figures)
        without_gain = 0 if recall > best + _GAIN else without_gain + 1
        best = max(best, recall)
        if recall >= _ENOUGH or without_gain == _STEPS_WITHOUT_GAIN or figures[P50] > _SLOWEST_US:
            return


def _again(
    contestant: ours.Backend | peers.Approximate, queries: F32Matrix, point: Point, case: Case
) -> Point:
    contestant.effort = point.effort
    return replace(point, figures=_speeds(contestant, queries, case, point.figures[P50]))


def _measure(
    contestant: peers.Contestant, queries: F32Matrix, base: F32Matrix, truth: Truth, case: Case
) -> tuple[float, dict[str, float]]:
    """Return the recall and the speeds of a contestant as it is set."""
    one = partial(contestant.search, k=case.k, threads=1)
    start = time.perf_counter()
    found = answers(one, queries, BATCH)
    query_us = (time.perf_counter() - start) * 1e6 / len(queries)
    recall = truth.recall(found, queries, base)
    return recall, _speeds(contestant, queries, case, query_us)


def _speeds(
    contestant: peers.Contestant, queries: F32Matrix, case: Case, query_us: float
) -> dict[str, float]:
    """Return the speeds of a contestant as it is set, of which a query takes about `query_us`."""
    if query_us > _SLOW_US:
        queries = queries[:_QUERIES_OF_SLOW]
    one = partial(contestant.search, k=case.k, threads=1)
    single = timed(one, queries, batch=1, budget_s=case.budget_s)
    found = figures_of(single)
    most = getattr(contestant, "threads_of_batches", None) or case.threads
    for threads in dict.fromkeys((1, min(case.threads, most))):
        many = partial(contestant.search, k=case.k, threads=threads)
        timing = timed(many, queries, batch=BATCH, budget_s=case.budget_s / 2)
        found[batched(BATCH, threads)] = timing.queries_per_s
    return found


def _contestant(by: str, metric: Metric) -> ours.Backend | ours.Engine | peers.Approximate:
    if by in ours.ENGINES:
        return ours.ENGINES[by](metric)
    if by in ours.BACKENDS:
        return ours.BACKENDS[by](metric)
    return peers.APPROXIMATE[by](metric)


def _loaded(case: Case) -> tuple[Dataset, F32Matrix, F32Matrix]:
    """Return the set, the queries to ask, and those to tune on; of length 1 under cosine."""
    dataset = datasets.in_memory(datasets.load(case.data, case.n, seed=case.seed))
    tuning, asked = np.split(dataset.queries, [TUNING_QUERIES])
    return dataset, np.ascontiguousarray(asked[: case.n_queries]), tuning


def measure(given: argparse.Namespace) -> Iterator[Row]:
    """Measure every contestant on every set, in turn, as often as asked."""
    for data in given.data or (["manifold-128"] if given.quick else FULL_SETS):
        case = Case(
            by="",
            data=data,
            n=given.n or (QUICK_N if given.quick else datasets.default_rows(data)),
            seed=given.seed,
            k=given.k,
            recalls=tuple(given.recall),
            n_queries=QUICK_QUERIES if given.quick else datasets.N_QUERIES - TUNING_QUERIES,
            threads=given.threads,
            budget_s=0.02 if given.quick else 0.2,
            climbs=1 if given.quick else 3,
            stride=4 if given.quick else 1,
        )
        try:
            title, hardness, truth = _known(case)
        except CallerError as error:
            if given.data:
                raise
            progress(f"{data} is left out, {error}")
            yield row(f"{data} left out: {error}".replace(": ", ", "), "runs", 0)
            continue
        names = given.by or (QUICK_BY if given.quick else (*FULL_BY, *peers.APPROXIMATE))
        if hardness is not None:
            yield row(f"{title} set: hardness", "intrinsic dimension", hardness)
        yield from _set_rows(case, title, truth, names, given.repeat, given.journal)


def _known(case: Case) -> tuple[str, float | None, Truth]:
    """Return a set's title, intrinsic dimension and exact answers, and hold its rows no longer."""
    dataset, asked, tuning = _loaded(case)
    progress(f"{dataset.label}: exact answers in float64")
    k = max(case.k, datasets.HARDNESS_K)
    truth = Truth.of(dataset.queries, dataset.base, k, dataset.metric)
    hardness = datasets.intrinsic_dimension(truth)
    title = f"{dataset.label} {dataset.metric} k={case.k}"
    of_asked = slice(len(tuning), len(tuning) + len(asked))
    return title, hardness, truth.slice(of_asked).first(case.k)


def _set_rows(
    case: Case,
    title: str,
    truth: Truth,
    names: Sequence[str],
    repeat: int,
    journal: Journal,
) -> Iterator[Row]:
    """Measure contestants on one set, and yield the rows of its tables."""
    runs: dict[str, list[Measured]] = {}
    skipped: dict[str, str] = {}

    def measured(by: str) -> Measured:
        return in_own_process(measure_case, replace(case, by=by), truth)

    for turn in range(repeat):
        label = title + f", {turn + 1} of {repeat}" * (repeat > 1)
        going_on = [by for by in names if by not in skipped]
        needed = set(names) - peers.APPROXIMATE.keys()
        found_now, failed = in_turn(going_on, label, measured, journal, needed=needed)
        skipped |= failed
        for by, of_one in found_now.items():
            runs.setdefault(by, []).append(of_one)

    found = {by: combined(of_one) for by, of_one in runs.items() if by not in skipped}
    yield from tables.rows(title, found, recalls=case.recalls, k=case.k)
    yield from tables.skipped(title, skipped)
    if repeat > 1:
        for by in found:
            apart = spread(runs[by], case.recalls[len(case.recalls) // 2])
            if apart is not None:
                yield tables.entry(f"{title} runs", by, "QPS, spread over median", apart)


def _everyone() -> tuple[str, ...]:
    return (*ours.BACKENDS, *ours.ENGINES, *peers.APPROXIMATE)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", nargs="+", choices=datasets.names())
    parser.add_argument("--by", nargs="+", choices=_everyone())
    parser.add_argument("--n", type=int, help="rows of the base")
    parser.add_argument("--k", type=int, default=10, help="neighbours, 10 or 100 (10)")
    parser.add_argument("--recall", type=float, nargs="+", default=RECALLS)
    parser.add_argument("--repeat", type=int, default=1, help="runs of each contestant, in turn")


BENCHMARK = Benchmark("index", "speed against recall, beside peers", measure, _options)

if __name__ == "__main__":
    BENCHMARK.main()
