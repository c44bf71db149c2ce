"""Sweeps: searches of a graph that estimate every node from the sketch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from paradox import index
from paradox.core.metric import METRICS, Metric
from paradox.core.types import F32Matrix, I64Matrix
from paradox.index import IndexBackend
from paradox.index.graph_view import GraphView
from paradox.kernels import available, oracle
from tests.index.test_graph import found_in, made

N, DIM = 6_000, 48
K = 10
LEAST, SWEEPING, SCANNING = 20, 300, 2_000
"""Efforts at which a graph of `N` sweeps, the first of them hardly, and at which it scans."""


def hard(n: int, seed: int = 0) -> F32Matrix:
    """Return points without structure, where edges lead to few of the nearest."""
    return np.random.default_rng(seed).normal(size=(n, DIM)).astype(np.float32)


def folded(n: int, dim: int) -> F32Matrix:
    """Return points on a folded sheet of 12 dimensions."""
    rng = np.random.default_rng(0)
    sheet = rng.normal(size=(12, dim))
    points: F32Matrix = (np.tanh(rng.normal(size=(n, 12))) @ sheet).astype(np.float32)
    return points


def graph_of(base: F32Matrix, metric: Metric, **options: Any) -> IndexBackend:
    made = index.create("graph", dim=base.shape[1], metric=metric, **options)
    made.add(np.arange(len(base)), base)
    return made


def recall(found: I64Matrix, base: F32Matrix, queries: F32Matrix, metric: Metric) -> float:
    near = oracle.top_k(queries, base, K, metric)[0]
    return float(np.mean([np.isin(a, b).mean() for a, b in zip(found, near, strict=True)]))


@pytest.mark.parametrize("metric", METRICS)
def test_a_sweep_finds_what_edges_do_not_lead_to(metric: Metric) -> None:
    base, queries = hard(N), hard(200, 1)
    by_sweep = graph_of(base, metric).search(queries, K, effort=LEAST)
    by_edges = graph_of(base, metric, codes=False).search(queries, K, effort=LEAST)
    assert not by_sweep.certified
    assert recall(by_sweep.ids, base, queries, metric) > 0.97
    assert recall(by_edges.ids, base, queries, metric) < 0.92


@pytest.mark.parametrize("metric", METRICS)
def test_sweeps_see_vectors_of_any_length(metric: Metric) -> None:
    base, queries = hard(N), hard(200, 1)
    for length in (1e-8, 1e6, 1e12):
        long = base * np.float32(length), queries * np.float32(length)
        found = graph_of(long[0], metric).search(long[1], K, effort=SWEEPING)
        assert not found.certified
        assert recall(found.ids, *long, metric) > 0.99


def test_one_far_vector_does_not_hide_those_sketched_beside_it() -> None:
    base, queries = hard(N), hard(200, 1)
    base[::32] *= 1e4
    found = graph_of(base, "l2").search(queries, K, effort=SWEEPING)
    assert not found.certified
    assert recall(found.ids, base, queries, "l2") > 0.99


@pytest.mark.parametrize("isa", [name for name in available() if name != "scalar"])
@pytest.mark.parametrize("metric", METRICS)
def test_every_level_sweeps_alike(isa: str, metric: Metric) -> None:
    base, queries = hard(700), hard(20, 1)
    expected = found_in(made("scalar", DIM, metric, base, sketch=True), base, queries, K, 90)
    got = found_in(made(isa, DIM, metric, base, sketch=True), base, queries, K, 90)
    np.testing.assert_array_equal(got, expected)


def test_more_effort_finds_no_less() -> None:
    base, queries = hard(N), hard(200, 1)
    graph = graph_of(base, "l2")
    found = [graph.search(queries, K, effort=effort) for effort in (16, 30, 60, 300, 1_000)]
    recalls = [recall(some.ids, base, queries, "l2") for some in found]
    assert recalls == sorted(recalls)
    assert graph.search(queries, K, effort=SCANNING).certified


@pytest.mark.parametrize("compact", [False, True])
def test_a_sweep_sees_what_changed(compact: bool, tmp_path: Path) -> None:
    base, more = hard(N), hard(1_000, 2)
    graph = graph_of(base, "cosine", compact=compact)
    gone = np.arange(0, N, 3)
    graph.remove(gone)
    for begin in range(0, len(more), 37):  # blocks of a sketch are 32 nodes
        some = more[begin : begin + 37]
        graph.add(np.arange(N + begin, N + begin + len(some)), some)
    graph.add(np.array([1]), more[:1] * -1)
    graph.save(tmp_path / "graph")
    for made_so in (graph, index.load(tmp_path / "graph")):
        found = made_so.search(more, 1, effort=SWEEPING)
        assert not found.certified
        assert (found.ids[:, 0] == np.arange(N, N + len(more))).mean() > 0.999
        assert made_so.search(more[:1] * -1, 1, effort=SWEEPING).ids[0, 0] == 1
        assert not np.isin(made_so.search(base[gone], 3, effort=SWEEPING).ids, gone).any()


@pytest.mark.parametrize("options", [{}, {"compact": True, "keep": "float16"}], ids=str)
def test_a_sweep_keeps_to_a_filter(options: dict[str, Any]) -> None:
    base, queries = hard(N), hard(100, 1)
    allowed = np.random.default_rng(3).permutation(N)[: N // 2]
    graph = graph_of(base, "l2", **options)
    found = graph.search(queries, K, effort=SWEEPING, allow=allowed)
    assert np.isin(found.ids, allowed).all()
    near = allowed[oracle.top_k(queries, base[allowed], K, "l2")[0]]
    assert np.mean([np.isin(a, b).mean() for a, b in zip(found.ids, near, strict=True)]) > 0.99


@pytest.mark.parametrize("compact", [False, True])
@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_what_lies_far_beyond_a_filter_is_swept_for_and_not_scanned(
    metric: Metric, compact: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, queries = hard(N), hard(50, 1)
    away = np.eye(1, DIM, dtype=np.float32) * 30
    base[N // 2 :] += away
    queries -= away
    graph = graph_of(base, metric, compact=compact)
    allowed = np.arange(N // 2, N)
    near = allowed[oracle.top_k(queries, base[allowed], 2, metric)[0]]

    def refuse(*_: object) -> None:
        raise AssertionError("a search must not scan")

    monkeypatch.setattr(GraphView, "_scan", refuse)
    found = graph.search(queries, 2, effort=2, allow=allowed)
    assert np.mean([np.isin(a, b).mean() for a, b in zip(found.ids, near, strict=True)]) > 0.99


def test_what_a_walk_meets_little_of_is_swept_for() -> None:
    n, effort = 24_000, 18
    points, asked = folded(n + 1_500, 64), slice(n, None)
    base, queries = points[:n], points[asked]
    away = np.random.default_rng(5).normal(size=64)
    allowed = np.flatnonzero(base @ away < 0)
    order = np.argsort(queries @ away)
    beyond = queries[order[900:1_350]]  # beyond the border, though not far
    near = allowed[oracle.top_k(beyond, base[allowed], K, "l2")[0]]
    found = graph_of(base, "l2").search(beyond, K, effort=effort, allow=allowed)
    assert np.mean([np.isin(a, b).mean() for a, b in zip(found.ids, near, strict=True)]) > 0.98


@pytest.mark.parametrize("compact", [False, True])
def test_there_is_a_sketch_where_there_are_codes_of_rows(compact: bool) -> None:
    base = hard(64)
    for options, is_kept in (
        ({}, True),
        ({"keep": "float16"}, True),
        ({"codes": False}, False),
        ({"keep": "none"}, False),
    ):
        made: Any = graph_of(base, "l2", compact=compact, **options)
        bytes_of_nodes = len(base) * made._graph.node_bytes
        assert (made._graph.nbytes > bytes_of_nodes) is is_kept


def test_tuning_settles_on_a_sweep_where_edges_do_not_lead_far_enough() -> None:
    base, queries = hard(N), hard(400, 1)
    graph = graph_of(base, "l2")
    effort = graph.tune(queries[:200], K, 0.97)
    assert effort is not None
    assert effort < SWEEPING
    found = graph.search(queries[200:], K)
    assert not found.certified
    assert recall(found.ids, base, queries[200:], "l2") > 0.97
