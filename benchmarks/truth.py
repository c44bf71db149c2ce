"""The exact answers in float64, and how other answers compare with them, ties aside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paradox.core.metric import Metric
from paradox.core.types import F32Matrix, F64Matrix, I64Matrix, I64Vector

TIE = 1e-9
"""Relative to the k-th distance: two float64 roundings apart, far below float32's 6e-8."""
_BLOCK = 16_384


def distances(queries: F32Matrix, rows: F32Matrix, metric: Metric) -> F64Matrix:
    """Return (n_queries, n) float64 distances as `paradox.core.metric` defines them."""
    q, x = queries.astype(np.float64), rows.astype(np.float64)
    products: F64Matrix = q @ x.T
    if metric == "ip":
        return -products
    squared_q, squared_x = (q * q).sum(axis=1), (x * x).sum(axis=1)
    if metric == "cosine":
        cosines: F64Matrix = products / np.sqrt(squared_q)[:, None] / np.sqrt(squared_x)
        return 1 - cosines
    squared: F64Matrix = squared_q[:, None] - 2 * products + squared_x
    return squared


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """The k nearest rows of each query.

    Attributes:
        metric: the metric of the distances.
        ids: (n_queries, k) int64 positions of rows, nearest first.
        nearest: (n_queries, k) float64 distances.
    """

    metric: Metric
    ids: I64Matrix
    nearest: F64Matrix

    @classmethod
    def of(cls, queries: F32Matrix, rows: F32Matrix, k: int, metric: Metric) -> Truth:
        """Find it by comparing each query with each row in float64, a block of rows at a time."""
        k = min(k, len(rows))
        ids = np.full((len(queries), k), -1)
        nearest = np.full((len(queries), k), np.inf)
        for start in range(0, len(rows), _BLOCK):
            block = distances(queries, rows[start : start + _BLOCK], metric)
            is_near = block < nearest[:, -1:]
            for i in np.flatnonzero(is_near.any(axis=1)):
                columns = np.flatnonzero(is_near[i])
                both = np.concatenate([nearest[i], block[i, columns]])
                best = np.argsort(both, kind="stable")[:k]
                nearest[i], ids[i] = both[best], np.concatenate([ids[i], start + columns])[best]
        return cls(metric, ids, nearest)

    @classmethod
    def among(
        cls, ids: I64Vector, queries: F32Matrix, rows: F32Matrix, k: int, metric: Metric
    ) -> Truth:
        """Find the k nearest of some of the rows, those at the positions `ids`."""
        some = cls.of(queries, rows[ids], k, metric)
        return cls(metric, ids[some.ids], some.nearest)

    def slice(self, queries: slice) -> Truth:
        """Return the truth of some of the queries."""
        return Truth(self.metric, self.ids[queries], self.nearest[queries])

    def first(self, k: int) -> Truth:
        """Return the truth for fewer neighbours."""
        return Truth(self.metric, self.ids[:, :k], self.nearest[:, :k])

    def found(self, ids: I64Matrix, queries: F32Matrix, rows: F32Matrix) -> npt.NDArray[np.int64]:
        """Return how many of each query's k nearest an answer has; a tie counts as found.

        Args:
            ids: (n_queries, k or more) int64; -1 pads.
            queries: (n_queries, dim) those asked.
            rows: (n, dim) all rows.
        """
        k = self.ids.shape[1]
        counts = np.empty(len(ids), np.int64)
        for i, answer in enumerate(ids[:, :k]):
            hits = np.isin(answer, self.ids[i])
            kth = self.nearest[i, -1]
            others = np.unique(answer[~hits & (answer >= 0)])
            ties = 0
            if len(others):
                d = distances(queries[i : i + 1], rows[others], self.metric)
                ties = int((d <= kth + TIE * max(1.0, abs(kth))).sum())
            counts[i] = min(k, len(np.unique(answer[hits])) + ties)
        return counts

    def recall(self, ids: I64Matrix, queries: F32Matrix, rows: F32Matrix) -> float:
        """Return the mean share of the k nearest that an answer has."""
        return float(self.found(ids, queries, rows).mean() / self.ids.shape[1])
