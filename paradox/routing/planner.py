"""Which shards may hold the answer of a query, told from what the shards publish.

The centroids of all shards are laid side by side; `distance_model` says how far their members
should be from a query, and `vote` how many of the k nearest each shard should hold. A plan asks
the fewest shards that together hold as much as the budget wants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paradox.core.metric import Metric
from paradox.core.types import BoolMask, F32Matrix, F32Vector, I64Vector
from paradox.routing.clustering import in_cell_space
from paradox.routing.distance_model import DEFAULT_EFFECTIVE_DIM, DistanceModel
from paradox.routing.plan import QueryBudget, QueryPlan
from paradox.routing.summary import ShardSummary
from paradox.routing.vote import vote

# Numbers to reckon with: the squares of smaller ones vanish in float32, and the sum of the squares
# of 65,536 components overflows with larger ones.
_SMALLEST, _LARGEST = 1e-12, 1e16


@dataclass(frozen=True, slots=True, eq=False)
class _Landscape:
    """All cells of all shards side by side, ready for queries.

    Attributes:
        summaries: what it was made from.
        shards: shard numbers, ascending; columns and arrays below are in their order.
        n_live: (n_shards,) int64.
        opaque: (n_shards,) bool: holds records, and tells nothing of them that could be used.
        model: distances to the members of the cells.
        counts: (c,) float32, records of each cell.
        columns: (c,) int64, whose cell it is.
    """

    summaries: tuple[ShardSummary, ...]
    shards: tuple[int, ...]
    n_live: I64Vector
    opaque: BoolMask
    model: DistanceModel
    counts: F32Vector
    columns: I64Vector


class QueryPlanner:
    """Turns summaries, queries and a budget into a `QueryPlan`; decides only, asks nobody.

    Args:
        metric: the collection's.
    """

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self._landscape: _Landscape | None = None  # of the summaries last planned with

    def plan(
        self,
        summaries: Sequence[ShardSummary],
        queries: F32Matrix,
        k: int,
        budget: QueryBudget | None = None,
        *,
        threshold: float | None = None,
    ) -> QueryPlan:
        """Choose the shards for each query.

        The smallest set of shards whose predicted share of the k nearest reaches what the budget
        asks; with a threshold, all shards whose predicted share reaches that. A shard that holds
        no records is asked only where every shard is to be, as there may be some by now; one whose
        summary cannot be used (no centroids, or such as have no squares in float32) always is, as
        far as the budget goes.
        Health does not matter here: a shard that may hold the answer is asked, or reported
        missing.

        Args:
            summaries: one for each shard of the collection, in any order.
            queries: (n_queries, dim) float32.
            k: neighbours wanted.
            budget: the recall wanted and its limits; the default budget where it is None.
            threshold: what `ThresholdCalibration` learnt for the share that the budget asks.
        """
        budget = budget or QueryBudget()
        landscape = self._landscape_of(tuple(summaries))
        live: BoolMask = landscape.n_live > 0
        shares = self._shares(landscape, queries, k)
        if budget.share >= 1 or k >= landscape.n_live.sum():
            threshold = None
            asked = np.ones(shares.shape, np.bool_)
        else:
            # What the opaque hold is anyone's guess, so the others alone must reach the share.
            visible = np.where(landscape.opaque, np.float32(0), shares)
            if threshold is None:
                asked = _smallest_sets(visible, budget.share) | landscape.opaque
            else:
                likeliest = visible == visible.max(axis=1, keepdims=True)
                asked = (visible >= threshold) | (likeliest & live) | landscape.opaque
        if budget.max_shards is not None:
            # The opaque first, for all that is known they hold the answer; the empty last.
            merit = np.where(landscape.opaque, np.float32(2), np.where(live, shares, -1))
            rank = np.argsort(np.argsort(-merit, axis=1, kind="stable"), axis=1)
            asked &= rank < budget.max_shards
        columns = np.flatnonzero(asked.any(axis=0)).tolist()
        rows = {landscape.shards[column]: np.flatnonzero(asked[:, column]) for column in columns}
        complete = bool((asked >= live).all())
        return QueryPlan(rows, shares, landscape.shards, complete, threshold)

    def _landscape_of(self, summaries: tuple[ShardSummary, ...]) -> _Landscape:
        kept = self._landscape
        if kept is None or list(map(id, kept.summaries)) != list(map(id, summaries)):
            kept = self._landscape = _landscape(summaries, self._metric)
        return kept

    def _shares(self, landscape: _Landscape, queries: F32Matrix, k: int) -> F32Matrix:
        """Return (n_queries, n_shards) float32, the predicted share of each shard."""
        total = max(int(landscape.n_live.sum()), 1)
        prior = (landscape.n_live / total).astype(np.float32)
        shares = np.broadcast_to(prior, (len(queries), len(prior))).copy()
        if len(landscape.counts) == 0:
            return shares
        with np.errstate(over="ignore", invalid="ignore"):
            mean, deviation = landscape.model.expect(in_cell_space(queries, self._metric))
            votes = vote(mean, deviation, landscape.counts, landscape.columns, len(prior), k)
            votes *= (1 - prior[landscape.opaque].sum()) / votes.sum(axis=1, keepdims=True)
        # Where a query's squares overflow there are no votes, and the prior asks shards by size.
        usable = np.isfinite(votes).all(axis=1, keepdims=True)
        np.copyto(shares, votes, where=usable & ~landscape.opaque)
        return shares


def _landscape(summaries: tuple[ShardSummary, ...], metric: Metric) -> _Landscape:
    order = sorted(summaries, key=lambda summary: summary.shard)
    usable = [_usable(summary) for summary in order]
    cells = [
        (column, summary)
        for column, (summary, use) in enumerate(zip(order, usable, strict=True))
        if use
    ]
    dim = len(order[0].centroid) if order else 0
    sizes = [len(summary.counts) for _, summary in cells]
    n_live = np.array([summary.n_live for summary in order], np.int64)
    radii = np.concatenate([np.zeros(0, np.float32), *(s.radii for _, s in cells)])
    centroids = np.concatenate([np.zeros((0, dim), np.float32), *(s.centroids for _, s in cells)])
    counts = np.concatenate([np.zeros(0, np.float32), *(_current_counts(s) for _, s in cells)])
    return _Landscape(
        summaries=summaries,
        shards=tuple(summary.shard for summary in order),
        n_live=n_live,
        opaque=(n_live > 0) & ~np.array(usable, np.bool_),
        model=DistanceModel(centroids, radii * radii, _effective_dim(cells), metric),
        counts=counts,
        columns=np.repeat(np.array([column for column, _ in cells], np.int64), sizes),
    )


def _effective_dim(cells: list[tuple[int, ShardSummary]]) -> float:
    """Return one effective dimension for all shards, such that variances are right on average.

    With its own for each, a shard that measured a low one is taken to have wide cells and asked in
    vain: on GloVe in 16 shards that costs 6 % more shards a query.
    """
    if not cells:
        return DEFAULT_EFFECTIVE_DIM
    n_live = [summary.n_live for _, summary in cells]
    return 1 / float(np.average([1 / s.effective_dim for _, s in cells], weights=n_live))


def _usable(summary: ShardSummary) -> bool:
    """Tell whether a summary says where its records are, in numbers that can be reckoned with."""
    if summary.n_live == 0 or len(summary.centroids) == 0:
        return False
    size = float(np.abs(summary.centroids).max()) + float(summary.radii.max())
    in_range = size == 0 or _SMALLEST < size < _LARGEST
    return in_range and 0 < summary.effective_dim < np.inf


def _current_counts(summary: ShardSummary) -> F32Vector:
    """Return the counts at the scale of `n_live`, which is often newer than they are."""
    counts: F32Vector = (summary.counts / summary.counts.sum() * summary.n_live).astype(np.float32)
    return counts


def _smallest_sets(shares: F32Matrix, share: float) -> npt.NDArray[np.bool_]:
    """Return (n_queries, n_shards) bool: the fewest shards that hold `share` of a row's sum."""
    rows = np.arange(len(shares))[:, np.newaxis]
    order = np.argsort(-shares, axis=1, kind="stable")
    ranked = shares[rows, order]
    up_to = np.cumsum(ranked, axis=1)
    asked = np.empty(shares.shape, np.bool_)
    asked[rows, order] = up_to - ranked < share * up_to[:, -1:]
    return asked
