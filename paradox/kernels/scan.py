"""The native scans, with their arguments checked and their results allocated."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from paradox._native import kernels as native
from paradox.core.errors import DimensionMismatch, InvalidArgument
from paradox.core.metric import METRICS, Metric, check_metric
from paradox.core.types import BoolMask, F32Matrix, F32Vector, F64Matrix, I64Matrix
from paradox.core.vectors import MAX_DIM
from paradox.kernels import level

Rows = npt.NDArray[np.float32] | npt.NDArray[np.float16] | npt.NDArray[np.int8]
"""(n, dim) float32, float16 or int8; each row contiguous, rows any stride apart."""
Queries = npt.NDArray[np.float32] | npt.NDArray[np.int8]
"""(n_queries, dim) float32, or int8 with int8 rows: then sums are exact integers."""


def distances(query: Queries, rows: Rows, metric: Metric) -> F32Vector:
    """Return the distances of one query to all rows.

    Args:
        query: (dim,) float32, or int8 with int8 rows.
        rows: (n, dim) float32, float16 or int8.
        metric: what is measured; the cosine distance of a zero vector is 1.

    Returns:
        (n,) float32, within `error_bound` of the truth; +inf where a distance is not a number.

    Raises:
        InvalidArgument: shapes, dtypes or strides are not these.
        DimensionMismatch: query and rows differ in dimension.
    """
    if query.ndim != 1:
        raise InvalidArgument(f"query: expected shape (dim,); got {query.shape}")
    q, x = check_pair(query[np.newaxis, :], rows)
    out = np.empty(len(x), np.float32)
    level.chosen.distances(q, x, code_of(metric), out)
    return out


def top_k(
    queries: Queries,
    rows: Rows,
    k: int,
    metric: Metric,
    *,
    allow: BoolMask | None = None,
    threads: int = 1,
) -> tuple[I64Matrix, F32Matrix]:
    """Return the k nearest rows of each query, nearest first.

    The answer does not depend on `threads`. The last bits of a distance depend on the level and on
    whether there are four queries or more, always within `error_bound`; from int8 queries they are
    the same everywhere.

    Args:
        queries: (n_queries, dim) float32, or int8 with int8 rows.
        rows: (n, dim) float32, float16 or int8.
        k: 1 or more.
        metric: what is measured; the cosine distance of a zero vector is 1.
        allow: (n,) bool; only rows where it is True are looked at.
        threads: threads to spread the queries, or the rows where queries are few, over.

    Returns:
        positions (n_queries, k) int64 into rows, -1 where there are fewer than k, ties by lower
        position; distances (n_queries, k) float32, +inf beside a -1, and for rows whose distance is
        not a number, which come last.

    Raises:
        InvalidArgument: shapes, dtypes, strides, k or threads are not these.
        DimensionMismatch: queries and rows differ in dimension.
    """
    q, x = check_pair(queries, rows)
    if k < 1:
        raise InvalidArgument(f"k: expected 1 or more; got {k}")
    if threads < 1:
        raise InvalidArgument(f"threads: expected 1 or more; got {threads}")
    positions = np.empty((len(q), k), np.int64)
    found = np.empty((len(q), k), np.float32)
    mask = as_mask(allow, len(x))
    level.chosen.top_k(q, x, code_of(metric), k, mask, threads, positions, found)
    return positions, found


def refine(queries: Queries, rows: Rows, positions: I64Matrix, metric: Metric) -> F64Matrix:
    """Return the distances of each query to candidate rows, summed in float64.

    Args:
        queries: (n_queries, dim) float32, or int8 with int8 rows.
        rows: (n, dim) float32, float16 or int8.
        positions: (n_queries, m) int64 into rows; -1 is a candidate that is missing.
        metric: what is measured; the cosine distance of a zero vector is 1.

    Returns:
        (n_queries, m) float64, the same bits on every machine; +inf beside a -1 and where a
        distance is not a number.

    Raises:
        InvalidArgument: shapes, dtypes or strides are not these, or a position is out of range.
        DimensionMismatch: queries and rows differ in dimension.
    """
    q, x = check_pair(queries, rows)
    at = np.ascontiguousarray(positions, dtype=np.int64)
    if at.ndim != 2 or len(at) != len(q):
        raise InvalidArgument(f"positions: expected shape ({len(q)}, m); got {at.shape}")
    if at.size and not (at.min() >= -1 and at.max() < len(x)):
        raise InvalidArgument(
            f"positions: expected -1 to {len(x) - 1}; got {at.min()} to {at.max()}"
        )
    out = np.empty(at.shape, np.float64)
    native.refine(q, x, code_of(metric), at, out)
    return out


def row_norms(rows: Rows) -> npt.NDArray[np.float64]:
    """Return the Euclidean norm of each row, summed in float64.

    Args:
        rows: (n, dim) float32, float16 or int8.

    Returns:
        (n,) float64.

    Raises:
        InvalidArgument: shape, dtype or stride are not these.
    """
    x = native_rows(rows)
    out = np.empty(len(x), np.float64)
    native.row_norms(x, out)
    return out


def check_pair(queries: Queries, rows: Rows) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return queries and rows in the form the native module reads; raises as `top_k` does."""
    q = _matrix(queries, "queries", (np.float32, np.int8))
    x = native_rows(rows)
    if q.dtype == np.int8 and x.dtype != np.int8:
        raise InvalidArgument(f"rows: expected int8, as the queries are; got {rows.dtype}")
    if q.shape[1] != x.shape[1]:
        raise DimensionMismatch(
            f"queries: expected dimension {x.shape[1]}, as the rows have; got {q.shape[1]}"
        )
    return q, x


def native_rows(rows: Rows) -> npt.NDArray[Any]:
    """Return rows in the form the native module reads; raises as `row_norms` does."""
    return _matrix(rows, "rows", (np.float32, np.float16, np.int8))


def as_mask(allow: BoolMask | None, n: int) -> npt.NDArray[np.uint8] | None:
    """Return a mask of n rows in the form the native module reads; raises as `top_k` does."""
    if allow is None:
        return None
    if allow.dtype != np.bool_ or allow.shape != (n,):
        raise InvalidArgument(
            f"allow: expected bool of shape ({n},); got {allow.dtype} {allow.shape}"
        )
    return np.ascontiguousarray(allow).view(np.uint8)


def _matrix(array: npt.NDArray[Any], where: str, dtypes: tuple[type, ...]) -> npt.NDArray[Any]:
    """Return `array` in the form the native module reads: float16 as its bits."""
    if array.dtype not in dtypes:
        names = ", ".join(np.dtype(dtype).name for dtype in dtypes)
        raise InvalidArgument(f"{where}: expected one of {names}; got {array.dtype}")
    if array.ndim != 2 or not 1 <= array.shape[1] <= MAX_DIM:
        raise InvalidArgument(
            f"{where}: expected shape (n, dim) with dim 1 to {MAX_DIM}; got {array.shape}"
        )
    if array.strides[1] != array.itemsize and array.shape[1] > 1 and array.size > 0:
        raise InvalidArgument(f"{where}: expected contiguous rows; got strides {array.strides}")
    return array.view(np.uint16) if array.dtype == np.float16 else array


def code_of(metric: Metric) -> int:
    """Return the native module's number of a metric."""
    return METRICS.index(check_metric(metric))
