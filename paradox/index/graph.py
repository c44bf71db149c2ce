"""The native quantised graph: fast to build, fast to search, in little memory."""

from __future__ import annotations

import threading
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from paradox.core import config
from paradox.core.errors import InvalidArgument
from paradox.core.metric import Metric
from paradox.core.types import F32Matrix, F32Vector, I64Vector, Neighbors
from paradox.index import scan
from paradox.index.allow import Allow, AllowedRows, AllowList, allowed_rows
from paradox.index.approximate import ApproximateIndex
from paradox.index.labels import Labels
from paradox.index.native_search import nearest_rows
from paradox.index.options import check_int, check_threads
from paradox.index.rows_view import RowsView
from paradox.index.structured import StructuredRows
from paradox.index.versioned_rows import MOST_WRITES, VersionedRows
from paradox.kernels.graph import BLOCK_EDGES, MOST_EDGES, Graph, empty_graph

_MIN_STALE = 1_000
_CALL_ROWS, _ROWS_AN_EXPANSION = 200, 5
"""Rows scanned in the time a search takes beside expanding nodes, and in that of expanding one: 20
and 0.6 µs, where a row of 384 dimensions takes 0.1 µs."""


class GraphIndex(ApproximateIndex):
    """A proximity graph that scores all edges of a node in one sequential read.

    Searches run beside one writer: each looks at the view that the last whole write left.

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
    _rows_kind = VersionedRows
    _rows: VersionedRows
    _graph: Graph

    def __init__(
        self,
        dim: int,
        metric: Metric,
        *,
        degree: int = 32,
        build_effort: int = 96,
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
        self._rebuild()
        self._finding = threading.Lock()  # held while ids are looked up, or moved
        self._publish()

    def __len__(self) -> int:
        return len(self._view.rows)

    @property
    def beside_writer(self) -> Self:
        """Return the index; see `IndexBackend.beside_writer`."""
        return self

    def add(self, ids: I64Vector, vectors: F32Matrix) -> None:
        """Insert vectors, replacing those whose id is known."""
        self._publish_what_failed()
        try:
            super().add(ids, vectors)
        finally:
            self._publish()
        self._bypass()

    def remove(self, ids: I64Vector) -> int:
        """Remove vectors by id; return how many there were."""
        self._publish_what_failed()
        try:
            n_removed = super().remove(ids)
        finally:
            self._publish()
        self._bypass()
        return n_removed

    def range_search(self, query: F32Vector, radius: float, *, limit: int) -> Neighbors:
        """Return the nearest `limit` vectors within `radius`; fewer than that are all of them."""
        return scan.first(scan.within(self._view.rows, query, radius, self._metric), limit)

    @classmethod
    def from_contents(cls, fields: dict[str, Any], sections: dict[str, memoryview]) -> Self:
        """Return the index that `contents` came from."""
        index = super().from_contents(fields, sections)
        index._publish()
        return index

    def _options(self) -> dict[str, Any]:
        return {
            "degree": self._degree,
            "build_effort": self._build_effort,
            "seed": self._seed,
            "build_threads": self._build_threads,
            "codes": self._codes,
        }

    @property
    def _searched(self) -> GraphView:
        return self._view

    def _allowed(self, allow: Allow) -> tuple[GraphView, AllowedRows]:
        view = self._view
        if isinstance(allow, AllowList):
            known = allow.known_among(view.rows)
            if known is not None:
                return view, known
        with self._finding:
            view = self._view
            return view, allowed_rows(allow, view.rows)

    @property
    def _ready(self) -> bool:
        return self._graph.n_connected == len(self._labels)

    def _points(self, vectors: F32Matrix) -> F32Matrix:
        return vectors  # the graph takes directions itself

    def _take_in(self, labels: I64Vector, points: F32Matrix) -> None:
        if self._graph.n_connected and self._graph.is_bulk(len(points)):
            self._graph = self._graph.copy()  # searches go on in the one there is
        self._graph.add(np.ascontiguousarray(points), self._threads())
        if self._graph.is_outgrown:
            self._build_anew()

    def _let_go(self, labels: I64Vector) -> None:
        if self._ready:
            self._graph.remove(np.ascontiguousarray(labels), self._rows.seq)

    def _build_anew(self) -> None:
        if self._rows.seq > MOST_WRITES:
            self._rows = self._rows.compacted()
        super()._build_anew()

    def _publish(self) -> None:
        """Let searches that begin now see what there is."""
        rows = self._rows
        rows.make_room()
        view = GraphView(self._metric, rows, self._labels, self._graph)
        with self._finding:
            rows.settle_ids()
            self._view = view
        rows.follow(view.rows)

    def _publish_what_failed(self) -> None:
        """Show what a write that ran out of memory has left."""
        if self._rows.has_unseen:
            self._publish()

    def _bypass(self) -> None:
        """Lead searches around removed nodes that no search sees any more, if these are many.

        What is still seen is left for the next write, so the edges of a graph depend on who reads
        beside the writer; without readers they depend on the writes alone.
        """
        if self._ready and self._graph.bypass(self._rows.seen_seq, self._threads()):
            self._publish()

    def _threads(self) -> int:
        return self._build_threads or config.threads()

    def _must_rebuild(self) -> bool:
        # A graph that ran out of memory on the way is of no use: searches scan until it is whole.
        is_spent = self._rows.seq > MOST_WRITES
        too_many = self._labels.n_stale > max(_MIN_STALE, len(self._rows))
        return not self._ready or too_many or is_spent

    def _rebuild(self) -> None:
        self._graph = empty_graph(
            self._dim,
            self._metric,
            degree=self._degree,
            build_effort=self._build_effort,
            seed=self._seed,
            sketch=self._codes,
        )

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


class GraphView(StructuredRows):
    """What searches see of a graph and its rows, from one write to the next.

    Attributes:
        rows: as they are then.
    """

    def __init__(self, metric: Metric, rows: VersionedRows, labels: Labels, graph: Graph) -> None:
        self._metric = metric
        self.rows = self._rows = RowsView(rows)
        self._is_ready = graph.n_connected == len(labels)
        self._n_labelled = labels.n_live
        if len(rows) and len(labels):
            of_rows = rows.matrix, rows.norms, rows.ids
            self._graph = graph.use_rows(*of_rows, labels.slot_of, rows.seq)
        is_whole = self._is_ready and self._n_labelled == len(rows)
        self._n_reachable = len(rows) if is_whole else 0

    @property
    def _ready(self) -> bool:
        return self._is_ready

    @property
    def _n_shown(self) -> int:
        return self._n_labelled

    def _lead(
        self, queries: F32Matrix, k: int, effort: int, allowed: AllowedRows | None, threads: int
    ) -> tuple[Neighbors, bool]:
        return nearest_rows(self._graph, self.rows, queries, k, effort, allowed, threads)

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
