"""`HEAD`: what a store is, and how many commits it acknowledged, outside of its log.

RocksDB takes a damaged length near the end of its log for a write that was under way when the
power went, and drops what follows without a word. So the number of the last commit is also kept
here: written when its log entry is on disk, before it is acknowledged. Opening compares the two.
It is not synced at each commit: a killed process loses nothing of it, and after a loss of power
it may lag by what the kernel held back, which weakens the check and never makes it cry wolf.

Two slots of one sector each take turns, so that a torn write spoils only one.
"""

from __future__ import annotations

import contextlib
import os
import struct
from dataclasses import dataclass
from pathlib import Path

import google_crc32c

from paradox.core.errors import (
    DimensionMismatch,
    InvalidArgument,
    RecordCorrupt,
    StorageUnavailable,
)

FORMAT = 1
_MAGIC = b"PARADOX\0"
_SLOT = struct.Struct("<8sIIqq")  # magic, format, dim, commits, pid
_SECTOR = 512


@dataclass(frozen=True, slots=True)
class Head:
    """Contents of `HEAD`.

    Attributes:
        dim: dimension of the store.
        commits: number of commits acknowledged.
        pid: the process that wrote last.
        format: version of the store's format.
    """

    dim: int
    commits: int
    pid: int
    format: int = FORMAT


class HeadFile:
    """The open `HEAD` of one store."""

    def __init__(self, path: Path, dim: int) -> None:
        self._dim = dim
        self._pid = os.getpid()
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def write(self, commits: int) -> None:
        """Note that `commits` are on disk."""
        slot = _SLOT.pack(_MAGIC, FORMAT, self._dim, commits, self._pid)
        slot += google_crc32c.value(slot).to_bytes(4, "little")
        os.pwrite(self._fd, slot.ljust(_SECTOR, b"\0"), _SECTOR * (commits % 2))

    def sync(self) -> None:
        """Make it survive a loss of power."""
        os.fsync(self._fd)

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):  # what was acknowledged is in the log all the same
                os.fsync(self._fd)
            os.close(self._fd)
            self._fd = -1


def read_head(path: Path) -> Head | None:
    """Return what `HEAD` says, None where there is none.

    Raises:
        RecordCorrupt: neither slot is intact.
        InvalidArgument: a newer Paradox wrote it, or it is not a HEAD at all.
        StorageUnavailable: it cannot be read.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageUnavailable(f"store {path.parent}: {error}") from error
    slots = [_parse(raw[at : at + _SLOT.size + 4], path) for at in (0, _SECTOR)]
    intact = [slot for slot in slots if slot is not None]
    if not intact:
        raise RecordCorrupt("neither slot of HEAD is intact", path, 0, "restore a snapshot")
    return max(intact, key=lambda slot: slot.commits)


def check_head(head: Head, dim: int, path: Path) -> None:
    """Refuse a store of another dimension.

    Raises:
        DimensionMismatch: it has another.
    """
    if head.dim != dim:
        raise DimensionMismatch(f"store {path}: expected dimension {dim}; it has {head.dim}")


def _parse(slot: bytes, path: Path) -> Head | None:
    if len(slot) < _SLOT.size + 4:
        return None
    magic, version, dim, commits, pid = _SLOT.unpack_from(slot)
    if google_crc32c.value(slot[:-4]).to_bytes(4, "little") != slot[-4:] or magic != _MAGIC:
        return None
    if version > FORMAT:
        raise InvalidArgument(
            f"store {path.parent}: expected format {FORMAT} or older; got {version}: "
            "a newer Paradox wrote it"
        )
    return Head(dim, commits, pid, version)
