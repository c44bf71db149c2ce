"""Graphs whose edges or nodes are scored by codes: SymphonyQG, glass, VSAG, Intel SVS."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from math import ceil

import numpy as np

from benchmarks.peers.contestant import (
    CANDIDATES,
    DEGREE,
    CannotTake,
    Graph,
    Ids,
    ladder,
    library,
    padded,
    widened,
)
from paradox.core.metric import Metric
from paradox.core.types import F32Matrix


class SymphonyQG(Graph):
    """`rabitqlib`: a node's row holds the codes of all its neighbours (Gou et al., SIGMOD 2025).

    The settings are those of its own graph benchmark. Under cosine it searches unit rows by l2;
    vectors of less than 64 dimensions, which it refuses, get zeros behind.
    """

    _LEAST_DIM = 64

    def __init__(self, metric: Metric, *, bits: int) -> None:
        """Take a metric.

        Args:
            metric: of the set.
            bits: 4 or 8 to keep the nodes' vectors as codes, 0 as they are: more, and faster.
        """
        self._library = library("rabitqlib")
        self._metric = "ip" if metric == "ip" else "l2"
        self._bits = bits

    def build(self, base: F32Matrix, threads: int) -> None:
        """See `Contestant`."""
        self._dim = max(base.shape[1], self._LEAST_DIM)
        self._index = self._library.SymqgIndex(self._dim, DEGREE, self._metric, self._bits)
        self._index.build(widened(base, self._dim), CANDIDATES, num_threads=threads)

    def search(self, queries: F32Matrix, k: int, threads: int) -> Ids:
        """See `Contestant`."""
        ids = self._index.search(widened(queries, self._dim), k, max(self.effort, k), threads)[0]
        return padded(ids, len(queries), k)


class Glass(Graph):
    """glass, as `pyglass-portable`: a graph built on 8-bit codes, searched on codes, refined.

    The best 1.5 k are scored again in float16, a factor that it has built in. Under cosine it
    searches unit rows by l2. Dimensions beyond a multiple of 16 do not count in it (recall 0.78
    at 50 dimensions, whatever the effort), so zeros come behind. Under inner product its 4-bit
    codes find what l2 would: a tenth to a third of the greatest products of uneven rows.
    """

    _REFINED = 1.5
    _MULTIPLE = 16

    def __init__(self, metric: Metric, *, codes: str) -> None:
        """Take a metric.

        Args:
            metric: of the set.
            codes: what is searched: `SQ8U`, or `SQ4U`, which its authors advise.
        """
        if metric == "ip" and codes == "SQ4U":
            raise CannotTake("glass ranks 4-bit codes by l2 alone")
        self._library = library("glass")
        self._metric = "IP" if metric == "ip" else "L2"
        self._codes = codes

    def efforts(self, k: int) -> Sequence[int]:
        """See `Approximate`."""
        return ladder(ceil(self._REFINED * k))

    def build(self, base: F32Matrix, threads: int) -> None:
        """See `Contestant`."""
        glass = self._library
        glass.set_num_threads(threads)
        self._dim = -(-base.shape[1] // self._MULTIPLE) * self._MULTIPLE
        rows = widened(base, self._dim)
        graph = glass.Index("HNSW", self._metric, "SQ8U", R=DEGREE, L=CANDIDATES).build(rows)
        self._index = glass.Searcher(graph, rows, self._metric, self._codes, "FP16")
        self._index.optimize(threads)  # tries prefetch distances

    def search(self, queries: F32Matrix, k: int, threads: int) -> Ids:
        """See `Contestant`."""
        queries = widened(queries, self._dim)
        self._index.set_ef(max(self.effort, ceil(self._REFINED * k)))
        if len(queries) == 1:
            return padded(self._index.search(queries[0], k)[0], 1, k)
        return padded(self._index.batch_search(queries, k, threads)[0], len(queries), k)


class Vsag(Graph):
    """VSAG's HGraph on 8-bit codes, the found scored again in float32; no batches.

    A search keeps Python's lock, so batches would gain nothing from threads either.
    """

    threads_of_batches: int | None = 1

    def __init__(self, metric: Metric) -> None:
        self._library = library("pyvsag")
        self._metric = "ip" if metric == "ip" else "l2"
        self._parameters: dict[int, str] = {}

    def build(self, base: F32Matrix, threads: int) -> None:
        """See `Contestant`."""
        n, dim = base.shape
        settings = {
            "dtype": "float32",
            "metric_type": self._metric,
            "dim": dim,
            "index_param": {
                "base_quantization_type": "sq8_uniform",
                "use_reorder": True,
                "precise_quantization_type": "fp32",
                "max_degree": DEGREE,
                "ef_construction": CANDIDATES,
                "build_thread_count": threads,
            },
        }
        self._index = self._library.Index("hgraph", json.dumps(settings))
        self._index.build(np.ascontiguousarray(base).reshape(-1), np.arange(n), n, dim)

    def search(self, queries: F32Matrix, k: int, threads: int) -> Ids:
        """See `Contestant`."""
        effort = max(self.effort, k)
        if effort not in self._parameters:
            self._parameters[effort] = json.dumps({"hgraph": {"ef_search": effort}})
        asked = self._parameters[effort]
        found = [padded(self._index.knn_search(q, k, asked)[0], 1, k) for q in queries]
        return found[0] if len(found) == 1 else np.concatenate(found)


class Svs(Graph):
    """Intel's Scalable Vector Search: a Vamana graph over float16, LVQ or LeanVec codes.

    LVQ and LeanVec end the process on processors that are not Intel's.
    """

    def __init__(self, metric: Metric, *, codes: str) -> None:
        """Take a metric.

        Args:
            metric: of the set; under cosine it searches unit rows by l2.
            codes: `f16`, `lvq4x8` or `leanvec`: half the dimensions in 4 bits, all in 8.
        """
        self._library = library("svs")
        self._metric = metric
        self._codes = codes
        self._threads = 0

    def build(self, base: F32Matrix, threads: int) -> None:
        """See `Contestant`."""
        svs = self._library
        by_product = self._metric == "ip"
        settings = svs.VamanaBuildParameters(
            graph_max_degree=DEGREE, window_size=CANDIDATES, alpha=0.95 if by_product else 1.2
        )
        distance = svs.DistanceType.MIP if by_product else svs.DistanceType.L2
        with tempfile.TemporaryDirectory() as folder:
            rows = self._rows(base, folder)
            self._index = svs.Vamana.build(settings, rows, distance, num_threads=threads)

    def search(self, queries: F32Matrix, k: int, threads: int) -> Ids:
        """See `Contestant`."""
        if threads != self._threads:  # it starts its threads anew
            self._index.num_threads = self._threads = threads
        self._index.search_window_size = max(self.effort, k)
        return padded(self._index.search(queries, k)[0], len(queries), k)

    def _rows(self, base: F32Matrix, folder: str) -> object:
        """Return the rows in the form its builder takes: codes are made from a file."""
        svs = self._library
        if self._codes == "f16":
            return base.astype(np.float16)
        path = f"{folder}/rows.fvecs"
        svs.write_vecs(np.ascontiguousarray(base), path)
        dim = base.shape[1]
        file = svs.VectorDataLoader(path, svs.DataType.float32, dims=dim)
        if self._codes == "lvq4x8":
            return svs.LVQLoader(file, primary=4, residual=8)
        kinds = svs.LeanVecKind
        return svs.LeanVecLoader(file, dim // 2, primary_kind=kinds.lvq4, secondary_kind=kinds.lvq8)
