"""Rows as they were after a write, whatever is written later."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from paradox.core.types import BoolMask, I64Vector

if TYPE_CHECKING:
    from paradox.index.versioned_rows import VersionedRows


class RowsView:
    """What `VersionedRows` hold at a moment; a thread may search it while another writes.

    It keeps the arrays of its moment, of which the slots it shows do not change as long as somebody
    refers to it. What the others hold is of no account, and may change at any time.

    Attributes:
        matrix: (n_slots, dim).
        ids: (n_slots,).
        norms: (n_slots,) float64; none of rows of no dimensions.
        codes: of the matrix, where they are kept.
        n_slots: slots ever used.
        seq: the last write that is seen.
        state: another object after each write.
    """

    def __init__(self, rows: VersionedRows) -> None:
        self.matrix = rows.matrix
        self.ids = rows.ids
        self.norms = rows.norms
        self.codes = rows.codes
        self.n_slots = rows.n_slots
        self.seq = rows.seq
        self.state = rows.state
        self._n = len(rows)
        self._lives = rows.lives
        self._slot_of = rows.slot_of

    def __len__(self) -> int:
        return self._n

    @property
    def n_free(self) -> int:
        """Slots that hold no vector."""
        return self.n_slots - self._n

    @cached_property
    def live(self) -> BoolMask:
        """(n_slots,) whether a slot holds a vector."""
        born, died = self._lives
        # When a slot is used again its birth is written before its death is taken back: read the
        # other way round, one of the two tells.
        live: BoolMask = died > self.seq
        live &= born <= self.seq
        return live

    def live_slots(self) -> I64Vector:
        """Return the slots that hold a vector, ascending."""
        return np.flatnonzero(self.live)

    def find(self, ids: I64Vector) -> I64Vector:
        """Return (n,) the slot of each id, -1 where it is unknown.

        Only of the newest view, and not while ids are written: `VersionedRows.settle_ids`.
        """
        return self._slot_of.get(ids, self.ids)
