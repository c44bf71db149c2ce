"""A graph of near neighbours, built and searched by hnswlib.

Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical
Navigable Small World graphs", TPAMI 2020. Effort is `ef`, the length of the list of candidates.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import hnswlib
import numpy as np
import numpy.typing as npt

from paradox.core import config
from paradox.core.metric import Metric
from paradox.core.shared_lock import SharedLock
from paradox.core.types import F32Matrix, I64Matrix, I64Vector
from paradox.core.uninterrupted import uninterrupted
from paradox.index.options import check_int, check_threads
from paradox.index.proposing import ProposingIndex
from paradox.index.structured import CALL_ROWS

_GROWTH = 1.5
_LEAST_CAPACITY = 1_024
_MIN_STALE = 1_000
_ROWS_A_CANDIDATE = 24
"""Rows scanned in the time that one place in the list of candidates costs: a place is some 16
distances to rows at random places, each as dear as 1.5 in sequence."""


class HnswIndex(ProposingIndex):
    """hnswlib's graph, with unlimited capacity, deletes, replacement and filters.

    Args:
        dim: dimension of the vectors.
        metric: metric of the distances.
        M: edges of a node on the upper levels; on the lowest it has twice as many.
        ef_construction: length of the list of candidates when a node is inserted.
        seed: of the levels that nodes are drawn for.
        build_threads: threads that insert; with more than one the graph depends on their timing.
            None takes the engine's, or `PARADOX_THREADS`, or 1.

    Raises:
        InvalidArgument: an option out of its range.
    """

    name = "hnsw"
    _ef: int
    _ef_lock: SharedLock
    default_effort = 64

    def __init__(
        self,
        dim: int,
        metric: Metric,
        *,
        M: int = 16,  # noqa: N803, the field's own name
        ef_construction: int = 200,
        seed: int = 0,
        build_threads: int | None = None,
    ) -> None:
        super().__init__(dim, metric)
        self._m = check_int("M", M, 2, 512)
        self._ef_construction = check_int("ef_construction", ef_construction, 1, 10_000)
        self._seed = check_int("seed", seed, 0, 2**31 - 1)
        self._build_threads = check_threads("build_threads", build_threads)
        self._use(self._empty_graph())

    def _options(self) -> dict[str, Any]:
        return {
            "M": self._m,
            "ef_construction": self._ef_construction,
            "seed": self._seed,
            "build_threads": self._build_threads,
        }

    @property
    def _ready(self) -> bool:
        return True

    def _take_in(self, labels: I64Vector, points: F32Matrix) -> None:
        n = self._graph.get_current_count() + len(labels)
        if n > self._graph.get_max_elements():
            self._graph.resize_index(max(n, int(self._graph.get_max_elements() * _GROWTH)))
        threads = self._build_threads or config.threads()
        with self._nothing_marked():
            self._graph.add_items(points, labels, num_threads=threads)

    @contextmanager
    def _nothing_marked(self) -> Iterator[None]:
        """Have nodes inserted as if nothing was deleted.

        Where all that an insertion reaches on a level is marked as deleted, hnswlib 0.8 takes the
        last of no neighbours (`selectedNeighbors.back()`), and ends the process.
        """
        for label in self._marked:
            self._graph.unmark_deleted(label)
        try:
            yield
        finally:
            for label in self._marked:
                self._graph.mark_deleted(label)

    def _let_go(self, labels: I64Vector) -> None:
        for label in labels.tolist():
            self._graph.mark_deleted(label)
            self._marked.append(label)

    def _must_rebuild(self) -> bool:
        return self._labels.n_stale > max(_MIN_STALE, len(self._rows))

    def _rebuild(self) -> None:
        self._use(self._empty_graph())

    def _propose(self, points: F32Matrix, n: int, effort: int, threads: int) -> I64Matrix | None:
        ef = max(effort, n)
        try:
            with self._ef_lock.reading():
                if self._ef == ef:
                    return self._nearest(points, n, threads)
            return uninterrupted(lambda: self._nearest_at(ef, points, n, threads))
        except RuntimeError:  # for one of the queries the graph leads to fewer than n
            return None

    def _nearest_at(self, ef: int, points: F32Matrix, n: int, threads: int) -> I64Matrix:
        with self._ef_lock.writing():
            if self._ef != ef:
                self._graph.set_ef(ef)
                self._ef = ef
            return self._nearest(points, n, threads)

    def _nearest(self, points: F32Matrix, n: int, threads: int) -> I64Matrix:
        return np.asarray(self._graph.knn_query(points, n, num_threads=threads)[0], np.int64)

    def _n_candidates(self, k: int, effort: int) -> int:
        return k

    def _rows_worth(self, k: int, effort: int) -> float:
        return CALL_ROWS + _ROWS_A_CANDIDATE * max(k, effort)

    def _structure_bytes(self) -> int:
        return int(self._graph.get_max_elements()) * (4 * self._dim + 8 * self._m + 12)

    def _dump(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return hnswlib's own state; of the vectors only the stale, as the others are ours."""
        state = self._graph.__getstate__()[0]
        nodes = state.pop("data_level0").reshape(-1, state["size_data_per_element"])
        arrays = {name: state.pop(name) for name in _ARRAYS}
        arrays["element_levels"] = arrays["element_levels"][: len(nodes)]
        begin, end = state["offset_data"], state["label_offset"]
        stale = self._labels.stale()[self._label_of_node(arrays)]
        return state, {
            **arrays,
            "edges": np.ascontiguousarray(nodes[:, :begin]),
            "stale_points": np.ascontiguousarray(nodes[stale, begin:end]),
        }

    def _restore(self, fields: dict[str, Any], sections: dict[str, memoryview]) -> None:
        state = dict(fields)
        arrays = {name: np.frombuffer(sections[name], kind) for name, kind in _ARRAYS.items()}
        labels = self._label_of_node(arrays)
        begin, end = state["offset_data"], state["label_offset"]
        nodes = np.empty((len(labels), state["size_data_per_element"]), np.int8)
        nodes[:, :begin] = np.frombuffer(sections["edges"], np.int8).reshape(-1, begin)
        stale = self._labels.stale()[labels]
        live_rows = self._rows.matrix[self._labels.slots(labels[~stale])]
        nodes[~stale, begin:end] = self._points(live_rows).view(np.int8)
        nodes[stale, begin:end] = np.frombuffer(sections["stale_points"], np.int8).reshape(
            -1, end - begin
        )
        nodes[:, end:] = labels[:, np.newaxis].view(np.int8)
        capacity = max(len(labels), 1)
        levels = np.zeros(capacity, np.int32)
        levels[: len(labels)] = arrays["element_levels"]
        state.update(
            arrays, element_levels=levels, data_level0=nodes.reshape(-1), max_elements=capacity
        )
        graph = hnswlib.Index.__new__(hnswlib.Index)
        graph.__setstate__((state,))
        self._use(graph)

    @staticmethod
    def _label_of_node(arrays: dict[str, Any]) -> I64Vector:
        labels = np.empty(len(arrays["label_lookup_internal"]), np.int64)
        labels[arrays["label_lookup_internal"]] = arrays["label_lookup_external"].astype(np.int64)
        return labels

    def _empty_graph(self) -> Any:
        graph = hnswlib.Index("l2" if self._metric == "l2" else "ip", self._dim)
        graph.init_index(
            _LEAST_CAPACITY,
            M=self._m,
            ef_construction=self._ef_construction,
            random_seed=self._seed,
        )
        return graph

    def _use(self, graph: Any) -> None:
        self._graph = graph
        # The stale labels, at hand: to ask which they are takes as long as there are labels.
        self._marked: list[int] = np.flatnonzero(self._labels.stale()).tolist()
        # hnswlib keeps a single ef: searches of one run side by side, who changes it runs alone.
        self._ef = 0
        self._ef_lock = SharedLock()


_ARRAYS = {
    "label_lookup_external": np.uint64,
    "label_lookup_internal": np.uint32,
    "element_levels": np.int32,
    "link_lists": np.int8,
}
