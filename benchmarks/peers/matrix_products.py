"""Exact search by matrix products: NumPy and torch."""

from __future__ import annotations

import numpy as np

from benchmarks.peers.contestant import Ids, directions, library
from paradox.core.metric import Metric
from paradox.core.types import F32Matrix, F32Vector


class NumpyExact:
    """NumPy: matrix products of blocks of rows, and a partition of each block's scores."""

    _BLOCK = 16_384

    def __init__(self, metric: Metric) -> None:
        self._limit = library("threadpoolctl").ThreadpoolController().limit
        self._metric = metric

    def build(self, base: F32Matrix, threads: int) -> None:
        """See `Contestant`."""
        self._base = _scored_by_product(base, self._metric)
        self._offsets = _half_norms(base, self._metric)

    def search(self, queries: F32Matrix, k: int, threads: int) -> Ids:
        """See `Contestant`."""
        ids = np.empty((len(queries), 0), np.int64)
        best = np.empty((len(queries), 0), np.float32)
        with self._limit(limits=threads, user_api="blas"):
            for start in range(0, len(self._base), self._BLOCK):
                block = slice(start, start + self._BLOCK)
                scores = self._offsets[block] - queries @ self._base[block].T
                kept = np.argpartition(scores, min(k, scores.shape[1]) - 1, axis=1)[:, :k]
                best = np.concatenate([best, np.take_along_axis(scores, kept, axis=1)], axis=1)
                ids = np.concatenate([ids, kept + start], axis=1)
        order = np.argsort(best, axis=1)[:, :k]
        return np.take_along_axis(ids, order, axis=1)


class TorchExact:
    """torch: one matrix product and topk."""

    def __init__(self, metric: Metric) -> None:
        self._library = library("torch")
        self._metric = metric

    def build(self, base: F32Matrix, threads: int) -> None:
        """See `Contestant`."""
        self._base = self._library.from_numpy(_scored_by_product(base, self._metric))
        self._offsets = self._library.from_numpy(_half_norms(base, self._metric))

    def search(self, queries: F32Matrix, k: int, threads: int) -> Ids:
        """See `Contestant`."""
        torch = self._library
        torch.set_num_threads(threads)
        with torch.inference_mode():
            products = torch.from_numpy(np.ascontiguousarray(queries)) @ self._base.T
            found = torch.topk(self._offsets - products, k, dim=1, largest=False).indices
        ids: Ids = found.numpy()
        return ids


def _scored_by_product(base: F32Matrix, metric: Metric) -> F32Matrix:
    return directions(base) if metric == "cosine" else np.array(base)


def _half_norms(base: F32Matrix, metric: Metric) -> F32Vector:
    """Return what to subtract a product from: half the squared norms under l2, else zeros."""
    if metric != "l2":
        return np.zeros(len(base), np.float32)
    halves: F32Vector = np.einsum("ij,ij->i", base, base) / 2
    return halves
