"""Which vectors a search may return."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from paradox.core.types import BoolMask, I64Vector
from paradox.index.shapes import check_ids

if TYPE_CHECKING:
    from paradox.index.rows import Rows
    from paradox.index.rows_view import RowsView


class AllowList:
    """Ids that searches may return, found among an index's rows once for all of them.

    Args:
        ids: (n,) int64, any order, unknown ones ignored.
    """

    def __init__(self, ids: I64Vector) -> None:
        self._ids = ids
        self._last: tuple[object, AllowedRows] | None = None

    def among(self, rows: Rows | RowsView) -> AllowedRows:
        """Return which rows the ids are in; kept until these change, or others are asked for."""
        known = self.known_among(rows)
        if known is None:
            known = AllowedRows(self._ids, rows)
            self._last = rows.state, known
        return known

    def known_among(self, rows: Rows | RowsView) -> AllowedRows | None:
        """Return which rows the ids are in, if that was asked last."""
        last = self._last
        return last[1] if last is not None and last[0] is rows.state else None


Allow = AllowList | I64Vector
"""The ids a search may return: (n,) int64, any order, unknown ones ignored; or a list of them."""


def allowed_rows(allow: Allow, rows: Rows | RowsView) -> AllowedRows:
    """Return the rows that hold the allowed ids."""
    return allow.among(rows) if isinstance(allow, AllowList) else AllowedRows(allow, rows)


class AllowedRows:
    """The rows that a search may return.

    Attributes:
        mask: (n_slots,) whether a slot is one of them.
    """

    def __init__(self, ids: I64Vector, rows: Rows | RowsView) -> None:
        check_ids(ids, "allow")
        slots = rows.find(ids)
        self.mask: BoolMask = np.zeros(rows.n_slots, np.bool_)
        self.mask[slots[slots >= 0]] = True
        self._n = int(np.count_nonzero(self.mask))

    def __len__(self) -> int:
        return self._n

    @cached_property
    def slots(self) -> I64Vector:
        """The slots, ascending."""
        return np.flatnonzero(self.mask)
