from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import clusters

from paradox.routing.clustering import NearestCells, in_cell_space, kmeans, middle

few_points = st.integers(1, 40).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(-3, 3), min_size=2 * n, max_size=2 * n).map(
            lambda values: np.array(values, np.float32).reshape(-1, 2)
        ),
        st.integers(1, 12),
    )
)


def _nearest(points, centroids):
    """Return (n, c) int64, all centroids of each point by distance."""
    offsets = points[:, None].astype(np.float64) - centroids[None].astype(np.float64)
    return np.argsort((offsets**2).sum(2), axis=1, kind="stable")


def test_cells_see_directions_under_cosine_and_vectors_else():
    vectors = np.array([[3, 4], [0, 0], [0, -2]], np.float32)
    assert in_cell_space(vectors, "l2") is vectors
    assert in_cell_space(vectors, "ip") is vectors
    units = in_cell_space(vectors, "cosine")
    assert units.dtype == np.float32
    np.testing.assert_allclose(units, [[0.6, 0.8], [0, 0], [0, -1]], rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-44, 1e-30, 1e30, 1e38])
def test_directions_of_vectors_whose_squares_are_no_float32_are_kept(scale):
    vectors = (np.array([[1, 1], [1, -1]]) * scale).astype(np.float32)
    expected = np.array([[1, 1], [1, -1]]) / np.sqrt(2)
    np.testing.assert_allclose(in_cell_space(vectors, "cosine"), expected, rtol=1e-6)


def test_the_middle_is_among_the_many_whatever_outliers_say():
    points = clusters(2_000, 5, n_clusters=1, apart=100.0)
    outlying = points.copy()
    outlying[::100] = 1e12
    assert np.abs(middle(points) - points.mean(0)).max() < 0.5
    assert np.abs(middle(outlying) - points.mean(0)).max() < 0.5
    np.testing.assert_array_equal(middle(points[:1]), points[0])


@pytest.mark.parametrize("dim", [1, 3, 16, 97])
@pytest.mark.parametrize("rank", [1, 3, 11])
def test_nearest_cells_are_those_of_the_distances(dim, rank):
    points, centroids = clusters(5_000, dim, seed=1), clusters(11, dim, seed=2)
    np.testing.assert_array_equal(
        NearestCells(centroids).of(points, rank=rank), _nearest(points, centroids)[:, :rank]
    )


def test_nearest_cells_are_found_far_from_the_origin_and_beside_an_outlier():
    points, centroids = clusters(500, 8, seed=1), clusters(20, 8, seed=2)
    centroids[7] = 1e6
    expected = _nearest(points, centroids)[:, 0]
    np.testing.assert_array_equal(NearestCells(centroids).of(points)[:, 0], expected)
    points, centroids = points + np.float32(1000), centroids + np.float32(1000)
    np.testing.assert_array_equal(
        NearestCells(centroids).of(points)[:, 0], _nearest(points, centroids)[:, 0]
    )


def test_points_whose_squares_overflow_get_a_cell_too():
    centroids = clusters(9, 4)
    points = np.array([[3e38] * 4, [-3e38] * 4, [1e30, 0, 0, 0]], np.float32)
    assert set(NearestCells(centroids).of(points)[:, 0].tolist()) <= set(range(9))
    huge = NearestCells(np.concatenate([centroids, points]))
    np.testing.assert_array_equal(huge.of(centroids)[:, 0], np.arange(9))


@given(few_points, st.sampled_from(["l2", "ip", "cosine"]))
@settings(deadline=None, derandomize=True)
def test_a_clustering_says_what_its_cells_are(points_and_cells, metric):
    vectors, n_clusters = points_and_cells
    made = kmeans(vectors, n_clusters, metric=metric)
    points = in_cell_space(vectors, metric)
    n_cells = len(made.counts)
    assert 1 <= n_cells <= n_clusters
    np.testing.assert_array_equal(np.bincount(made.labels, minlength=n_cells), made.counts)
    assert made.counts.min() > 0
    for cell in range(n_cells):
        members = points[made.labels == cell].astype(np.float64)
        np.testing.assert_allclose(made.centroids[cell], members.mean(0), atol=1e-6)
        spread = ((members - members.mean(0)) ** 2).sum(1).mean()
        np.testing.assert_allclose(made.squared_radii[cell], spread, atol=1e-5)


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_when_nothing_moves_any_more_every_vector_is_in_its_nearest_cell(metric):
    vectors = clusters(600, 3, seed=4)
    made = kmeans(vectors, 12, metric=metric, iterations=500)
    points = in_cell_space(vectors, metric)
    own = ((points - made.centroids[made.labels]) ** 2).sum(1)
    least = ((points[:, None] - made.centroids[None]) ** 2).sum(2).min(1)
    np.testing.assert_allclose(own, least, rtol=1e-4, atol=1e-6)


def test_the_same_seed_gives_the_same_cells_and_another_seed_others():
    vectors = clusters(3_000, 8)
    first, again, other = (kmeans(vectors, 40, metric="l2", seed=s) for s in (5, 5, 6))
    np.testing.assert_array_equal(first.centroids, again.centroids)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert not np.array_equal(first.labels, other.labels)


def test_fewer_distinct_vectors_give_fewer_cells_and_equal_ones_give_themselves():
    distinct = clusters(3, 7) / np.float32(3)
    made = kmeans(np.repeat(distinct, 50, axis=0), 10, metric="l2")
    assert len(made.counts) == 3
    assert {c.tobytes() for c in made.centroids} == {c.tobytes() for c in distinct}
    np.testing.assert_array_equal(made.squared_radii, 0)
    assert len(kmeans(distinct[:1], 64, metric="l2").counts) == 1


def test_cells_of_directions_do_not_depend_on_lengths():
    vectors = clusters(1_000, 6)
    lengths = 2.0 ** np.random.default_rng(0).integers(-20, 20, (1_000, 1))
    stretched = (vectors * lengths).astype(np.float32)
    labels = [kmeans(v, 15, metric="cosine").labels for v in (vectors, stretched)]
    np.testing.assert_array_equal(*labels)


def test_every_far_cluster_gets_a_cell_although_the_start_is_random():
    rng = np.random.default_rng(0)
    centres = 100 * np.eye(8, dtype=np.float32)
    truth = np.r_[np.zeros(2_000, int), rng.integers(1, 8, 70)]  # most vectors in one cluster
    vectors = (centres[truth] + rng.standard_normal((len(truth), 8))).astype(np.float32)
    made = kmeans(vectors, 40, metric="l2")
    for cell in range(len(made.counts)):
        assert len(set(truth[made.labels == cell])) == 1


@pytest.mark.parametrize("outlier", [1e6, 1e12, 1e30, 3e38])
def test_one_outlier_leaves_the_others_their_cells(outlier):
    vectors = clusters(1_000, 6, n_clusters=10, apart=20.0)
    made = kmeans(np.concatenate([vectors, np.full((1, 6), outlier, np.float32)]), 30, metric="l2")
    its_own = made.labels[-1]
    assert made.counts[its_own] < 150  # where its square overflows, a cluster may share its fate
    others = np.delete(np.arange(len(made.counts)), its_own)
    assert np.sqrt(made.squared_radii[others]).max() < 5  # clusters are 2.4 wide and lie 70 apart
