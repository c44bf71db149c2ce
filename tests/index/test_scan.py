"""The scan's answers are those of float64, on inputs made to make float32 wrong."""

from __future__ import annotations

import numpy as np
import pytest

from paradox.index import scan
from paradox.index.allow import AllowedRows
from paradox.index.rows import Rows
from paradox.kernels import oracle

N, DIM = 1_500, 24


def spread(rng):
    return rng.standard_normal((N, DIM))


def far_from_the_origin(rng):
    """Differences are lost in float32 when norms and products are taken."""
    return 1e4 + spread(rng)


def huge_beside_tiny(rng):
    return spread(rng) * 10.0 ** rng.integers(-18, 18, (N, 1))


def beyond_float32(rng):
    """Squares overflow: float32 proves nothing about these."""
    return spread(rng) * np.where(np.arange(N) % 5 == 0, 1e25, 1.0)[:, np.newaxis]


def near_ties(rng):
    base = rng.standard_normal(DIM)
    return base + rng.standard_normal((N, DIM)) * 1e-6


def equal(rng):
    return np.tile(rng.standard_normal((3, DIM)), (N // 3, 1))


def constant(rng):
    return np.ones((N, 1)) * rng.integers(1, 4, (N, 1)) * np.ones(DIM)


def denormal(rng):
    return spread(rng) * 1e-41


def by_float64(rows, queries, k, metric, slots=None):
    slots = rows.live_slots() if slots is None else slots
    order = slots[np.argsort(rows.ids[slots])]
    found, distances = oracle.top_k(queries, rows.matrix[order], k, metric)
    return np.where(found < 0, -1, order[found]), distances


@pytest.mark.parametrize("metric", ["l2", "ip", "cosine"])
@pytest.mark.parametrize(
    "made",
    [
        spread,
        far_from_the_origin,
        huge_beside_tiny,
        beyond_float32,
        near_ties,
        equal,
        constant,
        denormal,
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("coded", [False, True])
def test_answers_equal_those_of_float64(made, metric, dtype, coded):
    rng = np.random.default_rng(12)
    vectors = made(rng).astype(np.float32)
    if dtype is np.float16:
        vectors = np.clip(vectors, -6e4, 6e4)
    vectors = vectors.astype(dtype)
    if metric == "cosine":
        vectors[~vectors.any(axis=1), 0] = 1
    rows = Rows(DIM, dtype, coded_for=metric if coded else None)
    rows.put(rng.permutation(N), vectors)
    rows.remove(np.arange(0, N, 7))
    live = rows.live_slots()
    queries = np.concatenate([rows.matrix[live[:3]], rows.matrix[live[5:9]] * dtype(1.001)])
    queries = np.ascontiguousarray(queries, np.float32)
    queries = queries[: rng.integers(1, 8)]
    some = np.sort(rng.permutation(live)[:900])
    for slots in (None, some):
        allowed = None if slots is None else AllowedRows(rows.ids[slots], rows)
        found, distances = scan.nearest(rows, queries, 10, metric, allowed=allowed, threads=2)
        expected, exact = by_float64(rows, queries, 10, metric, slots)
        np.testing.assert_allclose(distances, exact, rtol=1e-12, atol=1e-300)
        differing = found != expected
        # Sums of the same products in another order may order what is equal to the last bit.
        np.testing.assert_allclose(distances[differing], exact[differing], rtol=1e-14, atol=1e-300)


@pytest.mark.parametrize("coded_for", [None, "l2"])
def test_equal_distances_are_ordered_by_id_whatever_the_order_of_insertion(coded_for):
    vector = np.ones((1, DIM), np.float32)
    answers = []
    for seed in range(3):
        rows = Rows(DIM, coded_for=coded_for)
        rows.put(np.random.default_rng(seed).permutation(N), np.tile(vector, (N, 1)))
        found, _ = scan.nearest(rows, vector, 30, "l2")
        answers.append(rows.ids[found[0]].tolist())
    assert answers == [list(range(30))] * 3


def test_nothing_live_is_padding():
    rows = Rows(DIM)
    found, distances = scan.nearest(rows, np.ones((2, DIM), np.float32), 3, "l2")
    assert found.tolist() == [[-1] * 3] * 2
    assert np.isinf(distances).all()


@pytest.mark.parametrize("metric", ["l2", "ip", "cosine"])
@pytest.mark.parametrize("coded", [False, True])
def test_all_within_a_radius_are_found(metric, coded):
    rng = np.random.default_rng(3)
    rows = Rows(DIM, coded_for=metric if coded else None)
    rows.put(rng.permutation(N), spread(rng).astype(np.float32))
    rows.remove(np.arange(0, N, 5))
    query = spread(rng)[0].astype(np.float32)
    live = rows.live_slots()
    distances = np.sort(oracle.distances(query[np.newaxis], rows.matrix[live], metric)[0])
    for n in (0, 1, 40, 700):
        radius = float(np.mean(distances[n - 1 : n + 1])) if n else float(distances[0]) - 1
        found = scan.within(rows, query, radius, metric)
        assert len(found.ids) == n
        np.testing.assert_allclose(found.distances, distances[:n], rtol=1e-6, atol=1e-6)
