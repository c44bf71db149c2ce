"""Which vectors a search may return."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from paradox.core.types import BoolMask, I64Vector

if TYPE_CHECKING:
    from paradox.index.rows import Rows


class AllowList:
    """Ids that searches may return, found among an index's rows once for all of them.

    Args:
        ids: (n,) int64, any order, unknown ones ignored.
    """

    def __init__(self, ids: I64Vector) -> None:
        self._ids = ids
        self._last: tuple[object, AllowedRows] | None = None

    def among(self, rows: Rows) -> AllowedRows:
        """Return which rows the ids are in; kept until these change, or others are asked for."""
        last = self._last
        if last is None or last[0] is not rows.state:
            self._last = last = rows.state, AllowedRows(self._ids, rows)
        return last[1]


Allow = AllowList | I64Vector
"""The ids a search may return: (n,) int64, any order, unknown ones ignored; or a list of them."""


def allowed_rows(allow: Allow, rows: Rows) -> AllowedRows:
    """Return the rows that hold the allowed ids."""
    return allow.among(rows) if isinstance(allow, AllowList) else AllowedRows(allow, rows)


class AllowedRows:
    """The rows that a search may return.

    Attributes:
        mask: (n_slots,) whether a slot is one of them.
    """

    def __init__(self, ids: I64Vector, rows: Rows) -> None:
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
