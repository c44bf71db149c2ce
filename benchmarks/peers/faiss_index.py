"""faiss, by its factory strings."""

from __future__ import annotations

import numpy as np

from benchmarks.peers.contestant import CANDIDATES, Graph, Lists, RefinedLists, directions, library
from paradox.core.metric import Metric
from paradox.core.types import F32Matrix, I64Matrix, I64Vector


class _Faiss:
    """An index by its factory string; cosine is the inner product with directions."""

    effort: int
    depth: int

    def __init__(self, metric: Metric, factory: str) -> None:
        self._library = library("faiss")
        self._metric = metric
        self._factory = factory

    def build(self, base: F32Matrix, threads: int) -> None:
        """See `Contestant`."""
        faiss = self._library
        faiss.omp_set_num_threads(threads)
        metric = faiss.METRIC_L2 if self._metric == "l2" else faiss.METRIC_INNER_PRODUCT
        nlist = round(min(4 * len(base) ** 0.5, len(base) / 39))  # 39 is what faiss trains on
        pairs = base.shape[1] // 2
        factory = self._factory.format(nlist=nlist, pairs=pairs)
        self._index = faiss.index_factory(base.shape[1], factory, metric)
        if "HNSW" in factory:
            self._index.hnsw.efConstruction = CANDIDATES
        rows = directions(base) if self._metric == "cosine" else np.ascontiguousarray(base)
        self._index.train(rows)
        self._index.add(rows)

    def search(self, queries: F32Matrix, k: int, threads: int) -> I64Matrix:
        """See `Contestant`."""
        self._library.omp_set_num_threads(threads)
        ids = self._index.search(queries, k, params=self._parameters(k))[1]
        return np.asarray(ids, np.int64)

    def _parameters(self, k: int) -> object:
        return None


class FaissFlat(_Faiss):
    """The scan of all rows; `blas_threshold` queries times dim and more go through BLAS."""

    def __init__(self, metric: Metric, *, blas_threshold: int | None = None) -> None:
        super().__init__(metric, "Flat")
        if blas_threshold is not None:
            self._library.cvar.distance_compute_blas_threshold = blas_threshold


class FaissGraph(_Faiss, Graph):
    """A graph over float32 rows."""

    def __init__(self, metric: Metric) -> None:
        super().__init__(metric, "HNSW16")
        self._allowed: object = None

    def allow(self, ids: I64Vector) -> None:
        """See `Filtered`; a bit for each row."""
        allowed = np.zeros(self._index.ntotal, np.bool_)
        allowed[ids] = True
        self._allowed = self._library.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))

    def _parameters(self, k: int) -> object:
        return self._library.SearchParametersHNSW(efSearch=max(self.effort, k), sel=self._allowed)


class FaissLists(_Faiss, Lists):
    """Inverted lists of rows."""

    def _parameters(self, k: int) -> object:
        return self._library.SearchParametersIVF(nprobe=self.effort)


class FaissRefinedLists(FaissLists, RefinedLists):
    """Inverted lists of codes, whose best are scored again by their rows."""

    def _parameters(self, k: int) -> object:
        return self._library.IndexRefineSearchParameters(
            k_factor=self.depth, base_index_params=super()._parameters(k)
        )
