"""Inverted lists of 1-bit codes with 8-bit residuals beside them, for very many vectors."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from paradox.core import config
from paradox.core.errors import InvalidArgument
from paradox.core.metric import Metric
from paradox.core.types import F32Matrix, I64Vector, Neighbors
from paradox.index.allow import AllowedRows
from paradox.index.approximate import CALL_ROWS, ApproximateIndex
from paradox.index.backend import IndexStats
from paradox.index.options import check_int, check_threads
from paradox.index.rows import Rows
from paradox.kernels.ivf import empty_lists

_LEAST_ROWS = 2_000
_ROWS_A_LIST = 40
_LISTS_A_ROOT = 6.0
_SAMPLE_A_LIST = 64
_REGROWTH = 8
_MIN_STALE = 1_000
_CODES_A_ROW = 16
"""Codes scanned, and a share of them measured, in the time of a row of a scan."""


class IvfIndex(ApproximateIndex):
    """Lists around centres; effort is the number of lists that a search looks into.

    Rows are scanned until there are 2,000 of them. Lists are learnt then, and again whenever there
    are eight times as many rows; between, lists that have become long are split.

    Args:
        dim: dimension of the vectors.
        metric: metric of the distances.
        lists: lists to learn; None takes 6 √n, of at least 40 rows each.
        seed: of all that is chosen at random; the lists do not depend on the threads.
        build_threads: threads that train and add; None takes the process's.

    Raises:
        InvalidArgument: an option out of range.
    """

    name = "ivf"
    default_effort = 32

    def __init__(
        self,
        dim: int,
        metric: Metric,
        *,
        lists: int | None = None,
        seed: int = 0,
        build_threads: int | None = None,
    ) -> None:
        super().__init__(dim, metric)
        self._n_lists = None if lists is None else check_int("lists", lists, 1, 10_000_000)
        self._seed = check_int("seed", seed, 0, 2**31 - 1)
        self._build_threads = check_threads("build_threads", build_threads)
        self._clear()

    # Rows are known to the lists by their slots: there is no need for labels.

    def add(self, ids: I64Vector, vectors: F32Matrix) -> None:
        """Insert vectors, replacing those whose id is known."""
        known = self._rows.find(ids)
        self._lists.remove(known[known >= 0])
        slots = self._rows.put(ids, vectors)
        self._take_changes(slots)

    def remove(self, ids: I64Vector) -> int:
        """Remove vectors by id; return how many there were."""
        slots = self._rows.remove(ids)
        self._lists.remove(slots)
        self._take_changes(slots[:0])
        return len(slots)

    def contents(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return what a saved index is made of: fields and sections."""
        fields, sections = self._dump() if self._ready else ({}, {})
        own = {
            "dim": self._dim,
            "metric": self._metric,
            "options": self._options(),
            "effort": self._effort,
            "lists": fields,
        }
        return own, {**self._rows.sections(), **sections}

    @classmethod
    def from_contents(cls, fields: dict[str, Any], sections: dict[str, memoryview]) -> Self:
        """Return the index that `contents` came from."""
        index = cls(fields["dim"], fields["metric"], **fields["options"])
        index._effort = fields["effort"]
        index._rows = Rows.from_sections(sections, index._dim)
        if fields["lists"]:
            index._restore(fields["lists"], sections)
        index._use_rows()
        return index

    def stats(self) -> IndexStats:
        """Return the index's figures."""
        rows = self._rows
        return IndexStats(
            backend=self.name,
            n_live=len(rows),
            n_deleted=max(rows.n_free, self._lists.n_removed),
            resident_bytes=rows.resident_bytes + self._structure_bytes(),
            mapped_bytes=rows.mapped_bytes,
            effort=self._effort,
        )

    # ---------------------------------------------------------------- inside

    def _clear(self) -> None:
        self._lists = empty_lists(self._dim, self._metric, seed=self._seed)
        self._n_trained_for = 0

    def _options(self) -> dict[str, Any]:
        return {
            "lists": self._n_lists,
            "seed": self._seed,
            "build_threads": self._build_threads,
        }

    @property
    def _ready(self) -> bool:
        return self._lists.n_lists > 0

    def _take_changes(self, slots: I64Vector) -> None:
        """Show the lists rows they have not seen, or build them anew."""
        if self._must_rebuild():
            self._build_anew()
        elif self._ready:
            self._show(slots)
        self._use_rows()

    def _show(self, slots: I64Vector) -> None:
        slots = self._showable(slots)
        self._take_in(slots, self._rows.matrix[slots])

    def _take_in(self, labels: I64Vector, points: F32Matrix) -> None:
        self._lists.add(np.ascontiguousarray(points), labels, self._threads())

    def _let_go(self, labels: I64Vector) -> None:
        self._lists.remove(labels)

    def _use_rows(self) -> None:
        """Tell the lists where the rows are now: whatever changes them may move them."""
        matrix, ids = self._rows.matrix, self._rows.ids
        self._lists.use_rows(matrix, ids, matrix[:0], ids[:0])

    def _threads(self) -> int:
        return self._build_threads or config.threads()

    def _may_overflow(self, queries: F32Matrix) -> bool:
        if self._metric != "cosine" and len(self._lists) < len(self._rows):
            return True
        return super()._may_overflow(queries)

    def _must_rebuild(self) -> bool:
        n = len(self._rows)
        if not self._ready:
            return n >= _LEAST_ROWS
        return n >= _REGROWTH * self._n_trained_for or self._rows.n_free > max(_MIN_STALE, n)

    def _build_anew(self) -> None:
        if self._rows.n_free > len(self._rows):
            self._rows = self._rows.compacted()
        self._rebuild()
        if self._ready:
            self._show(self._rows.live_slots())

    def _rebuild(self) -> None:
        self._clear()
        slots = self._showable(self._rows.live_slots())
        n = len(slots)
        if n < _LEAST_ROWS:
            return
        n_lists = self._n_lists or round(min(_LISTS_A_ROOT * n**0.5, n / _ROWS_A_LIST))
        if n > _SAMPLE_A_LIST * n_lists:
            rng = np.random.default_rng(self._seed)
            slots = slots[np.sort(rng.choice(n, _SAMPLE_A_LIST * n_lists, replace=False))]
        sample = np.ascontiguousarray(self._rows.matrix[slots])
        self._lists.train(sample, n_lists, self._threads())
        self._n_trained_for = n

    def _lead(
        self, queries: F32Matrix, k: int, effort: int, allowed: AllowedRows | None, threads: int
    ) -> tuple[Neighbors, bool]:
        ids = np.empty((len(queries), k), np.int64)
        distances = np.empty((len(queries), k), np.float32)
        has_gaps = self._lists.search(
            np.ascontiguousarray(queries),
            k,
            effort,
            None if allowed is None else allowed.mask.view(np.uint8),
            len(self._rows) if allowed is None else len(allowed),
            threads,
            ids,
            distances,
        )
        return Neighbors(ids, distances, effort=effort), has_gaps

    def _rows_worth(self, k: int, effort: int) -> float:
        n_lists = max(self._lists.n_lists, 1)
        codes = len(self._rows) * effort / n_lists
        return CALL_ROWS + codes / _CODES_A_ROW + n_lists**0.5 + k

    def _structure_bytes(self) -> int:
        return self._lists.nbytes

    def _dump(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        n_lists, n_cells, n_blocks, n_places, block_bytes = self._lists.sizes()
        width = self._lists.row_bytes - 8
        sections: dict[str, npt.NDArray[Any]] = {
            "centres": np.empty((n_lists, width), np.int16),
            "scales": np.empty(n_lists, np.float32),
            "cells": np.empty(n_lists, np.uint32),
            "cell_centres": np.empty((n_cells, width), np.int16),
            "cell_scales": np.empty(n_cells, np.float32),
            "sizes": np.empty(n_lists, np.int64),
            "blocks": np.empty((n_blocks, block_bytes), np.uint8),
            "supplements": np.empty((n_places, self._lists.row_bytes), np.uint8),
            "origin": np.array(self._lists.origin(), np.float32),
        }
        self._lists.save_centres(*(sections[name] for name in _CENTRES))
        self._lists.save_lists(sections["sizes"], sections["blocks"], sections["supplements"])
        return {"trained_for": self._n_trained_for, **self._lists.shape()}, sections

    def _restore(self, fields: dict[str, Any], sections: dict[str, memoryview]) -> None:
        width, row_bytes = self._lists.row_bytes - 8, self._lists.row_bytes
        shapes: dict[str, tuple[Any, Any]] = {
            "centres": (np.int16, (-1, width)),
            "scales": (np.float32, -1),
            "cells": (np.uint32, -1),
            "cell_centres": (np.int16, (-1, width)),
            "cell_scales": (np.float32, -1),
            "sizes": (np.int64, -1),
            "blocks": (np.uint8, (-1, self._lists.sizes()[-1])),
            "supplements": (np.uint8, (-1, row_bytes)),
            "origin": (np.float32, -1),
        }
        arrays = [
            np.frombuffer(sections[name], dtype).reshape(shape)
            for name, (dtype, shape) in shapes.items()
        ]
        own = {name: fields[name] for name in ("longest", "unit", "split_size")}
        if not self._lists.restore(*arrays, **own):
            raise InvalidArgument("ivf: expected saved lists; got others")
        self._n_trained_for = fields["trained_for"]


_CENTRES = ("centres", "scales", "cells", "cell_centres", "cell_scales")
