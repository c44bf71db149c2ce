"""The float64 twins themselves, by values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from paradox.core.metric import METRICS
from paradox.kernels import oracle

INF = np.inf
QUERIES = np.array([[3, 4], [0, 0]], np.float32)
ROWS = np.array([[3, 4], [-4, 3], [0, 0], [-3, -4], [6, 8]], np.float32)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("l2", [[0, 50, 25, 100, 25], [25, 25, 0, 25, 100]]),
        ("ip", [[-25, 0, 0, 25, -50], [0, 0, 0, 0, 0]]),
        ("cosine", [[0, 1, 1, 2, 0], [1, 1, 1, 1, 1]]),
    ],
)
def test_distances(metric, expected):
    found = oracle.distances(QUERIES, ROWS, metric)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_every_dtype_is_widened_before_it_is_multiplied(dtype):
    query, rows = (np.array([row]).astype(dtype) for row in ([-127, 127], [127, -128]))
    assert oracle.distances(query, rows, "l2")[0, 0] == 254**2 + 255**2
    assert oracle.distances(rows, rows, "ip")[0, 0] == -(127**2 + 128**2)
    assert oracle.row_norms(rows)[0] == np.sqrt(127**2 + 128**2)


def test_what_is_no_number_is_infinitely_far():
    rows = np.array([[np.nan, 1], [INF, 1], [-INF, 1]], np.float32)
    query = np.array([[1, 1]], np.float32)
    np.testing.assert_array_equal(oracle.distances(query, rows, "l2"), [[INF, INF, INF]])
    np.testing.assert_array_equal(oracle.distances(query, rows, "ip"), [[INF, -INF, INF]])
    np.testing.assert_array_equal(oracle.distances(query, rows, "cosine"), [[INF, INF, INF]])


def test_top_k_orders_by_distance_then_position_and_pads():
    positions, distances = oracle.top_k(QUERIES, ROWS, 6, "l2")
    assert positions.tolist() == [[0, 2, 4, 1, 3, -1], [2, 0, 1, 3, 4, -1]]
    assert distances[0].tolist() == [0, 25, 25, 50, 100, INF]


@pytest.mark.parametrize("metric", METRICS)
def test_top_k_looks_at_allowed_rows_only(metric):
    allow = np.array([False, True, False, True, False])
    positions, _ = oracle.top_k(QUERIES, ROWS, 3, metric, allow=allow)
    assert positions.tolist() == [[1, 3, -1], [1, 3, -1]]
    positions, distances = oracle.top_k(QUERIES, ROWS[:0], 2, metric)
    assert positions.tolist() == [[-1, -1], [-1, -1]]
    assert (distances == INF).all()


def test_refine_measures_the_rows_at_the_positions():
    positions = np.array([[4, -1, 0], [1, 1, -1]])
    found = oracle.refine(QUERIES, ROWS, positions, "l2")
    assert found.tolist() == [[25, INF, 0], [25, 25, INF]]
