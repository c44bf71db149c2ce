"""The native graph: the same bits on every level, and nodes that say what they should."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from paradox import index
from paradox._native import graph as native
from paradox.core.errors import InvalidArgument
from paradox.core.metric import METRICS, Metric
from paradox.core.types import F32Matrix
from paradox.kernels import available, oracle

BULK = 2_500
LEVELS = [name for name in available() if name != "scalar"]


def points(n: int, dim: int, seed: int = 0) -> F32Matrix:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(7).normal(size=(20, dim))
    spread = centres[rng.integers(20, size=n)] + 0.4 * rng.normal(size=(n, dim))
    return np.ascontiguousarray(spread, np.float32)


def made(
    isa: str,
    dim: int,
    metric: Metric,
    *parts: F32Matrix,
    threads: int = 1,
    degree: int = 32,
    sketch: bool = False,
) -> native.Graph:
    graph = native.Graph(isa, dim, METRICS.index(metric), degree, 40, 3, sketch, False)
    for part in parts:
        graph.add(part, threads)
    return graph


def found_in(graph: native.Graph, base: F32Matrix, queries: F32Matrix, k: int, effort: int) -> Any:
    """Return the ids that a graph of `base` finds, which are the rows' numbers."""
    numbers, n = np.arange(len(base)), len(base)
    norms = np.linalg.norm(base.astype(np.float64), axis=1)
    view = graph.use_rows(base, norms, numbers, None, 1)
    return view.search(queries, k, effort, None, n, 1)[0]


