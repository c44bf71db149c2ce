"""k-means, over unit vectors where the metric is cosine, without empty clusters.

Cells are Euclidean under every metric: for unit vectors that is the order of the cosine, and under
`ip` it keeps vectors together that have like products with every query.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paradox.core.metric import Metric
from paradox.core.types import F32Matrix, F32Vector, I64Vector

_ROWS_AT_ONCE = 4096  # rows of one block of distances: 16 MB against 1,024 centroids


@dataclass(frozen=True, slots=True, eq=False)
class Clustering:
    """A partition of vectors into cells around their means.

    Attributes:
        centroids: (c, dim) float32, means of the members (of the unit members under cosine).
        labels: (n,) int64, the cell of each vector.
        counts: (c,) int64, members of each cell, none zero.
    """

    centroids: F32Matrix
    labels: I64Vector
    counts: I64Vector


def in_cell_space(vectors: F32Matrix, metric: Metric) -> F32Matrix:
    """Return the vectors as cells see them: of unit length under cosine, else as they are.

    A zero vector stays zero.
    """
    if metric != "cosine":
        return vectors
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norms > 0, norms, np.float32(1))


def nearest(points: F32Matrix, centroids: F32Matrix, *, rank: int = 1) -> npt.NDArray[np.int64]:
    """Return the `rank` nearest centroids of each point, the nearest first.

    Args:
        points: (n, dim) float32, in cell space.
        centroids: (c, dim) float32.
        rank: how many, 1 to c.

    Returns:
        (n, rank) int64; of equally near centroids the lower number first.
    """
    half_norms = np.einsum("cd,cd->c", centroids, centroids) / 2
    found = np.empty((len(points), rank), np.int64)
    for start in range(0, len(points), _ROWS_AT_ONCE):
        block = slice(start, start + _ROWS_AT_ONCE)
        nearness = half_norms - points[block] @ centroids.T
        if rank == 1:
            found[block, 0] = nearness.argmin(axis=1)
        else:
            found[block] = np.argsort(nearness, axis=1, kind="stable")[:, :rank]
    return found


def kmeans(
    vectors: F32Matrix, n_clusters: int, *, metric: Metric, seed: int = 0, iterations: int = 12
) -> Clustering:
    """Partition vectors by Lloyd's algorithm, from a random sample of them.

    Args:
        vectors: (n, dim) float32, n >= 1, finite.
        n_clusters: cells wanted; fewer come back where there are fewer distinct vectors.
        metric: cosine clusters the directions, the other metrics the vectors themselves.
        seed: of the sample; the same input and seed give the same cells.
        iterations: rounds at most; ends earlier when no label changes.
    """
    points = in_cell_space(vectors, metric)
    rng = np.random.default_rng(seed)
    n_clusters = min(n_clusters, len(points))
    centroids = points[np.sort(rng.choice(len(points), n_clusters, replace=False))]
    labels = nearest(points, centroids)[:, 0]
    for _ in range(iterations):
        centroids = _updated(points, centroids, labels)
        before, labels = labels, nearest(points, centroids)[:, 0]
        if np.array_equal(before, labels):
            break
    _, labels, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return Clustering(_means(points, labels, counts), labels.astype(np.int64), counts)


def distances_to_own(points: F32Matrix, centroids: F32Matrix, labels: I64Vector) -> F32Vector:
    """Return the squared Euclidean distance of each point to the centroid of its cell, (n,)."""
    squared = np.empty(len(points), np.float32)
    for start in range(0, len(points), _ROWS_AT_ONCE):
        block = slice(start, start + _ROWS_AT_ONCE)
        offsets = points[block] - centroids[labels[block]]
        squared[block] = np.einsum("nd,nd->n", offsets, offsets)
    return squared


def _updated(points: F32Matrix, centroids: F32Matrix, labels: I64Vector) -> F32Matrix:
    """Move each centroid to the mean of its members, and an empty one to a badly served point."""
    counts = np.bincount(labels, minlength=len(centroids))
    used = np.flatnonzero(counts)
    moved = centroids.copy()
    moved[used] = _means(points, np.searchsorted(used, labels), counts[used])
    empty = np.flatnonzero(counts == 0)
    if len(empty):
        squared = distances_to_own(points, moved, labels)
        worst = np.argsort(-squared, kind="stable")[: len(empty)]
        moved[empty[: len(worst)]] = points[worst]
    return moved


def _means(points: F32Matrix, labels: I64Vector, counts: I64Vector) -> F32Matrix:
    """Return the mean of each cell, (c, dim); float64 sums, so equal members give themselves."""
    order = np.argsort(labels, kind="stable")
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    sums = np.add.reduceat(points[order], starts, axis=0, dtype=np.float64)
    return (sums / counts[:, np.newaxis]).astype(np.float32)
