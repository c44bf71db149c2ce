"""What the kernels must return, in plain NumPy and float64: slow, short, and meant to be read."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from paradox.core.metric import Metric
from paradox.core.types import BoolMask, F64Matrix, I64Matrix


def distances(
    queries: npt.NDArray[Any], rows: npt.NDArray[Any], metric: Metric
) -> npt.NDArray[np.float64]:
    """Return the distances of queries (n_queries, dim) to rows (n, dim): (n_queries, n) float64.

    A distance that is not a number is +inf; the cosine distance of a zero vector is 1.
    """
    q, x = queries.astype(np.float64), rows.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        if metric == "l2":
            result = np.stack([((x - row) ** 2).sum(axis=1) for row in q])
        elif metric == "ip":
            result = -np.stack([(x * row).sum(axis=1) for row in q])
        else:
            norms = np.outer(row_norms(queries), row_norms(rows))
            cosine = np.stack([(x * row).sum(axis=1) for row in q]) / norms
            result = np.where(norms == 0, 1.0, np.maximum(1.0 - cosine, 0.0))
    return np.where(np.isnan(result), np.inf, result)


def top_k(
    queries: npt.NDArray[Any],
    rows: npt.NDArray[Any],
    k: int,
    metric: Metric,
    *,
    allow: BoolMask | None = None,
) -> tuple[I64Matrix, F64Matrix]:
    """Return positions and distances (n_queries, k) of the nearest rows, nearest first.

    Ties go to the lower position; -1 and +inf pad where fewer than k rows are allowed.
    """
    positions = np.full((len(queries), k), -1, np.int64)
    found = np.full((len(queries), k), np.inf)
    allowed = np.arange(len(rows)) if allow is None else np.flatnonzero(allow)
    if len(allowed):
        measured = distances(queries, rows[allowed], metric)
        order = np.argsort(measured, axis=1, kind="stable")[:, :k]
        positions[:, : order.shape[1]] = allowed[order]
        found[:, : order.shape[1]] = np.take_along_axis(measured, order, axis=1)
    return positions, found


def refine(
    queries: npt.NDArray[Any], rows: npt.NDArray[Any], positions: I64Matrix, metric: Metric
) -> F64Matrix:
    """Return the distances (n_queries, m) to rows[positions]; +inf beside a -1."""
    pairs = zip(queries, positions, strict=True)
    measured = np.stack([distances(q[np.newaxis], rows[at], metric)[0] for q, at in pairs])
    return np.where(positions == -1, np.inf, measured)


def row_norms(rows: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the Euclidean norm of each row: (n,) float64."""
    norms: npt.NDArray[np.float64] = np.linalg.norm(rows.astype(np.float64), axis=1)
    return norms


def encode(rows: npt.NDArray[Any], metric: Metric) -> tuple[F64Matrix, F64Matrix, F64Matrix]:
    """Return what codes stand for (n, dim), what they leave out, and what a code counts (n, 1).

    The first two add up to the rows, as the metric sees them. int8 rows are codes themselves.
    """
    points = _points(rows, metric)
    if rows.dtype == np.int8:
        codes, norms = rows.astype(np.float64), row_norms(rows)
        unit = np.divide(1, norms, out=np.zeros_like(norms), where=norms > 0)
        scale = _float32(unit if metric == "cosine" else np.ones(len(rows)))
    else:
        scale = _float32(np.abs(points).max(axis=1) / 127)
        codes = np.rint(np.divide(points, scale, out=np.zeros_like(points), where=scale > 0))
    coded = scale * np.clip(codes, -128, 127)
    return coded, points - coded, scale


def lower_bounds(
    queries: npt.NDArray[Any], rows: npt.NDArray[Any], metric: Metric, limit: int
) -> F64Matrix:
    """Return what distances are at least (n_queries, n), by codes of queries of up to `limit`.

    Without the slack for float32, so the kernels' are a little less. Of rows and queries whose
    norms are between 2^-60 and 2^60, or any under cosine.
    """
    points, wanted = _points(rows, metric), _points(queries, metric)
    coded, rest, _ = encode(rows, metric)
    greatest = np.abs(wanted).max(axis=1) / limit
    scale = _float32(greatest + greatest * 1.5 * 2.0**-24)  # as `round_up` of `round.hpp`
    asked = scale * np.rint(np.divide(wanted, scale, out=np.zeros_like(wanted), where=scale > 0))
    norm = np.linalg.norm
    error = np.outer(norm(asked, axis=1), norm(rest, axis=1))
    error += np.outer(norm(wanted - asked, axis=1), norm(points, axis=1))
    least: F64Matrix = -asked @ coded.T - error
    if metric == "l2":
        least = np.add.outer(norm(wanted, axis=1) ** 2, norm(points, axis=1) ** 2) + 2 * least
    elif metric == "cosine":
        least = 1 + least
    return least


def _points(vectors: npt.NDArray[Any], metric: Metric) -> F64Matrix:
    points: F64Matrix = vectors.astype(np.float64)
    if metric != "cosine":
        return points
    norms = np.linalg.norm(points, axis=1, keepdims=True)
    directions: F64Matrix = np.divide(points, norms, out=np.zeros_like(points), where=norms > 0)
    return directions


def _float32(values: npt.NDArray[np.float64]) -> F64Matrix:
    column: F64Matrix = values.astype(np.float32).astype(np.float64)[:, np.newaxis]
    return column
