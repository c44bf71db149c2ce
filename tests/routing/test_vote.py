from __future__ import annotations

import math

import numpy as np
import pytest

from paradox.routing import vote as module
from paradox.routing.vote import vote


def _normal(z):
    return 0.5 * (1 + np.vectorize(math.erf)(z / math.sqrt(2)))


def _oracle(mean, deviation, counts, shards, n_shards, k):
    """Find by bisection, in float64, the radius within which k records are, and count them."""
    votes = np.zeros((len(mean), n_shards))
    for row, (m, d) in enumerate(zip(mean.astype(float), deviation.astype(float), strict=True)):
        low, high = (m - 9 * d).min(), (m + 9 * d).max()
        for _ in range(60):
            middle = (low + high) / 2
            enough = (counts * _normal((middle - m) / d)).sum() >= k
            low, high = (low, middle) if enough else (middle, high)
        np.add.at(votes[row], shards, counts * _normal((high - m) / d))
    return votes


def _cells(n_queries, n_cells, n_shards, *, seed=0):
    rng = np.random.default_rng(seed)
    mean = rng.gamma(20, 0.5, (n_queries, n_cells)).astype(np.float32)
    deviation = rng.uniform(0.2, 1.5, (n_queries, n_cells)).astype(np.float32)
    counts = rng.integers(1, 60, n_cells).astype(np.float32)
    return mean, deviation, counts, rng.integers(0, n_shards, n_cells), n_shards


@pytest.mark.parametrize("k", [1, 10, 100])
@pytest.mark.parametrize(("n_cells", "n_shards"), [(1, 1), (7, 3), (120, 4), (250, 16)])
def test_votes_are_those_of_the_radius_that_holds_k_records(n_cells, n_shards, k):
    cells = _cells(40, n_cells, n_shards)
    k = min(k, int(cells[2].sum()) // 2)
    found = vote(*cells, k)
    expected = _oracle(*cells, k)
    np.testing.assert_allclose(found.sum(1), k, rtol=0.02, atol=0.02)
    # Twelve radii stand in for all: what they take from a shard and give to another is little.
    moved = np.abs(found / k - expected / k).sum(1) / 2
    assert moved.mean() < 0.03
    assert moved.max() < 0.12


def test_only_the_nearest_cells_vote_and_they_are_enough():
    cells = _cells(30, 3_000, 8)
    found, expected = vote(*cells, 10), _oracle(*cells, 10)
    assert (np.abs(found - expected).sum(1) / 20).mean() < 0.03


def test_more_neighbours_have_more_voters():
    mean, deviation, _, shards, n_shards = _cells(5, 2_000, 4)
    counts = np.ones(2_000, np.float32)
    found = vote(mean, deviation, counts, shards, n_shards, 800)
    np.testing.assert_allclose(found.sum(1), 800, rtol=0.02)  # 256 voters have 256 records


def test_where_there_are_fewer_than_k_all_are_found():
    mean, deviation, counts, shards, n_shards = _cells(9, 30, 5)
    found = vote(mean, deviation, counts, shards, n_shards, 10_000)
    everything = np.bincount(shards, counts, n_shards)
    np.testing.assert_allclose(found, np.broadcast_to(everything, (9, 5)), rtol=1e-3)


def test_a_shard_whose_records_are_all_far_gets_no_vote():
    mean = np.array([[1, 1, 50, 50]], np.float32)
    deviation = np.full((1, 4), 0.5, np.float32)
    counts = np.array([100, 300, 100_000, 100_000], np.float32)
    found = vote(mean, deviation, counts, np.array([0, 1, 2, 2]), 4, 10)
    np.testing.assert_allclose(found, [[2.5, 7.5, 0, 0]], atol=0.01)


def test_a_near_handful_is_counted_before_a_far_multitude():
    mean, deviation = np.array([[1, 40]], np.float32), np.full((1, 2), 0.1, np.float32)
    counts = np.array([6, 1_000_000], np.float32)
    found = vote(mean, deviation, counts, np.array([0, 1]), 2, 10)
    np.testing.assert_allclose(found, [[6, 4]], atol=0.01)


def test_a_query_gets_the_same_votes_alone_and_among_others(monkeypatch):
    cells = _cells(50, 300, 6)
    together = vote(*cells, 10)
    monkeypatch.setattr(module, "_SCORES_AT_ONCE", 1)
    np.testing.assert_allclose(vote(*cells, 10), together, rtol=1e-4, atol=1e-5)
    assert vote(cells[0][:0], cells[1][:0], *cells[2:], 10).shape == (0, 6)


def test_the_normal_distribution_is_approximated_as_well_as_is_said():
    z = np.linspace(-12, 12, 4001, dtype=np.float32)
    assert np.abs(module._below(z.copy()) - _normal(z.astype(float))).max() < 1.5e-4
