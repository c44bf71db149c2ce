"""What the kernels refuse, before anything native sees it."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_cases import draw

from paradox import kernels
from paradox.core.errors import DimensionMismatch, InvalidArgument

QUERIES = draw(1, 4, 16, "float32")
ROWS = draw(2, 9, 16, "float32")
BYTES = draw(3, 9, 16, "int8")
POSITIONS = np.zeros((4, 2), np.int64)

NO_ROWS = [
    (ROWS.astype(np.float64), "rows: expected one of float32, float16, int8; got float64"),
    (ROWS.astype(">f4"), "rows: expected one of .*; got >f4"),
    (BYTES.view(np.uint8), "rows: expected one of .*; got uint8"),
    (ROWS.astype(np.float16).view(np.uint16), "rows: expected one of .*; got uint16"),
    (ROWS[0], r"rows: expected shape \(n, dim\) with dim 1 to 65536; got \(16,\)"),
    (ROWS[np.newaxis], r"rows: expected shape .*; got \(1, 9, 16\)"),
    (ROWS[:, :0], r"rows: expected shape .*; got \(9, 0\)"),
    (np.zeros((1, 65_537), np.int8), r"rows: expected shape .*; got \(1, 65537\)"),
    (np.asfortranarray(ROWS), r"rows: expected contiguous rows; got strides \(4, 36\)"),
    (ROWS[:, ::-1], r"rows: expected contiguous rows; got strides \(64, -4\)"),
    (np.repeat(ROWS, 2, axis=1)[:, ::2], "rows: expected contiguous rows; got strides"),
    (np.broadcast_to(ROWS[:, :1], (9, 16)), r"rows: expected contiguous rows; got strides .*, 0\)"),
]

NO_QUERIES = [
    (QUERIES.astype(np.float64), "queries: expected one of float32, int8; got float64"),
    (QUERIES.astype(np.float16), "queries: expected one of float32, int8; got float16"),
    (QUERIES[0], r"queries: expected shape \(n, dim\)"),
    (np.asfortranarray(QUERIES), "queries: expected contiguous rows"),
    (QUERIES.astype(np.int8), "rows: expected int8, as the queries are; got float32"),
]


@pytest.mark.parametrize(("rows", "message"), NO_ROWS)
def test_what_is_no_rows_is_refused(rows, message):
    for call in (
        lambda: kernels.distances(QUERIES[0], rows, "l2"),
        lambda: kernels.top_k(QUERIES, rows, 1, "l2"),
        lambda: kernels.refine(QUERIES, rows, POSITIONS, "l2"),
        lambda: kernels.row_norms(rows),
    ):
        with pytest.raises(InvalidArgument, match=message):
            call()


@pytest.mark.parametrize(("queries", "message"), NO_QUERIES)
def test_what_is_no_queries_is_refused(queries, message):
    for call in (
        lambda: kernels.top_k(queries, ROWS, 1, "l2"),
        lambda: kernels.refine(queries, ROWS, POSITIONS, "l2"),
    ):
        with pytest.raises(InvalidArgument, match=message):
            call()


def test_a_query_of_distances_is_one_vector():
    for query in (QUERIES, QUERIES[:1], np.float32(1.0)):
        with pytest.raises(InvalidArgument, match=r"query: expected shape \(dim,\); got"):
            kernels.distances(np.asarray(query), ROWS, "l2")


@pytest.mark.parametrize("dim", [1, 15, 17])
def test_another_dimension_says_expected_and_got(dim):
    queries = draw(4, 4, dim, "float32")
    message = f"queries: expected dimension 16, as the rows have; got {dim}"
    for call in (
        lambda: kernels.distances(queries[0], ROWS, "l2"),
        lambda: kernels.top_k(queries, ROWS, 1, "l2"),
        lambda: kernels.refine(queries, ROWS, POSITIONS, "l2"),
    ):
        with pytest.raises(DimensionMismatch, match=message):
            call()


@pytest.mark.parametrize("metric", ["", "L2", "euclidean", "dot"])
def test_an_unknown_metric_is_refused(metric):
    for call in (
        lambda: kernels.distances(QUERIES[0], ROWS, metric),
        lambda: kernels.top_k(QUERIES, ROWS, 1, metric),
        lambda: kernels.refine(QUERIES, ROWS, POSITIONS, metric),
    ):
        with pytest.raises(InvalidArgument, match="metric: expected one of l2, ip, cosine"):
            call()


@pytest.mark.parametrize("k", [0, -1, -(2**40)])
def test_k_below_one_is_refused(k):
    with pytest.raises(InvalidArgument, match="k: expected 1 or more; got"):
        kernels.top_k(QUERIES, ROWS, k, "l2")


@pytest.mark.parametrize("threads", [0, -4])
def test_threads_below_one_are_refused(threads):
    with pytest.raises(InvalidArgument, match="threads: expected 1 or more; got"):
        kernels.top_k(QUERIES, ROWS, 1, "l2", threads=threads)


@pytest.mark.parametrize(
    "allow",
    [
        np.ones(8, np.bool_),
        np.ones(10, np.bool_),
        np.ones((9, 1), np.bool_),
        np.ones(9, np.uint8),
        np.arange(9),
    ],
)
def test_a_mask_of_another_shape_or_dtype_is_refused(allow):
    with pytest.raises(InvalidArgument, match=r"allow: expected bool of shape \(9,\); got"):
        kernels.top_k(QUERIES, ROWS, 1, "l2", allow=allow)


@pytest.mark.parametrize("shape", [(4,), (3, 2), (5, 2), (4, 2, 1)])
def test_positions_of_another_shape_are_refused(shape):
    with pytest.raises(InvalidArgument, match=r"positions: expected shape \(4, m\); got"):
        kernels.refine(QUERIES, ROWS, np.zeros(shape, np.int64), "l2")


@pytest.mark.parametrize("position", [-2, 9, 2**40, -(2**62)])
def test_positions_out_of_range_are_refused(position):
    positions = POSITIONS.copy()
    positions[3, 1] = position
    with pytest.raises(InvalidArgument, match="positions: expected -1 to 8; got"):
        kernels.refine(QUERIES, ROWS, positions, "l2")
    with pytest.raises(InvalidArgument, match="positions: expected -1 to -1; got 0 to 0"):
        kernels.refine(QUERIES, ROWS[:0], POSITIONS, "l2")


def test_a_single_dimension_has_no_inner_stride_to_check():
    column = ROWS[:, :1]
    assert column.strides[1] == 4
    transposed = np.asfortranarray(ROWS[:1].T)
    np.testing.assert_allclose(kernels.row_norms(column), np.abs(column[:, 0]))
    np.testing.assert_allclose(kernels.row_norms(transposed), np.abs(ROWS[0]))
