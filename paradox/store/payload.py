"""Payloads as callers hold them, turned into one dict a record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from paradox.core.errors import PayloadError


def as_rows(payload: Any, n: int) -> Sequence[Mapping[str, Any]]:
    """Return the payload of `n` records as one mapping a record.

    Args:
        payload: a sequence of mappings (None stands for an empty one), a pandas DataFrame, a
            pyarrow Table or RecordBatch, a polars DataFrame, one mapping where `n` is 1, or None.
        n: number of records.

    Raises:
        PayloadError: another type, not `n` rows, or two columns of one name.
    """
    if payload is None:
        return [{}] * n
    rows = _rows(payload)
    if len(rows) != n:
        raise PayloadError(f"payload: expected {n} rows, one for each vector; got {len(rows)}")
    return rows


def _rows(payload: Any) -> Sequence[Mapping[str, Any]]:
    if isinstance(payload, Mapping):
        return [payload]
    match type(payload).__module__.partition(".")[0], type(payload).__name__:
        case "pandas", "DataFrame":
            _refuse_repeated(list(payload.columns))
            rows: Sequence[Mapping[str, Any]] = payload.to_dict("records")
            return rows
        case "pyarrow", "Table" | "RecordBatch":
            _refuse_repeated(payload.schema.names)
            rows = payload.to_pylist()
            return rows
        case "polars", "DataFrame":
            rows = payload.to_dicts()
            return rows
    if isinstance(payload, str | bytes) or not isinstance(payload, Sequence):
        raise PayloadError(
            f"payload: expected a list of dicts, or a pandas, pyarrow or polars table; "
            f"got {type(payload).__name__}"
        )
    for number, row in enumerate(payload):
        if type(row) is not dict and row is not None and not isinstance(row, Mapping):
            raise PayloadError(
                f"payload: row {number}: expected a dict; got {type(row).__name__} ({row!r:.80})"
            )
    return [row or {} for row in payload]


def _refuse_repeated(names: Sequence[Any]) -> None:
    """Refuse two columns of one name, of which a row would keep one."""
    seen: set[Any] = set()
    for name in names:
        if name in seen:
            raise PayloadError(f"payload: expected columns of different names; got {name!r} twice")
        seen.add(name)
