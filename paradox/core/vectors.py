"""Checks at the edge: what a caller may pass as vectors, ids and k.

Everything is checked here before anything is changed; the rooms below trust what they get.
"""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from paradox.core.errors import (
    DimensionMismatch,
    InvalidArgument,
    NonFiniteVector,
    ZeroVector,
)
from paradox.core.types import NO_ID, F32Matrix, I64Vector

MAX_K = 10_000
MAX_DIM = 65_536
MAX_THREADS = 4_096

_DTYPES = "float32, float64, float16, int8, or bfloat16 as a uint16 view"


def check_dim(dim: object) -> int:
    """Return `dim` as an int in 1 to `MAX_DIM`.

    Raises:
        InvalidArgument: it is not.
    """
    return _check_int(dim, 1, MAX_DIM, "dim")


def check_k(k: object) -> int:
    """Return `k` as an int in 1 to `MAX_K`.

    Raises:
        InvalidArgument: it is not.
    """
    return _check_int(k, 1, MAX_K, "k")


def check_threads(threads: object) -> int:
    """Return `threads` as an int in 1 to `MAX_THREADS`.

    Raises:
        InvalidArgument: it is not.
    """
    return _check_int(threads, 1, MAX_THREADS, "threads")


def check_recall(recall: object) -> float:
    """Return `recall` as a float in (0, 1].

    Raises:
        InvalidArgument: it is not.
    """
    if isinstance(recall, int | float | np.integer | np.floating) and not isinstance(recall, bool):
        value = float(recall)
        if 0 < value <= 1:
            return value
    raise InvalidArgument(f"recall: expected a number in (0, 1]; got {recall!r}")


def check_aim(recall: object, effort: object) -> float | None:
    """Return `recall` as a float in (0, 1], or None; it may not come with an `effort`.

    Raises:
        InvalidArgument: it is out of its range, or there are both.
    """
    if recall is not None and effort is not None:
        raise InvalidArgument(f"query: expected recall= or effort=; got {recall!r} and {effort!r}")
    return None if recall is None else check_recall(recall)


def check_not_blank(texts: Sequence[Any]) -> None:
    """Refuse texts that say nothing, which encoders have vectors for too.

    Raises:
        InvalidArgument: one is empty, or all spaces; names its row.
    """
    for row, text in enumerate(texts):
        if isinstance(text, str) and not text.strip():
            raise InvalidArgument(f"texts: expected a text; got {text!r:.40} in row {row}")


def as_matrix(vectors: Any, dim: int, *, where: str = "vectors") -> F32Matrix:
    """Return `vectors` as a finite (n, dim) float32 matrix, C-contiguous.

    Args:
        vectors: (n, dim) or (dim,) array of float32, float64, float16, int8 or uint16 (the bits
            of bfloat16), a sequence of such rows, or nested sequences of Python's numbers; not
            copied when it already fits.
        dim: the dimension expected.
        where: what the caller calls it, for the message.

    Raises:
        InvalidArgument: not numeric, another dtype, more than two axes, or no row at all.
        DimensionMismatch: rows of another dimension.
        NonFiniteVector: NaN, infinity, or a value beyond float32; names the first such row.
    """
    matrix = vectors if _fits(vectors, dim) else _converted(vectors, dim, where)
    finite = np.isfinite(matrix)
    if not finite.all():
        row, column = np.argwhere(~finite)[0].tolist()
        given = _as_array(vectors, where).reshape(-1, dim)[row, column]
        raise NonFiniteVector(
            f"{where}: expected finite float32 values; got {given} in row {row}, column {column}"
        )
    return matrix


def _fits(vectors: Any, dim: int) -> bool:
    """Tell whether nothing is to be done: asked first, as the rest takes 5 µs."""
    return (
        type(vectors) is np.ndarray
        and vectors.dtype == np.float32
        and vectors.ndim == 2
        and vectors.shape[1] == dim
        and len(vectors) > 0
        and vectors.flags.c_contiguous
    )


def _converted(vectors: Any, dim: int, where: str) -> F32Matrix:
    array = _as_array(vectors, where)
    if array.ndim == 1:
        array = array[np.newaxis, :]
    if array.ndim != 2:
        raise InvalidArgument(f"{where}: expected shape (n, {dim}) or ({dim},); got {array.shape}")
    if array.shape[0] == 0:
        raise InvalidArgument(f"{where}: expected at least one vector; got an empty batch")
    if array.shape[1] != dim:
        raise DimensionMismatch(f"{where}: expected dimension {dim}; got {array.shape[1]}")
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, dtype=np.float32)


