"""Indexes: one protocol, one file per backend, and a registry of them by name.

All pass one contract suite. A saved index is one verified file, loaded whatever backend wrote it.
"""

from paradox.index.allow import AllowList
from paradox.index.backend import IndexBackend, IndexStats
from paradox.index.registry import backends, check_name, create, load

__all__ = ["AllowList", "IndexBackend", "IndexStats", "backends", "check_name", "create", "load"]
