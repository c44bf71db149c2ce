"""Which shards may hold the answer of a query: a soft vote of the published centroids.

Around each published centroid the squared distance of a query to the members is taken as normally
distributed: its mean and spread follow from the query's distance to the centroid and the radius of
the members. From counts, means and spreads follow how far the k-th neighbour should be, and how
many of the k nearest lie around each centroid; their sum over a shard's centroids is the share of
the answer that the shard holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paradox.core.metric import Metric
from paradox.core.types import F32Matrix, F32Vector, I64Vector
from paradox.routing.clustering import in_cell_space
from paradox.routing.plan import QueryBudget, QueryPlan
from paradox.routing.summary import ShardSummary

_BISECTIONS = 14
_INTRINSIC_DIM = 12.0


@dataclass(frozen=True, slots=True, eq=False)
class _Landscape:
    """The centroids of all shards in one stack, ready for queries."""

    summaries: tuple[ShardSummary, ...]
    shards: tuple[int, ...]
    centroids: F32Matrix  # (c, dim)
    norms: F32Vector  # (c,) squared
    radii: F32Vector  # (c,) squared
    counts: F32Vector  # (c,)
    starts: I64Vector  # first centroid of each shard that has any
    described: I64Vector  # columns of the shards that have any
    n_live: npt.NDArray[np.int64]  # (n_shards,)
    unknown: npt.NDArray[np.bool_]  # (n_shards,) holds records, but publishes nothing usable


class QueryPlanner:
    """Turns summaries, queries and a budget into a `QueryPlan`; decides only, asks nobody.

    Args:
        metric: the collection's.
        intrinsic_dim: degrees of freedom of the vectors around a centroid; the lower, the wider
            the plans.
    """

    def __init__(self, metric: Metric, *, intrinsic_dim: float = _INTRINSIC_DIM) -> None:
        self._metric = metric
        self._intrinsic_dim = intrinsic_dim
        self._landscape: _Landscape | None = None  # of the summaries last planned with

    def plan(
        self,
        summaries: Sequence[ShardSummary],
        queries: F32Matrix,
        k: int,
        budget: QueryBudget | None = None,
    ) -> QueryPlan:
        """Choose the shards for each query.

        The smallest set of shards whose predicted share of the k nearest reaches what the budget
        asks. A shard that holds no records is never asked; one whose summary cannot be used (no
        centroids, or not finite) always is. Health does not matter here: a shard that may hold
        the answer is asked, or reported missing.

        Args:
            summaries: one for each shard of the collection, in any order.
            queries: (n_queries, dim) float32.
            k: neighbours wanted.
            budget: the recall wanted and its limits; the default budget where it is None.
        """
        budget = budget or QueryBudget()
        landscape = self._landscape_of(tuple(summaries))
        live = landscape.n_live > 0
        shares = self._shares(landscape, queries, k)
        if budget.share >= 1 or k >= landscape.n_live.sum():
            asked = np.broadcast_to(live, shares.shape).copy()
        else:
            asked = _smallest_sets(shares, np.float32(budget.share), landscape)
        if budget.max_shards is not None and budget.max_shards < len(live):
            keen = np.where(landscape.unknown, np.float32(2), shares)
            rank = np.argsort(np.argsort(-keen, axis=1, kind="stable"), axis=1, kind="stable")
            asked &= rank < budget.max_shards
        rows = {
            shard: np.flatnonzero(asked[:, column])
            for column, shard in enumerate(landscape.shards)
            if asked[:, column].any()
        }
        return QueryPlan(rows, shares, landscape.shards, bool((asked == live).all()))

    def _landscape_of(self, summaries: tuple[ShardSummary, ...]) -> _Landscape:
        kept = self._landscape
        if (
            kept is None
            or len(kept.summaries) != len(summaries)
            or any(a is not b for a, b in zip(kept.summaries, summaries, strict=True))
        ):
            kept = self._landscape = _landscape(summaries)
        return kept

    def _shares(self, landscape: _Landscape, queries: F32Matrix, k: int) -> F32Matrix:
        """Return (n_queries, n_shards) float32, the predicted share of each shard."""
        total = max(int(landscape.n_live.sum()), 1)
        prior = landscape.n_live.astype(np.float32) / np.float32(total)
        shares = np.broadcast_to(prior, (len(queries), len(prior))).copy()
        if not len(landscape.counts):
            return shares
        known = 1 - prior[landscape.unknown].sum()
        with np.errstate(over="ignore", invalid="ignore"):
            mean, spread = self._distances(landscape, in_cell_space(queries, self._metric))
            near = _counts_within(mean, spread, landscape.counts, k)
            votes = np.add.reduceat(near, landscape.starts, axis=1)
            votes *= known / votes.sum(axis=1, keepdims=True)
        usable = np.isfinite(votes).all(axis=1)
        shares[np.ix_(usable, landscape.described)] = votes[usable]
        return shares

    def _distances(self, landscape: _Landscape, queries: F32Matrix) -> tuple[F32Matrix, F32Matrix]:
        """Return mean and spread of the distance of each query to each centroid's members."""
        products = queries @ landscape.centroids.T
        norms = np.einsum("qd,qd->q", queries, queries)[:, np.newaxis]
        freedom = np.float32(self._intrinsic_dim)
        if self._metric == "ip":
            return -products, np.sqrt(norms * (landscape.radii / freedom))
        squared = np.maximum(norms + landscape.norms - 2 * products, 0)
        variance = (4 * squared + 2 * landscape.radii) * (landscape.radii / freedom)
        return squared + landscape.radii, np.sqrt(variance)


