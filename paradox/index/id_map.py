"""A map from ids to slots that answers whole arrays of ids at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from paradox.core.types import NO_ID, BoolMask, I64Vector

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: spreads runs of keys evenly
_SMALLEST_BITS = 6
_GONE, _EMPTY = 2**32 - 2, 2**32 - 1


class IdMap:
    """Open addressing with linear probing over the slots alone, 6 to 12 bytes an id.

    Which id a slot has its owner knows, and hands over with every call: `ids` is (n_slots,), and
    may be longer. The probing runs in NumPy over all ids asked for at once, where a dict would be
    asked for one after the other under the GIL: the ids a filter allows may be a million.

    Ids are any int64 but `NO_ID`. A removed one keeps its cell until the table is next rebuilt.
    """

    _slots: npt.NDArray[np.uint32]
    _last: int
    _shift: np.uint64
    _n: int
    _n_cells_used: int

    def __init__(self) -> None:
        self._allocate(_SMALLEST_BITS)

    @property
    def nbytes(self) -> int:
        """Memory held."""
        return self._slots.nbytes

    def __len__(self) -> int:
        """Number of ids present."""
        return self._n

    def get(self, keys: I64Vector, ids: I64Vector) -> I64Vector:
        """Return (n,) the slot of each id, -1 where it is absent."""
        slots = np.full(len(keys), NO_ID, np.int64)
        if not self._n_cells_used:
            return slots
        cells, open_ = self._home(keys), np.arange(len(keys))
        while len(open_):
            held = self._slots[cells]
            hit = _have(held, keys[open_], ids)
            slots[open_[hit]] = held[hit]
            go_on = ~hit & (held != _EMPTY)
            cells, open_ = (cells[go_on] + 1) & self._last, open_[go_on]
        return slots

    def with_room(self, n_more: int, ids: I64Vector) -> IdMap:
        """Return a map of the same slots that takes n more as it is; itself if it does."""
        if not self._is_full(n_more):
            return self
        roomy = IdMap()
        roomy._slots = self._slots
        roomy._rebuild(n_more, ids)
        return roomy

    def add(self, slots: I64Vector, ids: I64Vector) -> None:
        """Take in slots whose ids are absent; of equal ids one.

        Where memory does not suffice some may be there, and are found by their ids while the slots
        have these.
        """
        if self._is_full(len(slots)):
            self._rebuild(len(slots), ids)
        n_used, n_won = self._n_cells_used, 0
        self._n_cells_used += len(slots)  # no fewer, whatever fails on the way
        cells, open_ = self._home(ids[slots]), slots.astype(np.uint32)
        while len(open_):
            empty = self._slots[cells] == _EMPTY
            self._slots[cells[empty]] = open_[empty]  # of rivals for one cell, one wins
            held = self._slots[cells]
            n_won += int(np.count_nonzero(empty & (held == open_)))
            go_on = ~_have(held, ids[open_], ids)
            cells, open_ = (cells[go_on] + 1) & self._last, open_[go_on]
        self._n += n_won
        self._n_cells_used = n_used + n_won

    def remove(self, slots: I64Vector, ids: I64Vector) -> None:
        """Forget slots, passing over those that are absent; no two may be equal.

        Where memory does not suffice, none is forgotten.
        """
        cells, open_ = self._home(ids[slots]), slots.astype(np.uint32)
        found = []
        while len(open_):
            held = self._slots[cells]
            hit = held == open_
            found.append(cells[hit])
            go_on = ~hit & (held != _EMPTY)
            cells, open_ = (cells[go_on] + 1) & self._last, open_[go_on]
        if found:
            gone = np.concatenate(found)
            self._slots[gone] = _GONE
            self._n -= len(gone)

    def replace(self, slots: I64Vector, others: I64Vector, ids: I64Vector) -> None:
        """Have other slots of the same ids in the place of slots, or where they are already.

        Each pair has one of its two present.
        """
        cells, open_ = self._home(ids[slots]), np.arange(len(slots))
        while len(open_):
            held = self._slots[cells]
            hit = (held == slots[open_]) | (held == others[open_])
            self._slots[cells[hit]] = others[open_[hit]]
            cells, open_ = (cells[~hit] + 1) & self._last, open_[~hit]

    def _is_full(self, n_more: int) -> bool:
        return 3 * (self._n_cells_used + n_more) > 2 * len(self._slots)

    def _home(self, keys: I64Vector) -> I64Vector:
        hashed = (keys.view(np.uint64) * _MULTIPLIER) >> self._shift
        return hashed.astype(np.int64)

    def _rebuild(self, n_more: int, ids: I64Vector) -> None:
        present = self._slots[self._slots < _GONE].astype(np.int64)
        other = IdMap()
        other._allocate(max(_SMALLEST_BITS, (3 * (len(present) + n_more) // 2).bit_length()))
        other.add(present, ids)
        self._slots, self._last, self._shift = other._slots, other._last, other._shift
        self._n, self._n_cells_used = other._n, other._n_cells_used

    def _allocate(self, bits: int) -> None:
        self._slots = np.full(1 << bits, _EMPTY, np.uint32)
        self._last = (1 << bits) - 1
        self._shift = np.uint64(64 - bits)
        self._n = self._n_cells_used = 0


def _have(held: npt.NDArray[np.uint32], keys: I64Vector, ids: I64Vector) -> BoolMask:
    """Tell which of these cells hold a slot that has the key."""
    is_slot = held < _GONE
    having: BoolMask = is_slot & (ids[np.where(is_slot, held, 0)] == keys)
    return having
