"""Index backends by name."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from paradox.core.errors import IndexFileCorrupt, UnknownBackend
from paradox.core.metric import check_metric
from paradox.index.backend import IndexBackend
from paradox.index.container import read_kind
from paradox.index.options import check_known

_CLASSES = {
    "auto": ("paradox.index.auto", "AutoIndex"),
    "exact": ("paradox.index.exact", "ExactIndex"),
    "graph": ("paradox.index.graph", "GraphIndex"),
    "hnsw": ("paradox.index.hnsw", "HnswIndex"),
    "ivf": ("paradox.index.ivf", "IvfIndex"),
    "ivfpq": ("paradox.index.ivfpq", "IvfpqIndex"),
}
_EXTRAS = {"faiss": "paradox[cpu]", "hnswlib": "paradox"}


def backends() -> tuple[str, ...]:
    """Return the names that `create` takes."""
    return tuple(_CLASSES)


def check_name(name: str) -> str:
    """Return `name`, if a backend has it.

    Raises:
        UnknownBackend: none has.
    """
    if name not in _CLASSES:
        raise UnknownBackend(f"index: expected one of {', '.join(_CLASSES)}; got {name!r}")
    return name


def create(name: str, *, dim: int, metric: str, **options: Any) -> IndexBackend:
    """Make an empty index.

    Args:
        name: one of `backends()`.
        dim: dimension of the vectors.
        metric: `l2`, `ip` or `cosine`.
        **options: the backend's own; its class says which.

    Raises:
        UnknownBackend: no such backend, or the package it needs is not installed.
        InvalidArgument: a dimension, metric or option that cannot be.
    """
    backend = _backend(name)
    check_known(name, backend, options)
    made: IndexBackend = backend(dim, check_metric(metric), **options)
    return made


def load(path: str | Path, *, mmap: bool = False) -> IndexBackend:
    """Read an index that any backend saved.

    Args:
        path: the file.
        mmap: map the vectors instead of reading them; the file must not be written to in place.

    Raises:
        OSError: there is no such file, or it cannot be read.
        IndexFileCorrupt: truncated, altered, of another version, or of a backend unknown here.
        UnknownBackend: the package its backend needs is not installed.
    """
    path = Path(path)
    kind = read_kind(path)
    if kind not in _CLASSES:
        raise IndexFileCorrupt(
            f"expected an index of kind {', '.join(_CLASSES)}; got {kind!r}",
            path,
            remedy="a newer Paradox wrote it, or it is no index",
        )
    loaded: IndexBackend = _backend(kind).load(path, mmap=mmap)
    return loaded


def _backend(name: str) -> Any:
    module, class_name = _CLASSES[check_name(name)]
    try:
        return getattr(import_module(module), class_name)
    except ModuleNotFoundError as error:
        if error.name not in _EXTRAS:
            raise
        raise UnknownBackend(
            f"index {name!r} needs the package {error.name!r}: pip install '{_EXTRAS[error.name]}'"
        ) from error
