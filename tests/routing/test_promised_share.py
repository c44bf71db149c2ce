"""The recall asked for is reached by shards that search exactly, and by few of them where they can.

Two kinds of data: a curved 16-dimensional surface with clusters, where shards by meaning know their
part of it; and one isotropic Gaussian of 64 dimensions, where a query's nearest are spread over
nearly all shards and a planner that asks few is wrong.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from worlds import World, asked, gaussian

from benchmarks.datasets import manifold
from paradox.routing import QueryBudget, QueryPlanner, ThresholdCalibration

N, N_QUERIES, K = 20_000, 1_000, 10
TOLERANCE = 0.01  # four standard errors of the mean recall of 1,000 queries


@cache
def _world(kind, metric, n_shards):
    """Return a world, queries that are not in it, and the true share that each shard holds."""
    n = N + N_QUERIES
    points = manifold(n, 64, seed=0) if kind == "manifold" else gaussian(n, 64, seed=3)
    world, queries = World.partitioned(points[:N], n_shards, metric), points[N:]
    return world, queries, world.held(queries, K)


def _measured(kind, metric, n_shards, recall):
    """Return the mean recall of exact search over the planned shards, and how many there are."""
    world, queries, held = _world(kind, metric, n_shards)
    plan = QueryPlanner(metric).plan(world.summaries, queries, K, QueryBudget(recall=recall))
    sent = asked(plan)
    reached, n_asked = (sent * held).sum(1).mean(), sent.sum(1).mean()
    print(
        f"{kind} {metric}, {n_shards} shards, recall {recall}: reached {reached:.4f}, "
        f"predicted {(sent * plan.shares).sum(1).mean():.4f}, asked {n_asked:.2f}"
    )
    return reached, n_asked


@pytest.mark.parametrize("recall", [0.9, 0.95])
@pytest.mark.parametrize(
    ("metric", "n_shards", "at_most"), [("l2", 4, 3.0), ("l2", 16, 7.5), ("cosine", 16, 7.5)]
)
def test_on_a_clustered_surface_few_shards_reach_the_recall(metric, n_shards, at_most, recall):
    reached, n_asked = _measured("manifold", metric, n_shards, recall)
    assert reached >= recall - TOLERANCE
    assert n_asked <= at_most
    # What exact shards do not lose is left for approximate ones, which may lose as much.
    assert reached >= 1 - (1 - recall) / 2 - TOLERANCE


@pytest.mark.parametrize("recall", [0.9, 0.95])
@pytest.mark.parametrize("n_shards", [4, 16])
def test_without_clusters_nearly_all_shards_are_asked(n_shards, recall):
    reached, n_asked = _measured("gaussian", "l2", n_shards, recall)
    assert reached >= recall - TOLERANCE
    assert n_asked >= 0.8 * n_shards


@pytest.mark.parametrize(("kind", "n_shards"), [("manifold", 4), ("manifold", 16), ("gaussian", 4)])
def test_what_was_learnt_from_half_of_the_queries_keeps_the_recall_of_the_others_by_fewer_shards(
    kind, n_shards
):
    world, queries, held = _world(kind, "l2", n_shards)
    planner, budget = QueryPlanner("l2"), QueryBudget(recall=0.9, exact_shards=True)
    plan = planner.plan(world.summaries, queries, K, budget)
    calibration = ThresholdCalibration()
    calibration.observe(plan.shares[::2], (K * held[::2]).round().astype(np.int64))
    threshold = calibration.threshold(budget.share)
    learnt = planner.plan(world.summaries, queries, K, budget, threshold=threshold)
    before, sent = asked(plan)[1::2], asked(learnt)[1::2]
    assert (sent * held[1::2]).sum(1).mean() >= 0.9 - TOLERANCE
    assert sent.sum() < before.sum()


def test_the_balance_is_kept_on_both():
    for kind in ("manifold", "gaussian"):
        world, _, _ = _world(kind, "l2", 16)
        sizes = np.bincount(world.home, minlength=16)
        assert sizes.max() <= 1.15 * sizes.mean()
