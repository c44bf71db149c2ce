"""The libraries that Paradox is measured against, behind one small face.

Each is used as its documentation says, with the settings that the literature compares under
(degree 32, candidate list 200); its import happens in its constructor, in a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from importlib.util import find_spec
from multiprocessing import get_context
from typing import Any, Protocol, TypeVar

import numpy as np

from benchmarks.truth import Truth
from paradox.core.metric import Metric
from paradox.core.types import F32Matrix, I64Matrix

Result = TypeVar("Result")

DEGREE = 32
CANDIDATES = 200
EFFORTS = tuple(dict.fromkeys(round(1.25**i) for i in range(36)))
"""A ladder from 1 to 2,465: steps of a quarter, so an effort is at most that much too big."""


class Contestant(Protocol):
    """An index under measurement. Ids are positions in the base."""

    def build(self, base: F32Matrix, threads: int) -> None:
        """Index (n, dim) float32 rows."""
        ...

    def search(self, queries: F32Matrix, k: int, threads: int) -> I64Matrix:
        """Return (n_queries, k) ids."""
        ...


class Approximate(Contestant, Protocol):
    """A contestant that answers better, and slower, with more effort (ef, nprobe)."""

    effort: int


def climb(
    peer: Approximate, queries: F32Matrix, k: int, recall: float, truth: Truth, base: F32Matrix
) -> None:
    """Set the least effort of `EFFORTS` at which the peer has the recall on these queries."""
    for effort in EFFORTS:
        peer.effort = effort
        if truth.recall(peer.search(queries, k, 1), queries, base) >= recall:
            return


def in_own_process(function: Callable[..., Result], *arguments: object) -> Result:
    """Return what the function returns in a fresh process, so that no library meets another."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(function, *arguments).result()