def check_directions(matrix: F32Matrix, *, where: str = "vectors") -> None:
    """Refuse zero vectors, which have no direction under the cosine metric.

    Raises:
        ZeroVector: names the first row without a non-zero value.
    """
    zero = ~matrix.any(axis=1)
    if zero.any():
        raise ZeroVector(
            f"{where}: expected non-zero vectors under the cosine metric; "
            f"got a zero vector in row {int(np.argmax(zero))}"
        )


def as_ids(ids: Any, n: int | None = None, *, where: str = "ids") -> I64Vector:
    """Return `ids` as (n,) int64, any but -1, which pads answers.

    Args:
        ids: integers, as any one-dimensional array, sequence, or one integer.
        n: how many are expected, or None for any number.
        where: what the caller calls it, for the message.

    Raises:
        InvalidArgument: not integers, beyond int64, -1, or not `n` of them.
    """
    if np.ma.is_masked(ids):
        raise InvalidArgument(f"{where}: expected integers; got an array with some masked")
    if isinstance(ids, numbers.Integral):
        ids = [ids]
    if isinstance(ids, list | tuple) and not {bool, np.bool_}.isdisjoint(map(type, ids)):
        raise InvalidArgument(f"{where}: expected integers; got bool")  # NumPy would take it for 1
    try:
        array = np.asarray(ids)
    except (OverflowError, ValueError, TypeError) as error:
        raise InvalidArgument(f"{where}: expected integers; got {ids!r:.80}") from error
    if array.size == 0 and array.ndim == 1:
        array = array.astype(np.int64)
    if array.ndim != 1:
        raise InvalidArgument(f"{where}: expected one dimension; got shape {array.shape}")
    if array.dtype.kind in "Of" and all(  # NumPy makes floats of a list with -1 and np.uint64(1)
        isinstance(i, numbers.Integral) and not isinstance(i, bool) for i in ids
    ):
        try:
            array = np.array([int(i) for i in ids], np.int64)
        except OverflowError as error:
            raise InvalidArgument(f"{where}: expected int64; got an integer beyond it") from error
    if array.dtype.kind not in "iu":
        raise InvalidArgument(f"{where}: expected integers; got {array.dtype}")
    if n is not None and len(array) != n:
        raise InvalidArgument(f"{where}: expected {n}, one for each vector; got {len(array)}")
    refused = array == NO_ID if array.dtype.kind == "i" else array > np.iinfo(np.int64).max
    if refused.any():
        row = int(np.argmax(refused))
        raise InvalidArgument(
            f"{where}: expected int64 other than {NO_ID}, which pads answers; "
            f"got {array[row]} in row {row}"
        )
    return np.ascontiguousarray(array, dtype=np.int64)


def last_of_each(ids: I64Vector) -> I64Vector:
    """Return the positions of the last occurrence of each id, ascending."""
    reversed_first = np.unique(ids[::-1], return_index=True)[1]
    return np.sort(len(ids) - 1 - reversed_first)


def _check_int(value: object, low: int, high: int, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise InvalidArgument(f"{where}: expected an integer; got {value!r}")
    if not low <= value <= high:
        raise InvalidArgument(f"{where}: expected {low} to {high}; got {value}")
    return int(value)


def _as_array(vectors: Any, where: str) -> npt.NDArray[Any]:
    if np.ma.is_masked(vectors):
        raise InvalidArgument(f"{where}: expected values; got an array with some masked")
    dtypes = _dtypes_of(vectors)
    if np.dtype(np.uint16) in dtypes and len(dtypes) > 1:  # NumPy would make numbers of its bits
        given = ", ".join(sorted(str(dtype or "Python's numbers") for dtype in dtypes))
        raise InvalidArgument(f"{where}: expected rows of one dtype; got {given}")
    try:
        array = np.asarray(vectors)
    except ValueError as error:
        raise InvalidArgument(
            f"{where}: expected rows of one length; got a ragged sequence"
        ) from error
    except (TypeError, RuntimeError) as error:  # of a torch tensor that NumPy has no dtype for
        raise InvalidArgument(f"{where}: expected {_DTYPES}; got {error}") from error
    if dtypes == {None} and array.dtype in (np.int64, np.uint64):
        array = array.astype(np.float64)  # what NumPy makes of Python's integers
    if array.size == 0 and array.ndim <= 2:
        raise InvalidArgument(f"{where}: expected at least one vector; got an empty batch")
    if array.dtype == np.uint16:
        return (array.astype(np.uint32) << 16).view(np.float32)
    if array.dtype.kind == "f" or array.dtype == np.int8:
        return array
    raise InvalidArgument(f"{where}: expected {_DTYPES}; got {array.dtype}")


def _dtypes_of(vectors: Any) -> set[np.dtype[Any] | None]:
    """Return the dtype of an array, or of the rows of a sequence; None is for Python's numbers."""
    if isinstance(vectors, list | tuple):
        return {getattr(row, "dtype", None) for row in vectors}
    return {getattr(vectors, "dtype", None)}
