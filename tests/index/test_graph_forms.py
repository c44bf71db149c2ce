"""The graph's forms, and what is kept of vectors: bytes, answers, changes, files."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from paradox import index
from paradox.core.errors import IndexFileCorrupt, InvalidArgument
from paradox.core.metric import METRICS, Metric
from paradox.core.types import F32Matrix
from paradox.index.container import read_container, write_container
from paradox.index.graph import GraphIndex
from paradox.index.labels import Labels
from paradox.kernels import oracle

N, DIM = 3_000, 24
SYMPHONYQG, SVS_LVQ4X8 = 3_471, 720
"""Bytes of a vector of 384 dimensions, measured beside ours (`docs/benchmarks.md`)."""


def points(n: int, dim: int = DIM, seed: int = 0) -> F32Matrix:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(7).normal(size=(20, dim))
    spread = 1.0 + centres[rng.integers(20, size=n)] + 0.5 * rng.normal(size=(n, dim))
    return np.ascontiguousarray(spread, np.float32)


def made(metric: Metric = "l2", n: int = N, dim: int = DIM, **options: Any) -> Any:
    graph = index.create("graph", dim=dim, metric=metric, seed=1, **options)
    graph.add(np.arange(n) * 3, points(n, dim))
    return graph


def recall(found: Any, queries: F32Matrix, rows: F32Matrix, metric: Metric) -> float:
    truth = oracle.top_k(queries, rows, found.ids.shape[1], metric)[0] * 3
    return float(np.mean([np.isin(a, b).mean() for a, b in zip(found.ids, truth, strict=True)]))


def assert_near(found: Any, queries: F32Matrix, rows: F32Matrix, metric: Metric) -> None:
    """Distances of 8-bit vectors err by a little of what distances differ by."""
    for query, ids, distances in zip(queries, found.ids, found.distances, strict=True):
        true = oracle.distances(query[np.newaxis], rows[ids // 3], metric)[0]
        spread = oracle.distances(query[np.newaxis], rows, metric).std()
        assert np.abs(distances - true).max() < 0.05 * spread
        assert (np.diff(distances) >= 0).all()


@pytest.mark.parametrize(
    ("options", "most"),
    [
        ({"keep": "none"}, 0.65 * SYMPHONYQG),
        ({"keep": "none", "compact": True}, SVS_LVQ4X8),
        ({"keep": "float16", "compact": True, "codes": False}, 0.65 * SYMPHONYQG),
    ],
    ids=str,
)
@pytest.mark.parametrize("batch", [2_100, 700])
def test_a_vector_takes_no_more_bytes_than_it_should(
    options: dict[str, Any], most: float, batch: int
) -> None:
    graph = index.create("graph", dim=384, metric="cosine", build_effort=10, **options)
    rows = points(2_100, 384)
    for begin in range(0, len(rows), batch):
        graph.add(np.arange(begin, begin + batch) * 5, rows[begin : begin + batch])
    assert graph.stats().resident_bytes / len(graph) <= most
    graph.remove(np.arange(20) * 5)  # labels are then kept
    assert graph.stats().resident_bytes / len(rows) <= most


@pytest.mark.parametrize("metric", METRICS)
def test_without_vectors_distances_are_nearly_true(metric: Metric) -> None:
    rows, queries = points(N), points(40, seed=5)
    for compact in (False, True):
        graph = made(metric, keep="none", compact=compact)
        for effort in (40, 2**31 - 1):
            found = graph.search(queries, 10, effort=effort)
            assert not found.certified
            assert_near(found, queries, rows, metric)
            assert recall(found, queries, rows, metric) > (0.88 if metric == "ip" else 0.93)
        assert graph.tune(queries, 10, 0.95) == graph.stats().effort
        radius = float(found.distances[0, 6])
        within = graph.range_search(queries[0], radius, limit=50)
        assert set(found.ids[0, :7].tolist()) <= set(within.ids.tolist())
        assert (within.distances <= radius).all()
        assert len(graph.range_search(queries[0], np.inf, limit=2 * N).ids) == N


@pytest.mark.parametrize("metric", METRICS)
def test_float16_answers_are_those_of_a_scan(metric: Metric) -> None:
    rows, queries = points(N).astype(np.float16).astype(np.float32), points(40, seed=5)
    graph, exact = (
        made(metric, keep="float16"),
        index.create("exact", dim=DIM, metric=metric, dtype="float16"),
    )
    exact.add(np.arange(N) * 3, rows)
    found, scanned = graph.search(queries, 10, effort=300), exact.search(queries, 10)
    assert not found.certified
    same = found.ids == scanned.ids
    assert same.mean() > 0.99
    np.testing.assert_array_equal(found.distances[same], scanned.distances[same])
    assert graph.search(queries, 10, effort=2**31 - 1).certified
    np.testing.assert_array_equal(graph.get(np.array([6, 3]))[1], rows[[2, 1]])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("compact", [False, True])
@pytest.mark.parametrize("keep", ["float32", "float16", "none"])
def test_forms_survive_changes_and_files(
    metric: Metric, keep: str, compact: bool, tmp_path: Path
) -> None:
    changed = made(metric, keep=keep, compact=compact)
    changed.add(np.arange(300) * 3, points(300, seed=2))
    assert changed.remove(np.arange(300, 700) * 3) == 400
    rows = np.concatenate([points(300, seed=2), points(N)[300:]])
    live = np.setdiff1d(np.arange(N), np.arange(300, 700))
    queries = points(40, seed=5)
    changed.save(tmp_path / "index.pdx")
    loaded = [index.load(tmp_path / "index.pdx", mmap=mmap) for mmap in (False, True)]
    copies = [copy.deepcopy(changed), pickle.loads(pickle.dumps(changed))]  # noqa: S301
    for some in (changed, *loaded, *copies):
        found = some.search(queries, 10, effort=60)
        expected = changed.search(queries, 10, effort=60)
        np.testing.assert_array_equal(found.ids, expected.ids)
        np.testing.assert_array_equal(found.distances, expected.distances)
        truth = live[oracle.top_k(queries, rows[live], 10, metric)[0]] * 3
        hits = [np.isin(a, b).mean() for a, b in zip(found.ids, truth, strict=True)]
        assert np.mean(hits) > (0.88 if metric == "ip" else 0.93)
        for allow in (live[::4] * 3, live[::400] * 3):
            among = some.search(queries, 5, allow=allow).ids
            assert np.isin(among, allow).all()
    for some in (*loaded, *copies):
        some.remove(live[:50] * 3)
        some.add(live[:20] * 3, rows[live[:20]])
        assert len(some) == N - 430
        new = some.search(rows[live[:5]], 20, effort=60, allow=live[:20] * 3)
        assert (np.sort(new.ids) == live[:20] * 3).all()
        assert some.remove(np.arange(N) * 3) == N - 430
        assert (some.search(queries, 3).ids == -1).all()
        some.add(live[:9] * 3, rows[live[:9]])
        assert (some.search(queries, 12).ids[:, :9] >= 0).all()


@pytest.mark.parametrize("metric", METRICS)
def test_vectors_that_nodes_alone_keep_outlive_many_rebuilds(metric: Metric) -> None:
    """What is built anew because most was removed has the same 8-bit vectors."""
    graph = made(metric, keep="none")
    rows, queries = points(N), points(20, seed=5)
    before = graph.search(queries, 10, effort=2**31 - 1)
    for turn in range(8):
        graph.add(np.arange(N) + 10**6, points(N, seed=turn))
        graph.remove(np.arange(N) + 10**6)
    assert graph.effort_key[1] >= 4
    after = graph.search(queries, 10, effort=2**31 - 1)
    np.testing.assert_allclose(
        after.distances, before.distances, rtol=0.01, atol=0.005 * np.abs(before.distances).max()
    )
    assert recall(after, queries, rows, metric) > 0.95


@pytest.mark.parametrize("keep", ["float32", "none"])
def test_a_long_vector_that_is_gone_does_no_harm_for_ever(keep: str) -> None:
    base, queries = points(N), points(50, seed=9)
    graph = index.create("graph", dim=DIM, metric="ip", keep=keep, codes=False)
    graph.add(np.arange(N + 1) * 3, np.concatenate([base, base[:1] * 1_000]))
    graph.remove(np.array([N * 3]))
    for _ in range(3):  # more are stale than there are
        graph.add(np.arange(N) * 3, base)
    assert recall(graph.search(queries, 10, effort=200), queries, base, "ip") > 0.8
    graph.add(np.array([N * 3]), base[:1] * 1_000)
    graph.remove(np.arange(N + 1) * 3)
    assert len(graph) == 0
    graph.add(np.arange(N) * 3, base)
    assert recall(graph.search(queries, 10, effort=200), queries, base, "ip") > 0.8


def test_few_of_many_built_anew_from_their_nodes_can_be_saved(tmp_path: Path) -> None:
    graph, queries = made(keep="none"), points(20, seed=5)
    graph.remove(np.arange(2_200) * 3)
    assert graph.effort_key[1] == 1
    graph.save(tmp_path / "index.pdx")
    loaded = index.load(tmp_path / "index.pdx")
    np.testing.assert_array_equal(loaded.search(queries, 5).ids, graph.search(queries, 5).ids)
    graph.remove(np.arange(2_200, N) * 3)
    graph.add(np.arange(30), points(30))
    graph.save(tmp_path / "index.pdx")
    assert len(index.load(tmp_path / "index.pdx")) == 30


@pytest.mark.parametrize("metric", METRICS)
def test_one_at_a_time_from_nothing_is_as_good_without_vectors(metric: Metric) -> None:
    rows, queries = points(600), points(20, seed=5)
    rows[300:] *= np.float32(2.5)  # longer than the first: under inner product built anew
    graph = index.create("graph", dim=DIM, metric=metric, keep="none")
    for i in range(len(rows)):
        graph.add(np.array([3 * i]), rows[i : i + 1])
    found = graph.search(queries, 10, effort=2**31 - 1)
    assert_near(found, queries, rows, metric)
    assert recall(found, queries, rows, metric) > 0.93


@pytest.mark.parametrize("metric", METRICS)
def test_queries_however_long_are_answered_without_vectors(metric: Metric) -> None:
    graph, rows = made(metric, keep="none"), points(N)
    queries = np.concatenate([points(3, seed=5) * np.float32(1e17), np.full((1, DIM), 3e38, "f4")])
    found = graph.search(queries, 10)
    assert (found.ids >= 0).all()
    with np.errstate(over="ignore"):
        distances = oracle.distances(queries.astype(np.float64), rows.astype(np.float64), metric)
    if metric == "ip":
        nearest = np.sort(distances, axis=1)[:, 9:10]
        got = np.take_along_axis(distances, found.ids // 3, axis=1)
        assert (got <= nearest + 0.02 * np.abs(nearest)).all()


def test_what_cannot_be_kept_is_refused_and_changes_nothing() -> None:
    graph = made(keep="none")
    with pytest.raises(InvalidArgument, match=r"expected norms up to 1e\+15; got"):
        graph.add(np.array([0, 1]), np.full((2, DIM), 1e16, np.float32))
    with pytest.raises(InvalidArgument, match="expected vectors to be kept; got keep='none'"):
        graph.get(np.array([0]))
    narrow = made(keep="float16")
    with pytest.raises(InvalidArgument, match="float16"):
        narrow.add(np.array([0]), np.full((1, DIM), 1e6, np.float32))
    assert len(graph) == len(narrow) == N


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep": "int8"}, "keep: expected one of float32, float16, none; got 'int8'"),
        ({"keep": None}, "keep: expected one of"),
        ({"compact": 1}, "compact: expected True or False; got 1"),
        ({"codes": "yes"}, "codes: expected True or False; got 'yes'"),
        ({"codes": True, "keep": "none"}, "codes: expected None or False where keep='none'"),
    ],
    ids=str,
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        index.create("graph", dim=8, metric="l2", **options)


class Instead:
    """A native graph, of which a subclass has something fail."""

    def __init__(self, whole: Any) -> None:
        self._whole = whole

    def __getattr__(self, name: str) -> Any:
        return getattr(self._whole, name)

    def __len__(self) -> int:
        return len(self._whole)


class Full(Instead):
    """A graph that has no memory left for another node."""

    def add(self, vectors: F32Matrix, threads: int) -> None:
        raise MemoryError


class OutOfMemoryOnceGrown(Instead):
    """A graph that finds no memory for what is done once it has grown."""

    @property
    def is_outgrown(self) -> bool:
        raise MemoryError


def test_a_change_without_memory_leaves_what_there_was() -> None:
    graph = made(keep="none")
    rows = points(100, seed=3)
    held, kept = graph._view, np.arange(N) * 3
    whole, graph._graph = graph._graph, Full(graph._graph)
    with pytest.raises(MemoryError):
        graph.add(np.arange(100) + 10**6, rows)
    graph._graph = whole
    assert len(graph) == N
    assert (np.sort(graph.search(rows[:3], N).ids) == kept).all()
    assert (np.sort(held.nearest(rows[:3], N, 50, None, 1).ids) == kept).all()
    queries = points(20, seed=5)
    assert recall(graph.search(queries, 10), queries, points(N), "l2") > 0.95
    assert recall(copy.deepcopy(graph).search(queries, 10), queries, points(N), "l2") > 0.93
    graph.add(np.arange(100) + 10**6, rows)
    assert len(graph) == N + 100
    assert graph.search(rows[:5], 1).ids[:, 0].tolist() == list(range(10**6, 10**6 + 5))
    whole, graph._graph = graph._graph, Full(graph._graph)
    with pytest.raises(MemoryError):
        graph.add(kept[:50], points(50, seed=4))
    graph._graph = whole
    assert len(graph) == N + 100
    assert graph.search(points(N)[:60], 1).ids[:, 0].tolist() == kept[:60].tolist()
    assert graph.remove(kept[:60]) == 60
    assert not np.isin(graph.search(points(N)[:60], N + 40).ids, kept[:60]).any()
    graph.add(kept[:60], points(60))
    assert graph.search(points(60), 1).ids[:, 0].tolist() == kept[:60].tolist()


def test_nodes_that_were_linked_before_memory_ran_out_are_in_no_answer() -> None:
    """Also where their slots, and with them their labels' rows, are those of others by then."""
    graph, rows = made(keep="none"), points(100, seed=3)
    kept = np.arange(N) * 3
    whole, graph._graph = graph._graph, OutOfMemoryOnceGrown(graph._graph)
    with pytest.raises(MemoryError):
        graph.add(kept[:100], rows)
    graph._graph = whole
    assert len(graph) == N
    assert graph.search(points(N)[:100], 1).ids[:, 0].tolist() == kept[:100].tolist()
    graph.add(np.arange(100) + 10**6, points(100, seed=4))
    assert len(graph) == N + 100
    found = graph.search(rows, N + 100)
    assert (np.sort(found.ids)[:, :N] == kept).all()
    assert graph.search(points(100, seed=4), 1).ids[:, 0].tolist() == list(
        range(10**6, 10**6 + 100)
    )


