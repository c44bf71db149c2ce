"""The 8-bit codes of an index's rows, slot by slot."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from paradox import kernels
from paradox.core.metric import Metric
from paradox.core.types import F32Matrix, I64Vector


class RowCodes:
    """Codes and terms of rows in slots, made as rows come and go.

    They are never saved: an answer is certified by codes that are those of the rows, and making
    them again costs less than reading them from a disk and verifying them would.

    Args:
        dim: dimension of the rows.
        dtype: of the rows; int8 rows are codes themselves.
        metric: what the bounds are of.
    """

    def __init__(self, dim: int, dtype: npt.DTypeLike, metric: Metric) -> None:
        self.metric: Metric = metric
        self._values: npt.NDArray[Any] | None = None
        if dtype != np.int8:
            self._values = np.empty((0, kernels.code_width(dim)), np.uint8)
        self._terms: F32Matrix = np.empty((kernels.N_TERMS, 0), np.float32)

    @property
    def nbytes(self) -> int:
        """Memory held."""
        return self._terms.nbytes + (0 if self._values is None else self._values.nbytes)

    def of(self, matrix: npt.NDArray[Any]) -> kernels.Codes:
        """Return the codes of the rows in the first slots."""
        n = len(matrix)
        values = matrix if self._values is None else self._values[:n]
        return kernels.Codes(values, self._terms[:, :n])

    def coded(self, rows: npt.NDArray[Any]) -> kernels.Codes:
        """Return the codes of rows, for `put`."""
        return kernels.encode(rows, self.metric)

    def put(self, slots: I64Vector | slice, codes: kernels.Codes) -> None:
        """Keep the codes of some slots."""
        self._terms[:, slots] = codes.terms
        if self._values is not None:
            self._values[slots] = codes.values

    def fill(self, matrix: npt.NDArray[Any]) -> None:
        """Code the rows of all slots."""
        codes = kernels.encode(matrix, self.metric)
        self._terms = codes.terms
        if self._values is not None:
            self._values = codes.values

    def reserve(self, n_slots: int, capacity: int) -> None:
        """Make room, keeping the first slots."""
        terms = np.empty((len(self._terms), capacity), np.float32)
        terms[:, :n_slots] = self._terms[:, :n_slots]
        self._terms = terms
        if self._values is not None:
            values = np.empty((capacity, self._values.shape[1]), np.uint8)
            values[:n_slots] = self._values[:n_slots]
            self._values = values
