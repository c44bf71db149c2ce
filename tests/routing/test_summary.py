from __future__ import annotations

import pickle
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray import cloudpickle
from worlds import clusters, gaussian

from paradox.routing import ShardSummary, summarize
from paradox.routing.clustering import in_cell_space
from paradox.routing.distance_model import DEFAULT_EFFECTIVE_DIM


def _of(vectors, *, n_live=None, metric="l2", **changes):
    given = {
        "shard": 3,
        "seq": 17,
        "epoch": 2,
        "n_live": len(vectors) if n_live is None else n_live,
    }
    return summarize(vectors, metric=metric, **(given | changes))


@given(st.integers(1, 3000), st.integers(1, 300), st.integers(0, 3))
@settings(deadline=None, derandomize=True, max_examples=50)
def test_counts_add_up_to_the_live_records(n_live, m, seed):
    summary = _of(gaussian(m, 4, seed=seed), n_live=n_live)
    assert summary.counts.sum() == n_live
    assert summary.counts.min() >= 0
    assert len(summary.counts) == len(summary.centroids) == len(summary.radii)


@pytest.mark.parametrize("metric", ["l2", "ip", "cosine"])
def test_a_summary_describes_its_vectors(metric):
    vectors = clusters(1_000, 6)
    summary = _of(vectors, metric=metric)
    points = in_cell_space(vectors, metric).astype(np.float64)
    assert (summary.shard, summary.seq, summary.epoch, summary.n_live) == (3, 17, 2, 1_000)
    assert summary.healthy
    np.testing.assert_allclose(summary.centroid, points.mean(0), rtol=1e-5, atol=1e-6)
    # The spread within the cells and that of their centroids make up the whole spread.
    between = ((summary.centroids - points.mean(0)) ** 2).sum(1)
    whole = (summary.counts * (summary.radii.astype(float) ** 2 + between)).sum() / 1_000
    np.testing.assert_allclose(whole, points.var(axis=0).sum(), rtol=1e-3)
    assert len(summary.centroids) == 1_000 // 8


def test_counts_are_proportional_to_the_sampled_members():
    vectors = np.repeat(np.eye(3, dtype=np.float32), [10, 30, 60], axis=0)
    summary = _of(vectors, n_live=10_000)
    by_centroid = {
        int(c.argmax()): int(n) for c, n in zip(summary.centroids, summary.counts, strict=True)
    }
    assert by_centroid == {0: 1_000, 1: 3_000, 2: 6_000}
    np.testing.assert_array_equal(summary.radii, 0)


def test_few_vectors_get_few_centroids_and_many_no_more_than_wanted():
    assert len(_of(gaussian(7, 4)).centroids) == 1
    assert len(_of(gaussian(40, 4)).centroids) == 5
    assert len(_of(gaussian(4_000, 4)).centroids) == 256
    assert len(_of(gaussian(4_000, 4), max_centroids=10).centroids) == 10


@pytest.mark.parametrize(("m", "n_live"), [(0, 0), (5, 0), (0, 5)])
def test_an_empty_shard_and_one_not_sampled_publish_no_centroids(m, n_live):
    summary = _of(gaussian(m, 4), n_live=n_live)
    assert summary.centroids.shape == (0, 4)
    assert summary.counts.shape == summary.radii.shape == (0,)
    assert summary.n_live == n_live
    np.testing.assert_array_equal(summary.centroid, np.zeros(4))
    assert summary.effective_dim == DEFAULT_EFFECTIVE_DIM


def test_the_same_sample_and_seed_give_the_same_summary():
    vectors = clusters(2_000, 6)
    first, again, other = (_of(vectors, seed=seed) for seed in (4, 4, 5))
    for name in ("centroids", "counts", "radii", "centroid"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert first.effective_dim == again.effective_dim
    assert not np.array_equal(first.centroids, other.centroids)


def test_the_measured_dimension_tells_how_the_records_spread():
    flat = np.zeros((4_000, 30), np.float32)
    flat[:, :3] = gaussian(4_000, 3)
    assert _of(flat).effective_dim < 8
    assert _of(gaussian(4_000, 30)).effective_dim > 20


@pytest.mark.parametrize("scale", [1e-30, 1e19, 1e30, 3e37])
@pytest.mark.parametrize("metric", ["l2", "ip", "cosine"])
def test_vectors_of_any_size_are_summarized_without_complaint(scale, metric):
    vectors = (np.clip(gaussian(300, 4), -3, 3) * np.float32(scale)).astype(np.float32)
    summary = _of(vectors, metric=metric)
    assert summary.counts.sum() == 300


@pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps])
def test_a_summary_crosses_to_another_process_whole(dumps):
    sent = _of(clusters(500, 6), resident_bytes=99, load=2.5)
    assert sent.effective_dim != DEFAULT_EFFECTIVE_DIM
    came = pickle.loads(dumps(sent))  # noqa: S301
    assert isinstance(came, ShardSummary)
    for field in fields(ShardSummary):
        np.testing.assert_array_equal(getattr(came, field.name), getattr(sent, field.name))