def kept_dim(dim: int, metric: Metric) -> int:
    """Return the dimensions of a node's vector: few are rotated into more."""
    dim += metric == "ip"
    return -(-max(dim, min(128, 4 * dim)) // 32) * 32


def nodes_of(graph: native.Graph) -> Any:
    """Return the nodes as records, in the layout of `node_layout.hpp`."""
    raw = np.empty((len(graph), graph.node_bytes), np.uint8)
    graph.save_nodes(raw)
    return raw


def fields_of(raw: Any, dim: int, degree: int = 32) -> dict[str, Any]:
    at = 56
    header = np.frombuffer(raw[:, :at].tobytes(), "<f4").reshape(len(raw), 14)
    vectors = raw[:, at : at + dim].view(np.int8)
    codes_at = at + dim
    offsets_at = codes_at + degree * dim // 8
    slopes_at = offsets_at + degree
    edges_at = slopes_at + degree

    def column(begin: int, size: int, dtype: str) -> Any:
        return np.frombuffer(raw[:, begin : begin + size].tobytes(), dtype).reshape(len(raw), -1)

    offset_roots = raw[:, offsets_at:slopes_at].view(np.int8).astype(np.float64)
    slope_roots = raw[:, slopes_at:edges_at].astype(np.float64)
    return {
        "scale": header[:, 0],
        "squares": header[:, 1],
        "term": header[:, 2],
        "n_edges": np.frombuffer(raw[:, 20:24].tobytes(), "<i4"),
        "guardian": np.frombuffer(raw[:, 28:32].tobytes(), "<u4"),
        "chosen": np.unpackbits(raw[:, 40:56], axis=1, bitorder="little")[:, :degree] != 0,
        "vectors": vectors,
        "codes": raw[:, codes_at:offsets_at],
        "offset_roots": offset_roots,
        "slope_roots": slope_roots,
        "offsets": header[:, 3:4] * offset_roots * np.abs(offset_roots),
        "slopes": header[:, 4:5] * slope_roots**2,
        "neighbours": column(edges_at, 4 * degree, "<u4"),
    }


def signs_of(codes: Any, dim: int) -> Any:
    """Return (n, degree, dim) of True where a residual is positive."""
    groups = codes.reshape(len(codes), -1, dim // 4, 16)  # of each 32 edges
    nibbles = np.concatenate([groups & 15, groups >> 4], axis=3)
    bits = (nibbles[..., np.newaxis] >> np.arange(4)) & 1
    return bits.transpose(0, 1, 3, 2, 4).reshape(len(codes), -1, dim).astype(bool)


def vectors_of(node: dict[str, Any]) -> Any:
    return node["scale"][:, np.newaxis] * node["vectors"].astype(np.float64)


def estimate_errors(node: dict[str, Any]) -> Any:
    """Return how far keys of edges are from those of the vectors, in what is to be expected.

    RaBitQ (SIGMOD 2024), theorem 3.2: an estimate is unbiased, and this is its deviation.
    """
    vectors = vectors_of(node)
    kept = vectors.shape[1]
    residuals = vectors[node["neighbours"]] - vectors[:, np.newaxis]
    queries = np.random.default_rng(5).normal(size=(50, kept))
    queries *= np.sqrt(node["squares"].mean()) / np.linalg.norm(queries, axis=1, keepdims=True)
    true = node["term"][node["neighbours"]] - 2 * np.einsum(
        "qd,ned->qne", queries, vectors[node["neighbours"]]
    )
    own = node["term"] - 2 * queries @ vectors.T
    signed = np.einsum("qd,ned->qne", queries, np.where(signs_of(node["codes"], kept), 1.0, -1.0))
    estimated = own[..., np.newaxis] + node["offsets"] - node["slopes"] * signed
    away = np.linalg.norm(queries[:, np.newaxis] - vectors, axis=2)
    length = np.linalg.norm(residuals, axis=2)
    expected = 2 * away[..., np.newaxis] * length * np.sqrt((np.pi / 2 - 1) / (kept - 1))
    edge = np.arange(node["neighbours"].shape[1]) < node["n_edges"][:, np.newaxis]
    return ((estimated - true) / np.maximum(expected, 1e-9))[:, edge]


def n_reached(edges: list[list[int]], start: int) -> int:
    reached, to_visit = {start}, [start]
    while to_visit:
        fresh = set(edges[to_visit.pop()]) - reached
        reached |= fresh
        to_visit += fresh
    return len(reached)


@pytest.mark.parametrize("isa", LEVELS)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dim", [1, 3, 31, 97, 384])
def test_every_level_makes_the_same_graph(isa: str, metric: Metric, dim: int) -> None:
    parts = points(BULK if dim < 100 else 150, dim), points(120, dim, 1)
    expected, got = made("scalar", dim, metric, *parts), made(isa, dim, metric, *parts)
    np.testing.assert_array_equal(nodes_of(got), nodes_of(expected))
    queries = points(20, dim, 2)
    base = np.concatenate(parts)
    for effort in (12, 50):
        np.testing.assert_array_equal(
            found_in(got, base, queries, 10, effort), found_in(expected, base, queries, 10, effort)
        )
    assert got.state() == expected.state()


@pytest.mark.parametrize("isa", LEVELS)
def test_every_level_makes_the_same_graph_of_two_blocks_of_edges(isa: str) -> None:
    parts = points(BULK, 48), points(120, 48, 1)
    expected = made("scalar", 48, "l2", *parts, degree=64)
    got = made(isa, 48, "l2", *parts, degree=64)
    np.testing.assert_array_equal(nodes_of(got), nodes_of(expected))
    base, queries = np.concatenate(parts), points(20, 48, 2)
    np.testing.assert_array_equal(
        found_in(got, base, queries, 10, 30), found_in(expected, base, queries, 10, 30)
    )


@pytest.mark.parametrize("isa", LEVELS)
@pytest.mark.parametrize("dim", [1_025, 3_072, 4_224])
def test_sums_of_many_dimensions_do_not_overflow(isa: str, dim: int) -> None:
    base = points(64, dim)
    expected, got = made("scalar", dim, "l2", base), made(isa, dim, "l2", base)
    np.testing.assert_array_equal(nodes_of(got), nodes_of(expected))


@pytest.mark.parametrize("metric", METRICS)
def test_a_graph_does_not_depend_on_the_threads(metric: Metric) -> None:
    parts = points(BULK, 24), points(300, 24, 1)
    isa = available()[0]
    alone, together = made(isa, 24, metric, *parts), made(isa, 24, metric, *parts, threads=3)
    np.testing.assert_array_equal(nodes_of(together), nodes_of(alone))


@pytest.mark.parametrize("sizes", [(1_000, 800), (BULK,)], ids=["insertion", "bulk"])
def test_chosen_edges_hardly_cover_each_other(sizes: tuple[int, ...]) -> None:
    """Of the edges that are chosen hardly any covers a farther one: wards, and what joins parts."""
    dim = 16
    graph = made("scalar", dim, "l2", *(points(n, dim, seed) for seed, n in enumerate(sizes)))
    node = fields_of(nodes_of(graph), kept_dim(dim, "l2"))
    vectors = vectors_of(node)
    n_chosen = n_covered = 0
    for i, edges in enumerate(node["neighbours"]):
        is_chosen = node["chosen"][i] & (node["guardian"][edges] != i)
        chosen = vectors[edges[is_chosen]]
        away = ((chosen - vectors[i]) ** 2).sum(axis=1)
        between = ((chosen[:, np.newaxis] - chosen) ** 2).sum(axis=2)
        covers = (1.15 * between < away) & (away[:, np.newaxis] < away)
        n_chosen += len(chosen)
        n_covered += int(covers.any(axis=0).sum())
    assert n_chosen > 5 * len(vectors)
    assert n_covered < 0.03 * n_chosen


@pytest.mark.parametrize("degree", [32, 64])
@pytest.mark.parametrize("metric", METRICS)
def test_a_node_says_what_its_edges_are(metric: Metric, degree: int) -> None:
    dim = 64
    graph = made("scalar", dim, metric, points(400, dim), degree=degree)
    kept = kept_dim(dim, metric)
    node = fields_of(nodes_of(graph), kept, degree)
    vectors = vectors_of(node)
    np.testing.assert_allclose(node["squares"], (vectors**2).sum(axis=1), rtol=1e-5)
    np.testing.assert_allclose(node["term"], 0 if metric == "ip" else node["squares"])
    edge = np.arange(degree) < node["n_edges"][:, np.newaxis]
    residuals = vectors[node["neighbours"]] - vectors[:, np.newaxis]
    told = np.abs(residuals) > 1e-6  # the sign of a zero is the kernel's to choose
    signs = signs_of(node["codes"], kept)
    assert (signs == (residuals > 0))[told & edge[..., np.newaxis]].all()

    error = estimate_errors(node)
    assert abs(error.mean()) < 0.05
    assert 0.85 < error.std() < 1.15


def test_short_edges_that_come_after_long_ones_get_finer_factors() -> None:
    dim, near = 64, np.float32(0.05) * np.random.default_rng(1).normal(size=(805, 64))
    first, *others = np.split(near.astype(np.float32), range(5, 805, 10))
    graph = made("scalar", dim, "l2", first, 10 * points(200, dim), *others)
    node = fields_of(nodes_of(graph), kept_dim(dim, "l2"))
    assert (2 * np.abs(node["offset_roots"]).max(axis=1) >= 127).all()  # 1 on a scale of long ones
    assert (2 * node["slope_roots"].max(axis=1) >= 255).all()
    assert 0.85 < estimate_errors(node).std() < 1.15


def test_long_edges_that_come_after_short_ones_are_estimated_as_well() -> None:
    rng, dim = np.random.default_rng(0), 64
    shells = [1.4**i * rng.normal(size=(40, dim)) for i in range(30)]
    graph = made("scalar", dim, "l2", *(shell.astype(np.float32) for shell in shells))
    error = estimate_errors(fields_of(nodes_of(graph), kept_dim(dim, "l2")))
    assert abs(error.mean()) < 0.05
    assert 0.85 < error.std() < 1.15  # 1.4 where they are cut to a scale of short ones


@pytest.mark.parametrize("parts", [(BULK, 0), (0, BULK), (BULK, 800)], ids=["bulk", "one", "both"])
def test_every_node_can_be_reached_from_one(parts: tuple[int, int]) -> None:
    bulk, single = parts
    chunks = [points(bulk, 16)] if bulk else []
    later = points(single, 16, 1)
    chunks += [later[i : i + 1_000] for i in range(0, single, 1_000)]
    node = fields_of(nodes_of(made(available()[0], 16, "l2", *chunks)), kept_dim(16, "l2"))
    n = len(node["n_edges"])
    edges = [node["neighbours"][i, : node["n_edges"][i]].tolist() for i in range(n)]
    assert all(i not in edges[i] for i in range(n))
    assert all(len(set(some)) == len(some) for some in edges)
    assert len(set().union(*edges)) == n
    starts = np.random.default_rng(0).permutation(n)[:128].tolist()
    assert max(n_reached(edges, start) for start in starts) == n


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("batch", [1, 50, 4_000])
def test_however_vectors_come_they_are_found(metric: Metric, batch: int) -> None:
    n = 800 if batch == 1 else 4_000
    base, queries = points(n, 32), points(60, 32, 9)
    graph = made(available()[0], 32, metric, *(base[i : i + batch] for i in range(0, n, batch)))
    found = found_in(graph, base, queries, 10, 60)
    truth = np.argsort(oracle.distances(queries, base, metric), axis=1, kind="stable")[:, :10]
    hits = [len(np.intersect1d(a, b)) for a, b in zip(found, truth, strict=True)]
    assert np.mean(hits) / 10 > 0.97


@pytest.mark.parametrize("vector", ["equal", "zero", "huge", "tiny"])
def test_vectors_that_cannot_be_told_apart_do_no_harm(vector: str) -> None:
    base = {
        "equal": np.ones((BULK, 8), np.float32),
        "zero": np.zeros((BULK, 8), np.float32),
        "huge": points(BULK, 8) * np.float32(1e14),
        "tiny": points(BULK, 8) * np.float32(1e-30),
    }[vector]
    graph = made(available()[0], 8, "l2", base, base[:100])
    found = found_in(graph, np.concatenate([base, base[:100]]), base[:5], 10, 50)
    assert found.min() >= 0
    assert all(len(np.unique(row)) == 10 for row in found)


def test_half_of_the_records_replaced_leave_the_answers_as_good() -> None:
    base, later, queries = points(4_000, 32), points(2_000, 32, 4), points(100, 32, 9)
    graph = index.create("graph", dim=32, metric="l2", seed=1, codes=False)
    graph.add(np.arange(4_000), base)
    graph.add(np.arange(0, 4_000, 2), later)
    now = base.copy()
    now[::2] = later
    found = graph.search(queries, 10, effort=60)
    truth = np.argsort(oracle.distances(queries, now, "l2"), axis=1, kind="stable")[:, :10]
    hits = [len(np.intersect1d(a, b)) for a, b in zip(found.ids, truth, strict=True)]
    assert not found.certified
    assert np.mean(hits) / 10 > 0.95


@pytest.mark.parametrize("degree", [0, 40, 256])
def test_a_degree_that_no_kernel_scans_is_refused(degree: int) -> None:
    with pytest.raises(InvalidArgument, match="degree: expected"):
        index.create("graph", dim=8, metric="l2", degree=degree)


def test_nodes_that_are_no_graph_are_refused() -> None:
    graph = made("scalar", 8, "l2", points(50, 8))
    raw, state = nodes_of(graph), graph.state()
    assert made("scalar", 8, "l2").restore(raw, state, 1)
    assert not made("scalar", 8, "l2").restore(raw[:20], state, 1)
    assert not made("scalar", 8, "l2").restore(raw, state | {"origin": [0.0] * 7}, 1)
    assert not made("scalar", 8, "l2").restore(raw, state | {"entries": [50]}, 1)
    assert not made("scalar", 8, "l2").restore(raw, state | {"entries": []}, 1)
    raw[3, 16:20] = 255
    assert not made("scalar", 8, "l2").restore(raw, state, 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"entries": [3, 3]},
        {"origin": [float("nan")] * 8},
        {"origin": [1e20] * 8},
        {"longest": -1.0},
        {"longest": float("inf")},
        {"dimension": float("nan")},
        {"dimension": 1e-3},
        *({"n_at_choice": n} for n in (-(2**63), 0, 51, 2**62)),
        *({"n_at_origin": n} for n in (0, 51, 2**62)),
        *({"n_at_join": n} for n in (-(2**63), 51)),
        *({"n_bypassed": n} for n in (-1, 11)),
    ],
    ids=str,
)
def test_a_state_that_no_nodes_can_have_is_refused(wrong: dict[str, Any]) -> None:
    """Each made an insertion or a removal read what is not a node's, overflow, or never end."""
    graph = made("scalar", 8, "l2", points(50, 8))
    graph.remove(np.arange(10), 1)
    raw, state = nodes_of(graph), graph.state()
    assert made("scalar", 8, "l2").restore(raw, state, 1)
    assert not made("scalar", 8, "l2").restore(raw, state | wrong, 1)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("at", "value"),
    [
        *((at, np.float32(np.nan)) for at in (0, 4, 8, 12, 16)),  # scales, squares, term
        *((at, np.float32(value)) for at in (0, 4, 8, 12, 16) for value in (1e31, np.inf)),
        *((24, np.int32(removed)) for removed in (-(2**31), 2)),
        (28, np.uint32(50)),  # guardian
        *((32, np.int32(n)) for n in (-1, 9, 2**31 - 1)),  # wards
        (56, np.int8(-128)),  # of the vector
    ],
    ids=str,
)
def test_a_node_that_no_graph_has_is_refused(metric: Metric, at: int, value: Any) -> None:
    graph = made("scalar", 8, metric, points(50, 8))
    raw, state = nodes_of(graph), graph.state()
    raw[7, at : at + value.itemsize] = np.frombuffer(value.tobytes(), np.uint8)
    assert not made("scalar", 8, metric).restore(raw, state, 1)


