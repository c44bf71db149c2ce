"""A map from int64 keys to int64 values that answers whole arrays of keys at once."""

from __future__ import annotations

import numpy as np

from paradox.core.types import NO_ID, I64Vector

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: spreads runs of keys evenly
_SMALLEST_BITS = 6
_ABSENT = -1


class IdMap:
    """Open addressing with linear probing over two arrays, 32 to 64 bytes a key.

    The probing runs in NumPy over all keys asked for at once, where a dict would be asked for one
    after the other under the GIL: the ids a filter allows may be a million.

    Keys are any int64 but `NO_ID`, which marks an empty cell. Values are 0 or greater; a removed
    key keeps its cell until the table is next rebuilt.
    """

    def __init__(self) -> None:
        self._allocate(_SMALLEST_BITS)

    @property
    def nbytes(self) -> int:
        """Memory held."""
        return self._keys.nbytes + self._values.nbytes

    def __len__(self) -> int:
        """Number of keys present."""
        return int(np.count_nonzero(self._values != _ABSENT))

    def get(self, keys: I64Vector) -> I64Vector:
        """Return (n,) the value of each key, -1 where it is absent."""
        values = np.full(len(keys), _ABSENT, np.int64)
        cells, open_ = self._home(keys), np.arange(len(keys))
        while len(open_):
            held = self._keys[cells]
            hit = held == keys[open_]
            values[open_[hit]] = self._values[cells[hit]]
            go_on = ~hit & (held != NO_ID)
            cells, open_ = (cells[go_on] + 1) & self._last, open_[go_on]
        return values

    def with_room(self, n_more: int) -> IdMap:
        """Return a map of the same keys that takes n more as they are; itself if it does."""
        if not self._is_full(n_more):
            return self
        roomy = IdMap()
        roomy._keys, roomy._values = self._keys, self._values
        roomy._rebuild(n_more)
        return roomy

    def set(self, keys: I64Vector, values: I64Vector) -> None:
        """Give each key its value; no two keys may be equal."""
        if self._is_full(len(keys)):
            self._rebuild(len(keys))
        cells, open_ = self._home(keys), np.arange(len(keys))
        while len(open_):
            empty = self._keys[cells] == NO_ID
            self._keys[cells[empty]] = keys[open_[empty]]  # of rivals for one cell, one wins
            hit = self._keys[cells] == keys[open_]
            self._values[cells[hit]] = values[open_[hit]]
            self._n_cells_used += int(np.count_nonzero(hit & empty))
            cells, open_ = (cells[~hit] + 1) & self._last, open_[~hit]

    def remove(self, keys: I64Vector) -> None:
        """Forget keys that are present, no two of them equal."""
        self.set(keys, np.full(len(keys), _ABSENT, np.int64))

    def _is_full(self, n_more: int) -> bool:
        return 2 * (self._n_cells_used + n_more) > len(self._keys)

    def _home(self, keys: I64Vector) -> I64Vector:
        hashed = (keys.view(np.uint64) * _MULTIPLIER) >> self._shift
        return hashed.astype(np.int64)

    def _rebuild(self, n_more: int) -> None:
        present = self._values != _ABSENT
        keys, values = self._keys[present], self._values[present]
        bits = max(_SMALLEST_BITS, (2 * (len(keys) + n_more)).bit_length())
        self._allocate(bits)
        self.set(keys, values)

    def _allocate(self, bits: int) -> None:
        self._keys = np.full(1 << bits, NO_ID, np.int64)
        self._values = np.full(1 << bits, _ABSENT, np.int64)
        self._last = (1 << bits) - 1
        self._shift = np.uint64(64 - bits)
        self._n_cells_used = 0
