"""Rows that may stay in a mapped file, their ids too: a byte a row in memory."""

from __future__ import annotations

import mmap
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from paradox.core.errors import InvalidArgument
from paradox.core.types import NO_ID, I64Vector
from paradox.index.id_map import IdMap
from paradox.index.rows import Rows, check_saved

_BLOCK = 1 << 20


class MappableRows(Rows):
    """What `Rows` are, but that mapped ones are found by a mapped, sorted copy of their ids.

    The first `remove` takes ids and norms into memory, 16 bytes a row; the first `put` all of it.
    """

    @property
    def resident_bytes(self) -> int:
        """Memory reserved, without what is mapped."""
        if not self._mapped:
            return super().resident_bytes
        held = self._live.nbytes + self._slot_of.nbytes
        return held + sum(a.nbytes for a in (self._ids, self._norms) if a.flags.writeable)

    @property
    def mapped_bytes(self) -> int:
        """Bytes of vectors, ids and norms where they are mapped from a file."""
        if not self._mapped:
            return 0
        arrays = (self._matrix, self._ids, self._norms)
        return sum(a.nbytes for a in arrays if not a.flags.writeable)

    def remove(self, ids: I64Vector) -> I64Vector:
        """Remove vectors by id, ignoring unknown ids; return the slots they had."""
        if not self._ids.flags.writeable:
            self._ids, self._norms = self._ids.copy(), self._norms.copy()
        return super().remove(ids)

    def sections(self) -> dict[str, npt.NDArray[Any]]:
        """Return what a saved index keeps of its rows."""
        return {**super().sections(), "norms": self.norms, **in_order(self.ids)}

    @classmethod
    def from_sections(  # type: ignore[override]
        cls, sections: dict[str, memoryview], dim: int, dtype: npt.DTypeLike = np.float32
    ) -> Self:
        """Return the rows that `sections` came from; what is mapped from a file stays there.

        Raises:
            InvalidArgument: these are no rows: more ids than vectors, an id twice, not finite.
        """
        rows = cls(dim, dtype)
        rows._matrix = np.frombuffer(sections["rows"], dtype).reshape(-1, dim)
        rows._ids = np.frombuffer(sections["ids"], np.int64)
        rows._mapped = isinstance(sections["rows"].obj, mmap.mmap)
        rows.n_slots = len(rows._ids)
        rows._live = rows._ids != NO_ID
        rows._free = np.flatnonzero(~rows._live).tolist()
        rows._norms = np.frombuffer(sections["norms"], np.float64)
        check_saved(rows._ids, rows._norms)
        if len(rows._matrix) != len(rows._ids):
            raise InvalidArgument(f"rows: expected {len(rows._ids)}; got {len(rows._matrix)}")
        if rows._mapped:
            rows._slot_of = SortedIds(rows._ids, sections)
        else:
            rows._slot_of.add(rows.live_slots(), rows._ids)
            rows._check_ids()
        return rows


class SortedIds(IdMap):
    """A map from the ids of a file to their slots, and from those added since.

    An id of the file is gone once its slot has another.

    Args:
        ids: (n,) as in the file, `NO_ID` where a slot is free.
        sections: with what `in_order` returned.

    Raises:
        InvalidArgument: the sections are not the order of the ids, or two ids are equal.
    """

    def __init__(self, ids: I64Vector, sections: dict[str, memoryview]) -> None:
        super().__init__()
        self._order = np.frombuffer(sections["order"], np.uint32)
        self._sorted = np.frombuffer(sections["sorted_ids"], np.int64) if len(self._order) else ids
        if not self._is_order_of(ids):
            raise InvalidArgument("order: expected that of the ids, each once; got another")

    def get(self, keys: I64Vector, ids: I64Vector) -> I64Vector:
        """Return (n,) the slot of each id, -1 where it is unknown."""
        slots = super().get(keys, ids)
        unset = np.flatnonzero(slots < 0)
        slots[unset] = self._in_file(keys[unset], ids)
        return slots

    def _is_order_of(self, ids: I64Vector) -> bool:
        """Tell whether the file's order is that of its ids, of which those of free slots are equal.

        In blocks: there may be more than memory holds.
        """
        if len(self._sorted) != len(ids):
            return False
        for begin in range(0, len(ids), _BLOCK):
            some = self._sorted[begin : begin + _BLOCK + 1]
            if not ((some[1:] > some[:-1]) | (some[1:] == NO_ID)).all():
                return False
            if len(self._order):
                slots = self._order[begin : begin + _BLOCK]
                if slots.max() >= len(ids) or (ids[slots] != some[:_BLOCK]).any():
                    return False
        return True

    def _in_file(self, keys: I64Vector, ids: I64Vector) -> I64Vector:
        if not len(self._sorted):
            return np.full(len(keys), NO_ID, np.int64)
        at = np.minimum(np.searchsorted(self._sorted, keys), len(self._sorted) - 1)
        slots: I64Vector = self._order[at].astype(np.int64) if len(self._order) else at
        known = (self._sorted[at] == keys) & (keys != NO_ID) & (ids[slots] == keys)
        return np.where(known, slots, NO_ID)


def in_order(ids: I64Vector) -> dict[str, npt.NDArray[Any]]:
    """Return sections by which slots are found: nothing in them where ids ascend as they are."""
    if (ids[1:] > ids[:-1]).all():
        order = np.empty(0, np.uint32)
    else:
        order = np.argsort(ids, kind="stable").astype(np.uint32)
    return {"sorted_ids": ids[order], "order": order}
