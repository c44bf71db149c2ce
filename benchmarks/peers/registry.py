"""The peers by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec

from benchmarks.peers.code_scans import Scann, Turbovec
from benchmarks.peers.contestant import Approximate, Changing, Contestant, Filtered
from benchmarks.peers.faiss_index import (
    FaissFlat,
    FaissGraph,
    FaissGraphedLists,
    FaissLists,
    FaissRefinedLists,
    FaissRotatedLists,
)
from benchmarks.peers.hnsw_libraries import Hnswlib, Usearch, UsearchExact
from benchmarks.peers.matrix_products import NumpyExact, TorchExact
from benchmarks.peers.quantised_graphs import Glass, Svs, SymphonyQG, Vsag
from paradox.core.metric import Metric

_FAISS_LISTS = partial(FaissLists, factory="IVF{nlist},Flat")

APPROXIMATE: dict[str, Callable[[Metric], Approximate]] = {
    "symphonyqg": partial(SymphonyQG, bits=0),
    "symphonyqg-8bit": partial(SymphonyQG, bits=8),
    "symphonyqg-4bit": partial(SymphonyQG, bits=4),
    "glass-sq8": partial(Glass, codes="SQ8U"),
    "glass-sq4": partial(Glass, codes="SQ4U"),
    "vsag": Vsag,
    "svs-lvq4x8": partial(Svs, codes="lvq4x8"),
    "svs-leanvec": partial(Svs, codes="leanvec"),
    "svs-f16": partial(Svs, codes="f16"),
    "hnswlib": Hnswlib,
    "usearch": partial(Usearch, dtype="f32"),
    "usearch-bf16": partial(Usearch, dtype="bf16"),
    "faiss-hnsw": FaissGraph,
    "faiss-ivf": _FAISS_LISTS,
    "faiss-ivfpq": partial(FaissRefinedLists, factory="IVF{nlist},PQ{pairs}x4fs,RFlat"),
    "faiss-ivfpq-hnsw": partial(FaissGraphedLists, factory="IVF{nlist}_HNSW32,PQ{pairs}x4fs,RFlat"),
    "faiss-ivfrabitq": partial(FaissRotatedLists, factory="RR{dim},IVF{nlist},RaBitQfs,RFlat"),
    "scann": Scann,
    "turbovec": Turbovec,
}
"""Peers of `benchmarks.index`."""

SCANS: dict[str, Callable[[Metric], Contestant]] = {
    "faiss-flat": FaissFlat,
    "faiss-flat-blas": partial(FaissFlat, blas_threshold=2),
    "numpy": NumpyExact,
    "torch": TorchExact,
    "usearch": UsearchExact,
}
"""Peers of `benchmarks.exact`; faiss as shipped, and with BLAS for any number of queries."""

FILTERED: dict[str, Callable[[Metric], Filtered]] = {
    "hnswlib": Hnswlib,
    "faiss-hnsw": FaissGraph,
    "faiss-ivf": _FAISS_LISTS,
    "turbovec": Turbovec,
}
"""Peers of `benchmarks.filters`."""

CHANGING: dict[str, Callable[[Metric, int], Changing]] = {"hnswlib": Hnswlib}
"""Peers of `benchmarks.updates`, made with room for so many rows beyond those built on."""

_MODULES = {
    "faiss": "faiss",
    "glass": "glass",
    "hnswlib": "hnswlib",
    "scann": "scann",
    "svs": "svs",
    "symphonyqg": "rabitqlib",
    "torch": "torch",
    "turbovec": "turbovec",
    "usearch": "usearch",
    "vsag": "pyvsag",
}


def missing(peer: str) -> str | None:
    """Return why a peer cannot even be tried; None if its library is installed."""
    module = _MODULES.get(peer.partition("-")[0], "numpy")
    return None if find_spec(module) is not None else f"{module} is not installed"
