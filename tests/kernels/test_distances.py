"""Distances of every level, dimension and dtype, against the float64 twin and its error budget."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import (
    DIMS,
    PAIRS,
    Array,
    check_distances,
    draw,
    draw_pair,
    every_distance,
    forced,
    misaligned,
    special_rows,
)

from paradox import kernels
from paradox.core.metric import METRICS, Metric
from paradox.kernels import oracle

BATCHES = (1, 3, 4, 5, 33, 300)
"""Up to three queries are compared one by one; more go through the tile, in panels and groups."""

dtypes_of_pair = pytest.mark.parametrize("dtypes", PAIRS, ids="-".join)
every_dim = pytest.mark.parametrize("dim", DIMS)
every_metric = pytest.mark.parametrize("metric", METRICS)


def one_and_many(queries: Array, rows: Array, metric: Metric) -> list[tuple[Array, Array]]:
    """Return (queries, distances) by both kernels: one query to many rows, and the tile."""
    single = kernels.distances(queries[0], rows, metric)[np.newaxis]
    return [(queries[:1], single), (queries, every_distance(queries, rows, metric))]


@every_metric
@dtypes_of_pair
@every_dim
def test_distances_are_within_the_budget(isa, dim, dtypes, metric):
    queries, rows = draw_pair(1, 5, 23, dim, dtypes)
    for asked, found in one_and_many(queries, rows, metric):
        check_distances(found, asked, rows, metric)


@every_metric
@dtypes_of_pair
@every_dim
def test_zero_denormal_huge_and_nan_values_are_within_the_budget(isa, dim, dtypes, metric):
    queries, rows = special_rows(dim, dtypes[0]), special_rows(dim, dtypes[1])
    check_distances(every_distance(queries, rows, metric), queries, rows, metric)
    for query in queries:
        found = kernels.distances(query, rows, metric)
        check_distances(found[np.newaxis], query[np.newaxis], rows, metric)


@pytest.mark.parametrize("offset", [1, 2, 3])
@dtypes_of_pair
@every_dim
def test_unaligned_rows_give_the_same_bits(isa, dim, dtypes, offset):
    queries, rows = draw_pair(3, 5, 23, dim, dtypes)
    moved_queries, moved = (misaligned(array, offset=offset) for array in (queries, rows))
    for metric in METRICS:
        expected = one_and_many(queries, rows, metric)
        for (_, found), (_, same) in zip(
            one_and_many(moved_queries, moved, metric), expected, strict=True
        ):
            np.testing.assert_array_equal(found, same)


@dtypes_of_pair
@pytest.mark.parametrize("dim", [1, 7, 31, 384])
def test_rows_lie_any_stride_apart(isa, dim, dtypes):
    queries, wide = draw_pair(4, 5, 40, dim + 9, dtypes)
    queries = queries[:, 4 : 4 + dim]
    for rows in (
        wide[:, 3 : 3 + dim],
        wide[::3, :dim],
        wide[::-1, 9:],
        np.broadcast_to(wide[7, :dim], (40, dim)),
    ):
        for metric in METRICS:
            expected = one_and_many(queries.copy(), rows.copy(), metric)
            for (_, found), (_, same) in zip(
                one_and_many(queries, rows, metric), expected, strict=True
            ):
                np.testing.assert_array_equal(found, same)


@pytest.mark.parametrize("n_queries", BATCHES)
@every_metric
@dtypes_of_pair
def test_every_batch_size_is_within_the_budget(isa, dtypes, metric, n_queries):
    queries, rows = draw_pair(5, n_queries, 1100, 17, dtypes)  # rows: more than one block
    check_distances(every_distance(queries, rows, metric), queries, rows, metric)


@dtypes_of_pair
def test_the_kernel_does_not_depend_on_the_other_queries_of_the_batch(isa, dtypes):
    queries, rows = draw_pair(6, 300, 100, 97, dtypes)
    for metric in METRICS:
        few, many = (every_distance(queries[:n], rows, metric) for n in (3, 300))
        np.testing.assert_array_equal(few[0], kernels.distances(queries[0], rows, metric))
        np.testing.assert_array_equal(many[:5], every_distance(queries[:5], rows, metric))
        if dtypes[0] == "int8":
            np.testing.assert_array_equal(few, many[:3])


@pytest.mark.parametrize("isa", kernels.available())
@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 70), st.integers(1, 300)),
    dtypes=st.sampled_from(PAIRS),
    metric=st.sampled_from(METRICS[:2]),
    seed=st.integers(0, 2**32 - 1),
)
def test_arithmetic_on_small_whole_numbers_is_exact(isa, shape, dtypes, metric, seed):
    n_queries, n_rows, dim = shape
    rng = np.random.default_rng(seed)
    queries = rng.integers(-9, 10, (n_queries, dim)).astype(dtypes[0])
    rows = rng.integers(-9, 10, (n_rows, dim)).astype(dtypes[1])
    truth = oracle.distances(queries, rows, metric)
    with forced(isa):
        for asked, found in one_and_many(queries, rows, metric):
            np.testing.assert_array_equal(found, truth[: len(asked)])


@every_metric
def test_the_largest_dimension_is_within_the_budget(isa, metric):
    for dtypes in PAIRS:
        queries, rows = draw_pair(7, 4, 7, 65_536, dtypes)
        for asked, found in one_and_many(queries, rows, metric):
            check_distances(found, asked, rows, metric)


def test_every_float16_is_converted_without_error(isa):
    rows = np.arange(2**16, dtype=np.uint16).view(np.float16)[:, np.newaxis]
    one = np.ones(1, np.float32)
    expected = np.where(np.isnan(rows), np.inf, -rows.astype(np.float64))[:, 0]
    np.testing.assert_array_equal(kernels.distances(one, rows, "ip"), expected)
    for dim in (4, 16, 64):  # by whole vectors too, not only by the tail
        wide = np.resize(rows, (2**16 // dim, dim))
        query = np.zeros(dim, np.float32)
        query[dim // 2] = 1
        finite = np.isfinite(wide).all(axis=1)
        found = kernels.distances(query, wide, "ip")
        np.testing.assert_array_equal(found[finite], -wide[finite, dim // 2].astype(np.float64))
        tiled = every_distance(np.tile(query, (4, 1)), wide, "ip")
        np.testing.assert_array_equal(tiled[:, finite], np.tile(found[finite], (4, 1)))


@pytest.mark.parametrize("scale", [1e-38, 1e-30, 1e-15, 1.0, 1e15, 1e30, 3e38])
def test_cosine_does_not_depend_on_the_length_of_vectors(isa, scale):
    queries, rows = draw(8, 5, 97, "float32"), draw(9, 50, 97, "float32")
    rows /= np.abs(rows).max(axis=1, keepdims=True)
    queries /= np.abs(queries).max(axis=1, keepdims=True)
    scaled = (array * np.float32(scale) for array in (queries, rows))
    for asked, found in one_and_many(*scaled, "cosine"):
        truth = oracle.distances(queries[: len(asked)], rows, "cosine")
        np.testing.assert_allclose(found, truth, atol=3e-6)


@every_metric
def test_nothing_is_written_to_the_arguments(isa, metric):
    queries, rows = draw_pair(10, 5, 23, 17, PAIRS[0])
    rows[3] *= 1e30  # rescaled under cosine
    queries.flags.writeable = rows.flags.writeable = False
    before = queries.tobytes(), rows.tobytes()
    one_and_many(queries, rows, metric)
    assert (queries.tobytes(), rows.tobytes()) == before
