"""An approximate index over another library, which only proposes candidates.

The rows are kept here. The library is shown each of them under a label, and proposes labels for a
query; every candidate is then measured in float64. So deletes, replacement, filters, unlimited
growth, k beyond the library's reach and the order of answers are the same whatever it can do, and
an answer never holds a distance that is not true.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from paradox import kernels
from paradox.core.metric import Metric
from paradox.core.types import F32Matrix, F64Matrix, I64Matrix, I64Vector, Neighbors
from paradox.index import scan
from paradox.index.backend import Allow, IndexStats
from paradox.index.labels import Labels
from paradox.index.options import MAX_EFFORT, check_effort
from paradox.index.row_index import RowIndex
from paradox.index.rows import Rows, unit
from paradox.index.tune import smallest_effort

CALL_ROWS = 1_000
"""Rows scanned in the time that a search spends outside of the library, some 100 µs."""
_LARGEST_NORM = 1e15
"""Where squares, and sums of a million of them, are far from overflowing float32."""
_MARGIN = 1.5
"""How many more candidates a filtered search takes than it should need on average."""


class ProposingIndex(RowIndex):
    """What such indexes share: rows, labels, measuring, filters, tuning, files.

    Where a search would cost more than a scan of the rows it may return, it is a scan, and its
    answer certified. Effort therefore has an upper end, at which every answer is exact.

    Rows so long that float32 may overflow are not shown to the library (faiss ends the process
    over them), and while there are any, or a query is that long, a search is a scan too.

    Attributes:
        default_effort: used where neither the caller nor `tune` has set one.
    """

    default_effort: ClassVar[int]

    def __init__(self, dim: int, metric: Metric) -> None:
        super().__init__(dim, metric, Rows(dim))
        self._labels = Labels()
        self._effort: int | None = None

    # ---------------------------------------------------------------- what a library must do

    @property
    @abstractmethod
    def _ready(self) -> bool:
        """Whether the library has seen the rows."""

    @abstractmethod
    def _options(self) -> dict[str, Any]:
        """Return the options that make an equal index."""

    @abstractmethod
    def _take_in(self, labels: I64Vector, points: F32Matrix) -> None:
        """Show the library rows under new labels, ascending from the number shown so far."""

    @abstractmethod
    def _let_go(self, labels: I64Vector) -> None:
        """Tell the library that labels are stale; it need not do anything."""

    @abstractmethod
    def _must_rebuild(self) -> bool:
        """Tell whether it is time to build anew from the rows there are."""

    @abstractmethod
    def _rebuild(self) -> None:
        """Empty the library's index and make it ready for all rows, if there are enough."""

    @abstractmethod
    def _propose(self, points: F32Matrix, n: int, effort: int, threads: int) -> I64Matrix | None:
        """Return (n_queries, n) labels, -1 where there are fewer, or None if it cannot."""

    @abstractmethod
    def _n_candidates(self, k: int, effort: int) -> int:
        """Return how many candidates a search measures."""

    @abstractmethod
    def _rows_worth(self, k: int, effort: int) -> float:
        """Return how many rows could be scanned in the time of a search."""

    @abstractmethod
    def _library_bytes(self) -> int:
        """Return the memory the library holds, or an estimate of it."""

    @abstractmethod
    def _dump(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return fields and sections from which `_restore` makes the library's index again."""

    @abstractmethod
    def _restore(self, fields: dict[str, Any], sections: dict[str, memoryview]) -> None:
        """Make the library's index again; rows and labels are there already."""

    # ---------------------------------------------------------------- what an index does

    def check(self, vectors: F32Matrix) -> None:
        """Do nothing: every vector can be kept."""

    def add(self, ids: I64Vector, vectors: F32Matrix) -> None:
        """Insert vectors, replacing those whose id is known."""
        slots = self._rows.put(ids, vectors)
        self._let_go(self._labels.take(slots))
        if self._must_rebuild():
            self._build_anew()
        elif self._ready:
            self._show(slots)

    def remove(self, ids: I64Vector) -> int:
        """Remove vectors by id; return how many there were.

        Once most of what is held is no answer any more, the index is built anew from the rest.
        """
        slots = self._rows.remove(ids)
        self._let_go(self._labels.take(slots))
        if self._must_rebuild():
            self._build_anew()
        return len(slots)

    def search(
        self,
        queries: F32Matrix,
        k: int,
        *,
        effort: int | None = None,
        allow: Allow | None = None,
        threads: int = 1,
    ) -> Neighbors:
        """Return the k nearest vectors of each query; see `IndexBackend.search`."""
        effort = self._effort_or_default() if effort is None else check_effort(effort)
        slots = None if allow is None else self._rows.find_allowed(allow)
        if self._must_scan(queries, k, effort, slots):
            found = scan.nearest(self._rows, queries, k, self._metric, slots=slots, threads=threads)
            return scan.neighbors(self._rows, *found, certified=True, effort=effort)
        nearest, distances = self._nearest_proposed(queries, k, effort, slots, threads)
        n = len(self._rows) if slots is None else len(slots)
        lacking = np.flatnonzero(nearest[:, min(k, n) - 1] < 0)
        if len(lacking):
            nearest[lacking], distances[lacking] = scan.nearest(
                self._rows, queries[lacking], k, self._metric, slots=slots, threads=threads
            )
        return scan.neighbors(self._rows, nearest, distances, effort=effort)

    def tune(self, queries: F32Matrix, k: int, recall: float) -> int | None:
        """Set and return the smallest effort that reaches `recall`@k; see `IndexBackend.tune`.

        Every recall is reached: the greatest effort is a scan.
        """
        truth = scan.neighbors(self._rows, *scan.nearest(self._rows, queries, k, self._metric))
        self._effort = smallest_effort(
            lambda effort: self.search(queries, k, effort=effort),
            truth,
            recall,
            greatest=self._scanning_effort(k),
        )
        return self._effort

    def contents(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return what a saved index is made of: fields and sections."""
        fields, sections = self._dump() if self._ready else ({}, {})
        own = {
            "dim": self._dim,
            "metric": self._metric,
            "options": self._options(),
            "effort": self._effort,
            "library": fields,
        }
        return own, {**self._rows.sections(), "labels": self._labels.section(), **sections}

    @classmethod
    def from_contents(cls, fields: dict[str, Any], sections: dict[str, memoryview]) -> Self:
        """Return the index that `contents` came from."""
        index = cls(fields["dim"], fields["metric"], **fields["options"])
        index._effort = fields["effort"]
        index._rows = Rows.from_sections(sections, index._dim)
        index._labels = Labels.from_section(sections["labels"])
        if fields["library"]:
            index._restore(fields["library"], sections)
        return index

    def stats(self) -> IndexStats:
        """Return the index's figures."""
        rows = self._rows
        return IndexStats(
            backend=self.name,
            n_live=len(rows),
            n_deleted=max(rows.n_free, self._labels.n_stale),
            resident_bytes=rows.resident_bytes + self._labels.nbytes + self._library_bytes(),
            mapped_bytes=rows.mapped_bytes,
            effort=self._effort,
        )

    # ---------------------------------------------------------------- inside

    def _points(self, vectors: F32Matrix) -> F32Matrix:
        """Return vectors as the library sees them: directions under cosine."""
        return unit(vectors) if self._metric == "cosine" else vectors

    def _build_anew(self) -> None:
        if self._rows.n_free > len(self._rows):
            self._rows = self._rows.compacted()
        self._labels = Labels()
        self._rebuild()
        if self._ready:
            self._show(self._rows.live_slots())

    def _show(self, slots: I64Vector) -> None:
        slots = self._showable(slots)
        if len(slots):
            self._take_in(self._labels.give(slots), self._points(self._rows.matrix[slots]))

    def _showable(self, slots: I64Vector) -> I64Vector:
        """Return those of the slots whose rows the library may see."""
        if self._metric == "cosine":
            return slots
        return slots[self._rows.norms[slots] <= _LARGEST_NORM]

    def _may_overflow(self, queries: F32Matrix) -> bool:
        """Tell whether the library has not seen all rows, or must not see these queries."""
        if self._metric == "cosine":
            return False
        if self._labels.n_live < len(self._rows):
            return True
        return bool(kernels.row_norms(queries).max(initial=0) > _LARGEST_NORM)

    def _must_scan(
        self, queries: F32Matrix, k: int, effort: int, slots: I64Vector | None = None
    ) -> bool:
        """Tell whether a search is a scan, as that is cheaper or the only safe way."""
        return self._scan_is_cheaper(k, effort, slots) or self._may_overflow(queries)

    def _effort_or_default(self) -> int:
        return self.default_effort if self._effort is None else self._effort

    def _scan_is_cheaper(self, k: int, effort: int, slots: I64Vector | None) -> bool:
        n, n_rows = len(self._rows) if slots is None else len(slots), len(self._rows)
        return not self._ready or n <= self._rows_worth(k, effort) * (n_rows / max(n, 1))

    def _scanning_effort(self, k: int) -> int:
        """Return the least power of two that makes an unfiltered search a scan."""
        effort = 1
        while effort < MAX_EFFORT // 2 and not self._scan_is_cheaper(k, effort, None):
            effort *= 2
        return effort

    def _nearest_proposed(
        self,
        queries: F32Matrix,
        k: int,
        effort: int,
        slots: I64Vector | None,
        threads: int,
    ) -> tuple[I64Matrix, F64Matrix]:
        """Return slots (n_queries, k), -1 padded, and float64 distances of the best proposed."""
        n, allowed = self._n_candidates(k, effort), None
        if slots is not None:
            allowed = np.zeros(self._rows.n_slots, np.bool_)
            allowed[slots] = True
            excess = len(self._rows) / len(slots)
            n, effort = int(_MARGIN * excess * n) + 1, int(excess * effort) + 1
        n = min(n, self._labels.n_live)
        labels = self._propose(self._points(queries), n, effort, threads)
        if labels is None:
            return np.full((len(queries), k), -1, np.int64), np.full((len(queries), k), np.inf)
        found = self._labels.slots(labels)
        if allowed is not None:
            found[~allowed[found]] = -1
        distances = kernels.refine(queries, self._rows.matrix, found, self._metric)
        return scan.in_order(self._rows, found, distances, k)
