"""Rows that are searched while one thread changes them: nothing that somebody sees is overwritten.

Every write has a number. A vector that is replaced or removed stays in its slot, which says since
which write it is dead, and the new one goes into another. A search looks at a view (`RowsView`),
made after a write and exchanged by one assignment; it holds no lock, and tells nobody of it but by
referring to the view. When nobody refers any more to the views that show a dead vector, its slot is
used again (as read-copy-update does: McKenney and Slingwine, 1998).
"""

from __future__ import annotations

import weakref
from collections import deque
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from paradox.core.metric import Metric
from paradox.core.types import I64Vector
from paradox.index.id_map import IdMap
from paradox.index.rows import Rows
from paradox.index.rows_view import RowsView

_ALIVE = np.iinfo(np.uint32).max
MOST_WRITES = _ALIVE - 2
"""After so many the numbers are spent, and the rows have to be compacted."""
_NO_SLOTS = np.empty(0, np.int64)


@dataclass(slots=True)
class _Replaced:
    """A view that another took the place of.

    Attributes:
        view: whether somebody still refers to it.
        seq: of the view.
        slots: those whose vectors are in no later view.
    """

    view: weakref.ref[RowsView]
    seq: int
    slots: I64Vector


class VersionedRows(Rows):
    """What `Rows` are, but that views of them can be searched beside a writer.

    A write is not seen before its view is: whoever writes makes a `RowsView`, and then, while
    nobody looks ids up, calls `settle_ids` and shows the view; and after that `follow`.

    Attributes:
        seq: number of the last write, from 1.
    """

    def __init__(
        self, dim: int, dtype: npt.DTypeLike = np.float32, *, coded_for: Metric | None = None
    ) -> None:
        self.seq = 1
        self._newest: RowsView | None = None
        self._replaced: deque[_Replaced] = deque()
        super().__init__(dim, dtype, coded_for=coded_for)

    def _clear(self, dim: int, dtype: npt.DTypeLike) -> None:
        super()._clear(dim, dtype)
        self._born = np.empty(0, np.uint32)
        self._died = np.empty(0, np.uint32)
        # Of ids that the last write moved the slots before and after, -1 for none.
        self._unsettled: tuple[I64Vector, I64Vector] | None = None
        self._dying = _NO_SLOTS  # those that are in the newest view, but in no later one
        self._n_waiting = 0  # slots of dead vectors that somebody may see
        for replaced in self._replaced:
            replaced.slots = _NO_SLOTS  # of arrays that are not ours any more

    def __len__(self) -> int:
        return super().__len__() - self._n_waiting

    @property
    def n_free(self) -> int:
        """Slots whose vector was removed or replaced."""
        return super().n_free + self._n_waiting

    @property
    def resident_bytes(self) -> int:
        """Memory reserved, without a mapped matrix."""
        return super().resident_bytes + self._born.nbytes + self._died.nbytes

    @property
    def lives(self) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        """(n_slots,) the write that put a vector there, and that from which it is dead."""
        return self._born[: self.n_slots], self._died[: self.n_slots]

    @property
    def slot_of(self) -> IdMap:
        """Where ids are, as `settle_ids` left it."""
        return self._slot_of

    @property
    def has_unseen(self) -> bool:
        """Whether the last write was not shown, as something failed on the way."""
        return self._unsettled is not None

    def put(self, ids: I64Vector, vectors: npt.NDArray[Any]) -> I64Vector:
        """Store vectors, and let those go whose id is known; return the slots of the new.

        Args:
            ids: (n,) int64, no two equal.
            vectors: (n, dim) in the dtype of the rows.
        """
        known = self.find(ids)
        gone = known[known >= 0]
        self.reclaim()
        derived, dying = self._derived(vectors), self._dying_with(gone)
        slots = self._next_slots(len(ids))
        self._take(slots)
        self.seq += 1
        self._born[slots] = self.seq  # first: see `RowsView.live`
        self._fill(slots, ids, vectors, derived)
        self._died[slots] = _ALIVE
        self._let_die(gone, dying)
        self._unsettled = known, slots
        self.state = object()
        return slots

    def remove(self, ids: I64Vector) -> I64Vector:
        """Remove vectors by id, ignoring unknown ids; return the slots they had."""
        slots = self.find(ids)
        slots = np.unique(slots[slots >= 0])
        unsettled, dying = (slots, np.full(len(slots), -1)), self._dying_with(slots)
        self.seq += 1
        self._let_die(slots, dying)
        self._unsettled = unsettled
        self.state = object()
        if not len(self):
            self._clear(self._matrix.shape[1], self._matrix.dtype)
        return slots

    def take_back(self) -> None:
        """Undo the last `put`, which no view has seen yet: what it replaced is there again."""
        if self._unsettled is None:
            return
        known, slots = self._unsettled
        replaced = known[known >= 0]
        self._free.extend(slots.tolist())
        self._died[slots] = self.seq
        self._live[slots] = False
        self._died[replaced] = _ALIVE
        self._live[replaced] = True
        self._dying = self._dying[: len(self._dying) - len(replaced)]
        self._n_waiting -= len(replaced)
        self._unsettled = None
        self.state = object()

    def make_room(self) -> None:
        """Make `settle_ids` quick: what takes as long as there are ids is done here."""
        if self._unsettled is not None:
            n_new = int(np.count_nonzero(self._unsettled[0] < 0))
            self._slot_of = self._slot_of.with_room(n_new, self._ids)

    def settle_ids(self) -> None:
        """Have ids found where the last write put them; meanwhile no view may be asked for any."""
        if self._unsettled is not None:
            before, after = self._unsettled
            was, is_ = before >= 0, after >= 0
            self._slot_of.replace(before[was & is_], after[was & is_], self._ids)
            self._slot_of.remove(before[was & ~is_], self._ids)
            self._slot_of.add(after[is_ & ~was], self._ids)
            self._unsettled = None

    def follow(self, view: RowsView) -> None:
        """Take note that a view is shown, and that the one before is no more."""
        if self._newest is not None:
            replaced = _Replaced(weakref.ref(self._newest), self._newest.seq, self._dying)
            self._replaced.append(replaced)
        else:
            self._free.extend(self._dying.tolist())
            self._n_waiting -= len(self._dying)
        self._dying = _NO_SLOTS
        self._newest = view
        self.reclaim()

    def reclaim(self) -> None:
        """Free the slots of vectors that nobody sees any more."""
        replaced = self._replaced
        while replaced and replaced[0].view() is None:
            slots = replaced.popleft().slots
            self._free.extend(slots.tolist())
            self._n_waiting -= len(slots)

    @property
    def seen_seq(self) -> int:
        """The least write that all views somebody refers to have seen, as far as is known."""
        return self._replaced[0].seq if self._replaced else self.seq

    @classmethod
    def from_sections(
        cls,
        sections: dict[str, memoryview],
        dim: int,
        dtype: npt.DTypeLike = np.float32,
        *,
        coded_for: Metric | None = None,
    ) -> Self:
        """Return the rows that `sections` came from; see `Rows.from_sections`."""
        rows = super().from_sections(sections, dim, dtype, coded_for=coded_for)
        rows._born = np.ones(rows.n_slots, np.uint32)
        rows._died = np.where(rows.live, _ALIVE, np.uint32(1))
        return rows

    def sections(self) -> dict[str, npt.NDArray[Any]]:
        """Return what a saved index keeps of its rows."""
        return {"rows": self.matrix, "ids": np.where(self.live, self.ids, -1)}

    def _dying_with(self, slots: I64Vector) -> I64Vector:
        return np.concatenate([self._dying, slots]) if len(self._dying) else slots

    def _let_die(self, slots: I64Vector, dying: I64Vector) -> None:
        """Nothing is allocated here: a write is whole, or has not been."""
        self._died[slots] = self.seq
        self._live[slots] = False
        self._dying = dying
        self._n_waiting += len(slots)

    def _reserve(self, n_slots: int) -> None:
        super()._reserve(n_slots)
        capacity = len(self._ids)
        if capacity > len(self._died):
            self._born = self._moved(self._born, capacity)
            self._died = self._moved(self._died, capacity)
