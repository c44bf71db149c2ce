"""The vectors of an index: rows in slots, found by id."""

from __future__ import annotations

import mmap
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from paradox import kernels
from paradox.core.errors import InvalidArgument
from paradox.core.metric import Metric
from paradox.core.types import NO_ID, BoolMask, F32Matrix, I64Vector
from paradox.index.id_map import IdMap
from paradox.index.row_codes import RowCodes

_GROWTH = 1.5


class Rows:
    """Vectors in slots numbered from 0; a vector stays in its slot until it is removed.

    Buffers grow by half, so that adding costs amortised constant time a row. The slots of removed
    vectors are taken by the next ones added. Readers may run side by side; a writer runs alone.

    Args:
        dim: dimension of the vectors.
        dtype: float32, float16 or int8. Of 0 dimensions no norms are kept either.
        coded_for: keep 8-bit codes too, for certified scans under this metric; None keeps none.

    Attributes:
        n_slots: slots ever used: positions in `matrix`, `ids`, `norms` and `live`.
        state: another object after each change of what is in the slots.
    """

    def __init__(
        self, dim: int, dtype: npt.DTypeLike = np.float32, *, coded_for: Metric | None = None
    ) -> None:
        self._coded_for = coded_for
        self._clear(dim, dtype)

    def _clear(self, dim: int, dtype: npt.DTypeLike) -> None:
        self._codes = None if self._coded_for is None else RowCodes(dim, dtype, self._coded_for)
        self.n_slots = 0
        self.state = object()
        self._matrix: npt.NDArray[Any] = np.empty((0, dim), dtype)
        self._ids = np.empty(0, np.int64)
        self._norms = np.empty(0, np.float64)
        self._has_norms = dim > 0
        self._live = np.empty(0, np.bool_)
        self._free: list[int] = []
        self._slot_of = IdMap()
        self._mapped = False

    def __len__(self) -> int:
        return self.n_slots - len(self._free)

    @property
    def matrix(self) -> npt.NDArray[Any]:
        """(n_slots, dim) in the dtype of the rows; free slots hold old values."""
        return self._matrix[: self.n_slots]

    @property
    def ids(self) -> I64Vector:
        """(n_slots,) the id of each slot, -1 where it is free."""
        return self._ids[: self.n_slots]

    @property
    def norms(self) -> npt.NDArray[np.float64]:
        """(n_slots,) the Euclidean norm of each row; 0 where it is free. None of no dimensions."""
        return self._norms[: self.n_slots]

    @property
    def codes(self) -> kernels.Codes | None:
        """The codes of `matrix`, where they are kept."""
        return None if self._codes is None else self._codes.of(self.matrix)

    @property
    def live(self) -> BoolMask:
        """(n_slots,) whether a slot holds a vector."""
        return self._live[: self.n_slots]

    @property
    def n_free(self) -> int:
        """Slots whose vector was removed."""
        return len(self._free)

    @property
    def resident_bytes(self) -> int:
        """Memory reserved, without a mapped matrix."""
        held = self._ids.nbytes + self._norms.nbytes + self._live.nbytes + self._slot_of.nbytes
        codes = 0 if self._codes is None else self._codes.nbytes
        return held + codes + (0 if self._mapped else self._matrix.nbytes)

    @property
    def mapped_bytes(self) -> int:
        """Bytes of the matrix where it is mapped from a file."""
        return self._matrix.nbytes if self._mapped else 0

    def live_slots(self) -> I64Vector:
        """Return the slots that hold a vector, ascending."""
        return np.flatnonzero(self.live)

    def find(self, ids: I64Vector) -> I64Vector:
        """Return (n,) the slot of each id, -1 where it is unknown."""
        return self._slot_of.get(ids, self._ids)

    def put(self, ids: I64Vector, vectors: npt.NDArray[Any]) -> I64Vector:
        """Store vectors, in place of those whose id is known, and return their slots.

        Where memory does not suffice, nothing has changed.

        Args:
            ids: (n,) int64, no two equal.
            vectors: (n, dim) in the dtype of the rows.
        """
        slots = self.find(ids)
        new = np.flatnonzero(slots < 0)
        derived = self._derived(vectors)
        free = slots[new] = self._next_slots(len(new))
        self._ids[free] = ids[new]
        try:
            self._slot_of.add(free, self._ids)
        except BaseException:
            self._ids[free] = NO_ID
            raise
        self._take(free)
        self._fill(slots, ids, vectors, derived)
        self.state = object()
        return slots

    def remove(self, ids: I64Vector) -> I64Vector:
        """Remove vectors by id, ignoring unknown ids; return the slots they had."""
        slots = self.find(ids)
        slots = np.unique(slots[slots >= 0])
        n_free = len(self._free)
        self._free.extend(slots.tolist())
        try:
            self._slot_of.remove(slots, self._ids)
        except BaseException:  # of memory: nothing has changed
            del self._free[n_free:]
            raise
        self._ids[slots] = NO_ID
        if self._has_norms:
            self._norms[slots] = 0.0
        self._live[slots] = False
        self.state = object()
        if not len(self):
            self._clear(self._matrix.shape[1], self._matrix.dtype)
        return slots

    def compacted(self) -> Self:
        """Return the live rows in as many slots, in the order of their slots."""
        compact = type(self)(self._matrix.shape[1], self._matrix.dtype, coded_for=self._coded_for)
        live = self.live_slots()
        compact.put(self._ids[live], self._matrix[live])
        return compact

    def sections(self) -> dict[str, npt.NDArray[Any]]:
        """Return what a saved index keeps of its rows."""
        return {"rows": self.matrix, "ids": self.ids}

    @classmethod
    def from_sections(
        cls,
        sections: dict[str, memoryview],
        dim: int,
        dtype: npt.DTypeLike = np.float32,
        *,
        coded_for: Metric | None = None,
    ) -> Self:
        """Return the rows that `sections` came from; a matrix mapped from a file stays there.

        Raises:
            InvalidArgument: these are no rows: more ids than vectors, an id twice, not finite.
        """
        rows = cls(dim, dtype, coded_for=coded_for)
        rows._ids = np.frombuffer(sections["ids"], np.int64).copy()
        rows.n_slots = len(rows._ids)
        rows._live = rows._ids != NO_ID
        if rows._has_norms:
            rows._matrix = np.frombuffer(sections["rows"], dtype).reshape(-1, dim)
            rows._mapped = isinstance(sections["rows"].obj, mmap.mmap)
            norms = kernels.row_norms(rows._matrix)
            check_saved(rows._ids, norms)
            rows._norms = np.where(rows._live, norms, 0.0)
        else:
            rows._matrix = np.empty((rows.n_slots, 0), dtype)
        if rows._codes is not None:
            rows._codes.fill(rows._matrix)
        rows._free = np.flatnonzero(~rows._live).tolist()
        rows._slot_of.add(rows.live_slots(), rows._ids)
        rows._check_ids()
        return rows

    def _check_ids(self) -> None:
        """Refuse ids of which two are equal."""
        if len(self._slot_of) != len(self):
            raise InvalidArgument("rows: expected every id once; got some twice")

    def _next_slots(self, n: int) -> I64Vector:
        """Return slots for n more vectors, and make room: free ones, and fresh ones."""
        n_reused = min(n, len(self._free))
        self._reserve(self.n_slots + n - n_reused)
        slots = np.arange(self.n_slots - n_reused, self.n_slots - n_reused + n)
        if n_reused:
            slots[:n_reused] = self._free[-n_reused:]
        return slots

    def _take(self, slots: I64Vector) -> None:
        """Take what `_next_slots` returned."""
        n_reused = min(len(slots), len(self._free))
        if n_reused:
            del self._free[-n_reused:]
        self.n_slots += len(slots) - n_reused

    def _derived(self, vectors: npt.NDArray[Any]) -> tuple[Any, kernels.Codes | None]:
        """Return the norms and codes of vectors, where they are kept."""
        norms = kernels.row_norms(vectors) if self._has_norms else None
        return norms, None if self._codes is None else self._codes.coded(vectors)

    def _fill(
        self,
        slots: I64Vector,
        ids: I64Vector,
        vectors: npt.NDArray[Any],
        derived: tuple[Any, kernels.Codes | None],
    ) -> None:
        """Write vectors and what is derived from them into their slots."""
        norms, codes = derived
        places = as_run(slots)
        self._matrix[places] = vectors
        if norms is not None:
            self._norms[places] = norms
        if codes is not None and self._codes is not None:
            self._codes.put(places, codes)
        self._ids[places] = ids
        self._live[places] = True

    def _reserve(self, n_slots: int) -> None:
        """Make room for `n_slots` slots in memory that can be written to."""
        capacity = len(self._ids)
        if n_slots <= capacity and self._matrix.flags.writeable:
            return
        if n_slots > capacity:
            capacity = max(n_slots, int(capacity * _GROWTH))
        matrix = self._moved(self._matrix, capacity)
        if self._has_norms:
            self._norms = self._moved(self._norms, capacity)
        self._live = self._moved(self._live, capacity)
        if self._codes is not None:
            self._codes.reserve(self.n_slots, capacity)
        self._ids = self._moved(self._ids, capacity)  # last but one: it tells the capacity
        self._matrix = matrix
        self._mapped = False

    def _moved(self, array: npt.NDArray[Any], capacity: int) -> npt.NDArray[Any]:
        moved = np.empty((capacity, *array.shape[1:]), array.dtype)
        moved[: self.n_slots] = array[: self.n_slots]
        return moved


def check_saved(ids: I64Vector, norms: npt.NDArray[np.float64]) -> None:
    """Refuse rows that cannot be: norms (n,) tell of each whether it is finite.

    Raises:
        InvalidArgument: they are not as many as ids, or not finite.
    """
    if len(norms) != len(ids):
        raise InvalidArgument(f"rows: expected {len(ids)}; got {len(norms)}")
    if not np.isfinite(norms).all():
        raise InvalidArgument("rows: expected finite ones; got others")


def unit(vectors: F32Matrix) -> F32Matrix:
    """Return (n, dim) float32, each row scaled to length 1; none may be zero."""
    norms = kernels.row_norms(vectors)[:, np.newaxis]
    return np.divide(vectors, norms, out=np.empty_like(vectors), casting="same_kind")


def as_run(slots: I64Vector) -> I64Vector | slice:
    """Return slots that follow one another as a slice, by which nothing is copied."""
    n = len(slots)
    if n and slots[-1] - slots[0] == n - 1 and (np.diff(slots) == 1).all():
        return slice(int(slots[0]), int(slots[-1]) + 1)
    return slots
