"""Paradox: a latent memory on Ray.

    memory = paradox.LatentMemoryEngine(dim=128)     embedded, in this process
    client = paradox.connect()                       the same memory as actors of a Ray cluster

Importing this package imports neither Ray nor any index library: names load when first used.
"""

from __future__ import annotations

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paradox.cluster.client import Client, connect
    from paradox.cluster.collection import Collection
    from paradox.core.errors import (
        CallerError,
        CollectionExists,
        CollectionNotFound,
        CorruptionError,
        DeadlineExceeded,
        DimensionMismatch,
        FilterError,
        IndexFileCorrupt,
        InternalError,
        InvalidArgument,
        NonFiniteVector,
        Overloaded,
        ParadoxError,
        PayloadError,
        RecordCorrupt,
        RetryableError,
        ShardUnavailable,
        SnapshotCorrupt,
        SourceError,
        StorageUnavailable,
        UnknownBackend,
        UnknownEncoder,
        ZeroVector,
    )
    from paradox.core.types import AddReport, Neighbors, Record
    from paradox.memory import LatentMemoryEngine

__all__ = [
    "AddReport",
    "CallerError",
    "Client",
    "Collection",
    "CollectionExists",
    "CollectionNotFound",
    "CorruptionError",
    "DeadlineExceeded",
    "DimensionMismatch",
    "FilterError",
    "IndexFileCorrupt",
    "InternalError",
    "InvalidArgument",
    "LatentMemoryEngine",
    "Neighbors",
    "NonFiniteVector",
    "Overloaded",
    "ParadoxError",
    "PayloadError",
    "Record",
    "RecordCorrupt",
    "RetryableError",
    "ShardUnavailable",
    "SnapshotCorrupt",
    "SourceError",
    "StorageUnavailable",
    "UnknownBackend",
    "UnknownEncoder",
    "ZeroVector",
    "connect",
]

__version__ = metadata.version("paradox")

_HOMES = {
    "AddReport": "paradox.core.types",
    "Client": "paradox.cluster.client",
    "Collection": "paradox.cluster.collection",
    "LatentMemoryEngine": "paradox.memory",
    "Neighbors": "paradox.core.types",
    "Record": "paradox.core.types",
    "connect": "paradox.cluster.client",
}
"""Where the names are from; all others are errors."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'paradox' has no attribute {name!r}")
    value = getattr(import_module(_HOMES.get(name, "paradox.core.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
