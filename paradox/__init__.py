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
    from paradox.core.errors import ParadoxError
    from paradox.core.types import AddReport, Neighbors, Record
    from paradox.memory import LatentMemoryEngine

__all__ = [
    "AddReport",
    "Client",
    "Collection",
    "LatentMemoryEngine",
    "Neighbors",
    "ParadoxError",
    "Record",
    "connect",
]

__version__ = metadata.version("paradox")

_HOMES = {
    "AddReport": "paradox.core.types",
    "Client": "paradox.cluster.client",
    "Collection": "paradox.cluster.collection",
    "LatentMemoryEngine": "paradox.memory",
    "Neighbors": "paradox.core.types",
    "ParadoxError": "paradox.core.errors",
    "Record": "paradox.core.types",
    "connect": "paradox.cluster.client",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'paradox' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
