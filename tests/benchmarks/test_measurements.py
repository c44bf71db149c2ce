"""Each benchmark, on little data, gives the rows it promises."""

from __future__ import annotations

import time
from functools import cache

import numpy as np
import pytest

from benchmarks import datasets, exact, index, peers
from benchmarks.curve import Measured, Point, batched
from benchmarks.own_process import ProcessFailed
from benchmarks.report import Row
from benchmarks.timing import interleaved, timed
from benchmarks.truth import Truth
from paradox.core.errors import UnknownEncoder
from paradox.core.types import F32Matrix, I64Matrix

pytestmark = pytest.mark.usefixtures("own_cache")

N = 2_000


def _case(by: str) -> index.Case:
    return index.Case(
        by=by,
        data="manifold-128",
        n=N,
        seed=0,
        k=10,
        recalls=(0.9,),
        n_queries=100,
        threads=2,
        budget_s=0.002,
        climbs=2,
        stride=4,
    )


@cache
def _measured(by: str) -> Measured:
    return index.measure_case(_case(by), _truth())


@cache
def _truth() -> Truth:
    dataset = datasets.load("manifold-128", N)
    asked = dataset.queries[index.TUNING_QUERIES :][:100]
    return Truth.of(asked, dataset.base, 10, dataset.metric)


@pytest.mark.parametrize("by", ["exact", "hnsw", "ivf-mapped", "hnswlib", "faiss-ivfpq"])
def test_a_curve_rises_from_little_effort_to_enough(by: str) -> None:
    measured = _measured(by)
    recalls = [point.recall for point in measured.points]
    assert measured.best_recall == max(recalls) >= 0.99
    for point in measured.points:
        assert point.figures.keys() == {
            "QPS",
            "p50 µs",
            "p99 µs",
            "CPU µs",
            "QPS, 100 at a time, 1 thread",
            "QPS, 100 at a time, 2 threads",
        }
        assert point.figures["p50 µs"] <= point.figures["p99 µs"]
        assert min(point.figures.values()) > 0
    assert len({(point.effort, point.depth) for point in measured.points}) == len(recalls)
    assert {point.depth for point in measured.points} == ({4, 10, 30} if "pq" in by else {1})
    assert [k.asked for k in measured.kept] == ([0.9] if by in {"hnsw", "ivf-mapped"} else [])


def test_what_is_mapped_and_read_by_every_search_counts_as_memory() -> None:
    assert _measured("ivf-mapped").bytes_per_vector >= 128 / 8  # a sign of each dimension


def test_efforts_end_where_more_brings_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stuck(peers.Graph):
        def build(self, base: F32Matrix, threads: int) -> None:
            pass

        def search(self, queries: F32Matrix, k: int, threads: int) -> I64Matrix:
            return np.zeros((len(queries), k), np.int64)

    monkeypatch.setitem(peers.APPROXIMATE, "stuck", lambda metric: Stuck())
    measured = index.measure_case(_case("stuck"), _truth())
    assert len(measured.points) <= 5
    assert measured.best_recall is not None
    assert measured.best_recall < 0.01


@pytest.mark.parametrize("by", ["hnsw", "engine:hnsw"])
def test_a_recall_asked_for_is_measured_on_other_queries(by: str) -> None:
    [kept] = _measured(by).kept
    assert kept.asked == 0.9
    assert kept.reached >= 0.85
    assert kept.effort
    assert kept.figures["QPS"] > 0


@pytest.mark.parametrize(("by", "most"), [("hnsw", 2), ("engine:hnsw", 1)])
def test_a_batch_is_said_to_be_on_as_many_threads_as_it_is(by: str, most: int) -> None:
    [kept] = _measured(by).kept
    batches = [name for name in kept.figures if "at a time" in name]
    assert batches == [batched(100, threads) for threads in range(1, most + 1)]


def test_a_peer_that_dies_is_left_out_and_said_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def dies(function: object, case: index.Case, truth: Truth) -> Measured:
        if case.by == "hnswlib":
            raise ProcessFailed("its process ended with SIGILL")
        return Measured(1.0, 2.0, (Point(10, 1, 0.96, {"QPS": 3.0, "p50 µs": 4.0}),))

    monkeypatch.setattr(index, "in_own_process", dies)
    monkeypatch.setattr(
        peers, "missing", lambda by: "scann is not installed" if by == "scann" else None
    )
    options = index.BENCHMARK.options(
        ["--quick", "--n", "300", "--by", "hnsw", "hnswlib", "scann", "usearch", "--repeat", "2"]
    )
    rows = index.BENCHMARK.run(options).rows
    out = {r.peer: r.case for r in rows if r.figure == "runs"}
    assert out["hnswlib"].endswith("left out: its process ended with SIGILL")
    assert out["scann"].endswith("left out: scann is not installed")
    assert {r.peer for r in rows if "at recall" in r.case} == {None, "usearch"}
    assert {r.value for r in rows if "spread" in r.figure} == {0.0}


def test_a_set_that_cannot_be_had_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "FULL_SETS", ("glove-50", "manifold-128"))

    def absent(n: int, seed: int) -> F32Matrix:
        raise UnknownEncoder("needs the package glove; run: pip install glove")

    monkeypatch.setitem(datasets._SETS, "glove-50", ("cosine", 100, absent))
    monkeypatch.setattr(index, "in_own_process", lambda *_: Measured(1.0, 2.0))
    options = ["--n", "300", "--by", "hnsw"]
    rows = index.BENCHMARK.run(index.BENCHMARK.options(options)).rows
    assert "glove-50 left out, needs the package glove; run, pip" in rows[0].case
    assert any(r.case.startswith("manifold-128") for r in rows)
    with pytest.raises(UnknownEncoder):
        index.BENCHMARK.run(index.BENCHMARK.options([*options, "--data", "glove-50"]))


