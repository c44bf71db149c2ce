"""Count and XOR digest of everything stored, by key range, so that a missing record is noticed.

A checksum tells that a record was altered; only a sum over all of them tells that one is gone, or
that an old value came back.
"""

from __future__ import annotations

import struct
from typing import Self

import numpy as np
import numpy.typing as npt

from paradox.core.types import I64Vector

N_RANGES = 256
_ENTRY = struct.Struct("<qQ")
_U64 = npt.NDArray[np.uint64]


class KeyRangeDigests:
    """Number and XOR of (id, value) pairs in each of 256 key ranges.

    A key range is 4,096 consecutive ids, and every 2^20th id from there on: a batch of
    neighbouring ids touches few of them, and ids anywhere spread over all.
    """

    def __init__(self) -> None:
        self._counts = np.zeros(N_RANGES, np.int64)
        self._xors = np.zeros(N_RANGES, np.uint64)

    def __len__(self) -> int:
        return int(self._counts.sum())

    def copy(self) -> Self:
        """Return an independent copy."""
        other = type(self)()
        other._counts[:] = self._counts
        other._xors[:] = self._xors
        return other

    def put(self, ids: I64Vector, values: _U64) -> None:
        """Count pairs in."""
        self._toggle(ids, values, 1)

    def remove(self, ids: I64Vector, values: _U64) -> None:
        """Count pairs out."""
        self._toggle(ids, values, -1)

    def differing(self, other: KeyRangeDigests) -> list[int]:
        """Return the key ranges in which two digests differ."""
        differ = (self._counts != other._counts) | (self._xors != other._xors)
        return [int(i) for i in np.flatnonzero(differ)]

    def count(self, key_range: int) -> int:
        """Return the number of pairs in one key range."""
        return int(self._counts[key_range])

    def pack(self, key_range: int) -> bytes:
        """Return one key range as bytes."""
        return _ENTRY.pack(int(self._counts[key_range]), int(self._xors[key_range]))

    def unpack(self, key_range: int, entry: bytes) -> None:
        """Set one key range from bytes that `pack` made."""
        self._counts[key_range], self._xors[key_range] = _ENTRY.unpack(entry)

    def _toggle(self, ids: I64Vector, values: _U64, sign: int) -> None:
        ranges = (ids >> 12) & (N_RANGES - 1)
        np.add.at(self._counts, ranges, sign)
        np.bitwise_xor.at(self._xors, ranges, _mix(_mix(ids.view(np.uint64)) ^ values))


def describe(key_range: int) -> str:
    """Return the ids of a key range in words."""
    first = key_range << 12
    return f"ids {first} to {first + 4095} and those a multiple of {1 << 20} from them"


def _mix(x: _U64) -> _U64:
    """Return splitmix64's finaliser of each value: every input bit changes half the output's."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
