"""The keyspace of a volatile store: Python dicts, gone with the process."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from paradox.core.errors import InvalidArgument
from paradox.store.keyspace import FAMILIES, Cursor, Family, Mutation
from paradox.store.rocks import RocksKeyspace


class VolatileKeyspace:
    """Key-value pairs in memory, with the same contract as the durable keyspace."""

    def __init__(self) -> None:
        self._families: dict[Family, dict[bytes, bytes]] = {family: {} for family in FAMILIES}
        self._unfinished: Mutation = []
        self._closed = False
        self._lock = threading.Lock()

    def get(self, family: Family, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the value of each key, None where there is none."""
        with self._lock:  # not between a record's removal and its head's
            return list(map(self._open_families()[family].get, keys))

    def cursor(self, family: Family, start: bytes = b"") -> Cursor:
        """Open a cursor on the keys from `start` on, as they are now."""
        pairs = self._open_families()[family].copy()  # one step, under the GIL
        return _PairCursor([(key, pairs[key]) for key in sorted(pairs) if key >= start])

    def write(self, mutation: Mutation) -> None:
        """Apply all of a mutation."""
        families = self._open_families()
        self._unfinished = mutation
        with self._lock:
            for family, key, value in mutation:
                if value is None:
                    families[family].pop(key, None)
                else:
                    families[family][key] = value
        self._unfinished = []

    def recover(self) -> None:
        """Finish a write that Ctrl-C cut short."""
        self.write(self._unfinished)

    def checkpoint(self, path: Path) -> None:
        """Write a durable keyspace with the same contents."""
        durable = RocksKeyspace(path, create=True)
        try:
            for family, pairs in self._open_families().items():
                items = list(pairs.items())
                for at in range(0, len(items), 10_000):
                    durable.write([(family, key, value) for key, value in items[at : at + 10_000]])
        finally:
            durable.close()

    def size_bytes(self) -> int:
        """Return 0: there are no files."""
        return 0

    def close(self) -> None:
        """Forget everything; a second time does nothing."""
        self._closed = True
        self._families = {family: {} for family in FAMILIES}

    def _open_families(self) -> dict[Family, dict[bytes, bytes]]:
        families = self._families  # first: they are emptied by putting others in their place
        if self._closed:
            raise InvalidArgument("store in memory: expected an open store; it was closed")
        return families


class _PairCursor:
    def __init__(self, pairs: list[tuple[bytes, bytes]]) -> None:
        self._pairs = iter(pairs)

    def __iter__(self) -> _PairCursor:
        return self

    def __next__(self) -> tuple[bytes, bytes]:
        return next(self._pairs)

    def close(self) -> None:
        self._pairs = iter(())
