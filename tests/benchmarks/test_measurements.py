"""Each benchmark, on little data, gives the rows it promises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import datasets, exact, index
from benchmarks.report import Row
from benchmarks.timing import interleaved, timed
from benchmarks.truth import Truth
from paradox.core.types import F32Matrix

N = 2_000


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARADOX_CACHE", str(tmp_path))


def _by_figure(rows: list[Row]) -> dict[str, Row]:
    return {row.figure: row for row in rows}


@pytest.mark.parametrize("by", ["hnsw", "engine:hnsw", "hnswlib"])
def test_index_gives_speed_with_its_recall(by: str) -> None:
    dataset = datasets.load("manifold-128", N)
    truth = Truth.of(dataset.queries, dataset.base, 10, dataset.metric)
    case = index.Case(
        by=by, data="manifold-128", n=N, seed=0, k=10, recall=0.9, threads=2, budget_s=0.01
    )
    rows = _by_figure(index.measure_case(case, truth))
    assert {r.peer for r in rows.values()} == {"hnswlib" if by == "hnswlib" else None}
    assert rows["recall@10"].value >= 0.85
    assert rows["recall@10"].target == (None if by == "hnswlib" else 0.9)
    assert rows["QPS, 1 thread"].value > 0
    assert rows["p50 µs"].value <= rows["p99 µs"].value
    assert rows["bytes/vector"].value > 0


def test_exact_counts_the_answers_that_differ_from_float64() -> None:
    dataset = exact.uneven(datasets.load("manifold-128", N), seed=0)
    case = exact.Case(
        by="exact",
        data="manifold-128",
        n=N,
        seed=0,
        n_queries=200,
        metric="ip",
        threads=(1,),
        budget_s=0.01,
    )
    truth = Truth.of(dataset.queries[:200], dataset.base, 10, "ip")
    [_, wrong, *_] = exact.measure_case(case, truth)
    assert (wrong.figure, wrong.value, wrong.holds) == ("≠ float64", 0, True)
    other = Truth("ip", truth.ids[::-1], truth.nearest[::-1] - 1e6)
    [recall, wrong, *_] = exact.measure_case(case, other)
    assert recall.value < 0.1
    assert (wrong.value, wrong.holds) == (200, False)


def test_uneven_rows_have_other_neighbours_under_each_metric() -> None:
    dataset = exact.uneven(datasets.load("manifold-128", N), seed=0)
    first = {
        metric: Truth.of(dataset.queries, dataset.base, 1, metric).ids[:, 0]
        for metric in ("l2", "ip", "cosine")
    }
    assert (first["l2"] != first["ip"]).mean() > 0.5
    assert (first["l2"] != first["cosine"]).mean() > 0.5


def test_every_query_is_timed_at_least_once_however_small_the_budget() -> None:
    asked: list[float] = []

    def search(queries: F32Matrix) -> None:
        asked.extend(queries[:, 0].tolist())

    queries = np.arange(50, dtype=np.float32)[:, None]
    timed(search, queries, batch=10, budget_s=0)
    assert set(asked) == set(range(50))


def test_turns_give_every_search_every_query_once_more_than_its_warm_ups() -> None:
    asked: dict[str, list[float]] = {"a": [], "b": []}
    queries = np.arange(10, dtype=np.float32)[:, None]
    searches = {name: (lambda q, n=name: asked[n].append(float(q[0, 0]))) for name in asked}
    timings = interleaved(searches, queries, rounds=2)
    assert timings.keys() == asked.keys()
    assert asked["a"] == asked["b"] == [0, 0, 1, 2, 3, 4, 5, 5, 6, 7, 8, 9]
