"""What approximate indexes share: rows of their own, and a structure that leads to near ones.

The structure, a graph or a library's index, is shown each row under a label and need not be able to
forget one, or to find enough of them: deletes, replacement, filters, unlimited growth and the order
of answers are the same whatever it can do, and an answer never holds a distance that is not true.
"""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Hashable
from typing import Any, ClassVar, Self

import numpy.typing as npt

from paradox.core.metric import Metric
from paradox.core.types import BoolMask, F32Matrix, I64Vector, Neighbors
from paradox.core.vectors import check_dim, check_recall
from paradox.index.allow import Allow, AllowedRows, allowed_rows
from paradox.index.backend import IndexStats
from paradox.index.labels import Labels
from paradox.index.options import check_effort, check_tuned
from paradox.index.row_index import RowIndex
from paradox.index.rows import Rows, as_run, unit
from paradox.index.shapes import check_batch, check_ids, check_search
from paradox.index.structured import LARGEST_NORM, StructuredRows

_LEAST_NORM = 1e-15
"""Where squares are far from the least that float32 tells from 0."""


_NUMBERS = itertools.count()


class ApproximateIndex(RowIndex):
    """Rows, the labels the structure knows them by, filters, tuning, files.

    Rows so long, or so short, that their squares leave float32 are not shown to the structure
    (faiss ends the process over long ones), and while there are any, or a query is that long, a
    search is a scan too.

    Attributes:
        default_effort: used where neither the caller nor `tune` has set one.
    """

    default_effort: ClassVar[int]
    _rows: Rows

    def __init__(self, dim: int, metric: Metric, *, codes: bool = False) -> None:
        dim = check_dim(dim)
        self._coded_for = metric if codes else None
        super().__init__(dim, metric, Rows(dim, coded_for=self._coded_for))
        self._labels = Labels()
        self._effort: int | None = None
        self._number = next(_NUMBERS)
        self._n_builds = 0

    # ---------------------------------------------------------------- what a structure must do

    @property
    @abstractmethod
    def _searched(self) -> StructuredRows:
        """What a search is to look at: itself, unless it is to be searched beside a writer."""

    @property
    @abstractmethod
    def _ready(self) -> bool:
        """Whether the structure has seen the rows."""

    @abstractmethod
    def _options(self) -> dict[str, Any]:
        """Return the options that make an equal index."""

    @abstractmethod
    def _take_in(self, labels: I64Vector, points: F32Matrix) -> None:
        """Show the structure rows under new labels, ascending from the number shown so far."""

    @abstractmethod
    def _let_go(self, labels: I64Vector) -> None:
        """Tell the structure that labels are stale; it need not do anything."""

    @abstractmethod
    def _must_rebuild(self) -> bool:
        """Tell whether it is time to build anew from the rows there are."""

    @abstractmethod
    def _rebuild(self) -> None:
        """Empty the structure and make it ready for all rows, if there are enough."""

    @abstractmethod
    def _structure_bytes(self) -> int:
        """Return the memory the structure holds, or an estimate of it."""

    @abstractmethod
    def _dump(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return fields and sections from which `_restore` makes the structure again."""

    @abstractmethod
    def _restore(self, fields: dict[str, Any], sections: dict[str, memoryview]) -> None:
        """Make the structure again; rows and labels are there already."""

    # ---------------------------------------------------------------- what an index does

    def check(self, vectors: F32Matrix) -> None:
        """Do nothing: every vector can be kept."""

    def add(self, ids: I64Vector, vectors: F32Matrix) -> None:
        """Insert vectors, replacing those whose id is known."""
        self.check_file()
        check_batch(ids, vectors, self._dim)
        self._put(ids, vectors)

    def _put(self, ids: I64Vector, vectors: npt.NDArray[Any]) -> None:
        """Insert vectors as they are kept."""
        known = self._known_slots(ids)
        slots = self._rows.put(ids, vectors)
        self._let_go(self._labels.take(known))
        if self._must_rebuild():
            self._build_anew()
        elif self._ready:
            self._show(slots)

    def remove(self, ids: I64Vector) -> int:
        """Remove vectors by id; return how many there were.

        Once most of what is held is no answer any more, the index is built anew from the rest.
        """
        self.check_file()
        check_ids(ids)
        self._labels.expect_stale()
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
        self.check_file()
        k, threads = check_search(queries, self._dim, k, threads)
        effort = self._effort_or_default() if effort is None else check_effort(effort)
        searched, allowed = (self._searched, None) if allow is None else self._allowed(allow)
        return searched.nearest(queries, k, effort, allowed, threads)

    @property
    def effort_key(self) -> Hashable:
        """Which build of which index it is; see `IndexBackend.effort_key`."""
        return self._number, self._n_builds

    def tunable(self, k: int) -> bool:
        """Tell whether effort makes a difference now; see `IndexBackend.tunable`."""
        return self._searched.has_effort(k)

    def tune(self, queries: F32Matrix, k: int, recall: float) -> int | None:
        """Set and return the smallest effort that reaches `recall`@k; see `IndexBackend.tune`."""
        self.check_file()
        k, _ = check_search(queries, self._dim, k)
        recall = check_recall(recall)
        least = self._searched.least_effort(queries, k, recall)
        if least is not None:
            self._effort = least
        return self._effort

    def contents(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return what a saved index is made of: fields and sections."""
        fields, sections = self._dump() if self._ready else ({}, {})
        own = {
            "dim": self._dim,
            "metric": self._metric,
            "options": self._options(),
            "effort": self._effort,
            "structure": fields,
        }
        return own, {**self._rows.sections(), "labels": self._labels.section(), **sections}

    @classmethod
    def from_contents(cls, fields: dict[str, Any], sections: dict[str, memoryview]) -> Self:
        """Return the index that `contents` came from."""
        index = cls._empty(fields)
        index._effort = check_tuned(fields["effort"])
        index._rows = index._rows_from(sections)
        index._labels = Labels.from_section(sections["labels"], index._rows.live)
        if fields["structure"]:
            index._restore(fields["structure"], sections)
        return index

    def stats(self) -> IndexStats:
        """Return the index's figures."""
        rows = self._rows
        return IndexStats(
            backend=self.name,
            n_live=len(rows),
            n_deleted=max(rows.n_free, self._labels.n_stale),
            resident_bytes=rows.resident_bytes + self._labels.nbytes + self._structure_bytes(),
            mapped_bytes=rows.mapped_bytes,
            effort=self._effort,
        )

    # ---------------------------------------------------------------- inside

    def _rows_from(self, sections: dict[str, memoryview]) -> Rows:
        return Rows.from_sections(sections, self._dim, coded_for=self._coded_for)

    def _allowed(self, allow: Allow) -> tuple[StructuredRows, AllowedRows]:
        """Return what a filtered search is to look at, and which of its rows are allowed."""
        return self._searched, allowed_rows(allow, self._rows)

    def _known_slots(self, ids: I64Vector) -> I64Vector:
        """Return the slots of rows that are to be replaced; memory for it is taken."""
        known = self._rows.find(ids)
        slots = known[known >= 0]
        if len(slots):
            self._labels.expect_stale()
        return slots

    def _points(self, vectors: F32Matrix) -> F32Matrix:
        """Return vectors as the structure sees them: directions under cosine."""
        return unit(vectors) if self._metric == "cosine" else vectors

    def _build_anew(self) -> None:
        if self._rows.n_free > len(self._rows):
            self._rows = self._rows.compacted()
        self._labels = Labels()
        self._n_builds += 1
        self._rebuild()
        if self._ready:
            self._show(self._rows.live_slots())

    @property
    def _n_shown(self) -> int:
        """Number of rows that the structure has seen."""
        return self._labels.n_live

    def _show(self, slots: I64Vector) -> None:
        slots = self._showable(slots)
        if len(slots):
            rows = self._rows.matrix[as_run(slots)]
            self._take_in(self._labels.give(slots), self._points(rows))

    def _showable(self, slots: I64Vector) -> I64Vector:
        """Return those of the slots whose rows the structure may see."""
        if self._metric == "cosine":
            return slots
        norms = self._rows.norms[slots]
        may_be_seen: BoolMask = (norms <= LARGEST_NORM) & ((norms >= _LEAST_NORM) | (norms == 0))
        return slots[may_be_seen]

    def _effort_or_default(self) -> int:
        return self.default_effort if self._effort is None else self._effort