def topic(n: int, dim: int, distance: float, seed: int) -> F32Matrix:
    """Return vectors close together, far from the origin in a direction of their own."""
    rng = np.random.default_rng(seed)
    centre = rng.normal(size=dim)
    centre *= distance / np.linalg.norm(centre)
    return np.ascontiguousarray(centre + 0.3 * rng.normal(size=(n, dim)), np.float32)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("batch", [300, 2_000])
def test_a_new_topic_far_from_all_others_is_found(metric: Metric, batch: int) -> None:
    graph = index.create("graph", dim=32, metric=metric, codes=False)
    for seed in range(5):
        graph.add(np.arange(2_000) + 10_000 * seed, topic(2_000, 32, 12.0, seed))
    new, ids = topic(batch, 32, 12.0, 99), np.arange(batch) + 90_000
    for begin in range(0, batch, 700):
        graph.add(ids[begin : begin + 700], new[begin : begin + 700])
    nearest = oracle.distances(new[::7], new, metric).argmin(axis=1)
    found = graph.search(new[::7], 1, effort=40).ids[:, 0]
    assert np.mean(found == ids[nearest]) > 0.9
    old = topic(2_000, 32, 12.0, 0)
    nearest = oracle.distances(old[::50], old, metric).argmin(axis=1)
    assert np.mean(graph.search(old[::50], 1, effort=40).ids[:, 0] == nearest) > 0.9


