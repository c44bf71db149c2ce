"""Rows as 8-bit codes, bounds of distances from them, and exact search by those bounds.

`docs/exact.md` derives the bounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from paradox._native import kernels as native
from paradox.core.errors import InvalidArgument
from paradox.core.metric import Metric
from paradox.core.types import BoolMask, F32Matrix, F64Matrix, I64Matrix, I64Vector
from paradox.kernels import level
from paradox.kernels.scan import Rows, as_mask, check_pair, code_of, native_rows

N_TERMS = 4
"""Numbers of a row that its bounds are made of: scale, residual, norm, square."""
_STEP = 16


@dataclass(frozen=True, slots=True)
class Codes:
    """Rows by a byte a dimension, and what that leaves out.

    Attributes:
        values: (n, width) uint8, of which 128 is zero, the dimension padded to `code_width`; or
            int8 rows themselves, which need no others.
        terms: (4, n) float32, each row of it contiguous.
    """

    values: npt.NDArray[Any]
    terms: F32Matrix


def code_width(dim: int) -> int:
    """Return the bytes of one row's codes."""
    return -(-dim // _STEP) * _STEP


def encode(rows: Rows, metric: Metric) -> Codes:
    """Return the codes of rows, for bounds under one metric.

    Args:
        rows: (n, dim) float32, float16 or int8.
        metric: what the bounds are of.

    Raises:
        InvalidArgument: shape, dtype or stride are not these.
    """
    x = native_rows(rows)
    is_int8 = x.dtype == np.int8
    values = x if is_int8 else np.empty((len(x), code_width(x.shape[1])), np.uint8)
    terms = np.empty((N_TERMS, len(x)), np.float32)
    if len(x):
        native.encode(x, code_of(metric), None if is_int8 else values, terms)
    return Codes(values, terms)


def lower_bounds(queries: F32Matrix, codes: Codes, metric: Metric) -> F64Matrix:
    """Return what the distances are at least.

    Args:
        queries: (n_queries, dim) float32; four or more take the path of a batch.
        codes: of the rows, for this metric.
        metric: what is measured.

    Returns:
        (n_queries, n) float64, no greater than the distances that `refine` gives; -inf where the
        codes tell nothing.
    """
    out = np.empty((len(queries), len(codes.values)), np.float64)
    if out.size:
        level.chosen.lower_bounds(queries, codes.values, codes.terms, code_of(metric), out)
    return out


def certified_top_k(
    queries: F32Matrix,
    rows: Rows,
    codes: Codes,
    ids: I64Vector,
    k: int,
    metric: Metric,
    *,
    allow: BoolMask | None = None,
    threads: int = 1,
) -> tuple[I64Matrix, F64Matrix, BoolMask]:
    """Return the k nearest rows of each query by float64 distance, ties by id.

    Args:
        queries: (n_queries, dim) float32.
        rows: (n, dim) float32, float16 or int8.
        codes: of these rows, for this metric; trusted.
        ids: (n,) int64, contiguous.
        k: 1 or more.
        metric: what is measured; the cosine distance of a zero vector is 1.
        allow: (n,) bool; only rows where it is True are looked at.
        threads: threads to spread the queries, or the rows where queries are few, over.

    Returns:
        positions (n_queries, k) int64, -1 where there are fewer than k; distances (n_queries, k)
        float64, +inf beside a -1; (n_queries,) whether the answer is there: where it is not, the
        codes ruled out too few rows to go on.

    Raises:
        InvalidArgument: shapes, dtypes, strides, k or threads are not these.
        DimensionMismatch: queries and rows differ in dimension.
    """
    q, x = check_pair(queries, rows)
    if q.dtype != np.float32:
        raise InvalidArgument(f"queries: expected float32; got {q.dtype}")
    if k < 1 or threads < 1:
        raise InvalidArgument(f"k and threads: expected 1 or more; got {k} and {threads}")
    if len(codes.values) != len(x) or codes.terms.shape != (N_TERMS, len(x)) or len(ids) != len(x):
        raise InvalidArgument(
            f"codes, ids: expected those of {len(x)} rows; got {len(codes.values)}, {len(ids)}"
        )
    positions = np.full((len(q), k), -1, np.int64)
    distances = np.full((len(q), k), np.inf)
    certified = np.ones(len(q), np.bool_)
    if len(q) and len(x):
        level.chosen.certified_top_k(
            q,
            x,
            codes.values,
            codes.terms,
            ids,
            code_of(metric),
            k,
            as_mask(allow, len(x)),
            threads,
            positions,
            distances,
            certified.view(np.uint8),
        )
    return positions, distances, certified
