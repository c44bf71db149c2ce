"""Which row each entry of another library's index stands for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from paradox.core.errors import InvalidArgument
from paradox.core.types import BoolMask, I64Matrix, I64Vector

_NONE = -1
_MOST = 2**31 - 1


class Labels:
    """Labels of entries, each given once and never again.

    A row that is replaced gets a new entry, and its old one is stale: still in the library's index,
    perhaps, but no answer any more. So no library needs to delete or update for us to do so.

    While rows come in the order of their slots, labels are slots and take no memory; once some are
    stale, four bytes each. A stale label's row is not forgotten: whoever searches what there was
    before goes on finding it.
    """

    def __init__(self) -> None:
        self._n = 0
        self._slot_of: npt.NDArray[np.int32] | None = None  # None: each is its label
        self._label_of: npt.NDArray[np.int32] | None = None  # None: so is each of these, to `_n`
        self.n_live = 0

    def __len__(self) -> int:
        """Labels given so far, stale ones among them."""
        return self._n

    @property
    def n_stale(self) -> int:
        """Entries that are no answer any more."""
        return len(self) - self.n_live

    @property
    def nbytes(self) -> int:
        """Memory held."""
        return sum(a.nbytes for a in (self._slot_of, self._label_of) if a is not None)

    def give(self, slots: I64Vector) -> I64Vector:
        """Return new labels, ascending, for rows that have none.

        Raises:
            OverflowError: there would be more than 2^31.
        """
        if self._n + len(slots) > _MOST:
            raise OverflowError(f"labels: expected up to {_MOST}; got {self._n + len(slots)}")
        labels = np.arange(self._n, self._n + len(slots))
        slot_of, label_of = self._slot_of, self._label_of
        if slot_of is None and not np.array_equal(labels, slots):
            slot_of = np.arange(self._n, dtype=np.int32)
            label_of = slot_of.copy() if label_of is None else label_of
        if slot_of is not None:
            slot_of = _at_least(slot_of, self._n + len(slots))
            slot_of[labels] = slots
        if label_of is not None:
            label_of = _at_least(label_of, int(slots.max(initial=-1)) + 1)
            label_of[slots] = labels
        self._slot_of, self._label_of = slot_of, label_of
        self._n += len(slots)
        self.n_live += len(slots)
        return labels

    def expect_stale(self) -> npt.NDArray[np.int32]:
        """Take the memory that `take` needs, before anything that it must follow is changed.

        Returns:
            The label of each row, as it is kept.
        """
        if self._label_of is None:
            self._label_of = np.arange(self._n, dtype=np.int32)
        return self._label_of

    def take(self, slots: I64Vector) -> I64Vector:
        """Make the labels of these rows stale, and return those they had."""
        had = self.of(slots)
        slots = slots[had != _NONE]
        labels: I64Vector = had[had != _NONE]
        if len(labels):
            self.expect_stale()[slots] = _NONE
            self.n_live -= len(labels)
        return labels

    @property
    def slot_of(self) -> npt.NDArray[np.int32] | None:
        """(len(self),) the row of each label, and that which a stale one had; None: its number.

        What is returned stays as it is, whatever is given and taken later.
        """
        return None if self._slot_of is None else self._slot_of[: self._n]

    def slots(self, labels: I64Matrix) -> I64Matrix:
        """Return the row each label stands for, -1 for a stale label and for -1."""
        if self._label_of is None or not self._n:
            return labels.copy()
        had = labels if self._slot_of is None else self._slot_of[labels]
        is_stale = self._label_of[had] != labels
        slots: I64Matrix = np.where((labels < 0) | is_stale, _NONE, had).astype(np.int64)
        return slots

    def of(self, slots: I64Vector) -> I64Vector:
        """Return the label of each of these rows, -1 where it has none."""
        if self._label_of is None:
            own: I64Vector = np.where(slots < self._n, slots, _NONE)
            return own
        labels = np.full(len(slots), _NONE, np.int64)
        known = slots < len(self._label_of)
        labels[known] = self._label_of[slots[known]]
        return labels

    def stale(self) -> BoolMask:
        """Return (len(self),) whether a label is stale."""
        stale: BoolMask = self.section() == _NONE
        return stale

    def section(self) -> I64Vector:
        """Return what a saved index keeps of its labels: -1 for the stale."""
        return self.slots(np.arange(self._n))

    @classmethod
    def from_section(cls, section: memoryview, is_live: BoolMask) -> Labels:
        """Return the labels that `section` came from, of rows some of whose slots are live.

        Raises:
            InvalidArgument: they stand for other slots, or two of them for one.
        """
        labels = cls()
        slot_of = np.frombuffer(section, np.int64)
        live = np.flatnonzero(slot_of != _NONE)
        slots = slot_of[live]
        if not ((slots >= 0) & (slots < len(is_live))).all() or not is_live[slots].all():
            raise InvalidArgument("labels: expected those of rows there are; got others")
        if len(np.unique(slots)) != len(slots):
            raise InvalidArgument("labels: expected one a row; got several")
        labels._n, labels.n_live = len(slot_of), len(live)
        if not np.array_equal(slot_of, np.arange(len(slot_of))):
            labels._slot_of = slot_of.astype(np.int32)
            labels._label_of = np.full(int(slots.max(initial=0)) + 1, _NONE, np.int32)
            labels._label_of[slots] = live
        return labels


def _at_least(array: npt.NDArray[np.int32], n: int) -> npt.NDArray[np.int32]:
    """Return the array, grown by half or more where it is shorter than n."""
    if n <= len(array):
        return array
    grown = np.full(max(n, len(array) * 3 // 2), _NONE, np.int32)
    grown[: len(array)] = array
    return grown
