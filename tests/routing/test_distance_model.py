from __future__ import annotations

import numpy as np
import pytest
from worlds import clusters, gaussian

from paradox.routing import Clustering, kmeans
from paradox.routing.clustering import in_cell_space
from paradox.routing.distance_model import DEFAULT_EFFECTIVE_DIM, DistanceModel, effective_dim


def _model(centroids, radius, effective, metric):
    n = len(centroids)
    return DistanceModel(
        centroids.astype(np.float32),
        np.full(n, radius**2, np.float32),
        effective,
        metric,
    )


def _members(centroid, radius, n=20_000):
    """Return members that spread alike in all directions, at `radius` root mean square."""
    dim = len(centroid)
    return centroid + radius / np.sqrt(dim) * np.random.default_rng(5).standard_normal((n, dim))


@pytest.mark.parametrize("offset", [0.0, 1000.0])
@pytest.mark.parametrize("distance", [0.0, 0.3, 1.0, 5.0])
@pytest.mark.parametrize("dim", [4, 32])
def test_distances_to_members_have_the_mean_and_deviation_expected(dim, distance, offset):
    centroid = np.full(dim, offset)
    query = centroid + distance * np.eye(dim)[0]
    centroids = np.stack([centroid, centroid + 3])  # beside another cell
    mean, deviation = _model(centroids, 1.0, dim, "l2").expect(query[None].astype(np.float32))
    drawn = np.sqrt(((_members(centroid, 1.0) - query) ** 2).sum(1))
    np.testing.assert_allclose(mean[0, 0], drawn.mean(), rtol=0.01)
    np.testing.assert_allclose(deviation[0, 0], drawn.std(), rtol=0.06)


def test_inner_products_with_members_have_the_mean_and_deviation_expected():
    centroid, query = gaussian(2, 16, seed=3)
    mean, deviation = _model(centroid[None], 2.0, 16, "ip").expect(query[None])
    drawn = -_members(centroid, 2.0) @ query
    np.testing.assert_allclose(mean[0, 0], drawn.mean(), atol=0.05)
    np.testing.assert_allclose(deviation[0, 0], drawn.std(), rtol=0.03)


def test_fewer_effective_dimensions_make_wider_expectations():
    centroids, queries = gaussian(5, 8), gaussian(7, 8, seed=1)
    _, wide = _model(centroids, 1.0, 4, "l2").expect(queries)
    _, narrow = _model(centroids, 1.0, 64, "l2").expect(queries)
    assert (wide > 3 * narrow).all()


@pytest.mark.parametrize("metric", ["l2", "ip", "cosine"])
def test_members_that_do_not_spread_are_where_the_centroid_is(metric):
    centroids = in_cell_space(gaussian(5, 8), metric)
    mean, deviation = _model(centroids, 0.0, 20, metric).expect(centroids)
    products = centroids @ centroids.T
    squared = ((centroids[:, None] - centroids) ** 2).sum(2)
    expected = -products if metric == "ip" else np.sqrt(squared)
    np.testing.assert_allclose(mean, expected, atol=2e-3)
    assert (deviation > 0).all()
    assert (deviation <= 1e-5 * (1 + np.abs(mean))).all()


def test_an_outlier_among_the_centroids_does_not_blur_the_others():
    centroids = clusters(40, 8, apart=1.0)
    centroids[7] = 1e6
    mean, _ = _model(centroids, 0.0, 20, "l2").expect(centroids[:3])
    exact = np.sqrt(((centroids[:3, None].astype(float) - centroids) ** 2).sum(2))
    np.testing.assert_allclose(mean, exact, rtol=1e-3, atol=5e-3)


@pytest.mark.parametrize("metric", ["l2", "ip"])
@pytest.mark.parametrize("dim", [8, 48])
def test_the_dimension_measured_of_members_spread_alike_is_theirs(dim, metric):
    centres = gaussian(10, dim, seed=1) * np.float32(3)
    labels = np.arange(8_000) % 10  # k-means would cut the clusters into flatter pieces
    vectors = centres[labels] + gaussian(8_000, dim)
    cells = Clustering(centres, labels, np.full(10, 800), np.full(10, dim, np.float32))
    assert 0.85 * dim < effective_dim(vectors, cells, metric, seed=0) < 1.15 * dim


def test_the_dimension_measured_gives_the_deviations_that_there_are():
    """On vectors that spread unevenly: the model's deviations against counted ones."""
    rng = np.random.default_rng(0)
    vectors = (gaussian(6_000, 24) * (0.9 ** np.arange(24))).astype(np.float32)
    cells = kmeans(vectors, 60, metric="l2")
    measured = effective_dim(vectors, cells, "l2", seed=0)
    assert measured < 20
    model = DistanceModel(cells.centroids, cells.squared_radii, measured, "l2")
    queries = (rng.standard_normal((200, 24)) * 0.9 ** np.arange(24)).astype(np.float32)
    mean, deviation = model.expect(queries)
    drawn = np.sqrt(((queries[:, None] - vectors[None]) ** 2).sum(2))
    near = np.argsort(mean, axis=1)[:, :8]
    ratios = [
        deviation[q, c] / drawn[q, cells.labels == c].std() for q in range(200) for c in near[q]
    ]
    assert 0.85 < np.median(ratios) < 1.15


def test_where_there_is_too_little_to_measure_the_default_stands_in():
    for vectors in (gaussian(1, 4), gaussian(5, 4), np.ones((100, 4), np.float32)):
        cells = kmeans(vectors, max(1, len(vectors) // 8), metric="l2")
        assert effective_dim(vectors, cells, "l2", seed=0) == DEFAULT_EFFECTIVE_DIM


def test_the_dimension_measured_is_the_same_far_from_the_origin_and_beside_an_outlier():
    vectors = clusters(2_000, 8, apart=2.0)
    at_origin, moved, with_outlier = (
        effective_dim(v, kmeans(v, 100, metric="l2"), "l2", seed=0)
        for v in (
            vectors,
            vectors + np.float32(3_000),
            np.concatenate([vectors, np.full((1, 8), 1e6, np.float32)]),
        )
    )
    assert abs(moved - at_origin) < 0.15 * at_origin
    assert abs(with_outlier - at_origin) < 0.15 * at_origin