def test_a_change_interrupted_once_the_graph_was_built_anew_is_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Outgrown(Instead):
        is_outgrown = True

    rebuild = GraphIndex._build_anew

    def interrupted(graph: GraphIndex) -> None:
        rebuild(graph)
        raise KeyboardInterrupt

    graph, kept, rows = made(keep="none"), np.arange(N) * 3, points(60, seed=4)
    graph._graph = Outgrown(graph._graph)
    with monkeypatch.context() as patched:
        patched.setattr(GraphIndex, "_build_anew", interrupted)
        with pytest.raises(KeyboardInterrupt):
            graph.add(kept[:60], rows)
    assert len(graph) == N
    assert graph.search(rows, 1).ids[:, 0].tolist() == kept[:60].tolist()
    graph.add(kept[:60], points(60, seed=5))  # finds the rows that it replaces
    assert graph.search(points(60, seed=5), 1).ids[:, 0].tolist() == kept[:60].tolist()
    graph.remove(kept[:60])
    assert not np.isin(graph.search(rows, 10).ids, kept[:60]).any()


@pytest.mark.parametrize("keep", ["float32", "none"])
def test_without_memory_for_what_goes_stale_nothing_is_changed(
    keep: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(labels: Labels) -> None:
        raise MemoryError

    graph, rows = made(keep=keep), points(N)
    with monkeypatch.context() as patched:
        patched.setattr(Labels, "expect_stale", full)
        with pytest.raises(MemoryError):
            graph.remove(np.array([30]))
        with pytest.raises(MemoryError):
            graph.add(np.array([30]), rows[:1] + 5)
    assert len(graph) == N
    assert graph.search(rows[10:11], 1).ids.tolist() == [[30]]
    graph.add(np.array([30]), rows[:1] + 5)
    found = graph.search(np.concatenate([rows[:1] + 5, rows[10:11]]), 3).ids
    assert found[0, 0] == 30
    assert 30 not in found[1]


def test_ids_are_known_after_a_change_without_memory_among_few_that_are_left() -> None:
    """Before the next vectors come the rows are made anew: these must be shown first."""
    graph, rows = made(keep="none", n=300), points(300)
    assert graph.remove(np.arange(100, 300) * 3) == 200
    whole, graph._graph = graph._graph, Full(graph._graph)
    with pytest.raises(MemoryError):
        graph.add(np.array([1]), rows[:1])
    graph._graph = whole
    graph.add(np.array([0, 2]), rows[:2])
    assert len(graph) == 101
    assert graph.remove(np.arange(50) * 3) == 50
    found = graph.search(rows[50:60], 60).ids
    assert (np.sort(found)[:, -51:] == [2, *np.arange(50, 100) * 3]).all()


def test_files_from_before_there_were_forms_are_read(tmp_path: Path) -> None:
    graph, queries = made(codes=True), points(20, seed=5)
    graph.save(tmp_path / "index.pdx")
    fields, sections = read_container(tmp_path / "index.pdx")
    for name in ("keep", "compact"):
        del fields["options"][name]
    write_container(tmp_path / "old.pdx", "graph", fields, sections)
    np.testing.assert_array_equal(
        index.load(tmp_path / "old.pdx").search(queries, 10).ids, graph.search(queries, 10).ids
    )


@pytest.mark.parametrize("wrong", [{"keep": "float32"}, {"compact": True}], ids=str)
def test_a_file_that_says_another_form_than_it_has_is_refused(
    wrong: dict[str, Any], tmp_path: Path
) -> None:
    made(keep="none").save(tmp_path / "index.pdx")
    fields, sections = read_container(tmp_path / "index.pdx")
    fields["options"].update(wrong)
    write_container(tmp_path / "index.pdx", "graph", fields, sections)
    with pytest.raises(IndexFileCorrupt):
        index.load(tmp_path / "index.pdx")


def test_ids_without_nodes_are_refused_where_nothing_else_has_the_vectors(tmp_path: Path) -> None:
    made(keep="none").save(tmp_path / "index.pdx")
    fields, sections = read_container(tmp_path / "index.pdx")
    fields["structure"] = {}
    write_container(tmp_path / "index.pdx", "graph", fields, sections)
    with pytest.raises(IndexFileCorrupt, match="ids to have nodes"):
        index.load(tmp_path / "index.pdx")
