"""Rows that come and go: what is left of an index, and what insertions are to readers beside them.

    python -m benchmarks.updates [--part churn readers] [--by graph hnswlib] [--n 200000]

`churn`: half of the rows go and as many others come, in calls of 1,000; recall, speed and memory
then, beside an index built on the same rows. The two are asked in turns. hnswlib marks rows as
deleted and gives their places to new ones.

`readers`: rows are inserted while four threads query without pause, at the least effort that
reaches a recall of 0.95, and others while nobody does; the readers are watched without a writer
first. Afterwards every inserted row must be found by its own vector. The threads share nothing but
the index. hnswlib's documentation does not allow that. `graph` is made for it
(`IndexBackend.beside_writer`, ADR 0014), and so searches of `engine:graph` without a filter take no
lock either.

Of `--n` rows churn has two thirds at a time; nine tenths are there before insertions begin.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial

from benchmarks import churn, datasets, ours, peers, readers, tables
from benchmarks.in_turn import in_turn
from benchmarks.own_process import in_own_process
from benchmarks.peers import Changing
from benchmarks.report import Benchmark, Row, progress
from benchmarks.truth import Truth
from paradox.core.metric import Metric

PARTS = ("churn", "readers")
OURS = ("graph", "engine:graph")
QUICK_N, QUICK_QUERIES = 3_600, 100
_LIMIT_S, _QUICK_LIMIT_S = 7_200.0, 120.0


def measure(given: argparse.Namespace) -> Iterator[Row]:
    """Measure every contestant in each part, in turn."""
    data = given.data or ("manifold-128" if given.quick else "text-minilm-384")
    n = given.n or (QUICK_N if given.quick else datasets.N_TEXTS)
    for part in given.part:
        yield from (_churn if part == "churn" else _readers)(given, data, n)


def _churn(given: argparse.Namespace, data: str, n: int) -> Iterator[Row]:
    case = churn.Case(
        data=data,
        n=n // 3 * 2,
        seed=given.seed,
        n_queries=QUICK_QUERIES if given.quick else datasets.N_QUERIES,
        threads=given.threads,
        call_rows=100 if given.quick else 1_000,
        turns=1 if given.quick else 3,
    )
    dataset = case.loaded()
    dim, metric = dataset.base.shape[1], dataset.metric
    title = f"{data} {case.n:,} × {dim} {metric} k={churn.K}, half changed"
    progress(f"{title}: exact answers in float64")
    truth = Truth.among(case.left(), dataset.queries, dataset.base, churn.K, metric)
    del dataset

    def measured(by: str) -> churn.Compared:
        make = _maker(by, metric, room=0)
        return in_own_process(churn.measure_case, case, make, truth, limit_s=_limit_s(given))

    found, failed = in_turn(_names(given), title, measured, given.journal)
    yield from churn.rows(title, found)
    yield from tables.skipped(title, failed)


def _readers(given: argparse.Namespace, data: str, n: int) -> Iterator[Row]:
    n_inserted = n // 20
    case = readers.Case(
        data=data,
        n=n - 2 * n_inserted,
        n_inserted=n_inserted,
        seed=given.seed,
        n_queries=QUICK_QUERIES if given.quick else datasets.N_QUERIES,
        threads=given.threads,
        call_rows=100 if given.quick else 1_000,
        idle_s=0.5 if given.quick else 10.0,
    )
    dataset = case.loaded()
    dim, metric = dataset.base.shape[1], dataset.metric
    title = f"{data} {case.n:,} + 2 × {n_inserted:,} × {dim} {metric} k={readers.K}"
    progress(f"{title}: exact answers in float64")
    before = Truth.of(dataset.queries, dataset.base[: case.n], readers.K, metric)
    then = dataset.base[: case.n + n_inserted]
    after = Truth.of(dataset.queries, then, readers.K, metric)
    del dataset, then

    def measured(by: str) -> readers.Inserted:
        make = _maker(by, metric, room=2 * n_inserted)
        return in_own_process(
            readers.measure_case, case, make, before, after, limit_s=_limit_s(given)
        )

    found, failed = in_turn(_names(given), title, measured, given.journal)
    yield from readers.rows(title, found)
    yield from tables.skipped(title, failed)


def _names(given: argparse.Namespace) -> tuple[str, ...]:
    """Return who is measured: one of ours that fails misses a goal, and the others go on."""
    return tuple(given.by or (*OURS, *peers.CHANGING))


def _limit_s(given: argparse.Namespace) -> float:
    return _QUICK_LIMIT_S if given.quick else _LIMIT_S


def _maker(by: str, metric: Metric, *, room: int) -> Callable[[], Changing]:
    """Return what makes an empty contestant, with room for rows beyond those it is built on."""
    if by in ours.ENGINES:
        return partial(ours.ENGINES[by], metric)
    if by in ours.BACKENDS:
        return partial(ours.BACKENDS[by], metric)
    return partial(peers.CHANGING[by], metric, room)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", choices=datasets.names())
    parser.add_argument("--part", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--by", nargs="+", choices=[*OURS, *peers.CHANGING])
    parser.add_argument("--n", type=int, help="rows of the set")


BENCHMARK = Benchmark("updates", "rows that come and go, with readers beside", measure, _options)

if __name__ == "__main__":
    BENCHMARK.main()