def test_a_scan_that_dies_is_left_out_and_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(*_: object) -> list[Row]:
        raise ProcessFailed("its process ended with SIGILL")

    monkeypatch.setattr(exact, "in_own_process", dies)
    options = exact.BENCHMARK.options(["--quick", "--n", "300", "--by", "numpy", "torch"])
    rows = exact.BENCHMARK.run(options).rows
    assert [r.peer for r in rows] == ["numpy", "torch"]
    assert rows[0].case.endswith("left out: its process ended with SIGILL")
    with pytest.raises(ProcessFailed):
        exact.BENCHMARK.run(exact.BENCHMARK.options(["--quick", "--n", "300", "--by", "exact"]))


def test_an_index_of_ours_that_dies_is_no_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(*_: object) -> Measured:
        raise ProcessFailed("its process ended with SIGSEGV")

    monkeypatch.setattr(index, "in_own_process", dies)
    options = index.BENCHMARK.options(["--quick", "--n", "300", "--by", "hnsw"])
    with pytest.raises(ProcessFailed, match="SIGSEGV"):
        index.BENCHMARK.run(options)


def test_the_goals_of_exact_search_are_held_against_the_best_peer() -> None:
    title, speeds = "a-set 1,000 × 128 l2", {"exact": 90.0, "faiss-flat": 10.0, "numpy": 30.0}
    found = {
        by: [Row(f"{title}: batch {batch}, 1 thread", "QPS", speed * batch) for batch in (1, 100)]
        for by, speed in speeds.items()
    }
    single, read, batch = exact.goals(title, found, (1_000, 128), 144_000 * 100.0, "avx512vnni")
    assert "batch 1, exact ÷ numpy, the best of 2 peers" in single.case
    assert (single.value, single.target, single.holds) == (3.0, 3.0, True)
    assert (read.value, read.target) == (0.9, 0.7)
    assert (batch.value, batch.target, batch.holds) == (3.0, 4.0, False)
    assert [one.target for one in exact.goals(title, found, (1_000, 128), 1.0, "avx2")] == [
        3.0,
        0.7,
        None,
    ]


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
        turns=2,
    )
    truth = Truth.of(dataset.queries[:200], dataset.base, 10, "ip")
    [_, wrong, *_] = exact.measure_case(case, truth)
    assert (wrong.figure, wrong.value, wrong.holds) == ("≠ float64", 0, True)
    other = Truth("ip", truth.ids[::-1], truth.nearest[::-1] - 1e6)
    [recall, wrong, *_] = exact.measure_case(case, other)
    assert recall.value < 0.1
    assert (wrong.value, wrong.holds) == (exact.SINGLE_QUERIES, False)


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


def test_processor_time_is_that_of_a_query() -> None:
    def spin(queries: F32Matrix) -> None:
        end = time.process_time_ns() + 2_000_000 * len(queries)
        while time.process_time_ns() < end:
            pass

    timing = timed(spin, np.zeros((20, 1), np.float32), batch=10, budget_s=0.0)
    assert 2_000 <= timing.cpu_us < 2_500


def test_a_few_passes_are_made_beyond_a_small_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    spent = {"ns": 0}

    def search(queries: F32Matrix) -> None:
        spent["ns"] += 1_000_000

    monkeypatch.setattr("benchmarks.timing.time.perf_counter_ns", lambda: spent["ns"])
    queries = np.zeros((10, 1), np.float32)
    for budget_s, calls in ((0.0, 10), (0.006, 30), (0.01, 50), (0.08, 80)):
        spent["ns"] = 0
        timed(search, queries, batch=1, budget_s=budget_s)
        warm_up = 10
        assert spent["ns"] / 1_000_000 - warm_up == calls


def test_a_speed_is_that_of_the_usual_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, spent = 0, {"ns": 0}

    def search(queries: F32Matrix) -> None:
        nonlocal calls
        calls += 1
        spent["ns"] += 1_000_000 if calls % 11 else 50_000_000  # another process had its turn

    monkeypatch.setattr("benchmarks.timing.time.perf_counter_ns", lambda: spent["ns"])
    timing = timed(search, np.zeros((100, 1), np.float32), batch=10, budget_s=1.0)
    assert timing.queries_per_s == pytest.approx(10_000)
    assert timing.p50_us == pytest.approx(1_000)
    assert timing.p99_us == pytest.approx(50_000)


def test_turns_give_every_search_every_query_once_more_than_its_warm_ups() -> None:
    asked: dict[str, list[float]] = {"a": [], "b": []}
    queries = np.arange(10, dtype=np.float32)[:, None]
    searches = {name: (lambda q, n=name: asked[n].append(float(q[0, 0]))) for name in asked}
    timings = interleaved(searches, queries, rounds=2)
    assert timings.keys() == asked.keys()
    assert asked["a"] == asked["b"] == [0, 0, 1, 2, 3, 4, 5, 5, 6, 7, 8, 9]


def test_a_call_in_turns_has_the_median_of_its_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, spent = 0, {"ns": 0}

    def search(queries: F32Matrix) -> None:
        nonlocal calls
        calls += 1
        spent["ns"] += 1_000_000 if calls > 12 else 50_000_000  # all of the first pass is late

    monkeypatch.setattr("benchmarks.timing.time.perf_counter_ns", lambda: spent["ns"])
    timings = interleaved({"a": search}, np.zeros((10, 1), np.float32), rounds=2, passes=3)
    assert calls == 3 * (10 + 2)
    assert timings["a"].queries_per_s == pytest.approx(1_000)
