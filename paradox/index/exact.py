"""The exact index: every search reads every vector, and every answer is certified."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from paradox.core.errors import InvalidArgument, ZeroVector
from paradox.core.metric import Metric
from paradox.core.types import F32Matrix, I64Vector, Neighbors
from paradox.core.vectors import check_dim, check_recall
from paradox.index import scan
from paradox.index.allow import Allow, allowed_rows
from paradox.index.backend import IndexStats
from paradox.index.options import check_choice, check_effort
from paradox.index.row_index import RowIndex
from paradox.index.rows import Rows
from paradox.index.shapes import check_batch, check_ids, check_search

_DTYPES: dict[str, type[np.generic]] = {
    "float32": np.float32,
    "float16": np.float16,
    "int8": np.int8,
}

_LEAST_CODED_DIM = 49
"""From where a row of codes is as long as what the kernels read at once: a query of 200k rows takes
1.05 times as long over codes as over float32 at 32 dimensions, a third at 50 (AMD Zen 3)."""


class ExactIndex(RowIndex):
    """A scan whose answers equal a float64 brute force, equal distances ordered by id.

    It has no effort to choose: `search` checks the one given, and spends all there is.

    Args:
        dim: dimension of the vectors.
        metric: metric of the distances.
        dtype: how vectors are kept: "float32"; "float16", rounded, in half the memory; or "int8",
            for vectors of whole numbers from -128 to 127. Distances are to the vectors as kept.
        codes: whether 8-bit codes are kept too, a byte a dimension and 16 a vector, by which a scan
            reads a quarter as much; None keeps them where they pay.

    Raises:
        InvalidArgument: another dtype, or codes that are neither True, False nor None.
    """

    name = "exact"

    def __init__(
        self, dim: int, metric: Metric, *, dtype: str = "float32", codes: bool | None = None
    ) -> None:
        self._dtype = check_choice("dtype", dtype, _DTYPES)
        if codes is not None and not isinstance(codes, bool):
            raise InvalidArgument(f"codes: expected True, False or None; got {codes!r}")
        dim = check_dim(dim)
        self._codes = codes
        is_coded = dim >= _LEAST_CODED_DIM if codes is None else codes
        self._coded_for = metric if is_coded else None
        super().__init__(dim, metric, Rows(dim, _DTYPES[self._dtype], coded_for=self._coded_for))

    def check(self, vectors: F32Matrix) -> None:
        """Refuse vectors that the dtype cannot keep.

        Raises:
            InvalidArgument: under "int8" not whole numbers from -128 to 127, under "float16"
                beyond its range.
            ZeroVector: under the cosine metric, a vector that float16 rounds to zero.
        """
        if self._dtype != "float32":
            self._narrowed(vectors)

    def add(self, ids: I64Vector, vectors: F32Matrix) -> None:
        """Insert vectors, replacing those whose id is known; raises as `check` does."""
        self.check_file()
        check_batch(ids, vectors, self._dim)
        self._rows.put(ids, self._narrowed(vectors))

    def remove(self, ids: I64Vector) -> int:
        """Remove vectors by id; return how many there were.

        Once most slots are free, the rest move together and memory is given back.
        """
        self.check_file()
        check_ids(ids)
        n_removed = len(self._rows.remove(ids))
        if self._rows.n_free > len(self._rows):
            self._rows = self._rows.compacted()
        return n_removed

    def search(
        self,
        queries: F32Matrix,
        k: int,
        *,
        effort: int | None = None,
        allow: Allow | None = None,
        threads: int = 1,
    ) -> Neighbors:
        """Return the k nearest vectors of each query, certified; see `IndexBackend.search`."""
        self.check_file()
        k, threads = check_search(queries, self._dim, k, threads)
        if effort is not None:
            check_effort(effort)
        allowed = None if allow is None else allowed_rows(allow, self._rows)
        found = scan.nearest(self._rows, queries, k, self._metric, allowed=allowed, threads=threads)
        return scan.neighbors(self._rows, *found, certified=True)

    @property
    def effort_key(self) -> Hashable:
        """Return its name; see `IndexBackend.effort_key`."""
        return self.name

    def tunable(self, k: int) -> bool:
        """Return False: there is no effort to choose."""
        return False

    def tune(self, queries: F32Matrix, k: int, recall: float) -> int | None:
        """Return None: there is no effort to choose."""
        check_search(queries, self._dim, k)
        check_recall(recall)
        return None

    def contents(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return what a saved index is made of: fields and sections."""
        options = {"dtype": self._dtype, "codes": self._codes}
        fields = {"dim": self._dim, "metric": self._metric, "options": options}
        return fields, self._rows.sections()

    @classmethod
    def from_contents(cls, fields: dict[str, Any], sections: dict[str, memoryview]) -> Self:
        """Return the index that `contents` came from."""
        index = cls._empty(fields)
        index._rows = Rows.from_sections(
            sections, index._dim, _DTYPES[index._dtype], coded_for=index._coded_for
        )
        return index

    def stats(self) -> IndexStats:
        """Return the index's figures."""
        return IndexStats(
            backend=self.name,
            n_live=len(self._rows),
            n_deleted=self._rows.n_free,
            resident_bytes=self._rows.resident_bytes,
            mapped_bytes=self._rows.mapped_bytes,
            effort=None,
        )

    def _narrowed(self, vectors: F32Matrix) -> npt.NDArray[Any]:
        if self._dtype == "float32":
            return vectors
        if self._dtype == "int8":
            whole = (np.rint(vectors) == vectors) & (vectors >= -128) & (vectors <= 127)
            _refuse(~whole, vectors, "whole numbers from -128 to 127 under dtype='int8'")
            return vectors.astype(np.int8)
        with np.errstate(over="ignore"):
            narrow = vectors.astype(np.float16)
        _refuse(~np.isfinite(narrow), vectors, "values within ±65504 under dtype='float16'")
        if self._metric == "cosine" and not narrow.any(axis=1).all():
            row = int(np.argmin(narrow.any(axis=1)))
            raise ZeroVector(f"vectors: expected a direction; float16 rounds row {row} to zero")
        return narrow


def _refuse(wrong: npt.NDArray[np.bool_], vectors: F32Matrix, expected: str) -> None:
    if wrong.any():
        row, column = np.argwhere(wrong)[0].tolist()
        raise InvalidArgument(
            f"vectors: expected {expected}; got {vectors[row, column]} in row {row}, "
            f"column {column}"
        )
