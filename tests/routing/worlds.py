"""Records spread over shards, and the exact answers of queries, in plain NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from paradox.routing import QueryPlan, SemanticPartitioner, ShardSummary, summarize


def clusters(n, dim, *, n_clusters=20, apart=8.0, seed=0):
    """Return (n, dim) float32 of Gaussians around centres `apart` times as far as they are wide."""
    rng = np.random.default_rng(seed)
    centres = apart * rng.standard_normal((n_clusters, dim))
    points = centres[rng.integers(0, n_clusters, n)] + rng.standard_normal((n, dim))
    return points.astype(np.float32)


def gaussian(n, dim, *, seed=0):
    """Return (n, dim) float32 of one isotropic Gaussian: no shard knows more than another."""
    return np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)


def distances(queries, vectors, metric):
    """Return (n_queries, n) float64; smaller is closer."""
    queries, vectors = queries.astype(np.float64), vectors.astype(np.float64)
    if metric == "cosine":
        queries = queries / np.linalg.norm(queries, axis=1, keepdims=True)
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    products = -queries @ vectors.T
    if metric == "l2":
        return 2 * products + (vectors**2).sum(1) + (queries**2).sum(1)[:, np.newaxis]
    return products


@dataclass
class World:
    """Vectors, the shard of each, and what the shards publish."""

    vectors: np.ndarray
    home: np.ndarray
    n_shards: int
    metric: str

    @classmethod
    def partitioned(cls, vectors, n_shards, metric):
        sample = vectors[np.random.default_rng(1).permutation(len(vectors))[:20_000]]
        partitioner = SemanticPartitioner.train(sample, n_shards, metric=metric)
        home = partitioner.place(np.arange(len(vectors)), vectors)
        return cls(vectors, home, n_shards, metric)

    @cached_property
    def summaries(self) -> list[ShardSummary]:
        made = []
        for shard in range(self.n_shards):
            own = self.vectors[self.home == shard]
            made.append(
                summarize(
                    own, shard=shard, metric=self.metric, n_live=len(own), seq=len(own), epoch=1
                )
            )
        return made

    def truth(self, queries, k):
        """Return (n_queries, k) rows of the nearest vectors, in no order."""
        return np.argpartition(distances(queries, self.vectors, self.metric), k - 1, axis=1)[:, :k]

    def held(self, queries, k):
        """Return (n_queries, n_shards): the true share of each answer that each shard holds."""
        homes = self.home[self.truth(queries, k)]
        return np.stack([(homes == shard).mean(1) for shard in range(self.n_shards)], axis=1)


def asked(plan: QueryPlan):
    """Return (n_queries, n_shards) bool: which query goes to which shard."""
    sent = np.zeros(plan.shares.shape, bool)
    for shard, rows in plan.queries_by_shard.items():
        sent[rows, plan.shards.index(shard)] = True
    return sent
