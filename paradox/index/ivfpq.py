"""Inverted lists of compressed vectors, or whatever else a factory string of faiss describes.

Jegou et al., "Product Quantization for Nearest Neighbor Search", TPAMI 2011; the default's 4-bit
codes are scanned in registers as in André et al., "Cache locality is not enough", PVLDB 2015.
Effort is `nprobe`, the lists that are looked into; `efSearch` where faiss builds a graph; and
everywhere it widens the choice of candidates that are measured.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from paradox.core import config
from paradox.core.errors import InvalidArgument
from paradox.core.metric import Metric
from paradox.core.types import F32Matrix, I64Matrix, I64Vector
from paradox.index.options import check_int, check_threads
from paradox.index.proposing import ProposingIndex
from paradox.index.structured import CALL_ROWS

faiss: Any = import_module("faiss")  # its stubs lack half of what it has

_LOG = logging.getLogger(__name__)

_LEAST_ROWS = 5_000
_ROWS_A_LIST = 39  # that faiss wants to learn a centroid from
_MOST_TRAINING_ROWS = 100_000
_REGROWTH = 4
_MIN_STALE = 1_000
_CANDIDATES = 32  # measured at least: codes of two bits a dimension rarely rank the first first
_CODES_A_ROW = 8  # codes scanned in the time of one row
_ROWS_A_CANDIDATE = 6  # as measuring one takes: it lies at a random place, and counts in float64


class IvfpqIndex(ProposingIndex):
    """A faiss index, with deletes, replacement, filters, and k of any size.

    The rows are scanned until there are enough to train on, and it is trained anew whenever there
    are four times as many as it was last trained on.

    Args:
        dim: dimension of the vectors.
        metric: metric of the distances.
        factory: a faiss factory string, such as "OPQ32,IVF1024,PQ32x4fs" or "HNSW32". None takes
            inverted lists in a number that grows with the rows, of product-quantised codes of two
            bits a dimension (one byte a dimension where it is odd or below eight).
        train_rows: rows to train on at most.
        build_threads: threads that train and insert. None takes the engine's, or `PARADOX_THREADS`,
            or 1.

    Raises:
        InvalidArgument: faiss cannot make such an index of this dimension.
    """

    name = "ivfpq"
    default_effort = 16

    def __init__(
        self,
        dim: int,
        metric: Metric,
        *,
        factory: str | None = None,
        train_rows: int = _MOST_TRAINING_ROWS,
        build_threads: int | None = None,
    ) -> None:
        super().__init__(dim, metric)
        self._factory = factory
        self._build_threads = check_threads("build_threads", build_threads)
        self._train_rows = check_int("train_rows", train_rows, 1, 10_000_000)
        self._index: Any = None
        self._n_trained_for = 0
        self._least_rows = max(_LEAST_ROWS, _ROWS_A_LIST * _n_lists(self._untrained(_LEAST_ROWS)))

    def _options(self) -> dict[str, Any]:
        return {
            "factory": self._factory,
            "train_rows": self._train_rows,
            "build_threads": self._build_threads,
        }

    @property
    def _ready(self) -> bool:
        return self._index is not None

    def _take_in(self, labels: I64Vector, points: F32Matrix) -> None:
        faiss.omp_set_num_threads(self._build_threads or config.threads())
        self._index.add(points)  # faiss numbers them as we do: from 0, in the order they come

    def _let_go(self, labels: I64Vector) -> None:
        """Do nothing: faiss may go on proposing them."""

    def _must_rebuild(self) -> bool:
        n = len(self._rows)
        if not self._ready:
            return n >= max(self._least_rows, 2 * self._n_trained_for)
        grown = self._factory is None and n >= _REGROWTH * self._n_trained_for
        return grown or self._labels.n_stale > max(_MIN_STALE, n)

    def _rebuild(self) -> None:
        slots = self._showable(self._rows.live_slots())
        n = len(slots)
        self._index, self._n_trained_for = None, n
        if n < self._least_rows:
            return
        index = self._untrained(n)
        if n > self._train_rows:
            picked = np.random.default_rng(0).choice(n, self._train_rows, replace=False)
            slots = slots[np.sort(picked)]
        faiss.omp_set_num_threads(self._build_threads or config.threads())
        try:
            index.train(self._points(self._rows.matrix[slots]))
        except RuntimeError as error:  # what was added must stay, and a scan finds it
            _LOG.warning(
                "faiss cannot train %r on %d rows, which are scanned until there are twice as "
                "many: %s",
                self._factory,
                len(slots),
                _short(error),
            )
            return
        self._index = index

    def _propose(self, points: F32Matrix, n: int, effort: int, threads: int) -> I64Matrix | None:
        faiss.omp_set_num_threads(threads)
        labels = self._index.search(points, n, params=_parameters(self._index, effort))[1]
        return np.asarray(labels, np.int64)

    def _n_candidates(self, k: int, effort: int) -> int:
        return min(_CANDIDATES + k * (8 + effort // 4), len(self._rows))

    def _rows_worth(self, k: int, effort: int) -> float:
        n_lists = max(_n_lists(self._index), 1)
        codes = len(self._labels) * min(effort / n_lists, 1)
        gathered = self._n_candidates(k, effort)
        return CALL_ROWS + codes / _CODES_A_ROW + n_lists / 2 + _ROWS_A_CANDIDATE * gathered

    def _structure_bytes(self) -> int:
        return self._code_bytes() * len(self._labels) if self._ready else 0

    def _code_bytes(self) -> int:
        try:
            return int(self._index.sa_code_size()) + 8
        except RuntimeError:  # not an index with codes of one size
            return 4 * self._dim + 8

    def _dump(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        fields = {"trained_for": self._n_trained_for}
        return fields, {"faiss": faiss.serialize_index(self._index)}

    def _restore(self, fields: dict[str, Any], sections: dict[str, memoryview]) -> None:
        self._n_trained_for = check_int("trained_for", fields["trained_for"], 1, 2**40)
        self._index = faiss.deserialize_index(np.frombuffer(sections["faiss"], np.uint8))

    def _untrained(self, n: int) -> Any:
        factory = self._factory or _default_factory(self._dim, n)
        metric = faiss.METRIC_L2 if self._metric == "l2" else faiss.METRIC_INNER_PRODUCT
        try:
            index = faiss.index_factory(self._dim, factory, metric)
        except (RuntimeError, TypeError) as error:
            raise InvalidArgument(
                f"index option 'factory': expected a faiss factory string for dimension "
                f"{self._dim} and {self._metric}; got {factory!r}: {_short(error)}"
            ) from error
        _be_quiet(index)
        return index


def _default_factory(dim: int, n: int) -> str:
    n_lists = max(1, round(min(4 * n**0.5, n / _ROWS_A_LIST)))
    codes = f"PQ{dim // 2}x4fs" if dim % 2 == 0 and dim >= 8 else "SQ8"
    return f"IVF{n_lists},{codes}"


def _layers(index: Any) -> list[Any]:
    """Return an index and those inside it, the outermost first."""
    layers = [faiss.downcast_index(index)]
    while isinstance(
        layers[-1],
        faiss.IndexPreTransform | faiss.IndexRefine | faiss.IndexIDMap | faiss.IndexIDMap2,
    ):
        outer = layers[-1]
        inner = outer.base_index if isinstance(outer, faiss.IndexRefine) else outer.index
        layers.append(faiss.downcast_index(inner))
    return layers


def _n_lists(index: Any) -> int:
    inner = _layers(index)[-1]
    return int(inner.nlist) if isinstance(inner, faiss.IndexIVF) else 0


def _parameters(index: Any, effort: int) -> Any:
    """Return faiss's parameters for one search, so that readers do not change the index."""
    parameters: Any = None
    for layer in reversed(_layers(index)):
        if isinstance(layer, faiss.IndexIVF):
            parameters = faiss.SearchParametersIVF(nprobe=min(effort, layer.nlist))
        elif isinstance(layer, faiss.IndexHNSW):
            parameters = faiss.SearchParametersHNSW(efSearch=effort)
        elif isinstance(layer, faiss.IndexRefine):
            parameters = faiss.IndexRefineSearchParameters(
                k_factor=1 + effort / 4, base_index_params=parameters
            )
        elif isinstance(layer, faiss.IndexPreTransform) and parameters is not None:
            parameters = faiss.SearchParametersPreTransform(index_params=parameters)
    return parameters


def _be_quiet(index: Any) -> None:
    """Have faiss not print a warning where it would like more rows to train on."""
    for layer in _layers(index):
        for part in (layer, getattr(layer, "pq", None)):
            clustering = getattr(part, "cp", None)
            if clustering is not None:
                clustering.min_points_per_centroid = 1


def _short(error: Exception) -> str:
    """Return what faiss says without where in its sources it says so."""
    return str(error).strip().splitlines()[0].split("failed: ")[-1][:200]
