"""Exact search over rows, certified: what is returned is provably the answer of float64.

Rows are kept as 8-bit codes too, from which the native scan bounds every distance; what the bounds
cannot rule out is measured in float64 (`docs/exact.md`). Where they rule out too little (near ties,
huge norms beside tiny ones), and over rows that have no codes, a float32 scan takes the k nearest
and some more, and these are measured again in float64. No row left out can belong to the answer if
its float32 distance, less the kernels' error bound, exceeds the k-th float64 distance. Where that
fails too, every row that the bound cannot rule out is measured in float64 for that query.

Equal distances are ordered by id, so an answer does not depend on the order of insertion.
"""

from __future__ import annotations

import numpy as np

from paradox import kernels
from paradox.core.metric import Metric
from paradox.core.types import (
    NO_ID,
    BoolMask,
    F32Matrix,
    F32Vector,
    F64Matrix,
    I64Matrix,
    I64Vector,
    Neighbors,
)
from paradox.index.allow import AllowedRows
from paradox.index.rows import Rows
from paradox.index.rows_view import RowsView

_SLACK = 16
_FEW = 512
_BLOCK_CELLS = 1 << 22


def nearest(
    rows: Rows | RowsView,
    queries: F32Matrix,
    k: int,
    metric: Metric,
    *,
    allowed: AllowedRows | None = None,
    threads: int = 1,
) -> tuple[I64Matrix, F64Matrix]:
    """Return the k nearest live rows of each query: slots, -1 padded, and float64 distances.

    Args:
        rows: what to scan.
        queries: (n_queries, dim) float32.
        k: 1 or more.
        metric: what is measured.
        allowed: the rows to look at; None looks at all.
        threads: threads of the native scan.
    """
    n = len(rows) if allowed is None else len(allowed)
    if n <= max(_FEW, _n_candidates(k, n)):
        some = rows.live_slots() if allowed is None else allowed.slots
        return _nearest_of_few(rows, queries, k, metric, some)
    mask = None
    if allowed is not None:
        mask = allowed.mask
    elif rows.n_free:
        mask = rows.live
    if rows.codes is None:
        return _by_float32(rows, queries, k, metric, mask, threads)
    found, distances, certified = kernels.certified_top_k(
        queries, rows.matrix, rows.codes, rows.ids, k, metric, allow=mask, threads=threads
    )
    left = np.flatnonzero(~certified)
    if len(left):
        found[left], distances[left] = _by_float32(rows, queries[left], k, metric, mask, threads)
    return found, distances


def within(rows: Rows | RowsView, query: F32Vector, radius: float, metric: Metric) -> Neighbors:
    """Return all rows whose distance, rounded to float32, is `radius` or less, nearest first."""
    if not len(rows):
        return neighbors(rows, *padding(1, 0), certified=True).first_row()
    with np.errstate(over="ignore"):
        limit = np.nextafter(np.float32(radius), np.float32(np.inf))
    if rows.codes is None:
        near = _not_beyond(rows, query, float(limit), metric)
    else:
        lower = kernels.lower_bounds(query[np.newaxis, :], rows.codes, metric)[0]
        near = np.flatnonzero(lower <= limit)
    near = near[rows.live[near]]
    exact = kernels.refine(query[np.newaxis, :], rows.matrix, near[np.newaxis, :], metric)
    found = neighbors(
        rows, *in_order(rows, near[np.newaxis, :], exact, len(near)), certified=True
    ).first_row()
    return first(found, int(np.count_nonzero(found.distances <= radius)))


def in_order(
    rows: Rows | RowsView, found: I64Matrix, distances: F64Matrix, k: int
) -> tuple[I64Matrix, F64Matrix]:
    """Return the first k of candidates by distance, then id, padded with -1 and +inf."""
    order = np.lexsort((rows.ids[found], found < 0, distances), axis=-1)[:, :k]
    queries = np.arange(len(found))[:, np.newaxis]
    found, distances = found[queries, order], distances[queries, order]
    if found.shape[1] == k:
        return found, distances
    padded = padding(len(found), k)
    padded[0][:, : found.shape[1]] = found
    padded[1][:, : found.shape[1]] = distances
    return padded