@pytest.mark.parametrize(("metric", "least"), [("l2", 0.9), ("cosine", 0.9), ("ip", 0.5)])
def test_single_vectors_far_from_all_others_are_mostly_found(metric: Metric, least: float) -> None:
    graph = index.create("graph", dim=32, metric=metric, codes=False)
    for seed in range(5):
        graph.add(np.arange(2_000) + 10_000 * seed, topic(2_000, 32, 12.0, seed))
    alone, ids = np.concatenate([topic(1, 32, 12.0, 99 + i) for i in range(40)]), np.arange(40)
    for i in ids:
        graph.add(90_000 + ids[i : i + 1], alone[i : i + 1])
    found = graph.search(alone, 1, effort=100).ids[:, 0]
    assert np.mean(found == 90_000 + ids) > least


@pytest.mark.parametrize("metric", ["l2", "ip"])
def test_queries_too_long_for_the_graph_are_answered_by_a_scan(metric: Metric) -> None:
    base = points(BULK, 16)
    queries = np.concatenate([base[:3], np.float32(1e17) * base[3:6], base[6:7]])
    graph = index.create("graph", dim=16, metric=metric)
    scan = index.create("exact", dim=16, metric=metric)
    for each in (graph, scan):
        each.add(np.arange(BULK), base)
    found, expected = graph.search(queries, 10, effort=40), scan.search(queries, 10)
    assert not found.certified
    np.testing.assert_array_equal(found.ids[3:6], expected.ids[3:6])
    np.testing.assert_array_equal(found.distances[3:6], expected.distances[3:6])
    assert (found.ids >= 0).all()


