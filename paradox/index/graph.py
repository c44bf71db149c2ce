"""The native quantised graph: fast to build, fast to search, in little memory."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from paradox import kernels
from paradox.core import config
from paradox.core.errors import InvalidArgument
from paradox.core.metric import Metric
from paradox.core.types import F32Matrix, I64Vector
from paradox.index.allow import Allow, AllowedRows, AllowList, allowed_rows
from paradox.index.graph_view import GraphView
from paradox.index.keeping import KeepingIndex
from paradox.index.labels import Labels
from paradox.index.options import check_flag, check_int, check_threads
from paradox.index.shapes import check_batch
from paradox.index.versioned_rows import MOST_WRITES, VersionedRows
from paradox.kernels.graph import BLOCK_EDGES, MOST_EDGES, Graph, empty_graph

_MIN_STALE = 1_000
_MUCH_LONGER = 4
"""Times the longest vector there is: if vectors were lengthened to more, little of them is left."""


class GraphIndex(KeepingIndex):
    """A proximity graph that scores all edges of a node in one sequential read.

    Searches run beside one writer: each looks at the view that the last whole write left. The
    effort of a search is the rank of the farthest node that it expands, by the dimension of the
    vectors; three times as many are expanded at most.

    Args:
        dim: dimension of the vectors.
        metric: metric of the distances.
        keep: how vectors are kept beside the graph: "float32"; "float16", rounded; or "none": then
            distances are those of the nodes' 8-bit vectors, some 0.1 % off (under inner product, of
            the greatest that the longest vector has), no answer is certified, and the greatest
            effort looks at every node. The first vectors decide what the 8 bits are told from, and
            should be like those that follow. Such a graph is rebuilt from its 8-bit vectors:
            unchanged where most were removed, rounded once more where the data have drifted from
            the first ones (up to five times while it grows).
        compact: keep no codes of edges, so a node takes a quarter of the memory; a search reads the
            neighbours' vectors.
        degree: edges of a node, a multiple of 32.
        build_effort: nodes expanded by a search for a node's neighbours.
        seed: of all that is chosen at random; the graph does not depend on the threads.
        codes: keep codes of the rows too: of 8 bits, so that scans (of few rows, and of those that
            a filter allows) read a quarter of the bytes; and of 1 bit, with which a search of much
            effort looks at all rows where edges would take longer. None keeps them where rows are.
        build_threads: threads of a build; None takes the engine's, or `PARADOX_THREADS`, or 1.

    Raises:
        InvalidArgument: an option out of range.
    """

    name = "graph"
    default_effort = 64
    _rows: VersionedRows
    _graph: Graph

    def __init__(
        self,
        dim: int,
        metric: Metric,
        *,
        keep: str = "float32",
        compact: bool = False,
        degree: int = 32,
        build_effort: int = 80,
        seed: int = 0,
        build_threads: int | None = None,
        codes: bool | None = None,
    ) -> None:
        self._compact = check_flag("compact", compact)
        if codes is not None and check_flag("codes", codes) and keep == "none":
            raise InvalidArgument("codes: expected None or False where keep='none'; got True")
        super().__init__(dim, metric, keep, codes=keep != "none" if codes is None else codes)
        self._codes = codes
        self._rows = VersionedRows(self._kept_dim, self._dtype, coded_for=self._coded_for)
        self._degree = check_int("degree", degree, BLOCK_EDGES, MOST_EDGES)
        if degree % BLOCK_EDGES:
            raise InvalidArgument(f"degree: expected a multiple of {BLOCK_EDGES}; got {degree}")
        self._build_effort = check_int("build_effort", build_effort, 1, 10_000)
        self._seed = check_int("seed", seed, 0, 2**31 - 1)
        self._build_threads = check_threads("build_threads", build_threads)
        self._graph = self._empty_graph()
        self._finding = threading.Lock()  # held while ids are looked up, or moved
        self._publish()

    def __len__(self) -> int:
        return len(self._view.rows)

    @property
    def beside_writer(self) -> Self:
        """Return the index; see `IndexBackend.beside_writer`."""
        return self

    def add(self, ids: I64Vector, vectors: F32Matrix) -> None:
        """Insert vectors, replacing those whose id is known; raises as `check` does."""
        self.check_file()
        check_batch(ids, vectors, self._dim)
        self.check(vectors)
        self._publish_what_failed()
        try:
            if self._keeps_vectors:
                self._put(ids, self._rounded(vectors))
            else:
                self._add_to_nodes(ids, vectors)
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

    def contents(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return what a saved index is made of: fields and sections."""
        if not self._keeps_vectors and not self._ready:  # nothing else has the vectors
            self._build_anew()
            self._publish()
        return super().contents()

    @classmethod
    def from_contents(cls, fields: dict[str, Any], sections: dict[str, memoryview]) -> Self:
        """Return the index that `contents` came from."""
        index = super().from_contents(fields, sections)
        n = len(index._rows)
        if not index._keeps_vectors and not (index._ready and index._n_shown == n):
            raise InvalidArgument(f"graph: expected {n} ids to have nodes; some have none")
        index._publish()
        return index

    @property
    def _kept_dim(self) -> int:
        return self._dim if self._keeps_vectors else 0

    def _rows_from(self, sections: dict[str, memoryview]) -> VersionedRows:
        return VersionedRows.from_sections(
            sections, self._kept_dim, self._dtype, coded_for=self._coded_for
        )

    def _options(self) -> dict[str, Any]:
        return {
            "keep": self._keep,
            "compact": self._compact,
            "degree": self._degree,
            "build_effort": self._build_effort,
            "seed": self._seed,
            "build_threads": self._build_threads,
            "codes": self._codes,
        }

    @property
    def effort_key(self) -> Hashable:
        """Which build is searched: while the next is made, what is learnt is learnt on that one."""
        return self._number, self._view.build

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
        self._graph.add(np.ascontiguousarray(points, np.float32), self._threads())
        if self._graph.is_outgrown:
            self._build_anew()

    def _let_go(self, labels: I64Vector) -> None:
        nodes = labels[labels < self._graph.n_connected]  # the others are in no view
        self._graph.remove(np.ascontiguousarray(nodes), self._rows.seq)

    def _add_to_nodes(self, ids: I64Vector, vectors: F32Matrix) -> None:
        """Add vectors that nodes alone keep; what fails leaves the rows as they were."""
        if not self._ready:
            self._build_anew()
            self._publish()  # or else ids would be looked up among rows that are not shown
        known, labels = self._known_slots(ids), self._labels
        labels.expect_stale()
        slots = self._rows.put(ids, np.empty((len(ids), 0), np.int8))
        try:
            self._take_in(labels.give(slots), vectors)
        except BaseException:
            if labels is self._labels:  # or else all was built anew, and the change is whole
                self._let_go(labels.take(slots))
                self._rows.take_back()
            raise
        if labels is self._labels:  # or else built anew without those
            self._let_go(labels.take(known))
        if self._must_rebuild():
            self._build_anew()

    @property
    def _is_spent(self) -> bool:
        return self._rows.seq > MOST_WRITES

    def _build_anew(self) -> None:
        if not self._keeps_vectors:
            self._build_from_nodes()
            return
        if self._is_spent:
            self._rows = self._rows.compacted()
        super()._build_anew()

    def _build_from_nodes(self) -> None:
        """Build anew from the vectors that the nodes keep; what fails leaves all as it was."""
        rows, labels, graph, threads = self._rows, Labels(), self._empty_graph(), self._threads()
        slots = rows.live_slots()
        vectors = np.empty((len(slots), self._dim), np.float32)
        self._graph.decode(self._labels.of(slots), vectors, threads)
        if self._still_fits(vectors):  # or else vectors would be rounded each time
            graph.begin_as(self._graph)
        graph.add(vectors, threads)
        if self._is_spent or rows.n_free > len(rows):
            rows = rows.compacted()
        labels.give(rows.live_slots())
        self._rows, self._labels, self._graph = rows, labels, graph
        self._n_builds += 1

    def _still_fits(self, vectors: F32Matrix) -> bool:
        """Tell whether what the first vectors decided fits these, all there are."""
        if not len(vectors) or self._graph.is_outgrown:
            return False
        if self._metric != "ip":
            return True
        state = self._graph.state()
        away = vectors - np.array(state["origin"], np.float32)
        longest = float(kernels.row_norms(away).max())
        return bool(state["longest"] <= _MUCH_LONGER * longest)

    def _publish(self) -> None:
        """Let searches that begin now see what there is."""
        rows = self._rows
        rows.make_room()
        view = GraphView(self._metric, rows, self._labels, self._graph, self._n_builds)
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
        n, n_stale = len(self._rows), self._labels.n_stale
        is_worn = n_stale > (max(_MIN_STALE, n) if n else 0)
        return not self._ready or is_worn or self._is_spent

    def _rebuild(self) -> None:
        self._graph = self._empty_graph()

    def _empty_graph(self) -> Graph:
        return empty_graph(
            self._dim,
            self._metric,
            degree=self._degree,
            build_effort=self._build_effort,
            seed=self._seed,
            sketch=self._coded_for is not None,
            compact=self._compact,
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
        if not self._graph.restore(nodes, fields | lists, self._threads()):
            raise InvalidArgument("graph: expected the nodes of a graph; got others")
