"""hnswlib, the yardstick, and usearch: graphs over rows as they are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks import native
from benchmarks.peers.contestant import CANDIDATES, DEGREE, Graph, Ids, library, padded
from paradox.core.metric import Metric
from paradox.core.types import F32Matrix, I64Vector


class Hnswlib(Graph):
    """hnswlib, compiled for this machine where `make peers` did so, else for any: SSE alone.

    With AVX-512 it builds in 23 s, 41 with SSE, and answers in 710 µs, 988 with SSE (processor
    time, medians of three, ef 100, 20,000 × 384 random normals, one thread, Intel Xeon at 2.5 GHz).
    With AVX2 it builds 1.2 times as fast and searches no faster (Zen 3).

    Args:
        metric: of the distances.
        room: rows that may be in it beyond those it is built on; a row takes the place of one that
            was removed, where there is one.
    """

    def __init__(self, metric: Metric, room: int = 0) -> None:
        self._library = native.imported("hnswlib")
        self._space = metric
        self._room = room
        self._filter: Callable[[int], bool] | None = None

    def build(self, base: F32Matrix, threads: int) -> None:
        """See `Contestant`."""
        self._index = self._library.Index(self._space, base.shape[1])
        self._index.init_index(
            len(base) + self._room,
            M=DEGREE // 2,
            ef_construction=CANDIDATES,
            allow_replace_deleted=True,  # costs nothing until a row is removed
        )
        self._index.add_items(base, num_threads=threads)

    def search(self, queries: F32Matrix, k: int, threads: int) -> Ids:
        """See `Contestant`."""
        self._index.set_ef(max(self.effort, k))
        try:
            labels = self._index.knn_query(queries, k, num_threads=threads, filter=self._filter)[0]
        except RuntimeError:  # that it found fewer than k; what it found is lost
            if self._filter is None:
                raise
            labels = np.empty((len(queries), 0), np.int64)
        return padded(labels, len(queries), k)

    def allow(self, ids: I64Vector) -> None:
        """See `Filtered`. Its filter is a function in Python, called for each row it meets.

        Looking into a list is the fastest there is: into a set takes 1.5 times as long, by a lambda
        1.75 times (5,000 rows, a tenth allowed).
        """
        allowed = np.zeros(self._index.get_current_count(), np.bool_)
        allowed[ids] = True
        self._filter = allowed.tolist().__getitem__

    def add(self, ids: I64Vector, rows: F32Matrix, threads: int) -> None:
        """See `Changing`."""
        self._index.add_items(rows, ids, num_threads=threads, replace_deleted=True)

    def remove(self, ids: I64Vector) -> None:
        """See `Changing`."""
        for label in ids.tolist():
            self._index.mark_deleted(label)


class Usearch(Graph):
    """usearch's graph, over rows in one of its number formats."""

    def __init__(self, metric: Metric, dtype: str) -> None:
        self._library = library("usearch.index").Index
        self._metric = {"l2": "l2sq", "ip": "ip", "cosine": "cos"}[metric]
        self._dtype = dtype

    def build(self, base: F32Matrix, threads: int) -> None:
        """See `Contestant`."""
        self._index = self._library(
            ndim=base.shape[1],
            metric=self._metric,
            dtype=self._dtype,
            connectivity=DEGREE // 2,
            expansion_add=CANDIDATES,
        )
        self._index.add(np.arange(len(base)), base, threads=threads)

    def search(self, queries: F32Matrix, k: int, threads: int) -> Ids:
        """See `Contestant`."""
        self._index.expansion_search = max(self.effort, k)
        return padded(self._index.search(queries, k, threads=threads).keys, len(queries), k)


class UsearchExact:
    """usearch's scan of all rows."""

    def __init__(self, metric: Metric) -> None:
        self._library = library("usearch.index")
        kinds = self._library.MetricKind
        self._metric = {"l2": kinds.L2sq, "ip": kinds.IP, "cosine": kinds.Cos}[metric]

    def build(self, base: F32Matrix, threads: int) -> None:
        """See `Contestant`."""
        self._base = np.array(base)

    def search(self, queries: F32Matrix, k: int, threads: int) -> Ids:
        """See `Contestant`."""
        found = self._library.search(
            self._base, queries, k, self._metric, exact=True, threads=threads
        )
        return padded(found.keys, len(queries), k)
