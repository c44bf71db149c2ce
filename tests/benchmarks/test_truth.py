from __future__ import annotations

import numpy as np
import pytest

from benchmarks.truth import Truth, distances
from paradox.core.metric import METRICS, Metric
from paradox.core.types import F32Matrix


@pytest.fixture
def rows() -> F32Matrix:
    return np.random.default_rng(0).normal(size=(500, 8)).astype(np.float32)


@pytest.fixture
def queries() -> F32Matrix:
    return np.random.default_rng(1).normal(size=(20, 8)).astype(np.float32)


@pytest.mark.parametrize("metric", METRICS)
def test_distances_are_those_of_the_definition(
    metric: Metric, queries: F32Matrix, rows: F32Matrix
) -> None:
    q, x = queries[3].astype(np.float64), rows[7].astype(np.float64)
    expected = {
        "l2": ((q - x) ** 2).sum(),
        "ip": -(q @ x),
        "cosine": 1 - q @ x / np.linalg.norm(q) / np.linalg.norm(x),
    }
    assert distances(queries, rows, metric)[3, 7] == pytest.approx(expected[metric], rel=1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_blocks_change_nothing(
    metric: Metric, queries: F32Matrix, rows: F32Matrix, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = np.argsort(distances(queries, rows, metric), axis=1)[:, :5]
    monkeypatch.setattr("benchmarks.truth._BLOCK", 7)
    np.testing.assert_array_equal(Truth.of(queries, rows, 5, metric).ids, whole)


def test_more_neighbours_than_rows_are_all_rows(queries: F32Matrix, rows: F32Matrix) -> None:
    assert Truth.of(queries, rows[:3], 10, "l2").ids.shape == (20, 3)


def test_recall_is_the_share_that_was_found(queries: F32Matrix, rows: F32Matrix) -> None:
    truth = Truth.of(queries, rows, 4, "l2")
    worse = truth.ids.copy()
    worse[:, 3] = -1
    worse[:10, 2] = Truth.of(-queries, rows, 1, "l2").ids[:10, 0]
    assert truth.recall(truth.ids, queries, rows) == 1.0
    assert truth.recall(worse, queries, rows) == (0.75 + 0.5) / 2


def test_an_id_given_twice_counts_once(queries: F32Matrix, rows: F32Matrix) -> None:
    truth = Truth.of(queries, rows, 4, "l2")
    repeated = np.repeat(truth.ids[:, :1], 4, axis=1)
    assert truth.recall(repeated, queries, rows) == 0.25


def test_any_of_equal_rows_is_right(queries: F32Matrix, rows: F32Matrix) -> None:
    rows[100:110] = rows[0]
    truth = Truth.of(rows[:1], rows, 3, "l2")
    others = np.array([[108, 109, 107]])
    assert truth.recall(others, rows[:1], rows) == 1.0
    assert truth.found(np.array([[108, 108, 50]]), rows[:1], rows).tolist() == [1]


def test_one_float32_step_further_is_wrong() -> None:
    near, far = np.float32(1), np.nextafter(np.float32(1), np.float32(2))
    rows = np.array([[near], [far]], np.float32)
    query = np.zeros((1, 1), np.float32)
    truth = Truth.of(query, rows, 1, "l2")
    assert truth.found(np.array([[1]]), query, rows).tolist() == [0]


def test_the_nearest_of_some_rows_are_told_by_their_place_among_all(
    queries: F32Matrix, rows: F32Matrix
) -> None:
    some = np.arange(3, len(rows), 7)
    truth = Truth.among(some, queries, rows, 4, "l2")
    order = np.argsort(distances(queries, rows[some], "l2"), axis=1)[:, :4]
    assert truth.ids.tolist() == some[order].tolist()
    assert truth.recall(truth.ids, queries, rows) == 1.0