@pytest.mark.parametrize("effort", [1, 2, 4])
def test_searches_of_small_efforts_are_not_cut_short_on_their_way(effort: int) -> None:
    rng = np.random.default_rng(0)
    base = rng.standard_normal((6_000, 32), dtype=np.float32)
    alone = 60.0 * base[:40] / np.linalg.norm(base[:40], axis=1, keepdims=True)
    base[:40] = alone
    graph = index.create("graph", dim=32, metric="l2", codes=False)
    graph.add(np.arange(6_000), base)
    found = graph.search(alone, 1, effort=effort).ids[:, 0]
    assert np.mean(found == np.arange(40)) > 0.85


@pytest.mark.parametrize("effort", [1, 4])
def test_searches_of_few_nodes_are_not_cut_short_either(effort: int) -> None:
    """Of few no dimension can be told, by whose distances searches end."""
    parts = points(150, 32), points(100, 32, 1)
    graph, base = made(available()[0], 32, "l2", *parts), np.concatenate(parts)
    assert graph.state()["dimension"] == 0.0
    found = found_in(graph, base, base, 1, effort)[:, 0]
    assert np.mean(found == np.arange(250)) > 0.9


def test_the_dimension_is_measured_among_removed_nodes_too() -> None:
    """Those are on the way, and in no answer: a walk of as many nodes as are wanted finds fewer."""
    first, more = np.split(points(1_150, 16), [150])
    whole, worn = made(available()[0], 16, "l2", first), made(available()[0], 16, "l2", first)
    worn.remove(np.arange(100), 1)
    for graph in (whole, worn):
        graph.add(more, 1)
    dimensions = [graph.state()["dimension"] for graph in (whole, worn)]
    assert dimensions[0] > 0.0
    assert abs(dimensions[1] / dimensions[0] - 1.0) < 0.2