def neighbors(
    rows: Rows | RowsView,
    found: I64Matrix,
    distances: F64Matrix,
    *,
    certified: bool = False,
    effort: int | None = None,
) -> Neighbors:
    """Return found slots as ids, and their distances as float32."""
    ids = np.where(found < 0, NO_ID, rows.ids[found]) if rows.n_slots else found
    with np.errstate(over="ignore"):
        return Neighbors(ids, distances.astype(np.float32), certified=certified, effort=effort)


def first(found: Neighbors, n: int) -> Neighbors:
    """Return the first n of a one-dimensional answer."""
    return Neighbors(
        found.ids[:n], found.distances[:n], certified=found.certified, effort=found.effort
    )


def _by_float32(
    rows: Rows | RowsView,
    queries: F32Matrix,
    k: int,
    metric: Metric,
    mask: BoolMask | None,
    threads: int,
) -> tuple[I64Matrix, F64Matrix]:
    """Return the k nearest of more rows than there are candidates, by float32 distances."""
    n_candidates = _n_candidates(k, rows.n_slots)
    found, rough = kernels.top_k(
        queries, rows.matrix, n_candidates, metric, allow=mask, threads=threads
    )
    distances = kernels.refine(queries, rows.matrix, found, metric)
    found, distances = in_order(rows, found, distances, k)

    norms = rows.norms if mask is None else rows.norms[mask]
    error = kernels.error_bound(
        rows.matrix.shape[1], metric, kernels.row_norms(queries), norms.max()
    )
    with np.errstate(invalid="ignore"):  # +inf less an unbounded error proves nothing
        unproven = ~(distances[:, k - 1] < rough[:, -1].astype(np.float64) - error)
    for q in np.flatnonzero(unproven):
        limit = float(distances[q, k - 1])
        near = _not_beyond(rows, queries[q], limit, metric)
        if mask is not None:
            near = near[mask[near]]
        exact = kernels.refine(queries[q : q + 1], rows.matrix, near[np.newaxis, :], metric)
        found[q : q + 1], distances[q : q + 1] = in_order(rows, near[np.newaxis, :], exact, k)
    return found, distances


def _n_candidates(k: int, n: int) -> int:
    return min(k, n) + max(_SLACK, k // 8)


def _nearest_of_few(
    rows: Rows | RowsView, queries: F32Matrix, k: int, metric: Metric, slots: I64Vector
) -> tuple[I64Matrix, F64Matrix]:
    found, distances = padding(len(queries), k)
    if len(slots):
        block = max(1, _BLOCK_CELLS // len(slots))
        for begin in range(0, len(queries), block):
            some = queries[begin : begin + block]
            candidates = np.tile(slots, (len(some), 1))
            exact = kernels.refine(some, rows.matrix, candidates, metric)
            part = slice(begin, begin + block)
            found[part], distances[part] = in_order(rows, candidates, exact, k)
    return found, distances


def _not_beyond(rows: Rows | RowsView, query: F32Vector, limit: float, metric: Metric) -> I64Vector:
    """Return the slots whose true distance may be `limit` or less."""
    rough = kernels.distances(query, rows.matrix, metric)
    norm = kernels.row_norms(query[np.newaxis, :])[0]
    error = kernels.error_bound(len(query), metric, norm, rows.norms)
    with np.errstate(invalid="ignore"):  # as in `nearest`: such a row cannot be ruled out
        return np.flatnonzero(~(rough.astype(np.float64) - error > limit))


def padding(n_queries: int, k: int) -> tuple[I64Matrix, F64Matrix]:
    """Return slots and distances of queries that found nothing."""
    return np.full((n_queries, k), NO_ID, np.int64), np.full((n_queries, k), np.inf)
