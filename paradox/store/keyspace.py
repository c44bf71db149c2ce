"""What the record store needs of the engine under it: ordered keys, and writes all or nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, Protocol, get_args

Family = Literal["records", "heads", "changes", "operations", "homes", "meta"]
"""`records` and `heads` by id, `changes` by last seq, `operations` by operation id and by age,
`homes` by id, `meta` by name."""

FAMILIES: tuple[Family, ...] = get_args(Family)

Mutation = list[tuple[Family, bytes, bytes | None]]
"""Puts and (None) deletes, in order."""


class Cursor(Iterator[tuple[bytes, bytes]], Protocol):
    """Keys and values in key order, as they were when the cursor was opened."""

    def close(self) -> None:
        """Let go of what the cursor holds; it yields nothing more."""
        ...


class Keyspace(Protocol):
    """Families of ordered key-value pairs; one writer at a time, any number of readers."""

    def get(self, family: Family, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the value of each key, None where there is none.

        Raises:
            RecordCorrupt: a stored block is damaged.
        """
        ...

    def cursor(self, family: Family, start: bytes = b"") -> Cursor:
        """Open a cursor on the keys from `start` on.

        Raises:
            RecordCorrupt: by the cursor, where it comes to a damaged block.
        """
        ...

    def write(self, mutation: Mutation) -> None:
        """Make all of a mutation durable, or nothing of it.

        Raises:
            StorageUnavailable: the disk refused; `recover` before the next write.
        """
        ...

    def recover(self) -> None:
        """Make writes possible again after one failed; the failed one may turn out to be there.

        Raises:
            StorageUnavailable: the disk still refuses.
        """
        ...

    def checkpoint(self, path: Path) -> None:
        """Write a consistent copy to `path`, which does not exist yet."""
        ...

    def size_bytes(self) -> int:
        """Return the size of the files, 0 where there are none."""
        ...

    def close(self) -> None:
        """Close; a second time does nothing."""
        ...
