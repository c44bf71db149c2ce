from __future__ import annotations

import numpy as np
import pytest
from in_process import DIM

from paradox.cluster.writer import Batch
from paradox.core.errors import FilterError, ShardUnavailable
from paradox.routing import SearchRequest, ThresholdCalibration

T = 10.0


@pytest.fixture
def clustered(make_collection, rng):
    """A collection of far-apart clusters; its parts, and the vectors by id."""
    collection = make_collection(shards=4)
    writer, searcher = collection.client()
    centres = 40 * rng.standard_normal((16, DIM))
    vectors = centres[rng.integers(0, 16, 2000)] + rng.standard_normal((2000, DIM))
    vectors = vectors.astype(np.float32)
    rows = [{"n": n} for n in range(2000)]
    writer.add(Batch(vectors, np.arange(2000), rows), timeout_s=T)
    searcher.summaries.refresh(timeout_s=T)
    return collection, writer, searcher, vectors


def _truth(vectors, queries, k):
    distances = ((queries[:, None, :].astype(float) - vectors[None]) ** 2).sum(2)
    return np.argsort(distances, axis=1, kind="stable")[:, :k]


def _recall(found, truth):
    return np.mean([len(np.intersect1d(f, t)) / len(t) for f, t in zip(found, truth, strict=True)])


def _moved_far_from_its_kind(searcher, vectors):
    """Return an id, and a (1, DIM) vector among records that another shard than its own holds."""
    asked = {}
    for n, vector in enumerate(vectors[:100]):
        plan = searcher.explain(SearchRequest(vector[None], 2), timeout_s=T).plan
        asked[n] = set(plan.shards_of(0))
        if asked[0].isdisjoint(asked[n]):
            return 0, vectors[n : n + 1]
    raise AssertionError(f"expected two records that no shard is asked for both of; got {asked}")


def test_few_shards_are_asked_and_the_recall_is_kept(clustered):
    _, _, searcher, vectors = clustered
    queries = vectors[::40] + np.float32(0.1)
    touched = 0
    found = []
    for query in queries:
        answer = searcher.search(SearchRequest(query[None], 10), timeout_s=T)
        touched += answer.shards_touched
        found.append(answer.ids[0])
    assert _recall(found, _truth(vectors, queries, 10)) >= 0.95
    assert touched / len(queries) < 3


def test_recall_one_asks_every_shard_and_is_exact(clustered):
    _, _, searcher, vectors = clustered
    queries = vectors[:50] + np.float32(0.1)
    answer = searcher.search(SearchRequest(queries, 10, recall=1.0), timeout_s=T)
    assert answer.shards_touched == 4
    assert answer.certified
    exact = np.sort(((queries[:, None].astype(float) - vectors[None]) ** 2).sum(2))[:, :10]
    np.testing.assert_allclose(answer.distances, exact, rtol=1e-3, atol=0.02)


@pytest.mark.parametrize("partition", ["semantic", "hash"])
def test_recall_one_asks_shards_that_were_empty_when_they_last_told(
    make_collection, rng, partition
):
    collection = make_collection(shards=3, partition=partition)
    _, searcher = collection.client()
    searcher.summaries.refresh(timeout_s=T)
    other, _ = collection.client()
    vectors = rng.standard_normal((5, DIM)).astype(np.float32)
    other.add(Batch(vectors, np.arange(5), None), timeout_s=T)
    answer = searcher.search(SearchRequest(vectors[:1], 5, recall=1.0), timeout_s=T)
    assert sorted(answer.ids[0].tolist()) == [0, 1, 2, 3, 4]
    assert answer.certified


def test_a_filter_asks_every_shard(clustered):
    _, _, searcher, vectors = clustered
    answer = searcher.search(SearchRequest(vectors[:1], 3, filter="n % 500 = 7"), timeout_s=T)
    assert answer.shards_touched == 4
    assert set(answer.ids[0].tolist()) <= {7, 507, 1007, 1507}
    with pytest.raises(FilterError):
        searcher.search(SearchRequest(vectors[:1], 3, filter="nope = 7"), timeout_s=T)


def test_a_filter_knows_columns_that_only_other_shards_have_values_of(make_collection, rng):
    collection = make_collection(partition="hash")
    writer, searcher = collection.client()
    vectors = rng.standard_normal((30, DIM)).astype(np.float32)
    writer.add(Batch(vectors, np.arange(30)), timeout_s=T)
    writer.add(Batch(vectors[:1], np.array([0]), [{"rare": 1}]), timeout_s=T)
    answer = searcher.search(SearchRequest(vectors[:1], 5, filter="rare = 1"), timeout_s=T)
    assert answer.ids[0].tolist() == [0, -1, -1, -1, -1]
    empty = searcher.search(SearchRequest(vectors[:1], 40, filter="rare IS NULL"), timeout_s=T)
    assert (empty.ids[0] != -1).sum() == 29


def test_a_client_finds_what_it_has_just_written(clustered):
    _, writer, searcher, vectors = clustered
    moved, to = _moved_far_from_its_kind(searcher, vectors)
    assert moved not in searcher.search(SearchRequest(to, 2), timeout_s=T).ids
    writer.add(Batch(to, np.array([moved])), timeout_s=T)
    assert moved in searcher.search(SearchRequest(to, 2), timeout_s=T).ids


