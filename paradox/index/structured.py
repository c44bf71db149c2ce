"""How rows are searched that a structure leads to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from paradox import kernels
from paradox.core.metric import Metric
from paradox.core.types import NO_ID, F32Matrix, F32Vector, Neighbors
from paradox.index import scan
from paradox.index.allow import AllowedRows
from paradox.index.options import MAX_EFFORT
from paradox.index.tune import smallest_effort

if TYPE_CHECKING:
    from paradox.index.rows import Rows
    from paradox.index.rows_view import RowsView

CALL_ROWS = 1_000
"""Rows scanned in the time that a search spends outside of the structure, some 100 µs."""
_OUT_OF_ORDER = 3
"""How many rows in sequence are scanned in the time of one that a filter picks."""
LARGEST_NORM = 1e15
"""Where squares, and sums of a million of them, are far from overflowing float32."""


class StructuredRows(ABC):
    """Rows, and a structure that leads to near ones, to be searched.

    Where a search would cost more than a scan of the rows it may return, it is a scan, and its
    answer certified. Effort therefore has an upper end, at which every answer is exact.
    """

    _metric: Metric
    _rows: Rows | RowsView

    @property
    @abstractmethod
    def _ready(self) -> bool:
        """Whether the structure has seen the rows."""

    @property
    @abstractmethod
    def _n_shown(self) -> int:
        """Number of rows that the structure has seen."""

    @abstractmethod
    def _lead(
        self, queries: F32Matrix, k: int, effort: int, allowed: AllowedRows | None, threads: int
    ) -> tuple[Neighbors, bool]:
        """Return the k nearest rows it leads to, and whether there are fewer than there could be.

        Distances are true ones, equal ones ordered by id; where there are fewer, -1 and +inf pad.
        """

    @abstractmethod
    def _rows_worth(self, k: int, effort: int) -> float:
        """Return how many rows could be scanned in the time of a search."""

    def nearest(
        self, queries: F32Matrix, k: int, effort: int, allowed: AllowedRows | None, threads: int
    ) -> Neighbors:
        """Return the k nearest vectors of each query; see `IndexBackend.search`."""
        if self._must_scan(queries, k, effort, allowed):
            return self._scan(queries, k, allowed, threads, effort)
        found, has_gaps = self._lead(queries, k, effort, allowed, threads)
        if has_gaps:
            self._fill_gaps(found, queries, k, allowed, threads)
        return found

    def within(self, query: F32Vector, radius: float, limit: int) -> Neighbors:
        """Return the nearest `limit` vectors within `radius`; fewer than that are all of them."""
        return scan.first(scan.within(self._rows, query, radius, self._metric), limit)

    def has_effort(self, k: int) -> bool:
        """Tell whether effort makes a difference; see `IndexBackend.tunable`."""
        return not self._scan_is_cheaper(k, 1, None) and self._n_shown == len(self._rows)

    def least_effort(self, queries: F32Matrix, k: int, recall: float) -> int | None:
        """Return the smallest effort that reaches `recall`@k, or None; see `IndexBackend.tune`.

        Every recall is reached: the greatest effort is a scan. Queries of which every search is one
        say nothing of efforts, and are left out.
        """
        if not self.has_effort(k):
            return None
        if self._metric != "cosine":
            queries = queries[kernels.row_norms(queries) <= LARGEST_NORM]
        if not len(queries):
            return None
        truth = self._scan(queries, k, None, 1)
        return smallest_effort(
            lambda effort: self.nearest(queries, k, effort, None, 1),
            truth,
            recall,
            greatest=self._scanning_effort(k),
        )

    def _fill_gaps(
        self,
        found: Neighbors,
        queries: F32Matrix,
        k: int,
        allowed: AllowedRows | None,
        threads: int,
    ) -> None:
        """Answer the queries by a scan for which too few were found."""
        n = len(self._rows) if allowed is None else len(allowed)
        lacking = np.flatnonzero(found.ids[:, min(k, n) - 1] == NO_ID)
        scanned = self._scan(queries[lacking], k, allowed, threads)
        found.ids[lacking], found.distances[lacking] = scanned.ids, scanned.distances

    def _scan(
        self,
        queries: F32Matrix,
        k: int,
        allowed: AllowedRows | None,
        threads: int,
        effort: int | None = None,
    ) -> Neighbors:
        """Return the k nearest of all rows."""
        nearest = scan.nearest(
            self._rows, queries, k, self._metric, allowed=allowed, threads=threads
        )
        return scan.neighbors(self._rows, *nearest, certified=True, effort=effort)

    def _may_overflow(self, queries: F32Matrix) -> bool:
        """Tell whether the structure has not seen all rows, or must not see these queries."""
        if self._n_shown < len(self._rows):
            return True
        if self._metric == "cosine":
            return False
        return bool(kernels.row_norms(queries).max(initial=0) > LARGEST_NORM)

    def _must_scan(
        self, queries: F32Matrix, k: int, effort: int, allowed: AllowedRows | None = None
    ) -> bool:
        """Tell whether a search is a scan, as that is cheaper or the only safe way."""
        return self._scan_is_cheaper(k, effort, allowed) or self._may_overflow(queries)

    def _scan_is_cheaper(self, k: int, effort: int, allowed: AllowedRows | None) -> bool:
        is_scan = not self._ready or len(self._rows) <= self._rows_worth(k, effort)
        if is_scan or allowed is None:  # at the greatest effort filtered answers are exact too
            return is_scan
        excess = len(self._rows) / max(len(allowed), 1)
        return _OUT_OF_ORDER * len(allowed) <= self._rows_worth(k, effort) * excess

    def _scanning_effort(self, k: int) -> int:
        """Return the least power of two that makes an unfiltered search a scan."""
        effort = 1
        while effort < MAX_EFFORT // 2 and not self._scan_is_cheaper(k, effort, None):
            effort *= 2
        return effort
