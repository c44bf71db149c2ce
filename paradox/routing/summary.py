"""What a shard publishes about itself, so that others can tell which queries it may answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paradox.core.metric import Metric
from paradox.core.types import F32Matrix, F32Vector, I64Vector
from paradox.routing.clustering import in_cell_space, kmeans
from paradox.routing.distance_model import DEFAULT_EFFECTIVE_DIM, effective_dim

MAX_CENTROIDS = 256
_MEMBERS_A_CENTROID = 8  # fewer sampled members tell too little about a cell's count and radius


@dataclass(frozen=True, slots=True, eq=False)
class ShardSummary:
    """One shard as the planner sees it.

    Under the cosine metric centroids and radii are those of the unit vectors.

    Attributes:
        shard: its number in the collection.
        seq: the last of the shard's writes that the summary knows of.
        epoch: which life of the shard this is; a later one outdates it.
        n_live: records that can be found.
        resident_bytes: memory its index holds.
        centroid: (dim,) float32, centre of mass; zeros when empty.
        centroids: (c, dim) float32, c <= 256; c = 0 when empty.
        counts: (c,) int64, estimated live records around each centroid; they add up to `n_live`.
        radii: (c,) float32, root mean square distance of the sampled members to their centroid.
        load: searches under way when it was made.
        healthy: False where it stands in for a shard that has not told one yet.
        effective_dim: in how many directions the members of a centroid spread; see
            `distance_model`.
    """

    shard: int
    seq: int
    epoch: int
    n_live: int
    resident_bytes: int
    centroid: F32Vector
    centroids: F32Matrix
    counts: I64Vector
    radii: F32Vector
    load: float
    healthy: bool
    effective_dim: float = DEFAULT_EFFECTIVE_DIM


def summarize(
    vectors: F32Matrix,
    *,
    shard: int,
    metric: Metric,
    n_live: int,
    seq: int,
    epoch: int,
    resident_bytes: int = 0,
    load: float = 0.0,
    max_centroids: int = MAX_CENTROIDS,
    seed: int = 0,
) -> ShardSummary:
    """Summarize a shard from a sample of its vectors.

    Args:
        vectors: (m, dim) float32 sample of the live vectors, m >= 0; 16,000 serve 256 centroids
            well, and fewer than 8 for each give fewer centroids.
        shard: its number.
        metric: the collection's.
        n_live: live records of the whole shard.
        seq: its last write.
        epoch: its life.
        resident_bytes: memory its index holds.
        load: searches under way.
        max_centroids: at most this many are published.
        seed: of the clustering; the same sample and seed give the same summary.
    """
    m, dim = vectors.shape
    if m == 0 or n_live == 0:
        centroid = np.zeros(dim, np.float32)
        centroids = np.zeros((0, dim), np.float32)
        counts, radii = np.zeros(0, np.int64), np.zeros(0, np.float32)
        freedom = DEFAULT_EFFECTIVE_DIM
    else:
        n_clusters = max(1, min(max_centroids, m // _MEMBERS_A_CENTROID))
        cells = kmeans(vectors, n_clusters, metric=metric, seed=seed)
        points = in_cell_space(vectors, metric)
        centroid = points.mean(axis=0, dtype=np.float64).astype(np.float32)
        centroids = cells.centroids
        counts = _apportioned(cells.counts, n_live)
        radii = np.sqrt(cells.squared_radii)
        freedom = effective_dim(points, cells, metric, seed=seed)
    return ShardSummary(
        shard=shard,
        seq=seq,
        epoch=epoch,
        n_live=n_live,
        resident_bytes=resident_bytes,
        centroid=centroid,
        centroids=centroids,
        counts=counts,
        radii=radii,
        load=load,
        healthy=True,
        effective_dim=freedom,
    )


def _apportioned(members: npt.NDArray[np.int64], n_live: int) -> I64Vector:
    """Share `n_live` records out in proportion to the sampled members, by largest remainder."""
    quotas = members * (n_live / members.sum())
    counts: I64Vector = np.floor(quotas).astype(np.int64)
    missing = n_live - int(counts.sum())
    counts[np.argsort(counts - quotas, kind="stable")[:missing]] += 1
    return counts
