"""faiss, by its factory strings."""

from __future__ import annotations

from math import log2, sqrt
from typing import Any

import numpy as np

from benchmarks.peers.contestant import (
    CANDIDATES,
    Graph,
    Ids,
    Lists,
    RefinedLists,
    directions,
    library,
)
from paradox.core.metric import Metric
from paradox.core.types import F32Matrix, I64Vector

LEAST_TRAINED = 39
"""Rows that faiss wants for each list it learns."""


class _Faiss:
    """An index by its factory string; cosine is the inner product with directions."""

    def __init__(self, metric: Metric, factory: str) -> None:
        self._library = library("faiss")
        self._metric = metric
        self._factory = factory
        self._threads = 0

    def build(self, base: F32Matrix, threads: int) -> None:
        """See `Contestant`."""
        faiss = self._library
        self._use(threads)
        metric = faiss.METRIC_L2 if self._metric == "l2" else faiss.METRIC_INNER_PRODUCT
        n, dim = base.shape
        factory = self._factory.format(dim=dim, nlist=self._nlist(n), pairs=dim // 2)
        self._index = faiss.index_factory(dim, factory, metric)
        self._prepare()
        rows = directions(base) if self._metric == "cosine" else np.ascontiguousarray(base)
        self._index.train(self._sample(rows))
        self._index.add(rows)

    def search(self, queries: F32Matrix, k: int, threads: int) -> Ids:
        """See `Contestant`."""
        if threads != self._threads:
            self._use(threads)
        ids: Ids = self._index.search(queries, k, params=self._parameters(k))[1]
        return ids

    def _use(self, threads: int) -> None:
        """Set the threads of the process, which belongs to this index alone."""
        self._library.omp_set_num_threads(threads)
        self._threads = threads

    def _nlist(self, n: int) -> int:
        return round(min(4 * sqrt(n), n / LEAST_TRAINED))

    def _prepare(self) -> None:
        """Set what the factory string does not."""

    def _sample(self, rows: F32Matrix) -> F32Matrix:
        """Return what to learn from; faiss takes no more than 256 rows a list of it."""
        return rows

    def _parameters(self, k: int) -> object:
        return None


class FaissFlat(_Faiss):
    """The scan of all rows; `blas_threshold` queries times dim and more go through BLAS."""

    def __init__(self, metric: Metric, *, blas_threshold: int | None = None) -> None:
        super().__init__(metric, "Flat")
        if blas_threshold is not None:
            self._library.cvar.distance_compute_blas_threshold = blas_threshold


class _Adjusted(_Faiss):
    """An index whose searches have parameters: an object for each setting, made once.

    Made for each query, and the threads set, they took 15 to 23 of some 45 µs (3,000 × 32).
    """

    effort: int
    depth: int

    def __init__(self, metric: Metric, factory: str) -> None:
        super().__init__(metric, factory)
        self._made: dict[tuple[int, int, int], object] = {}
        self._allowed: object = None

    def allow(self, ids: I64Vector) -> None:
        """See `Filtered`; a bit for each row."""
        allowed = np.zeros(self._index.ntotal, np.bool_)
        allowed[ids] = True
        self._allowed = self._library.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))
        self._made.clear()

    def _parameters(self, k: int) -> object:
        setting = (self.effort, self.depth, k)
        if setting not in self._made:
            self._made[setting] = self._make(k)
        return self._made[setting]

    def _make(self, k: int) -> object:
        """Return the parameters of a search for k rows, among those allowed."""
        raise NotImplementedError


class FaissGraph(_Adjusted, Graph):
    """A graph over float32 rows."""

    def __init__(self, metric: Metric) -> None:
        super().__init__(metric, "HNSW16")

    def _prepare(self) -> None:
        self._index.hnsw.efConstruction = CANDIDATES

    def _make(self, k: int) -> object:
        return self._library.SearchParametersHNSW(efSearch=max(self.effort, k), sel=self._allowed)


class FaissLists(_Adjusted, Lists):
    """Inverted lists of rows."""

    def _make(self, k: int) -> object:
        return self._library.SearchParametersIVF(nprobe=self.effort, sel=self._allowed)


class FaissRefinedLists(FaissLists, RefinedLists):
    """Inverted lists of codes, whose best are scored again by their rows."""

    def _make(self, k: int) -> object:
        return self._refined(super()._make(k))

    def _refined(self, lists: object) -> object:
        """Return the parameters around those of the lists."""
        return self._library.IndexRefineSearchParameters(
            k_factor=self.depth, base_index_params=lists
        )


class FaissRotatedLists(FaissRefinedLists):
    """The same with a rotation in front, which RaBitQ's codes take for granted.

    Recall is 0.005 higher for it at 50 dimensions (GloVe), 0.0005 at 384 (MiniLM texts).
    """

    def _refined(self, lists: object) -> object:
        rotated = self._library.SearchParametersPreTransform(index_params=lists)
        return super()._refined(rotated)


class FaissGraphedLists(FaissRefinedLists):
    """Refined lists, many, of which a graph finds the nearest: faiss's guideline for 1M to 10M.

    It has 65,536 lists there and learns from 30 to 256 rows of each: 50 here, as k-means compares
    each with every list. The graph is built better than by default, so that rows come to the right
    lists. A search keeps as many candidates in it as lists are read: with twice as many recall is
    0.9744 for 0.9732, and a query takes 317 µs for 247 (64 of 4,096 lists, 200,000 × 128).
    """

    _TRAINED = 50
    _LEAST_EF = 32

    def _nlist(self, n: int) -> int:
        return graphed_lists(n)

    def _prepare(self) -> None:
        faiss = self._library
        graph: Any = faiss.downcast_index(faiss.extract_index_ivf(self._index).quantizer)
        graph.hnsw.efConstruction = CANDIDATES
        graph.hnsw.efSearch = 2 * self._LEAST_EF  # of the search for the list of a row

    def _sample(self, rows: F32Matrix) -> F32Matrix:
        n = self._TRAINED * self._nlist(len(rows))
        if n >= len(rows):
            return rows
        return rows[np.random.default_rng(0).permutation(len(rows))[:n]]

    def _make(self, k: int) -> object:
        faiss = self._library
        ef = max(self.effort, self._LEAST_EF)
        lists = faiss.SearchParametersIVF(
            nprobe=self.effort,
            sel=self._allowed,
            quantizer_params=faiss.SearchParametersHNSW(efSearch=ef),
        )
        return self._refined(lists)


def graphed_lists(n: int) -> int:
    """Return how many lists are found by a graph: the power of two nearest to 16 √n, or fewer.

    16,384 of a million rows, 65,536 of ten. There are at least `LEAST_TRAINED` rows a list.
    """
    most = max(1, n // LEAST_TRAINED)
    return int(2 ** min(round(log2(16 * sqrt(n))), int(log2(most))))