class Hnswlib:
    """hnswlib, the yardstick."""

    effort = 10

    def __init__(self, metric: Metric) -> None:
        import hnswlib

        self._library: Any = hnswlib
        self._space = metric

    def build(self, base: F32Matrix, threads: int) -> None:
        """See `Contestant`."""
        self._index = self._library.Index(self._space, base.shape[1])
        self._index.init_index(len(base), M=DEGREE // 2, ef_construction=CANDIDATES)
        self._index.add_items(base, num_threads=threads)

    def search(self, queries: F32Matrix, k: int, threads: int) -> I64Matrix:
        """See `Contestant`."""
        self._index.set_ef(max(self.effort, k))
        labels = self._index.knn_query(queries, k, num_threads=threads)[0]
        return np.asarray(labels).astype(np.int64)


class Faiss:
    """faiss, by one of its factory strings; cosine is inner product on directions."""

    effort = 1

    def __init__(self, metric: Metric, factory: str, *, blas_threshold: int | None = None) -> None:
        import faiss

        self._library: Any = faiss
        self._metric = metric
        self._factory = factory
        if blas_threshold is not None:
            faiss.cvar.distance_compute_blas_threshold = blas_threshold

    def build(self, base: F32Matrix, threads: int) -> None:
        """See `Contestant`."""
        faiss = self._library
        faiss.omp_set_num_threads(threads)
        metric = faiss.METRIC_L2 if self._metric == "l2" else faiss.METRIC_INNER_PRODUCT
        nlist = round(min(4 * len(base) ** 0.5, len(base) / 39))  # 39 is what faiss trains on
        factory = self._factory.format(nlist=nlist, half=base.shape[1] // 2)
        self._index = faiss.index_factory(base.shape[1], factory, metric)
        if "HNSW" in factory:
            self._index.hnsw.efConstruction = CANDIDATES
        rows = self._prepared(base)
        self._index.train(rows)
        self._index.add(rows)

    def search(self, queries: F32Matrix, k: int, threads: int) -> I64Matrix:
        """See `Contestant`."""
        self._library.omp_set_num_threads(threads)
        parameters: Any = None
        if "HNSW" in self._factory:
            parameters = self._library.SearchParametersHNSW(efSearch=max(self.effort, k))
        elif "IVF" in self._factory:
            parameters = self._library.SearchParametersIVF(nprobe=max(self.effort, 1))
        if "RFlat" in self._factory:
            parameters = self._library.IndexRefineSearchParameters(
                k_factor=REFINE_FACTOR, base_index_params=parameters
            )
        ids = self._index.search(self._prepared(queries), k, params=parameters)[1]
        return np.asarray(ids).astype(np.int64)

    def _prepared(self, rows: F32Matrix) -> F32Matrix:
        if self._metric == "cosine":
            rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return np.ascontiguousarray(rows, np.float32)


REFINE_FACTOR = 10
"""How many times k candidates of a compressed faiss index are scored again exactly."""


class Usearch:
    """usearch's graph."""

    effort = 10

    def __init__(self, metric: Metric) -> None:
        from usearch.index import Index

        self._library: Any = Index
        self._metric = {"l2": "l2sq", "ip": "ip", "cosine": "cos"}[metric]

    def build(self, base: F32Matrix, threads: int) -> None:
        """See `Contestant`."""
        self._index = self._library(
            ndim=base.shape[1],
            metric=self._metric,
            dtype="f32",
            connectivity=DEGREE // 2,
            expansion_add=CANDIDATES,
        )
        self._index.add(np.arange(len(base)), base, threads=threads)

    def search(self, queries: F32Matrix, k: int, threads: int) -> I64Matrix:
        """See `Contestant`."""
        self._index.expansion_search = max(self.effort, k)
        return _usearch_ids(self._index.search(queries, k, threads=threads), len(queries), k)


class UsearchExact:
    """usearch's scan of all rows."""

    def __init__(self, metric: Metric) -> None:
        self._library: Any = import_module("usearch.index")
        kinds = self._library.MetricKind
        self._metric = {"l2": kinds.L2sq, "ip": kinds.IP, "cosine": kinds.Cos}[metric]

    def build(self, base: F32Matrix, threads: int) -> None:
        """See `Contestant`."""
        self._base = np.array(base)

    def search(self, queries: F32Matrix, k: int, threads: int) -> I64Matrix:
        """See `Contestant`."""
        found = self._library.search(
            self._base, queries, k, self._metric, exact=True, threads=threads
        )
        return _usearch_ids(found, len(queries), k)


class NumpyExact:
    """NumPy: matrix products of blocks of rows, and a partition of each block's scores."""

    _BLOCK = 16_384

    def __init__(self, metric: Metric) -> None:
        self._limit: Any = import_module("threadpoolctl").ThreadpoolController().limit
        self._metric = metric

    def build(self, base: F32Matrix, threads: int) -> None:
        """See `Contestant`."""
        self._base = _scored_by_product(base, self._metric)
        self._offsets = _half_norms(base, self._metric)

    def search(self, queries: F32Matrix, k: int, threads: int) -> I64Matrix:
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
        import torch

        self._library: Any = torch
        self._metric = metric

    def build(self, base: F32Matrix, threads: int) -> None:
        """See `Contestant`."""
        self._base = self._library.from_numpy(_scored_by_product(base, self._metric))
        self._offsets = self._library.from_numpy(_half_norms(base, self._metric))

    def search(self, queries: F32Matrix, k: int, threads: int) -> I64Matrix:
        """See `Contestant`."""
        torch = self._library
        torch.set_num_threads(threads)
        with torch.inference_mode():
            products = torch.from_numpy(np.ascontiguousarray(queries)) @ self._base.T
            found = torch.topk(self._offsets - products, k, dim=1, largest=False).indices
        return np.asarray(found.numpy(), np.int64)


GRAPHS_AND_LISTS: dict[str, Callable[[Metric], Approximate]] = {
    "hnswlib": Hnswlib,
    "faiss-hnsw": lambda metric: Faiss(metric, "HNSW16"),
    "faiss-ivf": lambda metric: Faiss(metric, "IVF{nlist},Flat"),
    "faiss-ivfpq": lambda metric: Faiss(metric, "IVF{nlist},PQ{half}x4fs,RFlat"),
    "usearch": Usearch,
}
"""Peers of `benchmarks.index`."""

SCANS: dict[str, Callable[[Metric], Contestant]] = {
    "faiss-flat": lambda metric: Faiss(metric, "Flat"),
    "faiss-flat-blas": lambda metric: Faiss(metric, "Flat", blas_threshold=2),
    "numpy": NumpyExact,
    "torch": TorchExact,
    "usearch": UsearchExact,
}
"""Peers of `benchmarks.exact`; faiss as shipped, and with BLAS from two queries on."""


def installed(makers: Mapping[str, Callable[[Metric], Contestant]]) -> list[str]:
    """Return the names of the peers whose library is installed."""
    modules = {"faiss": "faiss", "hnswlib": "hnswlib", "usearch": "usearch", "torch": "torch"}
    return [
        name for name in makers if find_spec(modules.get(name.split("-")[0], "numpy")) is not None
    ]


def _scored_by_product(base: F32Matrix, metric: Metric) -> F32Matrix:
    rows = base / np.linalg.norm(base, axis=1, keepdims=True) if metric == "cosine" else base
    return np.array(rows, np.float32)


def _half_norms(base: F32Matrix, metric: Metric) -> F32Matrix:
    """Return what to subtract a product from: half the squared norms under l2, else zeros."""
    if metric != "l2":
        return np.zeros(len(base), np.float32)
    halves: F32Matrix = np.einsum("ij,ij->i", base, base) / 2
    return halves


def _usearch_ids(found: Any, n_queries: int, k: int) -> I64Matrix:
    keys = np.full((n_queries, k), -1, np.int64)
    matched = np.asarray(found.keys).reshape(n_queries, -1)
    keys[:, : matched.shape[1]] = matched
    return keys
