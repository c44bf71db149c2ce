"""Distances summed in float64: the twin's, by the same eight sums on every machine."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_cases import DIMS, PAIRS, Array, draw, draw_pair, misaligned, special_rows

from paradox import kernels
from paradox.core.metric import METRICS, Metric
from paradox.kernels import oracle

every_pair = pytest.mark.parametrize("dtypes", PAIRS, ids="-".join)


def eight_sums(terms: Array) -> Array:
    """Add the terms (..., dim) in the order that `refine.cpp` promises."""
    dim = terms.shape[-1]
    padded = np.zeros((*terms.shape[:-1], -(-dim // 8), 8))
    padded.reshape(*terms.shape[:-1], -1)[..., :dim] = terms
    parts = np.add.accumulate(padded, axis=-2)[..., -1, :]
    while parts.shape[-1] > 1:
        parts = parts[..., 0::2] + parts[..., 1::2]
    return parts[..., 0]


def in_order(queries: Array, rows: Array, metric: Metric) -> Array:
    """Return the distances (n_queries, n) by eight sums: the bits every machine must give."""
    q, x = queries.astype(np.float64)[:, np.newaxis], rows.astype(np.float64)
    if metric == "l2":
        return eight_sums((q - x) ** 2)
    if metric == "ip":
        return -eight_sums(q * x)
    norms = np.sqrt(eight_sums(q * q)) * np.sqrt(eight_sums(x * x))
    return np.maximum(1.0 - eight_sums(q * x) / norms, 0.0)


def everything(queries: Array, rows: Array) -> Array:
    """Return positions that ask for every row."""
    return np.tile(np.arange(len(rows)), (len(queries), 1))


@pytest.mark.parametrize("metric", METRICS)
@every_pair
@pytest.mark.parametrize("dim", DIMS)
def test_the_bits_are_the_same_on_every_level_and_machine(isa, dim, dtypes, metric):
    queries, rows = draw_pair(1, 3, 9, dim, dtypes)
    expected = in_order(queries, rows, metric)
    for q, x in ((queries, rows), (misaligned(queries), misaligned(rows))):
        found = kernels.refine(q, x, everything(q, x), metric)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("metric", METRICS)
@every_pair
@pytest.mark.parametrize("dim", DIMS)
def test_refined_distances_are_the_twins(dim, dtypes, metric):
    queries, rows = special_rows(dim, dtypes[0]), special_rows(dim, dtypes[1])
    positions = np.random.default_rng(2).integers(-1, len(rows), (len(queries), 19))
    found = kernels.refine(queries, rows, positions, metric)
    truth = oracle.refine(queries, rows, positions, metric)
    assert (found[positions == -1] == np.inf).all()
    np.testing.assert_array_equal(np.isinf(found), np.isinf(truth))
    np.testing.assert_array_equal(found[np.isinf(found)], truth[np.isinf(truth)])
    with np.errstate(invalid="ignore"):
        norms = oracle.row_norms(queries)[:, np.newaxis] * oracle.row_norms(rows)[positions]
        scale = {"l2": truth, "ip": norms, "cosine": np.ones_like(norms)}[metric]
        close = np.abs(found - truth) <= 1e-12 * scale
    assert close[np.isfinite(truth)].all()


@every_pair
def test_refinement_agrees_with_the_scan_it_refines(isa, dtypes):
    queries, rows = draw_pair(3, 33, 400, 97, dtypes)
    for metric in METRICS:
        positions, rough = kernels.top_k(queries, rows, 12, metric)
        exact = kernels.refine(queries, rows, positions, metric)
        norms = kernels.row_norms(rows)
        bound = kernels.error_bound(97, metric, kernels.row_norms(queries), norms.max())
        assert (np.abs(exact - rough) <= bound[:, np.newaxis]).all()


def test_no_candidates_and_no_queries():
    queries, rows = draw_pair(4, 3, 5, 16, PAIRS[0])
    for n, m in ((3, 0), (0, 4), (0, 0)):
        found = kernels.refine(queries[:n], rows, np.zeros((n, m), np.int64), "l2")
        assert found.shape == (n, m)
        assert found.dtype == np.float64
    missing = np.full((3, 2), -1)
    assert (kernels.refine(queries, rows[:0], missing, "l2") == np.inf).all()


def test_positions_may_be_of_any_integer_dtype_and_stride():
    queries, rows = draw_pair(5, 3, 50, 16, PAIRS[0])
    positions = np.random.default_rng(6).integers(-1, 50, (3, 8))
    expected = kernels.refine(queries, rows, positions, "l2")
    for same in (positions.astype(np.int16), np.asfortranarray(positions)):
        np.testing.assert_array_equal(kernels.refine(queries, rows, same, "l2"), expected)


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
@pytest.mark.parametrize("dim", DIMS)
def test_row_norms_are_the_twins(dim, dtype):
    rows = special_rows(dim, dtype)
    truth = oracle.row_norms(rows)
    for x in (rows, misaligned(rows), rows[::-1][::-1]):
        np.testing.assert_allclose(kernels.row_norms(x), truth, rtol=1e-13)
    rows = draw(7, 9, dim, dtype)
    exact = np.sqrt(eight_sums(rows.astype(np.float64) ** 2))
    np.testing.assert_array_equal(kernels.row_norms(rows), exact)
    assert kernels.row_norms(rows[:0]).shape == (0,)
