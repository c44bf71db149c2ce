"""The payload columns beside the index, kept for filters."""

from __future__ import annotations

import io
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Self

import numpy as np
import polars as pl

from paradox.core.errors import FilterError, IndexFileCorrupt
from paradox.core.types import I64Vector, Payload
from paradox.store.arithmetic import magnitude_of
from paradox.store.filter import compile_filter
from paradox.store.functions import DTYPES
from paradox.store.schema import ColumnType, Schema

_PENDING_ROWS = 50_000
_MAX_CHUNKS = 32
_ID, _LIVE, _COLUMN = "id", "live", "column:"
_KINDS: Mapping[type, ColumnType] = {
    str: "str",
    int: "int",
    float: "float",
    bool: "bool",
    datetime: "timestamp",
    list: "list[str]",
}
_KIND_BY_DTYPE = {dtype: kind for kind, dtype in DTYPES.items()}


class PayloadFrame:
    """Payloads by id, column by column; rows are those that a `Schema` admitted.

    Rows are buffered and become columns when a filter asks, or when there are many. Any number of
    threads may select at a time; a writer is alone.
    """

    def __init__(self) -> None:
        # Columns "id", "live", then "0", "1", ...: a name of the caller's could be a pattern.
        self._frame = pl.DataFrame(schema={_ID: pl.Int64, _LIVE: pl.Boolean})
        self._columns: dict[str, ColumnType] = {}
        self._pending: dict[int, Payload | None] = {}  # None: removed
        self._magnitudes: dict[str, int] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return int(self._consolidate()[_LIVE].sum())

    @property
    def columns(self) -> Mapping[str, ColumnType]:
        """Columns that any row had a value for, and their types."""
        self._consolidate()
        return MappingProxyType(self._columns)

    def upsert(self, ids: I64Vector, payloads: Sequence[Payload]) -> None:
        """Insert or replace payloads.

        Args:
            ids: (n,) int64.
            payloads: n rows as `Schema.admit` returns them; kept until they become columns.
        """
        self._pending.update(zip(ids.tolist(), payloads, strict=True))
        if len(self._pending) >= _PENDING_ROWS:
            self._consolidate()

    def remove(self, ids: I64Vector) -> None:
        """Remove payloads by id; unknown ids are ignored."""
        self._pending.update(dict.fromkeys(ids.tolist()))
        if len(self._pending) >= _PENDING_ROWS:
            self._consolidate()

    def select(self, expression: str, schema: Schema | None = None) -> I64Vector:
        """Return the ids of the payloads for which a filter is true, (n,) int64, in no order.

        Args:
            expression: the filter; see `paradox.store.filter`.
            schema: the declared columns; None for those that any row had a value for.

        Raises:
            FilterError: not exactly one boolean expression over declared columns.
        """
        frame = self._consolidate()
        declared = self._columns | dict(schema.columns if schema is not None else {})
        expressions = {
            name: pl.col(str(number)) if name in self._columns else pl.lit(None, DTYPES[kind])
            for number, (name, kind) in enumerate(declared.items())
        }
        condition = compile_filter(expression, declared, expressions, self._magnitude)
        try:
            found = frame.lazy().filter(pl.col(_LIVE) & condition).select(_ID).collect()
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            reason = str(error).partition("\n\n")[0]  # what follows quotes the whole plan
            raise FilterError(f"filter: {reason}") from error
        return found[_ID].to_numpy(writable=True)

    def dump(self) -> bytes:
        """Return the live rows as Arrow IPC."""
        frame = self._consolidate()
        live = frame.filter(pl.col(_LIVE)).drop(_LIVE)
        names = [_ID, *(_COLUMN + name for name in self._columns)]
        buffer = io.BytesIO()
        live.rename(dict(zip(live.columns, names, strict=True))).write_ipc(buffer)
        return buffer.getvalue()

    @classmethod
    def load(cls, data: bytes | memoryview) -> Self:
        """Return the frame that `dump` wrote.

        Raises:
            IndexFileCorrupt: the bytes are not such a frame.
        """
        loaded = cls()
        try:
            frame = pl.read_ipc(io.BytesIO(data))
            kinds = {name: _KIND_BY_DTYPE.get(dtype) for name, dtype in frame.schema.items()}
            if kinds.pop(_ID, None) != "int":
                raise ValueError("there is no id")
            for name, kind in kinds.items():
                if kind is None or not name.startswith(_COLUMN):
                    raise ValueError(f"column {name!r} is of no known type")
                loaded._columns[name.removeprefix(_COLUMN)] = kind
        except (pl.exceptions.PolarsError, OSError, ValueError) as error:
            raise IndexFileCorrupt(
                f"payload columns cannot be read: {error}", "payload frame"
            ) from error
        frame.columns = [_ID, *map(str, range(len(kinds)))]
        loaded._frame = frame.insert_column(1, pl.repeat(True, len(frame), eager=True).alias(_LIVE))
        return loaded

    def _consolidate(self) -> pl.DataFrame:
        """Return the frame with all pending rows in it."""
        with self._lock:
            if self._pending:
                pending, self._pending = self._pending, {}
                self._magnitudes.clear()
                changed = np.fromiter(pending, np.int64, len(pending))
                rows = {i: row for i, row in pending.items() if row is not None}
                self._kill(changed)
                if rows:
                    self._append(rows)
            return self._frame

    def _magnitude(self, name: str) -> int:
        """Return the greatest magnitude in a column of type int, computed once for a frame."""
        if name not in self._columns:
            return 0
        if name not in self._magnitudes:
            number = list(self._columns).index(name)
            self._magnitudes[name] = magnitude_of(self._frame[str(number)])
        return self._magnitudes[name]

    def _kill(self, ids: I64Vector) -> None:
        """Mark the rows of these ids dead, and leave dead rows behind where they are many."""
        if not len(self._frame):
            return
        dead = np.isin(self._frame[_ID].to_numpy(), ids)
        if not dead.any():
            return
        live = self._frame[_LIVE].to_numpy() & ~dead
        self._frame = self._frame.with_columns(pl.Series(_LIVE, live))
        if 2 * np.count_nonzero(live) < len(live):
            self._frame = self._frame.filter(pl.col(_LIVE))

    def _append(self, rows: Mapping[int, Payload]) -> None:
        known = len(self._columns)
        for row in rows.values():
            for name, value in row.items():
                if value is not None and name not in self._columns:
                    self._columns[name] = _KINDS[type(value)]
        columns = list(enumerate(self._columns.items()))
        self._frame = self._frame.with_columns(
            pl.lit(None, DTYPES[kind]).alias(str(number)) for number, (_, kind) in columns[known:]
        )
        added = pl.DataFrame(
            [
                pl.Series(_ID, list(rows), pl.Int64),
                pl.repeat(True, len(rows), eager=True).alias(_LIVE),
            ]
            + [
                pl.Series(str(number), [row.get(name) for row in rows.values()], DTYPES[kind])
                for number, (name, kind) in columns
            ]
        )
        self._frame = self._frame.vstack(added)
        if self._frame.n_chunks() > _MAX_CHUNKS:
            self._frame = self._frame.rechunk()
