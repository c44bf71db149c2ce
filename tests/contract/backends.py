"""Every backend, and the vectors that all are filled with."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any, get_args

import numpy as np

from paradox import index
from paradox.core.metric import Metric
from paradox.core.types import F32Matrix, I64Vector
from paradox.index import IndexBackend
from paradox.kernels import oracle

DIM = 16
N = 6_000
METRICS = get_args(Metric)


@dataclass(frozen=True)
class Make:
    """How one backend is made.

    Attributes:
        whole: whether it takes whole numbers from -128 to 127 only.
        rounds: relative error of the vectors it keeps.
        certified: whether every answer is exact.
    """

    backend: str
    options: dict[str, Any] = field(default_factory=dict)
    whole: bool = False
    rounds: float = 0.0
    certified: bool = False

    def __call__(self, metric: Metric = "l2", dim: int = DIM) -> IndexBackend:
        return index.create(self.backend, dim=dim, metric=metric, **self.options)


MAKES = {
    "exact": Make("exact", certified=True),
    "exact-coded": Make("exact", {"codes": True}, certified=True),
    "exact-float16": Make("exact", {"dtype": "float16"}, rounds=2**-10, certified=True),
    "exact-int8": Make("exact", {"dtype": "int8"}, whole=True, certified=True),
    "exact-int8-coded": Make("exact", {"dtype": "int8", "codes": True}, whole=True, certified=True),
    "graph": Make("graph"),
    "graph-without-codes": Make("graph", {"codes": False}),
    "graph-compact": Make("graph", {"compact": True}),
    "graph-float16": Make("graph", {"keep": "float16"}, rounds=2**-10),
    "hnsw": Make("hnsw", {"ef_construction": 60}),
    "ivf": Make("ivf"),
    "ivfpq": Make("ivfpq"),
    "ivfpq-reduced": Make("ivfpq", {"factory": "PCA12,IVF32,SQ8"}),
    "ivfpq-refined": Make("ivfpq", {"factory": "IVF32,PQ8x4fs,RFlat"}),
    "ivfpq-graph": Make("ivfpq", {"factory": "HNSW16"}),
    "ivfpq-flat": Make("ivfpq", {"factory": "SQ8"}),
    "auto": Make("auto", {"exact_below": 4_000}),
}
APPROXIMATE = [name for name, make in MAKES.items() if not make.certified]


@cache
def vectors(n: int = N, seed: int = 0, dim: int = DIM) -> F32Matrix:
    """Return clustered vectors of uneven length, whole numbers so that every dtype keeps them."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(scale=30, size=(60, dim))
    points = centres[rng.integers(60, size=n)] + rng.normal(scale=12, size=(n, dim))
    rounded = np.clip(np.rint(points), -128, 127).astype(np.float32)
    rounded[~rounded.any(axis=1), 0] = 1
    rounded.flags.writeable = False
    return rounded


def ids_of(n: int = N) -> I64Vector:
    """Return ids that are neither in order nor positions."""
    return np.random.default_rng(1).permutation(n).astype(np.int64) * 7 - 3_000


@cache
def filled(name: str, metric: Metric) -> IndexBackend:
    """Return the backend with all vectors, shared: only to be read."""
    made = MAKES[name](metric)
    made.add(ids_of(), vectors())
    return made


def truth(
    queries: F32Matrix, ids: I64Vector, rows: F32Matrix, k: int, metric: Metric
) -> tuple[Any, Any]:
    """Return ids and float64 distances (n_queries, k) of the nearest, ties by lower id."""
    order = np.argsort(ids)
    positions, distances = oracle.top_k(queries, rows[order], k, metric)
    return np.where(positions < 0, -1, ids[order][positions]), distances


def near_enough(found: Any, distances: Any) -> Any:
    """Return (n_queries, k) whether each found distance is no more than the k-th true one."""
    farthest = distances[:, -1:]
    return found.distances <= farthest + 1e-6 * np.abs(farthest) + 1e-6


def true_distances(found: Any, query: F32Matrix, metric: Metric) -> Any:
    """Return the float64 distances of one query to the vectors of these ids in `filled`."""
    position_of = {int(i): at for at, i in enumerate(ids_of())}
    rows = vectors()[[position_of[int(i)] for i in found]]
    return oracle.distances(query, rows, metric)[0]
