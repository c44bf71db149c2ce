"""What approximate indexes share that may keep vectors rounded, or not at all."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from paradox import kernels
from paradox.core.errors import InvalidArgument
from paradox.core.metric import Metric
from paradox.core.types import NO_ID, F32Matrix, F32Vector, I64Vector, Neighbors
from paradox.index import scan
from paradox.index.approximate import ApproximateIndex
from paradox.index.exact import ExactIndex
from paradox.index.options import MAX_EFFORT, check_choice
from paradox.index.shapes import check_query
from paradox.index.structured import LARGEST_NORM

_DTYPES: dict[str, type[np.generic]] = {
    "float32": np.float32,
    "float16": np.float16,
    "none": np.int8,
}


class KeepingIndex(ApproximateIndex):
    """Rows in float32 or float16; or none, and a structure that measures by what it keeps itself.

    Args:
        dim: dimension of the vectors.
        metric: metric of the distances.
        keep: "float32", "float16" or "none".
        codes: keep 8-bit codes of the rows too.

    Raises:
        InvalidArgument: `keep` is none of these.
    """

    def __init__(self, dim: int, metric: Metric, keep: str, *, codes: bool = False) -> None:
        self._keep = check_choice("keep", keep, _DTYPES)
        super().__init__(dim, metric, codes=codes)
        self._narrow = ExactIndex(dim, metric, dtype="float16") if keep == "float16" else None

    @property
    @abstractmethod
    def _kept_dim(self) -> int:
        """Dimensions of a row, which stands for a vector where none are kept."""

    @property
    def _keeps_vectors(self) -> bool:
        return self._keep != "none"

    @property
    def _dtype(self) -> type[np.generic]:
        """In which rows are kept."""
        return _DTYPES[self._keep]

    def check(self, vectors: F32Matrix) -> None:
        """Refuse vectors that cannot be kept.

        Raises:
            InvalidArgument: under keep="float16" beyond its range; under "none" longer than 1e15.
            ZeroVector: under the cosine metric, a vector that float16 rounds to zero.
        """
        if self._narrow is not None:
            self._narrow.check(vectors)
        elif not self._keeps_vectors:
            refuse_long(vectors, self._metric)

    def range_search(self, query: F32Vector, radius: float, *, limit: int) -> Neighbors:
        """Return the nearest `limit` vectors within `radius`; see `IndexBackend.range_search`."""
        check_query(query, self._dim)
        if self._keeps_vectors:
            self.check_file()
            return self._searched.within(query, radius, limit)
        k = max(min(limit, len(self)), 1)
        found = self.search(query[np.newaxis, :], k, effort=MAX_EFFORT).first_row()
        is_within = (found.ids != NO_ID) & (found.distances <= radius)
        return scan.first(found, min(limit, int(np.count_nonzero(is_within))))

    def get(self, ids: I64Vector) -> tuple[I64Vector, F32Matrix]:
        """Return the known ones of `ids`, and their vectors as kept, in float32.

        Raises:
            InvalidArgument: none are kept.
        """
        if not self._keeps_vectors:
            raise InvalidArgument(f"{self.name}: expected vectors to be kept; got keep='none'")
        return super().get(ids)

    def _rounded(self, vectors: F32Matrix) -> npt.NDArray[Any]:
        """Return vectors as they are kept, where they are."""
        return vectors.astype(self._dtype, copy=False)


def refuse_long(vectors: F32Matrix, metric: Metric, where: str = "vectors") -> None:
    """Refuse vectors too long to be scored; under cosine there are none.

    Raises:
        InvalidArgument: names the longest.
    """
    if metric == "cosine":
        return
    norms = kernels.row_norms(vectors)
    if norms.max(initial=0) > LARGEST_NORM:
        row = int(norms.argmax())
        raise InvalidArgument(
            f"{where}: expected norms up to {LARGEST_NORM:g}; got {norms[row]:g} in row {row}"
        )
