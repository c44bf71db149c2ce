from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import clusters

from paradox.routing import grouping
from paradox.routing.grouping import group_cells


def _affinity(centroids):
    """Return (c, c) float64: 1 for each cell that is among the four nearest of the other."""
    squared = ((centroids[:, None] - centroids[None]) ** 2).sum(2)
    ranks = squared.argsort(axis=1, kind="stable").argsort(axis=1)
    near = ((ranks < 5) & ~np.eye(len(centroids), dtype=bool)).astype(np.float64)
    return near + near.T


def _cut(groups, affinity):
    return affinity[groups[:, None] != groups[None]].sum()


def _loads(groups, weights, n_groups):
    return np.bincount(groups, weights, n_groups)


@given(
    st.lists(st.integers(1, 50), min_size=1, max_size=60),
    st.integers(1, 9),
    st.integers(0, 5),
)
@settings(deadline=None, derandomize=True)
def test_every_cell_has_a_group_and_no_group_is_heavier_than_one_cell_too_many(
    weights, n_groups, seed
):
    centroids = np.random.default_rng(seed).standard_normal((len(weights), 3)).astype(np.float32)
    groups = group_cells(centroids, np.array(weights), _affinity(centroids), n_groups)
    assert groups.dtype == np.int32
    assert groups.shape == (len(weights),)
    assert groups.min() >= 0
    assert groups.max() < n_groups
    mean = sum(weights) / n_groups
    assert _loads(groups, weights, n_groups).max() <= mean * 1.05 + max(weights)


@pytest.mark.parametrize("n_groups", [2, 5, 16])
def test_many_small_cells_are_balanced_to_three_per_cent(n_groups):
    rng = np.random.default_rng(0)
    centroids = clusters(40 * n_groups, 6)
    weights = rng.integers(5, 20, len(centroids))
    groups = group_cells(centroids, weights, _affinity(centroids), n_groups)
    loads = _loads(groups, weights, n_groups)
    assert loads.max() <= 1.03 * loads.mean()
    assert loads.min() >= 0.97 * loads.mean()


def test_heavy_cells_do_not_keep_the_others_from_being_balanced():
    centroids = clusters(200, 4)
    weights = np.full(200, 10)
    weights[:3] = 300  # three of the four groups hold little else
    loads = _loads(group_cells(centroids, weights, _affinity(centroids), 4), weights, 4)
    assert loads.max() <= 1.03 * loads.mean()


def test_cells_that_share_answers_are_kept_together():
    centres = 50 * np.eye(4, dtype=np.float32)
    kinds = np.repeat(np.arange(4), 30)
    rng = np.random.default_rng(1)
    centroids = centres[kinds] + rng.standard_normal((120, 4)).astype(np.float32)
    order = rng.permutation(120)
    centroids, kinds = centroids[order], kinds[order]
    groups = group_cells(centroids, np.full(120, 7), _affinity(centroids), 4)
    assert len({(g, kind) for g, kind in zip(groups.tolist(), kinds.tolist(), strict=True)}) == 4


def test_moving_border_cells_lowers_the_cut_within_the_balance(monkeypatch):
    centroids = clusters(300, 6, apart=2.0)
    weights = np.random.default_rng(2).integers(5, 20, 300)
    affinity = _affinity(centroids)
    grouped = {}
    for passes in (0, 1, 20, 200):
        monkeypatch.setattr(grouping, "_PASSES", passes)
        grouped[passes] = group_cells(centroids, weights, affinity, 7)
        heaviest = _loads(grouped[passes], weights, 7).max()
        assert heaviest <= (1.03 if passes else 1.15) * weights.sum() / 7
    assert _cut(grouped[20], affinity) < 0.85 * _cut(grouped[0], affinity)
    np.testing.assert_array_equal(grouped[20], grouped[200])


def test_losing_moves_lead_to_a_lower_cut_than_gaining_ones_alone(monkeypatch):
    cuts = {1: 0.0, 200: 0.0}
    for seed in range(5):
        centroids = clusters(300, 6, apart=2.0, seed=seed)
        affinity = _affinity(centroids)
        for patience in cuts:
            monkeypatch.setattr(grouping, "_PATIENCE", patience)
            groups = group_cells(centroids, np.full(300, 9), affinity, 7)
            cuts[patience] += _cut(groups, affinity)
    assert cuts[200] < 0.97 * cuts[1]


def test_no_single_move_within_the_balance_would_lower_the_cut_any_further():
    centroids = clusters(90, 3, apart=1.0)
    weights = np.full(90, 4)
    affinity = _affinity(centroids)
    groups = group_cells(centroids, weights, affinity, 3)
    least, most = 0.97 * 120, 1.03 * 120
    for cell in range(90):
        for target in range(3):
            other = groups.copy()
            other[cell] = target
            loads = _loads(other, weights, 3)
            if loads.min() >= least and loads.max() <= most:
                assert _cut(other, affinity) >= _cut(groups, affinity) - 1e-6


def test_one_group_takes_all_and_fewer_cells_than_groups_leave_some_empty():
    centroids = clusters(5, 3)
    weights = np.arange(1, 6)
    assert not group_cells(centroids, weights, _affinity(centroids), 1).any()
    groups = group_cells(centroids, weights, _affinity(centroids), 8)
    assert len(set(groups.tolist())) == 5
    one = group_cells(centroids[:1], weights[:1], np.zeros((1, 1)), 3)
    assert one.shape == (1,)


def test_the_same_cells_give_the_same_groups():
    centroids = clusters(100, 5)
    weights = np.full(100, 3)
    first, again = (group_cells(centroids, weights, _affinity(centroids), 7) for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_equal_cells_are_spread_by_weight():
    centroids = np.ones((64, 4), np.float32)
    groups = group_cells(centroids, np.full(64, 10), np.ones((64, 64)), 4)
    np.testing.assert_array_equal(_loads(groups, np.full(64, 10), 4), 160)


@pytest.mark.parametrize(
    ("ties", "source", "loads", "best"),
    [
        ([5, 4, 1], 2, [101, 101, 98], 0),  # where it is tied most
        ([5, 4, 1], 2, [104, 97, 99], 1),  # the first would be too heavy then
        ([5, 4, 1], 1, [100, 96, 104], None),  # its own would be too light then
        ([1, 1, 5], 2, [101, 99, 100], 0),  # none is better, the first of two loses least
        ([1, 2, 9], 2, [96, 97, 107], 1),  # its own is too heavy: out at any loss
        ([1, 2, 9], 2, [90, 105, 105], 0),  # the first is too light
    ],
)
def test_a_move_keeps_the_balance_or_mends_it(ties, source, loads, best):
    """One cell may move, and three fixed ones make up the loads."""
    weights = np.array([3, *loads])
    weights[1 + source] -= 3
    affinity = np.zeros((4, 4))
    affinity[0, 1:] = affinity[1:, 0] = ties
    cut = grouping._Cut(np.array([source, 0, 1, 2], np.int32), weights, affinity, 3)
    may_move = np.array([True, False, False, False])
    found = cut.best_move(may_move, 0.05)
    assert found == (None if best is None else (0, best))
    if best is not None:
        assert cut.move(0, best) == ties[best] - ties[source]
