"""The native quantised graph: fast to build, fast to search, in little memory."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from paradox.core import config
from paradox.core.errors import InvalidArgument
from paradox.core.metric import Metric
from paradox.core.types import NO_ID, F32Matrix, F32Vector, I64Vector, Neighbors
from paradox.index import scan
from paradox.index.allow import AllowedRows
from paradox.index.approximate import ApproximateIndex, refuse_long
from paradox.index.exact import ExactIndex
from paradox.index.labels import Labels
from paradox.index.native_search import nearest_rows
from paradox.index.options import MAX_EFFORT, check_choice, check_flag, check_int, check_threads
from paradox.index.rows import Rows
from paradox.kernels.graph import BLOCK_EDGES, EVERY_NODE, MOST_EDGES, Graph, empty_graph

_MIN_STALE = 1_000
_CALL_ROWS, _ROWS_AN_EXPANSION = 200, 5
"""Rows scanned in the time a search takes beside expanding nodes, and in that of expanding one: 20
and 0.6 µs, where a row of 384 dimensions takes 0.1 µs."""
_DTYPES: dict[str, type[np.generic]] = {
    "float32": np.float32,
    "float16": np.float16,
    "none": np.int8,
}


class GraphIndex(ApproximateIndex):
    """A proximity graph that scores all edges of a node in one sequential read.

    Args:
        dim: dimension of the vectors.
        metric: metric of the distances.
        keep: how vectors are kept beside the graph: "float32"; "float16", rounded; or "none": then
            distances are those of the nodes' 8-bit vectors, some 0.1 % off, no answer is certified,
            and the greatest effort looks at every node. Whenever such a graph is built anew it is
            from these: from the same ones where most were removed, rounded once more where the
            first vectors say too little of those that came after (up to five times while it grows).
        compact: keep no codes of edges, a quarter of the memory; a search reads the neighbours'
            vectors.
        degree: edges of a node, a multiple of 32.
        build_effort: width of the searches that look for a node's neighbours.
        seed: of all that is chosen at random; the graph does not depend on the threads.
        codes: keep 8-bit codes of the rows too, so that scans, of few rows and of those that a
            filter allows, read a quarter of the bytes; None keeps them where rows are.
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
        keep: str = "float32",
        compact: bool = False,
        degree: int = 32,
        build_effort: int = 128,
        seed: int = 0,
        build_threads: int | None = None,
        codes: bool | None = None,
    ) -> None:
        self._keep = check_choice("keep", keep, _DTYPES)
        self._compact = check_flag("compact", compact)
        if codes is not None and check_flag("codes", codes) and keep == "none":
            raise InvalidArgument("codes: expected None or False where keep='none'; got True")
        super().__init__(dim, metric, codes=keep != "none" if codes is None else codes)
        self._codes = codes
        self._narrow = ExactIndex(dim, metric, dtype="float16") if keep == "float16" else None
        self._rows = Rows(self._kept_dim, _DTYPES[keep], coded_for=self._coded_for)
        self._degree = check_int("degree", degree, BLOCK_EDGES, MOST_EDGES)
        if degree % BLOCK_EDGES:
            raise InvalidArgument(f"degree: expected a multiple of {BLOCK_EDGES}; got {degree}")
        self._build_effort = check_int("build_effort", build_effort, 1, 10_000)
        self._seed = check_int("seed", seed, 0, 2**31 - 1)
        self._build_threads = check_threads("build_threads", build_threads)
        self._n_reachable = 0
        self._graph: Graph = self._empty_graph()

    def check(self, vectors: F32Matrix) -> None:
        """Refuse vectors that cannot be kept.

        Raises:
            InvalidArgument: under keep="float16" beyond its range; under "none" longer than 1e15.
            ZeroVector: under the cosine metric, a vector that float16 rounds to zero.
        """
        if self._narrow is not None:
            self._narrow.check(vectors)
        elif self._keep == "none":
            refuse_long(vectors, self._metric)

    def add(self, ids: I64Vector, vectors: F32Matrix) -> None:
        """Insert vectors, replacing those whose id is known; raises as `check` does."""
        self.check(vectors)
        try:
            if self._keep == "none":
                self._add_to_nodes(ids, vectors)
            else:
                super().add(ids, vectors.astype(_DTYPES[self._keep], copy=False))
        finally:
            self._use_rows()

    def remove(self, ids: I64Vector) -> int:
        """Remove vectors by id; return how many there were."""
        try:
            return super().remove(ids)
        finally:
            self._use_rows()

    def range_search(self, query: F32Vector, radius: float, *, limit: int) -> Neighbors:
        """Return the nearest `limit` vectors within `radius`; see `IndexBackend.range_search`."""
        if self._keep != "none":
            return super().range_search(query, radius, limit=limit)
        found = self.search(query[np.newaxis, :], limit, effort=MAX_EFFORT).first_row()
        is_within = (found.ids != NO_ID) & (found.distances <= radius)
        return scan.first(found, int(np.count_nonzero(is_within)))

    def get(self, ids: I64Vector) -> tuple[I64Vector, F32Matrix]:
        """Return the known ones of `ids`, and their vectors as kept, in float32.

        Raises:
            InvalidArgument: none are kept.
        """
        if self._keep == "none":
            raise InvalidArgument("graph: expected vectors to be kept; got keep='none'")
        return super().get(ids)

    def contents(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return what a saved index is made of: fields and sections."""
        if self._keep == "none" and not self._ready:  # nothing else has the vectors
            self._build_anew()
        return super().contents()

    @classmethod
    def from_contents(cls, fields: dict[str, Any], sections: dict[str, memoryview]) -> Self:
        """Return the index that `contents` came from."""
        index = super().from_contents(fields, sections)
        if index._keep == "none" and not (index._ready and index._n_shown == len(index)):
            raise InvalidArgument(f"graph: expected {len(index)} ids to have nodes; some have none")
        return index

    @property
    def _kept_dim(self) -> int:
        return 0 if self._keep == "none" else self._dim

    def _rows_from(self, sections: dict[str, memoryview]) -> Rows:
        dtype = _DTYPES[self._keep]
        return Rows.from_sections(sections, self._kept_dim, dtype, coded_for=self._coded_for)

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
    def _ready(self) -> bool:
        return self._graph.n_connected == len(self._labels)

    def _points(self, vectors: F32Matrix) -> F32Matrix:
        return vectors  # the graph takes directions itself

    def _take_in(self, labels: I64Vector, points: F32Matrix) -> None:
        self._graph.add(np.ascontiguousarray(points, np.float32), self._threads())
        if self._graph.is_outgrown:
            self._build_anew()

    def _add_to_nodes(self, ids: I64Vector, vectors: F32Matrix) -> None:
        """Add vectors that nodes alone keep: an id without a node of its own is none."""
        if not self._ready:
            self._build_anew()
        try:
            slots = self._rows.put(ids, np.empty((len(ids), 0), np.int8))
            self._let_go(self._labels.take(slots))
            self._take_in(self._labels.give(slots), vectors)
        except BaseException:
            live = self._rows.live_slots()
            nodes = self._labels.of(live)
            lost = live[(nodes < 0) | (nodes >= self._graph.n_connected)]
            self._labels.take(lost)
            self._rows.remove(self._rows.ids[lost])
            raise
        if self._must_rebuild():
            self._build_anew()

    def _build_anew(self) -> None:
        if self._keep == "none":
            self._build_from_nodes()
        else:
            super()._build_anew()

    def _build_from_nodes(self) -> None:
        """Build anew from the vectors that the nodes keep; what fails leaves all as it was."""
        slots, threads = self._rows.live_slots(), self._threads()
        vectors = np.empty((len(slots), self._dim), np.float32)
        self._graph.decode(self._labels.of(slots), vectors, threads)
        graph = self._empty_graph()
        if not self._graph.is_outgrown:  # or else vectors would be rounded each time
            graph.begin_as(self._graph)
        graph.add(vectors, threads)
        if self._rows.n_free > len(self._rows):
            self._rows = self._rows.compacted()
        self._graph, self._labels = graph, Labels()
        self._labels.give(self._rows.live_slots())
        self._n_builds += 1

    def _let_go(self, labels: I64Vector) -> None:
        if self._ready:
            self._graph.remove(np.ascontiguousarray(labels), self._threads())

    def _use_rows(self) -> None:
        """Tell the graph where the rows are now: whatever changes them may move them."""
        rows = self._rows
        if len(rows) and len(self._labels):
            is_kept = self._keep != "none"
            self._graph.use_rows(
                rows.matrix if is_kept else None,
                rows.norms if is_kept else None,
                rows.ids,
                self._labels.slot_of(),
            )
        is_whole = self._ready and self._n_shown == len(rows)
        self._n_reachable = len(rows) if is_whole else 0

    def _threads(self) -> int:
        return self._build_threads or config.threads()

    def _must_rebuild(self) -> bool:
        # A graph that ran out of memory on the way is of no use: searches scan until it is whole.
        return not self._ready or self._labels.n_stale > max(_MIN_STALE, len(self._rows))

    def _rebuild(self) -> None:
        self._graph = self._empty_graph()

    def _empty_graph(self) -> Graph:
        return empty_graph(
            self._dim,
            self._metric,
            degree=self._degree,
            build_effort=self._build_effort,
            seed=self._seed,
            compact=self._compact,
        )

    def _scan(
        self,
        queries: F32Matrix,
        k: int,
        allowed: AllowedRows | None,
        threads: int,
        effort: int | None = None,
    ) -> Neighbors:
        if self._keep != "none":
            return super()._scan(queries, k, allowed, threads, effort)
        if not len(self._rows):
            return scan.neighbors(self._rows, *scan.padding(len(queries), k), effort=effort)
        found, _ = self._lead(queries, k, EVERY_NODE, allowed, threads)
        return Neighbors(found.ids, found.distances, effort=effort)

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
