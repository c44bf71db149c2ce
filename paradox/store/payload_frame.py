"""The payload columns beside the index, kept for filters."""

from __future__ import annotations

import io
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
    threads may select at a time; a writer is alone. Whatever ends a call midway, no row is lost.
    """

    def __init__(self) -> None:
        self._settled = _Settled()
        self._pending: dict[int, Payload | None] = {}  # None: removed
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return int(self._consolidate().frame[_LIVE].sum())

    @property
    def columns(self) -> Mapping[str, ColumnType]:
        """Columns that any row had a value for, and their types."""
        return MappingProxyType(self._consolidate().columns)

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
        settled = self._consolidate()
        declared = settled.columns | dict(schema.columns if schema is not None else {})
        expressions = {
            name: pl.col(str(number)) if name in settled.columns else pl.lit(None, DTYPES[kind])
            for number, (name, kind) in enumerate(declared.items())
        }
        condition = compile_filter(expression, declared, expressions, settled.magnitude)
        try:
            found = settled.frame.lazy().filter(pl.col(_LIVE) & condition).select(_ID).collect()
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            reason = str(error).partition("\n\n")[0]  # what follows quotes the whole plan
            raise FilterError(f"filter: {reason}") from error
        return found[_ID].to_numpy(writable=True)

    def dump(self) -> bytes:
        """Return the live rows as Arrow IPC."""
        settled = self._consolidate()
        live = settled.frame.filter(pl.col(_LIVE)).drop(_LIVE)
        names = [_ID, *(_COLUMN + name for name in settled.columns)]
        buffer = io.BytesIO()
        live.rename(dict(zip(live.columns, names, strict=True))).write_ipc(buffer)
        return buffer.getvalue()

    @classmethod
    def load(cls, data: bytes | memoryview) -> Self:
        """Return the frame that `dump` wrote.

        Raises:
            IndexFileCorrupt: the bytes are not such a frame.
        """
        columns: dict[str, ColumnType] = {}
        try:
            frame = pl.read_ipc(io.BytesIO(data))
            kinds = {name: _KIND_BY_DTYPE.get(dtype) for name, dtype in frame.schema.items()}
            if kinds.pop(_ID, None) != "int":
                raise ValueError("there is no id")
            if frame[_ID].n_unique() != len(frame):
                raise ValueError("an id comes twice")
            for name, kind in kinds.items():
                if kind is None or not name.startswith(_COLUMN):
                    raise ValueError(f"column {name!r} is of no known type")
                columns[name.removeprefix(_COLUMN)] = kind
        except (pl.exceptions.PolarsError, OSError, ValueError) as error:
            raise IndexFileCorrupt(
                f"payload columns cannot be read: {error}", "payload frame"
            ) from error
        frame.columns = [_ID, *map(str, range(len(kinds)))]
        frame.insert_column(1, pl.repeat(True, len(frame), eager=True).alias(_LIVE))
        loaded = cls()
        loaded._settled = _Settled(frame, columns)
        return loaded

    def _consolidate(self) -> _Settled:
        """Return all rows as columns.

        Changes are made on a copy. A signal's handler, or memory that does not suffice, may end
        this anywhere: the rows are then still pending, and to settle them twice is to do so once.
        """
        with self._lock:
            if self._pending:
                self._settled = self._settled.after(self._pending)
                self._pending = {}
            return self._settled


@dataclass(frozen=True, slots=True)
class _Settled:
    """Rows that have become columns, never changed.

    Attributes:
        frame: columns "id", "live", then "0", "1", ...: a name of the caller's could be a pattern.
        columns: names of the columns "0", "1", ..., and their types.
    """

    frame: pl.DataFrame = field(
        default_factory=lambda: pl.DataFrame(schema={_ID: pl.Int64, _LIVE: pl.Boolean})
    )
    columns: dict[str, ColumnType] = field(default_factory=dict)
    _magnitudes: dict[str, int] = field(default_factory=dict, init=False, repr=False)

    def magnitude(self, name: str) -> int:
        """Return the greatest magnitude in a column of type int, computed once."""
        if name not in self.columns:
            return 0
        if name not in self._magnitudes:
            number = list(self.columns).index(name)
            self._magnitudes[name] = magnitude_of(self.frame[str(number)])
        return self._magnitudes[name]

    def after(self, changes: Mapping[int, Payload | None]) -> _Settled:
        """Return what there is after rows were inserted or replaced, or (None) removed."""
        frame = _without(self.frame, np.fromiter(changes, np.int64, len(changes)))
        rows = {i: row for i, row in changes.items() if row is not None}
        if not rows:
            return _Settled(frame, self.columns)
        columns = dict(self.columns)
        for row in rows.values():
            for name, value in row.items():
                if value is not None and name not in columns:
                    columns[name] = _KINDS[type(value)]
        return _Settled(_with(frame, columns, rows), columns)


def _without(frame: pl.DataFrame, ids: I64Vector) -> pl.DataFrame:
    """Mark the rows of these ids dead, and leave dead rows behind where they are many."""
    dead = np.isin(frame[_ID].to_numpy(), ids)
    if not dead.any():
        return frame
    live = frame[_LIVE].to_numpy() & ~dead
    frame = frame.with_columns(pl.Series(_LIVE, live))
    return frame.filter(pl.col(_LIVE)) if 2 * np.count_nonzero(live) < len(live) else frame


def _with(
    frame: pl.DataFrame, columns: Mapping[str, ColumnType], rows: Mapping[int, Payload]
) -> pl.DataFrame:
    """Append rows; the last of the columns may be new to the frame."""
    numbered = list(enumerate(columns.items()))
    known = len(frame.columns) - 2  # without the id and whether it lives
    frame = frame.with_columns(
        pl.lit(None, DTYPES[kind]).alias(str(number)) for number, (_, kind) in numbered[known:]
    )
    added = pl.DataFrame(
        [
            pl.Series(_ID, list(rows), pl.Int64),
            pl.repeat(True, len(rows), eager=True).alias(_LIVE),
        ]
        + [
            pl.Series(str(number), [row.get(name) for row in rows.values()], DTYPES[kind])
            for number, (name, kind) in numbered
        ]
    )
    frame = frame.vstack(added)
    return frame.rechunk() if frame.n_chunks() > _MAX_CHUNKS else frame