def _landscape(summaries: tuple[ShardSummary, ...]) -> _Landscape:
    order = sorted(summaries, key=lambda summary: summary.shard)
    n_live = np.array([summary.n_live for summary in order], np.int64)
    usable = np.array([_usable(summary) for summary in order], np.bool_)
    described = [s for s, known in zip(order, usable, strict=True) if known]
    sizes = [len(summary.centroids) for summary in described]
    dim = order[0].centroid.shape[0] if order else 0
    centroids = np.concatenate([np.zeros((0, dim), np.float32), *(s.centroids for s in described)])
    radii = np.concatenate([np.zeros(0, np.float32), *(s.radii for s in described)])
    counts = np.concatenate([np.zeros(0, np.int64), *(s.counts for s in described)])
    return _Landscape(
        summaries=summaries,
        shards=tuple(summary.shard for summary in order),
        centroids=centroids,
        norms=np.einsum("cd,cd->c", centroids, centroids),
        radii=radii * radii,
        counts=counts.astype(np.float32),
        starts=np.cumsum([0, *sizes[:-1]], dtype=np.int64) if sizes else np.zeros(0, np.int64),
        described=np.flatnonzero(usable),
        n_live=n_live,
        unknown=(n_live > 0) & ~usable,
    )


def _usable(summary: ShardSummary) -> bool:
    return (
        summary.n_live > 0
        and len(summary.centroids) > 0
        and bool(np.isfinite(summary.centroids).all() and np.isfinite(summary.radii).all())
    )


def _counts_within(mean: F32Matrix, spread: F32Matrix, counts: F32Vector, k: int) -> F32Matrix:
    """Return how many of the k nearest to expect around each centroid."""
    spread = np.maximum(spread, np.float32(1e-6) * np.abs(mean) + np.float32(1e-30))
    low = (mean - 8 * spread).min(axis=1, keepdims=True)
    high = (mean + 8 * spread).max(axis=1, keepdims=True)
    wanted = min(k, float(counts.sum()))
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        within = (counts * _below((middle - mean) / spread)).sum(axis=1, keepdims=True)
        low, high = np.where(within < wanted, middle, low), np.where(within < wanted, high, middle)
    return counts * _below((high - mean) / spread)


def _below(z: F32Matrix) -> F32Matrix:
    """Approximate the standard normal distribution function (Page 1977), to 1.4e-4."""
    argument = np.float32(-2 * 0.7988) * z * (1 + np.float32(0.04417) * z * z)
    return 1 / (1 + np.exp(np.clip(argument, -80, 80)))


def _smallest_sets(
    shares: F32Matrix, wanted: np.float32, landscape: _Landscape
) -> npt.NDArray[np.bool_]:
    """Return (n_queries, n_shards) bool: the fewest shards whose shares add up to `wanted`."""
    order = np.argsort(-shares, axis=1, kind="stable")
    ranked = np.take_along_axis(shares, order, 1)
    before = np.cumsum(ranked, axis=1) - ranked
    asked = np.empty(shares.shape, np.bool_)
    np.put_along_axis(asked, order, before < wanted, 1)
    return (asked | landscape.unknown) & (landscape.n_live > 0)
