"""Ids and vectors in columns of Arrow tables; every fault is told its row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from paradox.core.errors import InvalidArgument, SourceError
from paradox.core.types import F32Matrix, I64Vector
from paradox.core.vectors import as_ids


@dataclass(frozen=True, slots=True)
class Place:
    """Where a table comes from.

    Attributes:
        file: its name.
        first_row: the number in it of the table's first row.
    """

    file: str
    first_row: int

    def error(self, row: int | None, message: str) -> SourceError:
        """Return the error that says so of a row of the table, or of all."""
        where = self.file if row is None else f"{self.file}, row {self.first_row + row}"
        return SourceError(f"{where}: {message}")


def whole(column: Any) -> Any:
    """Return a column, or an array, as one array; of tensors the lists that they are kept as."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return array.storage if isinstance(array, pa.ExtensionArray) else array


def refuse_nulls(column: Any, name: str, what: str, place: Place) -> None:
    """Refuse a column that lacks a value.

    Raises:
        SourceError: names the first such row.
    """
    if column.null_count:
        row = int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
        raise place.error(row, f"column {name!r}: expected {what}; got a null")


def ids_in(column: Any, name: str, place: Place) -> I64Vector:
    """Return a column of integers as ids (n,) int64.

    Raises:
        SourceError: it has others, or a null, or an id that cannot be; names the row.
    """
    if not pa.types.is_integer(column.type):
        raise place.error(None, f"column {name!r}: expected integer ids; got {column.type}")
    refuse_nulls(column, name, "an id", place)
    numbers = column.to_numpy(zero_copy_only=False)
    try:
        return as_ids(numbers)
    except InvalidArgument as error:
        fits = (numbers <= np.iinfo(np.int64).max) & (numbers != -1)
        raise place.error(int(np.argmin(fits)), f"column {name!r}: {error}") from error


def vectors_in(column: Any, name: str, dim: int | None, place: Place) -> F32Matrix:
    """Return a column of lists of numbers as vectors (n, dim) float32.

    Args:
        column: as `whole` gives it.
        name: of the column.
        dim: values of a vector; None takes those of the first.
        place: where it comes from.

    Raises:
        SourceError: it has others, or a null, or a value beyond float32; names the row.
    """
    kind = column.type
    is_list = (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )
    if not is_list or not (
        pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)
    ):
        raise place.error(None, f"column {name!r}: expected lists of numbers; got {kind}")
    refuse_nulls(column, name, "a vector", place)
    lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False)
    if dim is None:
        dim = max(int(lengths[0]), 1) if len(lengths) else 1
    if (lengths != dim).any():
        row = int(np.argmax(lengths != dim))
        raise place.error(row, f"column {name!r}: expected {dim} values; got {lengths[row]}")
    values = column.flatten()
    if values.null_count:
        row = int(np.argmax(values.is_null().to_numpy(zero_copy_only=False))) // dim
        raise place.error(row, f"column {name!r}: expected numbers; got a null")
    with np.errstate(over="ignore"):
        flat: F32Matrix = values.to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
    matrix = flat.reshape(-1, dim)
    finite = np.isfinite(matrix).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        fault = matrix[row][~np.isfinite(matrix[row])][0]
        raise place.error(row, f"column {name!r}: expected finite float32 values; got {fault}")
    return matrix
