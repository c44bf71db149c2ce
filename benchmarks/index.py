"""Approximate search: what each index costs at the recall asked for, beside its peers.

    python -m benchmarks.index [--data text-minilm-384] [--by hnsw hnswlib] [--recall 0.95]

Every contestant is built in a process of its own, set on 200 queries to the least effort that
reaches the recall (ours by `tune`, peers by climbing a ladder), and measured on the other 800.
`engine:<backend>` is the whole engine, told `recall=` and nothing else.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from benchmarks import datasets, peers
from benchmarks.datasets import Dataset
from benchmarks.report import Benchmark, Row, progress, row
from benchmarks.timing import anonymous_bytes, answers, timed
from benchmarks.truth import Truth
from paradox import LatentMemoryEngine, index
from paradox.core.metric import Metric
from paradox.core.types import F32Matrix, I64Matrix

TUNING_QUERIES = 200
BATCH = 100
OURS = ("hnsw", "ivfpq", "engine:hnsw", "engine:ivfpq")
FULL_SETS = ("text-minilm-384", "text-use-512", "manifold-128")
QUICK_N = 10_000


@dataclass(frozen=True, slots=True)
class Case:
    """One contestant on one set."""

    by: str
    data: str
    n: int
    seed: int
    k: int
    recall: float
    threads: int
    budget_s: float


class Backend:
    """One of Paradox's index backends."""

    def __init__(self, name: str, metric: Metric) -> None:
        self._name = name
        self._metric = metric

    def build(self, base: F32Matrix, threads: int) -> None:
        """See `Contestant`."""
        dim = base.shape[1]
        self._index = index.create(self._name, dim=dim, metric=self._metric, build_threads=threads)
        self._index.add(np.arange(len(base)), np.ascontiguousarray(base))

    def tune(self, queries: F32Matrix, k: int, recall: float) -> int | None:
        """Have the backend find its own effort; return it."""
        return self._index.tune(queries, k, recall)

    def search(self, queries: F32Matrix, k: int, threads: int) -> I64Matrix:
        """See `Contestant`."""
        return self._index.search(queries, k, threads=threads).ids


class Engine:
    """The whole engine over a backend; it tunes itself on its own records."""

    def __init__(self, backend: str, metric: Metric, recall: float) -> None:
        self._backend = backend
        self._metric = metric
        self._recall = recall

    def build(self, base: F32Matrix, threads: int) -> None:
        """See `Contestant`."""
        dim = base.shape[1]
        options = {"build_threads": threads}
        self._engine = LatentMemoryEngine(
            dim, metric=self._metric, index=self._backend, index_options=options
        )
        self._engine.add(base, ids=np.arange(len(base)))

    def tune(self, queries: F32Matrix, k: int, recall: float) -> int | None:
        """Ask once, which is all a caller does; the engine's own records set the effort."""
        return self._engine.query(queries[:1], k, recall=recall).effort

    def search(self, queries: F32Matrix, k: int, threads: int) -> I64Matrix:
        """See `Contestant`."""
        return self._engine.query(queries, k, recall=self._recall).ids


def measure_case(case: Case, truth: Truth) -> list[Row]:
    """Build, tune and measure one contestant, in this process.

    Args:
        case: what to measure.
        truth: the exact answers of all the set's queries.
    """
    dataset = datasets.load(case.data, case.n, seed=case.seed)
    ours, backend = case.by.split(":")[-1] in index.backends(), case.by.removeprefix("engine:")
    contestant: Backend | Engine | peers.Approximate
    if not ours:
        contestant = peers.GRAPHS_AND_LISTS[case.by](dataset.metric)
    elif case.by.startswith("engine:"):
        contestant = Engine(backend, dataset.metric, case.recall)
    else:
        contestant = Backend(backend, dataset.metric)

    before = anonymous_bytes()
    start = time.perf_counter()
    contestant.build(dataset.base, case.threads)
    build_s = time.perf_counter() - start
    bytes_per_vector = (anonymous_bytes() - before) / len(dataset.base)

    tuning, asked = dataset.queries[:TUNING_QUERIES], dataset.queries[TUNING_QUERIES:]
    if isinstance(contestant, Backend | Engine):
        effort = contestant.tune(tuning, case.k, case.recall)
    else:
        tuning_truth = truth.slice(slice(TUNING_QUERIES))
        peers.climb(contestant, tuning, case.k, case.recall, tuning_truth, dataset.base)
        effort = contestant.effort

    one = partial(contestant.search, k=case.k, threads=1)
    many = partial(contestant.search, k=case.k, threads=case.threads)
    found = answers(one, asked, BATCH)
    recall = truth.slice(slice(TUNING_QUERIES, None)).recall(found, asked, dataset.base)
    single = timed(one, asked, batch=1, budget_s=case.budget_s)
    batched = timed(many, asked, batch=BATCH, budget_s=case.budget_s)

    name = f"{dataset.label} × {dataset.base.shape[1]} {dataset.metric}: recall {case.recall}"
    if ours:
        name = f"{name}, {case.by}"
    entry = partial(row, name, peer=None if ours else case.by)
    return [
        entry(f"recall@{case.k}", recall, target=case.recall if ours else None),
        *([] if effort is None else [entry("effort", effort)]),
        entry("QPS, 1 thread", single.queries_per_s),
        entry("p50 µs", single.p50_us),
        entry("p99 µs", single.p99_us),
        entry(f"QPS, {BATCH} at a time, {case.threads} threads", batched.queries_per_s),
        entry("build s", build_s),
        entry("bytes/vector", bytes_per_vector),
    ]


def measure(given: argparse.Namespace) -> Iterator[Row]:
    """Measure every contestant on every set, in turn."""
    for data in given.data or (["manifold-128"] if given.quick else FULL_SETS):
        n = given.n or (QUICK_N if given.quick else datasets.N_TEXTS)
        dataset = datasets.load(data, n, seed=given.seed)
        truth = _truth(dataset, given.k)
        case = Case(
            by="",
            data=data,
            n=n,
            seed=given.seed,
            k=given.k,
            recall=given.recall,
            threads=given.threads,
            budget_s=0.3 if given.quick else 5.0,
        )
        for by in given.by or [*OURS, *peers.installed(peers.GRAPHS_AND_LISTS)]:
            progress(f"{dataset.label}: {by}")
            yield from peers.in_own_process(measure_case, replace(case, by=by), truth)


def _truth(dataset: Dataset, k: int) -> Truth:
    progress(
        f"{dataset.label}: exact answers in float64; "
        f"local intrinsic dimension {datasets.intrinsic_dimension(dataset):.1f}"
    )
    return Truth.of(dataset.queries, dataset.base, k, dataset.metric)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", nargs="+", choices=datasets.names())
    parser.add_argument("--by", nargs="+", choices=[*OURS, *peers.GRAPHS_AND_LISTS])
    parser.add_argument("--n", type=int, help="rows of the base")
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--recall", type=float, default=0.95)


BENCHMARK = Benchmark("index", "approximate search at the recall asked for", measure, _options)

if __name__ == "__main__":
    BENCHMARK.main()
