from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import World, asked, clusters, gaussian

from paradox.routing import QueryBudget, QueryPlanner, summarize

EVERY_METRIC = pytest.mark.parametrize("metric", ["l2", "ip", "cosine"])


def _summary(shard, vectors, *, n_live=None, **changes):
    n_live = len(vectors) if n_live is None else n_live
    made = summarize(vectors, shard=shard, metric="l2", n_live=n_live, seq=1, epoch=1)
    return replace(made, **changes)


@pytest.fixture(scope="module")
def world():
    """Far-apart clusters over six shards by meaning, and queries near them."""
    return World.partitioned(clusters(6_000, 12, n_clusters=30), 6, "l2")


@pytest.fixture(scope="module")
def queries(world):
    return world.vectors[::60] + np.float32(0.1)


def _plan(summaries, queries, k=10, metric="l2", **budget):
    return QueryPlanner(metric).plan(summaries, queries, k, QueryBudget(**budget))


def test_the_predicted_shares_are_near_the_true_ones(world, queries):
    plan = _plan(world.summaries, queries)
    np.testing.assert_allclose(plan.shares.sum(1), 1, rtol=1e-5)
    assert (np.abs(plan.shares - world.held(queries, 10)).sum(1) / 2).mean() < 0.05


@EVERY_METRIC
def test_few_shards_are_asked_and_they_hold_the_answer(metric):
    world = World.partitioned(clusters(4_000, 12, n_clusters=30), 6, metric)
    queries = world.vectors[::40] + np.float32(0.1)
    sent = asked(_plan(world.summaries, queries, metric=metric))
    assert (sent * world.held(queries, 10)).sum(1).mean() > 0.97
    assert sent.sum(1).mean() < 2.5


@given(st.integers(0, 50), st.sampled_from([0.1, 0.5, 0.9, 0.99]), st.sampled_from([1, 10, 80]))
@settings(deadline=None, derandomize=True, max_examples=30)
def test_no_smaller_set_of_shards_would_be_predicted_to_hold_enough(seed, recall, k):
    n_shards = 2 + seed % 6
    rng = np.random.default_rng(seed)
    summaries = [
        _summary(s, (rng.standard_normal((n, 3)) + rng.integers(-2, 3, 3)).astype(np.float32))
        for s, n in enumerate(rng.integers(20, 300, n_shards).tolist())
    ]
    plan = _plan(summaries, gaussian(15, 3, seed=seed), k, recall=recall)
    share = 1 - (1 - recall) / 2
    for shares, sent in zip(plan.shares.astype(float), asked(plan), strict=True):
        assert shares[sent].sum() >= share - 1e-5
        assert np.sort(shares)[::-1][: sent.sum() - 1].sum() < share + 1e-5


def test_more_recall_never_asks_fewer_shards(world, queries):
    sent = [asked(_plan(world.summaries, queries, recall=r)) for r in (0.3, 0.8, 0.95, 0.999, 1.0)]
    for less, more in pairwise(sent):
        assert (more >= less).all()


@pytest.mark.parametrize("budget", [{"recall": 1.0}, {"recall": 0.5, "every_shard": True}])
def test_recall_one_and_filters_ask_every_shard(world, queries, budget):
    empty = _summary(6, gaussian(0, 12))
    plan = _plan([*world.summaries, empty], queries, **budget)
    assert plan.complete
    assert set(plan.queries_by_shard) == set(range(7))
    assert all(len(rows) == len(queries) for rows in plan.queries_by_shard.values())
    assert not _plan(world.summaries, queries, recall=0.5).complete


@pytest.mark.parametrize("recall", [0.1, 0.95])
def test_as_many_neighbours_as_there_are_records_need_every_shard(world, queries, recall):
    assert _plan(world.summaries, queries[:2], 6_000, recall=recall).complete
    assert _plan(world.summaries, queries[:2], 9_999, recall=recall).complete


@pytest.mark.parametrize("most", [1, 2, 5, 6, 100])
def test_no_query_goes_to_more_shards_than_the_budget_has_and_to_the_likeliest(
    world, queries, most
):
    plan = _plan(world.summaries, queries, recall=1.0, max_shards=most)
    sent = asked(plan)
    assert (sent.sum(1) == min(most, 6)).all()
    assert plan.complete == (most >= 6)
    least = np.where(sent, plan.shares, 2).min(1)
    assert (least >= np.where(sent, -1, plan.shares).max(1)).all()


def test_empty_shards_use_up_no_budget_and_are_asked_only_where_all_are():
    near = gaussian(2_500, 4)  # so many that the far ones have no vote, and no share at all
    far = near + np.float32(1000)
    summaries = [
        _summary(0, gaussian(0, 4)),
        _summary(1, gaussian(0, 4)),
        _summary(2, near),
        _summary(3, far),
        _summary(4, near, n_live=0),  # emptied since it was summarized
    ]
    plan = _plan(summaries, near[:5], recall=1.0, max_shards=2)
    assert set(plan.queries_by_shard) == {2, 3}
    assert plan.complete
    assert set(_plan(summaries, near[:5], recall=0.5).queries_by_shard) == {2}
    everyone = _plan(summaries, near[:5], recall=1.0)
    assert set(everyone.queries_by_shard) == {0, 1, 2, 3, 4}
    assert everyone.asks_all