def hubs_and_others(n: int, dim: int, seed: int) -> F32Matrix:
    """Return directions around one common direction, some of them close to it: near to all."""
    rng = np.random.default_rng(seed)
    spread = rng.choice([0.3, 1.5], p=[0.02, 0.98], size=(n, 1))
    rows = rng.standard_normal((n, dim)) * spread
    rows[:, 0] += 0.5 * np.sqrt(dim)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_nodes_that_are_near_to_all_leave_others_their_edges() -> None:
    base = hubs_and_others(6_000, 96, 0)
    graph = made(available()[0], 96, "l2", base)
    edges = fields_of(nodes_of(graph), kept_dim(96, "l2"))["neighbours"]
    n_parents = np.bincount(edges.ravel(), minlength=len(base))
    assert np.quantile(n_parents, 0.01) >= 12  # 6 where edges are not shared out


@pytest.mark.parametrize("metric", METRICS)
def test_topics_one_after_the_other_are_found_and_again_after_loading(
    metric: Metric, tmp_path: Path
) -> None:
    graph = index.create("graph", dim=32, metric=metric, codes=False)
    topics = [topic(1_000, 32, 12.0, seed) for seed in range(8)]
    for number, vectors in enumerate(topics):
        graph.add(np.arange(1_000) + 1_000 * number, vectors)
        if number % 3 == 2:
            graph.save(tmp_path / "graph")
            graph = index.load(tmp_path / "graph")
        for known, some in enumerate(topics[: number + 1]):
            nearest = oracle.distances(some[::20], some, metric).argmin(axis=1)
            found = graph.search(some[::20], 1, effort=40).ids[:, 0]
            assert np.mean(found == nearest + 1_000 * known) > 0.9


@pytest.mark.parametrize("times", [1.2, 1.5, 3.0])
@pytest.mark.parametrize("batch", [1, 200])
def test_vectors_longer_than_the_first_are_found_as_if_all_had_come_at_once(
    times: float, batch: int
) -> None:
    base, queries = points(4_200, 48), points(100, 48, 9)
    base[4_000:] *= np.float32(times)
    truth = np.argsort(oracle.distances(queries, base, "ip"), axis=1, kind="stable")[:, :10]

    def recall_of(*batches: slice) -> float:
        graph = index.create("graph", dim=48, metric="ip", codes=False)
        for some in batches:
            graph.add(np.arange(4_200)[some], base[some])
        found = graph.search(queries, 10, effort=60)
        assert not found.certified
        hits = [len(np.intersect1d(a, b)) for a, b in zip(found.ids, truth, strict=True)]
        return float(np.mean(hits)) / 10

    later = [slice(begin, begin + batch) for begin in range(4_000, 4_200, batch)]
    assert recall_of(slice(0, 4_000), *later) > recall_of(slice(None)) - 0.03


