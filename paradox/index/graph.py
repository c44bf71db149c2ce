"""The native quantised graph: fast to build, fast to search, in little memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from paradox.core import config
from paradox.core.errors import InvalidArgument
from paradox.core.metric import Metric
from paradox.core.types import F32Matrix, I64Vector, Neighbors
from paradox.index.allow import AllowedRows
from paradox.index.approximate import ApproximateIndex
from paradox.index.native_search import nearest_rows
from paradox.index.options import check_int, check_threads
from paradox.kernels.graph import BLOCK_EDGES, MOST_EDGES, empty_graph

_MIN_STALE = 1_000
_CALL_ROWS, _ROWS_AN_EXPANSION = 200, 5
"""Rows scanned in the time a search takes beside expanding nodes, and in that of expanding one: 20
and 0.6 µs, where a row of 384 dimensions takes 0.1 µs."""


class GraphIndex(ApproximateIndex):
    """A proximity graph that scores all edges of a node in one sequential read.

    Args:
        dim: dimension of the vectors.
        metric: metric of the distances.
        degree: edges of a node, a multiple of 32.
        build_effort: width of the searches that look for a node's neighbours.
        seed: of all that is chosen at random; the graph does not depend on the threads.
        codes: keep codes of the rows too: of 8 bits, so that scans, of few rows and of those that
            a filter allows, read a quarter of the bytes; and of 1 bit, with which a search of much
            effort looks at all rows where edges would take longer.
        build_threads: threads of a build; None takes the process's.

    Raises:
        InvalidArgument: an option out of range.
    """

    name = "graph"
    default_effort = 64

    def __init__(
        self,
        dim: int,
        metric: Metric,
        *,
        degree: int = 32,
        build_effort: int = 128,
        seed: int = 0,
        build_threads: int | None = None,
        codes: bool = True,
    ) -> None:
        super().__init__(dim, metric, codes=codes)
        self._codes = codes
        self._degree = check_int("degree", degree, BLOCK_EDGES, MOST_EDGES)
        if degree % BLOCK_EDGES:
            raise InvalidArgument(f"degree: expected a multiple of {BLOCK_EDGES}; got {degree}")
        self._build_effort = check_int("build_effort", build_effort, 1, 10_000)
        self._seed = check_int("seed", seed, 0, 2**31 - 1)
        self._build_threads = check_threads("build_threads", build_threads)
        self._n_reachable = 0
        self._rebuild()

    def add(self, ids: I64Vector, vectors: F32Matrix) -> None:
        """Insert vectors, replacing those whose id is known."""
        try:
            super().add(ids, vectors)
        finally:
            self._use_rows()

    def remove(self, ids: I64Vector) -> int:
        """Remove vectors by id; return how many there were."""
        try:
            return super().remove(ids)
        finally:
            self._use_rows()

    def _options(self) -> dict[str, Any]:
        return {
            "degree": self._degree,
            "build_effort": self._build_effort,
            "seed": self._seed,
            "build_threads": self._build_threads,
            "codes": self._codes,
        }

    @property
    def _ready(self) -> bool:
        return self._graph.n_connected == len(self._labels)

    def _points(self, vectors: F32Matrix) -> F32Matrix:
        return vectors  # the graph takes directions itself

    def _take_in(self, labels: I64Vector, points: F32Matrix) -> None:
        self._graph.add(np.ascontiguousarray(points), self._threads())
        if self._graph.is_outgrown:
            self._build_anew()

    def _let_go(self, labels: I64Vector) -> None:
        if self._ready:
            self._graph.remove(np.ascontiguousarray(labels), self._threads())

    def _use_rows(self) -> None:
        """Tell the graph where the rows are now: whatever changes them may move them."""
        rows = self._rows
        if len(rows) and len(self._labels):
            self._graph.use_rows(rows.matrix, rows.norms, rows.ids, self._labels.section())
        is_whole = self._ready and self._n_shown == len(rows)
        self._n_reachable = len(rows) if is_whole else 0

    def _threads(self) -> int:
        return self._build_threads or config.threads()

    def _must_rebuild(self) -> bool:
        # A graph that ran out of memory on the way is of no use: searches scan until it is whole.
        return not self._ready or self._labels.n_stale > max(_MIN_STALE, len(self._rows))

    def _rebuild(self) -> None:
        self._graph = empty_graph(
            self._dim,
            self._metric,
            degree=self._degree,
            build_effort=self._build_effort,
            seed=self._seed,
            sketch=self._codes,
        )

    def _lead(
        self, queries: F32Matrix, k: int, effort: int, allowed: AllowedRows | None, threads: int
    ) -> tuple[Neighbors, bool]:
        return nearest_rows(self._graph, self._rows, queries, k, effort, allowed, threads)

    def _must_scan(
        self, queries: F32Matrix, k: int, effort: int, allowed: AllowedRows | None = None
    ) -> bool:
        # Most searches are decided by one number, which is kept: the whole question takes 1 µs, and
        # the norms of queries 3. The graph finds nothing for those that are too long.
        if allowed is None and self._n_reachable > self._rows_worth(k, effort):
            return False
        return super()._must_scan(queries, k, effort, allowed)

    def _rows_worth(self, k: int, effort: int) -> float:
        return _CALL_ROWS + _ROWS_AN_EXPANSION * max(k, effort)

    def _structure_bytes(self) -> int:
        return self._graph.nbytes

    def _dump(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        nodes = np.empty((len(self._graph), self._graph.node_bytes), np.uint8)
        self._graph.save_nodes(nodes)
        state = self._graph.state()
        sections: dict[str, npt.NDArray[Any]] = {
            "nodes": nodes,
            "origin": np.array(state.pop("origin"), np.float32),
            "entries": np.array(state.pop("entries"), np.uint32),
        }
        return state, sections

    def _restore(self, fields: dict[str, Any], sections: dict[str, memoryview]) -> None:
        nodes = np.frombuffer(sections["nodes"], np.uint8).reshape(-1, self._graph.node_bytes)
        lists = {
            "origin": np.frombuffer(sections["origin"], np.float32).tolist(),
            "entries": np.frombuffer(sections["entries"], np.uint32).tolist(),
        }
        if len(nodes) != len(self._labels):
            raise InvalidArgument(
                f"graph: expected {len(self._labels)} nodes, one a label; got {len(nodes)}"
            )
        if not self._graph.restore(nodes, fields | lists):
            raise InvalidArgument("graph: expected the nodes of a graph; got others")
        self._use_rows()
