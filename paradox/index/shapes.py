"""What every index asks of the arrays and numbers it is given, before anything is changed.

Dtypes, shapes and ranges only, which takes a microsecond: values are the caller's to see to, as
`IndexBackend` says.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from paradox.core.errors import DimensionMismatch, InvalidArgument
from paradox.core.types import F32Matrix, F32Vector, I64Vector
from paradox.core.vectors import MAX_THREADS
from paradox.index.options import MAX_EFFORT, check_int


def check_batch(ids: I64Vector, vectors: F32Matrix, dim: int) -> None:
    """Refuse ids and vectors that do not belong together.

    Raises:
        InvalidArgument: not (n,) int64 and (n, dim) float32.
        DimensionMismatch: vectors of another dimension.
    """
    check_matrix(vectors, dim, "vectors")
    check_ids(ids)
    if len(ids) != len(vectors):
        raise InvalidArgument(f"ids: expected {len(vectors)}, one for each vector; got {len(ids)}")


def check_ids(ids: I64Vector, where: str = "ids") -> None:
    """Refuse ids that are not (n,) int64.

    Raises:
        InvalidArgument: they are not.
    """
    if not (isinstance(ids, np.ndarray) and ids.dtype == np.int64 and ids.ndim == 1):
        raise InvalidArgument(f"{where}: expected int64 of shape (n,); got {_described(ids)}")


def check_search(queries: F32Matrix, dim: int, k: int, threads: int = 1) -> tuple[int, int]:
    """Return k and threads as ints, having refused what no search can be made of.

    Raises:
        InvalidArgument: queries that are not (n, dim) float32, k or threads below 1.
        DimensionMismatch: queries of another dimension.
    """
    check_matrix(queries, dim, "queries")
    return check_int("k", k, 1, MAX_EFFORT), check_int("threads", threads, 1, MAX_THREADS)


def check_query(query: F32Vector, dim: int) -> None:
    """Refuse a query that is not (dim,) float32.

    Raises:
        InvalidArgument: it is of another dtype or number of axes.
        DimensionMismatch: it is of another dimension.
    """
    if not (isinstance(query, np.ndarray) and query.dtype == np.float32 and query.ndim == 1):
        raise InvalidArgument(f"query: expected float32 of shape ({dim},); got {_described(query)}")
    if len(query) != dim:
        raise DimensionMismatch(f"query: expected dimension {dim}; got {len(query)}")


def check_matrix(matrix: F32Matrix, dim: int, where: str) -> None:
    """Refuse what is not (n, dim) float32.

    Raises:
        InvalidArgument: it is of another dtype or number of axes.
        DimensionMismatch: its rows are of another dimension.
    """
    if not (isinstance(matrix, np.ndarray) and matrix.dtype == np.float32 and matrix.ndim == 2):
        raise InvalidArgument(
            f"{where}: expected float32 of shape (n, {dim}); got {_described(matrix)}"
        )
    if matrix.shape[1] != dim:
        raise DimensionMismatch(f"{where}: expected dimension {dim}; got {matrix.shape[1]}")


def _described(given: Any) -> str:
    if isinstance(given, np.ndarray):
        return f"{given.dtype} of shape {given.shape}"
    return f"a {type(given).__name__}"
