"""The values that travel between rooms: arrays, records, answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

F32Matrix: TypeAlias = npt.NDArray[np.float32]
"""(n, dim) float32, C-contiguous."""
F32Vector: TypeAlias = npt.NDArray[np.float32]
"""(n,) float32, C-contiguous."""
F64Matrix: TypeAlias = npt.NDArray[np.float64]
"""(n, dim) float64, C-contiguous."""
F64Vector: TypeAlias = npt.NDArray[np.float64]
"""(n,) float64, C-contiguous."""
I32Vector: TypeAlias = npt.NDArray[np.int32]
"""(n,) int32: shard numbers."""
I64Vector: TypeAlias = npt.NDArray[np.int64]
"""(n,) int64, C-contiguous: ids or positions."""
I64Matrix: TypeAlias = npt.NDArray[np.int64]
"""(n, k) int64, C-contiguous: ids or positions."""
BoolMask: TypeAlias = npt.NDArray[np.bool_]
"""(n,) bool."""

PayloadValue: TypeAlias = str | int | float | bool | datetime | list[str] | None
Payload: TypeAlias = dict[str, PayloadValue]

NO_ID = -1
"""Pads `Neighbors.ids` where fewer than k were found; every other int64 may be an id."""


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One record as it is stored.

    Attributes:
        id: chosen by the caller, or assigned.
        vector: (dim,) what was given, in float32.
        payload: column to value; absent columns were not given.
        encoder_id: identity of the encoder that made the vector, "" if it was not told.
        version: version of the encoder, 0 if it was not told.
        timestamp: when the caller says it was made, else when it was written; UTC.
        content_version: 1 when first written, one more at each replacement.
        seq: the shard's order of writes.
    """

    id: int
    vector: F32Vector
    payload: Payload
    encoder_id: str
    version: int
    timestamp: datetime
    content_version: int
    seq: int


@dataclass(frozen=True, slots=True)
class AddReport:
    """What one `add` did, after it is durable.

    Attributes:
        ids: (n,) int64, the id of every vector given, in the order given.
        inserted: records that were new.
        replaced: records that replaced one of the same id.
        duplicates: vectors dropped because a later one in the same call had their id.
    """

    ids: I64Vector
    inserted: int
    replaced: int
    duplicates: int

    def __len__(self) -> int:
        return self.inserted + self.replaced


@dataclass(slots=True, eq=False)
class Neighbors:
    """The nearest records of each query, nearest first.

    Not to be changed, though not frozen: to make a frozen one takes 1.5 µs longer, of a search that
    takes 30.

    Attributes:
        ids: (n_queries, k) int64, or (k,) for a single vector; -1 pads where fewer were found.
        distances: float32 of the same shape; smaller is closer; +inf beside a -1.
        certified: True when this is provably the exact answer, padding included.
        effort: the effort spent where the backend has such a knob, else None.
        shards_touched: shards that answered; 1 for an embedded engine.
        shards_missing: shards that should have answered and did not, by number.
        coverage: share of the collection's records held by the shards that answered or were
            rightly left out by the plan: below 1.0 only when shards are missing.
    """

    ids: I64Matrix
    distances: F32Matrix
    certified: bool = False
    effort: int | None = None
    shards_touched: int = 1
    shards_missing: tuple[int, ...] = ()
    coverage: float = 1.0
    _fetch: Callable[[I64Vector], list[Record | None]] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.ids)

    def __getstate__(self) -> dict[str, Any]:
        state = {name: getattr(self, name) for name in self.__slots__}
        state["_fetch"] = None  # the source of records stays with the process that has it
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)

    def first_row(self) -> Neighbors:
        """Return the answer of the only query, with one-dimensional arrays."""
        return replace(self, ids=self.ids[0], distances=self.distances[0])

    def records(self) -> list[Any]:
        """Fetch the records found.

        Returns:
            For a single vector, a list of `Record`, nearest first; for a matrix of queries, a
            list of such lists. Padding, and records deleted since, are left out.

        Raises:
            RuntimeError: the answer came from a bare index, which holds no records.
        """
        if self._fetch is None:
            raise RuntimeError("records(): this answer came from a bare index, not a collection")
        flat = self.ids.reshape(-1)
        found = dict.fromkeys(flat[flat != NO_ID].tolist())
        wanted = np.fromiter(found, np.int64, len(found))
        for record in self._fetch(wanted):
            if record is not None:
                found[record.id] = record
        rows = [
            [record for i in row if (record := found.get(i)) is not None]
            for row in self.ids.reshape(-1, self.ids.shape[-1]).tolist()
        ]
        return rows[0] if self.ids.ndim == 1 else rows
