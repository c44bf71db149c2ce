"""Which row each entry of another library's index stands for."""

from __future__ import annotations

import numpy as np

from paradox.core.errors import InvalidArgument
from paradox.core.types import BoolMask, I64Matrix, I64Vector

_NONE = -1


class Labels:
    """Labels of entries, each given once and never again.

    A row that is replaced gets a new entry, and its old one is stale: still in the library's index,
    perhaps, but no answer any more. So no library needs to delete or update for us to do so.

    A stale label's row is not forgotten: whoever searches what there was before goes on finding it.
    """

    def __init__(self) -> None:
        self._n = 0
        self._slot_of = np.empty(0, np.int64)
        self._label_of = np.empty(0, np.int64)
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
        return self._slot_of.nbytes + self._label_of.nbytes

    def give(self, slots: I64Vector) -> I64Vector:
        """Return new labels, ascending, for rows that have none."""
        labels = np.arange(self._n, self._n + len(slots))
        self._n += len(slots)
        self._slot_of = _at_least(self._slot_of, self._n)
        self._slot_of[labels] = slots
        self._label_of = _at_least(self._label_of, int(slots.max(initial=-1)) + 1)
        self._label_of[slots] = labels
        self.n_live += len(slots)
        return labels

    def take(self, slots: I64Vector) -> I64Vector:
        """Make the labels of these rows stale, and return those they had."""
        labels: I64Vector = self._label_of[slots[slots < len(self._label_of)]]
        labels = labels[labels != _NONE]
        self._label_of[self._slot_of[labels]] = _NONE
        self.n_live -= len(labels)
        return labels

    @property
    def slot_of(self) -> I64Vector:
        """(len(self),) the row of each label, and that which a stale one had; kept as it is."""
        return self._slot_of[: self._n]

    def slots(self, labels: I64Matrix) -> I64Matrix:
        """Return the row each label stands for, -1 for a stale label and for -1."""
        if not self._n:
            return np.full(labels.shape, _NONE, np.int64)
        had = self._slot_of[labels]
        slots: I64Matrix = np.where((labels < 0) | (self._label_of[had] != labels), _NONE, had)
        return slots

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
        labels._slot_of = np.frombuffer(section, np.int64).copy()
        labels._n = len(labels._slot_of)
        live = np.flatnonzero(labels._slot_of != _NONE)
        slots = labels._slot_of[live]
        if not ((slots >= 0) & (slots < len(is_live))).all() or not is_live[slots].all():
            raise InvalidArgument("labels: expected those of rows there are; got others")
        labels._label_of = np.full(int(slots.max(initial=0)) + 1, _NONE, np.int64)
        labels._label_of[slots] = live
        if (labels._label_of[slots] != live).any():
            raise InvalidArgument("labels: expected one a row; got several")
        labels.n_live = len(live)
        return labels


def _at_least(array: I64Vector, n: int) -> I64Vector:
    """Return the array, grown by half or more where it is shorter than n."""
    if n <= len(array):
        return array
    grown = np.full(max(n, len(array) * 3 // 2), _NONE, np.int64)
    grown[: len(array)] = array
    return grown
