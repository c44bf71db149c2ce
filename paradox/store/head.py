"""`HEAD`: what a store is, and how many commits it acknowledged, outside of its log.

RocksDB takes a damaged length near the end of its log for a write that was under way when the
power went, and drops what follows without a word (measured: 3 of 2,500 flipped bytes at the end
of a log, and every truncation). So the number of the last commit is also kept here: written when
its log entry is on disk, before it is acknowledged. Opening compares the two. It is not synced at
each commit: a killed process loses nothing of it, and after a loss of power it may lag by what the
kernel held back, which weakens the check and never makes it cry wolf.

Two slots of one sector each take turns, so that a torn write spoils only one. The open file is
also the lock of the store.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
from dataclasses import dataclass
from pathlib import Path

import google_crc32c

from paradox.core.errors import InvalidArgument, RecordCorrupt, StorageUnavailable

FORMAT = 1
_MAGIC = b"PARADOX\0"
_SLOT = struct.Struct("<8sIIqqI")  # magic, format, dim, commits, pid, CRC32C of those
_SECTOR = 512


@dataclass(frozen=True, slots=True)
class Head:
    """Contents of `HEAD`.

    Attributes:
        dim: dimension of the store.
        commits: number of commits acknowledged.
        pid: the process that wrote last.
    """

    dim: int
    commits: int
    pid: int


class HeadFile:
    """The `HEAD` of one store, held by one process at a time.

    Raises:
        StorageUnavailable: somebody holds it, the process is named; or the disk refuses.
        InvalidArgument: the folder is not writable.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except PermissionError as error:
            raise InvalidArgument(f"store: expected a writable folder; {error}") from error
        except OSError as error:
            raise StorageUnavailable(f"store {path.parent}: {error}") from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            with contextlib.suppress(RecordCorrupt, InvalidArgument):
                head = self.read()
                holder = "another process" if head is None else f"process {head.pid}"
            os.close(self._fd)
            raise StorageUnavailable(
                f"store {path.parent}: {holder} holds it, one may at a time"
            ) from error

    def read(self) -> Head | None:
        """Return what it says, None where nothing was written yet.

        Raises:
            RecordCorrupt: neither slot is intact.
            InvalidArgument: a newer Paradox wrote it.
        """
        raw = os.pread(self._fd, 2 * _SECTOR, 0)
        if not raw:
            return None
        slots = [self._parse(raw[at : at + _SLOT.size]) for at in (0, _SECTOR)]
        intact = [slot for slot in slots if slot is not None]
        if not intact:
            raise RecordCorrupt("neither slot is intact", self._path, 0, "restore a snapshot")
        return max(intact, key=lambda slot: slot.commits)

    def create(self, dim: int, commits: int) -> None:
        """Write both slots, so that later writes find their place on the disk taken."""
        self.write(dim, commits - 1)
        self.write(dim, commits)
        os.fsync(self._fd)

    def write(self, dim: int, commits: int) -> None:
        """Note that `commits` are on disk.

        Raises:
            StorageUnavailable: the disk refuses.
        """
        slot = _SLOT.pack(_MAGIC, FORMAT, dim, commits, os.getpid(), 0)[:-4]
        slot += google_crc32c.value(slot).to_bytes(4, "little")
        try:
            os.pwrite(self._fd, slot.ljust(_SECTOR, b"\0"), _SECTOR * (commits % 2))
        except OSError as error:
            raise StorageUnavailable(f"store {self._path}: {error}") from error

    def close(self) -> None:
        """Close the file and let go of the lock; a second time does nothing."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):  # what was acknowledged is in the log all the same
                os.fsync(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _parse(self, slot: bytes) -> Head | None:
        if len(slot) < _SLOT.size:
            return None
        magic, version, dim, commits, pid, crc = _SLOT.unpack(slot)
        if magic != _MAGIC or crc != google_crc32c.value(slot[:-4]):
            return None
        if version > FORMAT:
            raise InvalidArgument(
                f"store {self._path.parent}: expected format {FORMAT} or older; got {version}, "
                "which a newer Paradox wrote"
            )
        return Head(dim, commits, pid)
