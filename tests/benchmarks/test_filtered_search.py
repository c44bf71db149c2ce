"""`benchmarks.filters`, on little data and on figures made up."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import datasets, filters, peers
from benchmarks.curve import Point
from benchmarks.filters import Asked, Filter
from benchmarks.own_process import ProcessFailed
from benchmarks.report import Row
from benchmarks.truth import Truth, distances
from paradox.core.types import F32Matrix, I64Matrix, I64Vector

pytestmark = pytest.mark.usefixtures("own_cache")

N = 2_000


@pytest.fixture(scope="module")
def made() -> list[Filter]:
    dataset = datasets.load("manifold-128", N)
    return list(filters.filters_of(dataset, dataset.queries[:20], seed=0))


def test_filters_pass_the_shares_they_say_at_random_and_around_a_row(made: list[Filter]) -> None:
    assert [len(one.ids) for one in made] == [1_000, 200, 20, 2] * 2
    assert [one.k for one in made] == [10, 10, 10, 2] * 2
    assert made[2].what == "1 % at random"
    assert made[7].what == "0.1 % around one"
    for one in made:
        assert (np.diff(one.ids) > 0).all()
        assert np.isin(one.truth.ids, one.ids).all()
    base = datasets.load("manifold-128", N).base
    for one, is_ball in ((made[1], False), (made[5], True)):
        around_each = np.argsort(distances(base[one.ids], base, "l2"), axis=1)[:, : len(one.ids)]
        assert (np.sort(around_each) == one.ids).all(axis=1).any() == is_ball


def test_a_quick_run_has_a_recall_beside_every_speed() -> None:
    given = filters.BENCHMARK.options(["--quick", "--n", str(N), "--by", "graph", "hnswlib"])
    report = filters.BENCHMARK.run(given)
    assert json.loads(report.as_json())["rows"]
    rows = report.rows
    reached = {(r.case, r.peer): r for r in rows if r.figure == "recall@10"}
    assert {(r.case, r.peer) for r in rows if r.figure == "QPS"} == reached.keys()
    climbed = [r for (case, _), r in reached.items() if "at recall" in case]
    assert [r.peer for r in climbed] == [None, "hnswlib"] * 8
    assert all(r.value >= 0.95 for r in climbed)
    assert all(r.holds for r in climbed if r.peer is None)
    goals = [r for r in rows if " goals: " in r.case]
    assert [r.target for r in goals] == [3.0] * 8
    assert all("÷ hnswlib with its Python filter, at recall " in r.case for r in goals)


def test_what_is_found_outside_of_the_filter_does_not_count() -> None:
    base = np.arange(40, dtype=np.float32)[:, np.newaxis]
    queries, ids = base[:1], np.arange(1, 40, 2)
    one = Filter("", ids, Truth.among(ids, queries, base, 10, "l2"))

    class Blind(peers.Graph):
        def build(self, base: F32Matrix, threads: int) -> None:
            pass

        def search(self, queries: F32Matrix, k: int, threads: int) -> I64Matrix:
            return np.arange(k)[np.newaxis]

        def allow(self, ids: I64Vector) -> None:
            pass

    assert filters._recall(Blind(), one, queries, base) == 0.5


def _rows(graph: tuple[float, float], hnswlib: tuple[float, float], *more: float) -> list[Row]:
    """Return the rows of one filter; a contestant is its recall and its QPS, or that alone."""
    truth = Truth("l2", np.zeros((1, 10), np.int64), np.zeros((1, 10)))
    one = Filter("1 % at random", np.arange(20), truth)
    others = zip(("faiss-hnsw", "faiss-ivf"), ((1.0, speed) for speed in more), strict=False)
    found = {
        by: {Asked(0, False): Point(10, 1, recall, {"QPS": speed})}
        for by, (recall, speed) in (("graph", graph), ("hnswlib", hnswlib), *others)
    }
    return list(filters.rows("set", [one], found))


def test_a_goal_compares_speeds_where_both_reach_the_recall() -> None:
    goal = _rows((0.96, 400.0), (0.97, 100.0))[-1]
    assert (goal.value, goal.target, goal.holds) == (4.0, 3.0, True)
    goal = _rows((0.94, 400.0), (0.97, 100.0))[-1]
    assert (goal.value, goal.holds) == (0.0, False)


def test_beside_the_goal_stands_the_speed_in_that_of_the_best_peer() -> None:
    goal, best = _rows((0.96, 400.0), (0.97, 100.0), 150.0, 200.0)[-2:]
    assert goal.case.endswith("graph ÷ hnswlib with its Python filter, at recall 0.960 and 0.970")
    assert best.case.endswith("graph ÷ faiss-ivf, the best of 3 peers, at recall 0.960 and 1.000")
    assert (best.value, best.target) == (2.0, None)
    [alone] = (r for r in _rows((0.96, 400.0), (0.5, 100.0), 800.0) if " goals: " in r.case)
    assert alone.case.endswith("÷ faiss-hnsw, the best of 2 peers, at recall 0.960 and 1.000")
    assert alone.value == 0.5


def test_who_never_reaches_the_recall_is_told_and_has_no_goal() -> None:
    rows = _rows((0.96, 400.0), (0.2, 100.0))
    assert not any(" goals: " in r.case for r in rows)
    cases = {r.peer: r.case for r in rows}
    assert cases["hnswlib"] == "set at recall 0.95: 1 % at random, not reached"
    assert cases[None] == "set at recall 0.95: 1 % at random, graph"


def test_a_peer_that_dies_is_left_out_and_one_of_ours_is_no_peer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def dies(*_: object) -> dict[Asked, Point]:
        raise ProcessFailed("its process ended with SIGILL")

    monkeypatch.setattr(filters, "in_own_process", dies)
    options = ["--quick", "--n", "300", "--by"]
    rows = filters.BENCHMARK.run(filters.BENCHMARK.options([*options, "hnswlib"])).rows
    assert [r.case.partition(": ")[2] for r in rows] == ["its process ended with SIGILL"]
    with pytest.raises(ProcessFailed):
        filters.BENCHMARK.run(filters.BENCHMARK.options([*options, "graph"]))
