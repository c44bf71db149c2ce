"""Scans of codes whose best are scored again: ScaNN's partitions, turbovec's whole scan."""

from __future__ import annotations

import os

import numpy as np

from benchmarks.peers.contestant import (
    CannotTake,
    Graph,
    Ids,
    RefinedLists,
    library,
    padded,
    widened,
)
from paradox.core.metric import Metric
from paradox.core.types import BoolMask, F32Matrix, I64Vector


class Scann(RefinedLists):
    """ScaNN: partitions, 4-bit codes of two dimensions, reordering by rows.

    By inner product with spilling (SOAR) and anisotropic codes, as its authors advise; under l2
    it has neither.
    """

    def __init__(self, metric: Metric) -> None:
        self._library = library("scann").scann_ops_pybind
        self._by_product = metric != "l2"
        self._threads = 0

    def build(self, base: F32Matrix, threads: int) -> None:
        """See `Contestant`."""
        distance = "dot_product" if self._by_product else "squared_l2"
        builder = self._library.builder(base, 10, distance)
        builder.set_n_training_threads(threads)
        lists = builder.tree(
            num_leaves=round(2 * len(base) ** 0.5),
            num_leaves_to_search=10,
            soar_lambda=1.5 if self._by_product else None,
        )
        threshold = 0.2 if self._by_product else float("nan")
        coded = lists.score_ah(2, anisotropic_quantization_threshold=threshold)
        self._index = coded.reorder(100).build()

    def search(self, queries: F32Matrix, k: int, threads: int) -> Ids:
        """See `Contestant`."""
        knobs = (k, self.depth * k, self.effort)
        if len(queries) == 1:
            return padded(self._index.search(queries[0], *knobs)[0], 1, k)
        if threads == 1:
            return padded(self._index.search_batched(queries, *knobs)[0], len(queries), k)
        if threads != self._threads:
            self._index.set_num_threads(threads)
            self._threads = threads
        each = -(-len(queries) // threads)
        found = self._index.search_batched_parallel(queries, *knobs, batch_size=each)
        return padded(found[0], len(queries), k)


class Turbovec(Graph):
    """turbovec: every 2-bit code is scanned, and `effort` candidates scored again by NumPy.

    Its threads are fixed when it is loaded, and a second one slows single queries down (1.4 for
    0.4 ms of processor time at 20,000 × 384), so it has one.
    """

    threads_of_batches: int | None = 1
    _MULTIPLE = 8
    _SAMPLE = 4_096

    def __init__(self, metric: Metric) -> None:
        if metric == "l2":
            raise CannotTake("turbovec ranks by inner product alone")
        os.putenv("RAYON_NUM_THREADS", "1")
        self._library = library("turbovec").TurboQuantIndex
        self._masked: dict[str, BoolMask] = {}

    def build(self, base: F32Matrix, threads: int) -> None:
        """See `Contestant`."""
        self._base = np.array(base)  # it keeps codes alone
        self._dim = -(-base.shape[1] // self._MULTIPLE) * self._MULTIPLE
        rows = widened(base, self._dim)
        self._index = self._library(self._dim, 2)
        sample = np.random.default_rng(0).permutation(len(rows))[: self._SAMPLE]
        self._index.calibrate(rows[sample])
        self._index.add(rows)
        self._index.prepare()

    def search(self, queries: F32Matrix, k: int, threads: int) -> Ids:
        """See `Contestant`."""
        n = max(self.effort, k)
        likely = self._index.search(widened(queries, self._dim), n, **self._masked)[1]
        scores = np.einsum("qcd,qd->qc", self._base[likely], queries)
        best = np.argsort(-scores, axis=1)[:, :k]
        return np.take_along_axis(likely, best, axis=1)

    def allow(self, ids: I64Vector) -> None:
        """See `Filtered`."""
        mask = np.zeros(len(self._base), np.bool_)
        mask[ids] = True
        self._masked = {"mask": mask}