@pytest.mark.parametrize("size", [1e-25, 1e-38])
@pytest.mark.parametrize("metric", ["l2", "ip"])
def test_vectors_too_small_for_float32_squares_are_scanned(metric: Metric, size: float) -> None:
    base = points(5_000, 16) * np.float32(size)
    graph = index.create("graph", dim=16, metric=metric, codes=False)
    graph.add(np.arange(5_000), base)
    queries = points(20, 16, 9)
    found = graph.search(queries, 10, effort=20)
    truth = np.argsort(oracle.distances(queries, base, metric), axis=1, kind="stable")[:, :10]
    assert found.certified
    if metric == "ip":
        np.testing.assert_array_equal(found.ids, truth)


def test_queries_however_small_are_answered_under_inner_product() -> None:
    base = points(5_000, 16)
    graph = index.create("graph", dim=16, metric="ip", codes=False)
    graph.add(np.arange(5_000), base)
    queries = points(50, 16, 9)
    expected = graph.search(queries, 10, effort=60).ids
    np.testing.assert_array_equal(
        graph.search(queries * np.float32(2.0**-120), 10, effort=60).ids, expected
    )


def test_a_graph_that_ran_out_of_memory_is_scanned_and_then_built_anew() -> None:
    base = points(3_000, 16)
    made_index: Any = index.create("graph", dim=16, metric="l2", codes=False)
    made_index.add(np.arange(2_500), base[:2_500])

    class Full:
        """A graph that has taken vectors in and has no memory left for their edges."""

        def __init__(self, graph: native.Graph) -> None:
            self._graph = graph

        def __getattr__(self, name: str) -> Any:
            return getattr(self._graph, name)

        def add(self, vectors: F32Matrix, threads: int) -> None:
            raise MemoryError

    whole = made_index._graph
    made_index._graph = Full(whole)
    with pytest.raises(MemoryError):
        made_index.add(np.arange(2_500, 2_900), base[2_500:2_900])
    found = made_index.search(base[:2_900:100], 1, effort=40)
    assert found.certified
    np.testing.assert_array_equal(found.ids[:, 0], np.arange(0, 2_900, 100))
    made_index.remove(np.array([2_899]))
    assert not made_index.search(base[:5], 1, effort=10).certified
    made_index.add(np.arange(2_900, 3_000), base[2_900:])
    found = made_index.search(base[::100], 1, effort=80)
    assert (found.ids[:, 0] == np.arange(0, 3_000, 100)).mean() > 0.9


@pytest.mark.parametrize("name", ["graph", "ivf"])
@pytest.mark.parametrize("wrong", [np.zeros((2, 8), np.float32), np.zeros((2, 16))])
def test_queries_of_another_size_or_type_are_never_read(name: str, wrong: Any) -> None:
    made = index.create(name, dim=16, metric="cosine")
    made.add(np.arange(3_000), points(3_000, 16))
    with pytest.raises(ValueError, match=r"expected|mismatch"):
        made.search(wrong, 3, effort=8)


@pytest.mark.parametrize("keep", ["float32", "none"])
def test_queries_may_be_denormal_under_cosine(keep: str) -> None:
    """The inverse of their norm is beyond float32: distances were NaN, and rows those at hand."""
    rows = np.random.default_rng(0).normal(size=(2_500, 8)).astype(np.float32)
    some = index.create("graph", dim=8, metric="cosine", keep=keep)
    some.add(np.arange(2_500), rows)
    found = some.search(rows[:50] * np.float32(1e-40), 1, effort=100)
    assert np.isfinite(found.distances).all()
    assert (found.ids[:, 0] == np.arange(50)).mean() > 0.9