def test_where_all_shards_were_empty_all_are_asked_for_what_came_since():
    for summaries in ([], [_summary(0, gaussian(0, 4)), _summary(1, gaussian(0, 4))]):
        plan = _plan(summaries, gaussian(3, 4))
        assert len(plan.queries_by_shard) == len(summaries)
        assert plan.complete
        assert plan.shares.shape == (3, len(summaries))
        assert not plan.shares.any()


def _no_centroids(summary):
    none = np.zeros(0, np.float32)
    return replace(summary, centroids=summary.centroids[:0], counts=none.astype(int), radii=none)


def _scaled(factor):
    return lambda s: replace(
        s, centroids=s.centroids * np.float32(factor), radii=s.radii * np.float32(factor)
    )


@pytest.mark.parametrize(
    "opaque",
    [
        _no_centroids,
        lambda s: replace(s, centroids=s.centroids * np.float32(np.nan)),
        lambda s: replace(s, radii=s.radii + np.float32(np.inf)),
        lambda s: replace(s, effective_dim=float("nan")),
        lambda s: replace(s, effective_dim=0.0),
        _scaled(1e30),
        _scaled(1e-30),
    ],
    ids=["none", "nan", "infinite", "dimension nan", "dimension 0", "huge", "tiny"],
)
def test_a_shard_that_tells_nothing_of_use_is_always_asked_and_first(world, queries, opaque):
    summaries = list(world.summaries)
    summaries[5] = opaque(summaries[5])
    plan = _plan(summaries, queries)
    sent = asked(plan)
    assert sent[:, 5].all()
    assert sent.sum(1).mean() < 4  # the others are planned with as ever
    np.testing.assert_allclose(plan.shares.sum(1), 1, rtol=1e-5)
    first = _plan(summaries, queries, max_shards=1)
    assert set(first.queries_by_shard) == {5}


def test_a_large_shard_that_tells_nothing_does_not_stand_for_the_others(world, queries):
    """It may hold nothing near a query, so the others must reach the share alone."""
    summaries = [replace(s, shard=s.shard + 1) for s in world.summaries]
    large = _no_centroids(_summary(0, world.vectors[:1], n_live=500_000))
    sent = asked(_plan([large, *summaries], queries, recall=0.9))
    alone = asked(_plan(summaries, queries, recall=0.9))
    np.testing.assert_array_equal(sent[:, 1:], alone)


def test_where_all_shards_tell_nothing_all_are_asked(world, queries):
    plan = _plan([_no_centroids(s) for s in world.summaries], queries, recall=0.1)
    assert plan.complete
    np.testing.assert_allclose(plan.shares.sum(1), 1, rtol=1e-5)


@EVERY_METRIC
@pytest.mark.parametrize("size", [1e15, 1e25, 3e38])
def test_a_query_whose_squares_overflow_is_sent_by_the_sizes_of_the_shards(world, metric, size):
    far = np.full((1, 12), size, np.float32)
    mixed = np.concatenate([far, world.vectors[:1]])
    plan = _plan(world.summaries, mixed, metric=metric)
    np.testing.assert_allclose(plan.shares.sum(1), 1, rtol=1e-5)
    alone = _plan(world.summaries, world.vectors[:1], metric=metric)
    np.testing.assert_array_equal(asked(plan)[1], asked(alone)[0])
    if size == 3e38 and metric == "l2":
        sizes = np.array([s.n_live for s in world.summaries]) / 6_000
        np.testing.assert_allclose(plan.shares[0], sizes, rtol=1e-5)


def test_counts_are_scaled_to_the_records_there_are_now():
    """Two shards in one place; one has trebled since its summary was made."""
    vectors = gaussian(2_000, 4)
    summaries = [_summary(0, vectors[:1000]), _summary(1, vectors[1000:], n_live=1000)]
    before = _plan(summaries, vectors[::100]).shares.mean(0)
    summaries[1] = replace(summaries[1], n_live=3_000)
    after = _plan(summaries, vectors[::100]).shares.mean(0)
    np.testing.assert_allclose(before, [0.5, 0.5], atol=0.06)
    np.testing.assert_allclose(after, [0.25, 0.75], atol=0.06)


def test_a_planner_notices_new_summaries(world, queries):
    planner = QueryPlanner("l2")
    first = planner.plan(world.summaries, queries, 10)
    again = planner.plan(tuple(world.summaries), queries, 10)
    np.testing.assert_array_equal(first.shares, again.shares)
    emptied = [replace(s, n_live=0) if s.shard == 2 else s for s in world.summaries]
    assert 2 not in planner.plan(emptied, queries, 10).queries_by_shard
    fewer = planner.plan(world.summaries[:3], queries, 10)
    assert fewer.shards == (0, 1, 2)


def test_the_order_of_summaries_and_their_health_do_not_matter(world, queries):
    plan = _plan(world.summaries, queries)
    other = _plan([replace(s, healthy=False, load=9.0) for s in world.summaries[::-1]], queries)
    assert plan.shards == other.shards
    np.testing.assert_array_equal(plan.shares, other.shares)
    np.testing.assert_array_equal(asked(plan), asked(other))


def test_rows_are_ascending_and_no_shard_is_asked_nothing(world, queries):
    plan = _plan(world.summaries, queries, recall=0.5, max_shards=1)
    rows = list(plan.queries_by_shard.values())
    assert all(len(r) and (np.diff(r) > 0).all() and r.dtype == np.int64 for r in rows)
    np.testing.assert_array_equal(np.sort(np.concatenate(rows)), np.arange(len(queries)))
    assert _plan(world.summaries, queries[:0]).queries_by_shard == {}
