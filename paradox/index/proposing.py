"""An approximate index over another library, which only proposes candidates.

Every candidate it proposes is measured here, in float64.
"""

from __future__ import annotations

from abc import abstractmethod

from paradox import kernels
from paradox.core.types import F32Matrix, F64Matrix, I64Matrix, Neighbors
from paradox.index import scan
from paradox.index.allow import AllowedRows
from paradox.index.approximate import ApproximateIndex
from paradox.index.rows import Rows
from paradox.index.structured import StructuredRows

_MARGIN = 1.5
"""How many more candidates a filtered search takes than it should need on average."""


class ProposingIndex(ApproximateIndex, StructuredRows):
    """What indexes share whose library gives labels for a query, and knows no filter."""

    _rows: Rows

    @property
    def _searched(self) -> StructuredRows:
        return self

    @abstractmethod
    def _propose(self, points: F32Matrix, n: int, effort: int, threads: int) -> I64Matrix | None:
        """Return (n_queries, n) labels, -1 where there are fewer, or None if it cannot."""

    @abstractmethod
    def _n_candidates(self, k: int, effort: int) -> int:
        """Return how many candidates a search measures."""

    def _lead(
        self, queries: F32Matrix, k: int, effort: int, allowed: AllowedRows | None, threads: int
    ) -> tuple[Neighbors, bool]:
        n, wider = self._n_candidates(k, effort), effort
        if allowed is not None:
            excess = len(self._rows) / len(allowed)
            n, wider = int(_MARGIN * excess * n) + 1, int(excess * effort) + 1
        n = min(n, self._labels.n_live)
        labels = self._propose(self._points(queries), n, wider, threads)
        nearest, distances = self._measured(queries, k, labels, allowed)
        n_possible = len(self._rows) if allowed is None else len(allowed)
        has_gaps = bool((nearest[:, min(k, n_possible) - 1] < 0).any())
        return scan.neighbors(self._rows, nearest, distances, effort=effort), has_gaps

    def _measured(
        self, queries: F32Matrix, k: int, labels: I64Matrix | None, allowed: AllowedRows | None
    ) -> tuple[I64Matrix, F64Matrix]:
        """Return slots (n_queries, k), -1 padded, and float64 distances of the best proposed."""
        if labels is None:
            return scan.padding(len(queries), k)
        found = self._labels.slots(labels)
        if allowed is not None:
            found[~allowed.mask[found]] = -1
        distances = kernels.refine(queries, self._rows.matrix, found, self._metric)
        return scan.in_order(self._rows, found, distances, k)
