"""The keyspace of a durable store: RocksDB.

Settings that matter, measured on RocksDB as rocksdict 0.3.29 carries it: recovery must be
`tolerate_corrupted_tail_records`, since the default stops silently at a flipped byte of the log
and drops what was acknowledged after it; an iterator ends silently at a damaged block, so its
status is asked after the last key; every write is one synced batch.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path

from rocksdict import (
    AccessType,
    BlockBasedOptions,
    Checkpoint,
    ColumnFamily,
    DbClosedError,
    DBCompressionType,
    DBRecoveryMode,
    Options,
    Rdict,
    RdictIter,
    WriteBatch,
    WriteOptions,
)

from paradox.core.errors import (
    InvalidArgument,
    ParadoxError,
    RecordCorrupt,
    StorageUnavailable,
)
from paradox.store.keyspace import FAMILIES, Family, Mutation

_MEMTABLE_BYTES = {"records": 64 << 20}
_BLOB_BYTES = 256  # a value from here on goes to a blob file: any vector of 64 dimensions

_READ_S = 1e-3  # about as long as a read takes

_PROBE_BYTES = 1 << 20  # reopening writes a new log and manifest, far smaller, and what logs hold

_MISSING = ("No such file", "does not exist")  # files of the database, which is there


class RocksKeyspace:
    """Key-value pairs in a RocksDB folder, which one process may hold at a time.

    Args:
        path: the folder.
        create: make the database if there is none.
        read_only: change no file, not even to recover; `write` then fails.

    Raises:
        RecordCorrupt: files are damaged or missing.
        StorageUnavailable: the disk refuses.
    """

    def __init__(self, path: Path, *, create: bool = False, read_only: bool = False) -> None:
        self._path = path
        self._create = create
        self._access = AccessType.read_write()
        if read_only:
            self._access = AccessType.read_only(error_if_log_file_exist=False)
        self._lock = threading.Lock()
        self._cursors: weakref.WeakSet[_RocksCursor] = weakref.WeakSet()
        self._closed = False
        self._pid = os.getpid()
        self._open()

    def get(self, family: Family, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the value of each key, None where there is none.

        Raises:
            RecordCorrupt: a stored block is damaged.
            StorageUnavailable: the disk refused.
        """
        try:
            return self._get(family, keys)
        except DbClosedError:
            with self._lock:  # it is being reopened
                try:
                    return self._get(family, keys)
                except DbClosedError as error:  # that failed
                    raise self._translated(error) from error

    def cursor(self, family: Family, start: bytes = b"") -> _RocksCursor:
        """Open a cursor on the keys from `start` on, as they are now."""
        with self._lock:
            try:
                iterator = self._reading(family).iter()
            except DbClosedError as error:  # it could not be reopened
                raise self._translated(error) from error
            iterator.seek(start)
            cursor = _RocksCursor(iterator, self._translated)
            self._cursors.add(cursor)
        return cursor

    def write(self, mutation: Mutation) -> None:
        """Make all of a mutation durable, or nothing of it.

        Raises:
            StorageUnavailable: the disk refused; `recover` before the next write.
            RecordCorrupt: RocksDB found damage in the background and takes no more writes.
        """
        self._check_open()
        batch = WriteBatch(raw_mode=True)
        handles, put = self._handles, batch.put
        for family, key, value in mutation:
            if value is None:
                batch.delete(key, handles[family])
            else:
                put(key, value, handles[family])
        try:
            self._db.write(batch, self._synced)
        except Exception as error:
            raise self._translated(error) from error

    def recover(self) -> None:
        """Reopen after a failed write; the batch that failed may turn out to be there.

        RocksDB takes no writes after one failed. Reads go on until there is room to reopen.

        Raises:
            StorageUnavailable: the disk still refuses.
        """
        with self._lock:
            try:
                logged = sum(log.stat().st_size for log in self._path.glob("*.log"))
                with tempfile.TemporaryFile(dir=self._path) as probe:
                    os.posix_fallocate(probe.fileno(), 0, logged + _PROBE_BYTES)
            except OSError as error:
                raise StorageUnavailable(f"store {self._path}: {error}") from error
            self._release()
            self._open()

    def checkpoint(self, path: Path) -> None:
        """Write a consistent copy to `path`: hard links where the file system is the same."""
        self._check_open()
        try:
            Checkpoint(self._db).create_checkpoint(str(path))
        except Exception as error:
            raise self._translated(error) from error

    def size_bytes(self) -> int:
        """Return the size of the files."""
        total = 0
        for file in self._path.iterdir():
            with contextlib.suppress(FileNotFoundError):  # compacted away meanwhile
                total += file.stat().st_size
        return total

    def close(self) -> None:
        """Close; a second time does nothing."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._release()

    def _open(self) -> None:
        try:
            self._db = Rdict(
                str(self._path),
                _options(create=self._create),
                {family: _options(family) for family in FAMILIES},
                self._access,
            )
        except Exception as error:
            raise self._translated(error) from error
        self._synced = WriteOptions()
        self._synced.sync = True
        self._readers: dict[str, Rdict] = {f: self._db.get_column_family(f) for f in FAMILIES}
        self._handles: dict[str, ColumnFamily] = {
            f: self._db.get_column_family_handle(f) for f in FAMILIES
        }
        self._create = False  # a folder that has lost its files must not be started afresh

    def _release(self) -> None:
        for cursor in list(self._cursors):
            cursor.interrupt(StorageUnavailable(f"store {self._path}: closed while being read"))
        self._handles.clear()  # in place: the frame of a write that failed may know them still
        for database in (*self._readers.values(), self._db):
            while _is_being_read(database):
                time.sleep(_READ_S)

    def _get(self, family: Family, keys: Sequence[bytes]) -> list[bytes | None]:
        reader = self._reading(family)
        try:
            values: list[bytes | None] = reader.get(list(keys))  # type: ignore[assignment]
        except DbClosedError:
            raise
        except Exception as error:
            raise self._translated(error) from error
        return values

    def _reading(self, family: Family) -> Rdict:
        self._check_open()
        return self._readers[family]

    def _check_open(self) -> None:
        if self._closed:
            raise InvalidArgument(f"store {self._path}: expected an open store; it was closed")
        if os.getpid() != self._pid:
            raise StorageUnavailable(
                f"store {self._path}: process {self._pid} holds it, and this one is its fork"
            )

    def _translated(self, error: Exception) -> ParadoxError:
        message = str(error)
        if message.startswith("Corruption") or any(part in message for part in _MISSING):
            return RecordCorrupt(message, self._path, None, "restore a snapshot")
        return StorageUnavailable(f"store {self._path}: {message}")


class _RocksCursor:
    """Keys and values of one family from a point in time."""

    def __init__(
        self, iterator: RdictIter, translated: Callable[[Exception], ParadoxError]
    ) -> None:
        self._iterator: RdictIter | None = iterator
        self._translated = translated
        self._interrupted: ParadoxError | None = None

    def __iter__(self) -> _RocksCursor:
        return self

    def __next__(self) -> tuple[bytes, bytes]:
        iterator = self._iterator
        if iterator is None:
            raise self._interrupted or StopIteration
        if iterator.valid():
            pair = iterator.key(), iterator.value()
            iterator.next()
            return pair
        self.close()
        try:
            iterator.status()  # an iterator ends at a damaged block as it does at the last key
        except Exception as error:
            raise self._translated(error) from error
        raise StopIteration

    def close(self) -> None:
        self._iterator = None

    def interrupt(self, error: ParadoxError) -> None:
        """Let go of the iterator, which would keep the database open, and raise from here on."""
        if self._iterator is not None:
            self._interrupted = error
            self._iterator = None


def _is_being_read(database: Rdict) -> bool:
    """Close a database, or tell that a thread reads it, so that it has stayed open."""
    try:
        database.close()
    except Exception as error:  # of a write that failed it tells, and lets go all the same
        return isinstance(error, RuntimeError) and "borrowed" in str(error)
    return False


def _options(family: str = "", *, create: bool = False) -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(create)
    options.create_missing_column_families(True)
    options.set_wal_recovery_mode(DBRecoveryMode.tolerate_corrupted_tail_records())
    options.set_paranoid_checks(True)
    options.set_atomic_flush(True)
    options.set_max_background_jobs(2)
    options.set_max_total_wal_size(256 << 20)
    options.set_max_log_file_size(1 << 20)
    options.set_keep_log_file_num(2)
    options.set_write_buffer_size(_MEMTABLE_BYTES.get(family, 8 << 20))
    options.set_compression_type(DBCompressionType.none())
    table = BlockBasedOptions()
    table.set_bloom_filter(10, False)
    options.set_block_based_table_factory(table)
    if family == "records":
        options.set_enable_blob_files(True)
        options.set_min_blob_size(_BLOB_BYTES)
        options.set_enable_blob_gc(True)
    return options