def test_the_first_record_of_an_empty_collection_is_found_at_once(make_collection, rng):
    writer, searcher = make_collection().client()
    query = rng.standard_normal((1, DIM)).astype(np.float32)
    nothing = searcher.search(SearchRequest(query, 2), timeout_s=T)
    assert nothing.ids.tolist() == [[-1, -1]]
    assert (nothing.coverage, nothing.shards_missing) == (1.0, ())
    writer.add(Batch(query), timeout_s=T)
    assert searcher.search(SearchRequest(query, 2), timeout_s=T).ids.tolist() == [[0, -1]]


def test_a_shard_that_is_down_is_told_and_the_rest_answers(clustered):
    collection, _, searcher, vectors = clustered

    def fails(shard, method):
        if shard == 2:
            raise ShardUnavailable("down")

    collection.shards.fails = fails
    request = SearchRequest(vectors[:64], 5, recall=1.0)
    answer = searcher.search(request, timeout_s=T)
    n_lost = collection.shards.shards[2].stats().n_records
    assert answer.shards_missing == (2,)
    assert answer.coverage == pytest.approx(1 - n_lost / 2000)
    assert not answer.certified
    collection.shards.fails = lambda shard, method: None
    assert searcher.search(request, timeout_s=T).shards_missing == ()


def test_a_shard_down_since_before_the_first_query_is_missing_not_empty(clustered):
    collection, _, _, vectors = clustered

    def fails(shard, method):
        if shard == 1:
            raise ShardUnavailable("down")

    collection.shards.fails = fails
    _, searcher = collection.client()
    answer = searcher.search(SearchRequest(vectors[:1], 5), timeout_s=T)
    assert answer.shards_missing == (1,)
    assert 0 < answer.coverage < 1


def test_a_write_told_of_between_plan_and_search_is_found_all_the_same(clustered, monkeypatch):
    collection, writer, searcher, vectors = clustered
    moved, to = _moved_far_from_its_kind(searcher, vectors)
    writer.add(Batch(to, np.array([moved])), timeout_s=T)
    current = searcher.summaries.current

    def just_outdated(*, timeout_s):
        summaries = current(timeout_s=timeout_s)
        for shard in collection.shards.shards:
            shard._summaries._remake()
        searcher.summaries.refresh(timeout_s=T)
        return summaries

    monkeypatch.setattr(searcher.summaries, "current", just_outdated)
    assert moved in searcher.search(SearchRequest(to, 2), timeout_s=T).ids
    assert searcher.summaries.unseen_writes() == ()


@pytest.mark.parametrize("partition", ["semantic", "hash"])
def test_the_shards_explained_are_those_that_are_asked(
    make_collection, rng, monkeypatch, partition
):
    monkeypatch.setattr(ThresholdCalibration, "choose", lambda *_: np.zeros(0, np.int64))
    writer, searcher = make_collection(shards=6, partition=partition).client()
    vectors = rng.standard_normal((1200, DIM)).astype(np.float32)
    writer.add(Batch(vectors), timeout_s=T)
    searcher.summaries.refresh(timeout_s=T)
    for query in vectors[:20]:
        request = SearchRequest(query[None], 3, recall=0.6)
        done = searcher.explain(request, timeout_s=T)
        plan, found = done.plan, searcher.search(request, timeout_s=T)
        assert found.shards_touched == done.answer.shards_touched == len(plan.shards_of(0))
        np.testing.assert_array_equal(done.answer.ids, found.ids)
        assert done.given(np.arange(1)).sum() == 3
        if partition == "hash":
            assert len(plan.queries_by_shard) == 6


def test_queries_that_go_everywhere_now_and_then_teach_how_few_shards_are_enough(
    make_collection, rng
):
    collection = make_collection(shards=8, partition="semantic")
    writer, searcher = collection.client()
    vectors = rng.standard_normal((6000, DIM)) * 0.8 ** np.arange(DIM)
    vectors = vectors.astype(np.float32)
    writer.add(Batch(vectors[:5000], np.arange(5000)), timeout_s=T)
    searcher.summaries.refresh(timeout_s=T)
    queries = vectors[5000:]
    request = SearchRequest(queries, 10, recall=0.8)
    before = searcher.explain(request, timeout_s=T).plan
    searcher.search(request, timeout_s=T)  # a quarter of them goes everywhere
    after = searcher.explain(request, timeout_s=T).plan
    assert before.threshold is None
    assert after.threshold > 0
    n_before, n_after = (sum(map(len, plan.queries_by_shard.values())) for plan in (before, after))
    assert n_after < 0.95 * n_before
    found = searcher.search(request, timeout_s=T)
    assert 0.8 <= _recall(found.ids, _truth(vectors[:5000], queries, 10)) < 0.97


def test_where_ids_decide_every_shard_is_asked_without_a_plan(make_collection, rng, monkeypatch):
    writer, searcher = make_collection(shards=5, partition="hash").client()
    vectors = rng.standard_normal((300, DIM)).astype(np.float32)
    writer.add(Batch(vectors), timeout_s=T)
    monkeypatch.setattr(searcher, "_planner", None)
    answer = searcher.search(SearchRequest(vectors[:30], 4, recall=0.5), timeout_s=T)
    assert (answer.shards_touched, answer.certified) == (5, True)
    np.testing.assert_array_equal(answer.ids, _truth(vectors, vectors[:30], 4))


def test_a_shard_measures_how_its_records_spread_and_tells_it(clustered):
    collection, _, searcher, _ = clustered
    summaries = searcher.summaries.current(timeout_s=T)
    assert [s.shard for s in summaries] == [0, 1, 2, 3]
    assert all(4 < s.effective_dim < 16 for s in summaries)  # 8 is the dimension of the clusters
    assert sum(s.n_live for s in summaries) == collection.n_records()
