"""The folder of a durable store: `HEAD`, and RocksDB under `rocksdb/`."""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from paradox.core.errors import (
    DimensionMismatch,
    InvalidArgument,
    RecordCorrupt,
    StorageUnavailable,
)
from paradox.core.files import make_folder, sync_folder
from paradox.core.vectors import check_dim
from paradox.store.head import Head, HeadFile
from paradox.store.keyspace import Keyspace
from paradox.store.rocks import RocksKeyspace
from paradox.store.schema import Schema
from paradox.store.state import StoreState

_DATABASE = "rocksdb"
_LOST = "restore a snapshot"


@dataclass(frozen=True, slots=True)
class StoreFolder:
    """An open folder: what is stored in it, and its state as of the last commit."""

    keyspace: RocksKeyspace
    head: HeadFile
    state: StoreState


def open_folder(path: Path, dim: int | None, schema: Schema | None) -> StoreFolder:
    """Open the store in `path`, or create one.

    A store found damaged is left as it was found: it is looked at read-only first, because
    RocksDB, when it opens, deletes the files that a damaged manifest no longer names.

    Raises:
        InvalidArgument: `path` is not a folder or cannot be one, a store is to be created
            without `dim`, its schema is another than the one given, or a newer Paradox wrote it.
        DimensionMismatch: the store has another dimension.
        StorageUnavailable: another process (or this one) holds it, or the disk refuses.
        RecordCorrupt: files are damaged, or commits that were acknowledged are missing.
    """
    if dim is not None:
        dim = check_dim(dim)
    _make_folder(path)
    head_file = HeadFile(path / "HEAD")
    try:
        head = head_file.read()
        if head is None:
            return _create(path, head_file, dim, schema or Schema())
        if dim is not None and head.dim != dim:
            raise DimensionMismatch(f"store {path}: expected dimension {dim}; it has {head.dim}")
        with closing(RocksKeyspace(path / _DATABASE, read_only=True)) as found:
            _check(StoreState.load(found), head, schema, path)
        keyspace = RocksKeyspace(path / _DATABASE)
        state = StoreState.load(keyspace)
        head_file.write(state.dim, state.commits)  # who holds it now
        return StoreFolder(keyspace, head_file, state)
    except BaseException:
        head_file.close()
        raise


def create(keyspace: Keyspace, state: StoreState) -> StoreState:
    """Write the first state of a store, and return it."""
    state.commits = 1
    keyspace.write(state.difference(StoreState()))
    return state


def checkpoint_folder(keyspace: Keyspace, state: StoreState, path: Path) -> None:
    """Write a copy of a store to `path`, which is then a store itself.

    Raises:
        InvalidArgument: `path` exists.
        StorageUnavailable: the disk refuses.
    """
    if path.exists():
        raise InvalidArgument(f"checkpoint: expected a new path; {path} exists")
    try:
        make_folder(path)
        keyspace.checkpoint(path / _DATABASE)
        with closing(HeadFile(path / "HEAD")) as head_file:
            head_file.create(state.dim, state.commits)
        sync_folder(path)
    except BaseException as error:
        shutil.rmtree(path, ignore_errors=True)
        if isinstance(error, OSError):
            raise StorageUnavailable(f"checkpoint {path}: {error}") from error
        raise


def _make_folder(path: Path) -> None:
    try:
        make_folder(path)
    except (FileExistsError, NotADirectoryError) as error:
        raise InvalidArgument(f"store {path}: expected a folder; got a file") from error
    except PermissionError as error:
        raise InvalidArgument(f"store {path}: expected a writable place; {error}") from error
    except OSError as error:
        raise StorageUnavailable(f"store {path}: {error}") from error


def _create(path: Path, head_file: HeadFile, dim: int | None, schema: Schema) -> StoreFolder:
    """Create the store, also where an earlier creation was cut short."""
    if dim is None:
        raise InvalidArgument(f"store {path}: expected dim, as there is no store yet")
    keyspace = RocksKeyspace(path / _DATABASE, create=True)
    try:
        if StoreState.load(keyspace).commits > 1:
            raise RecordCorrupt("HEAD is missing or empty", path / "HEAD", None, _LOST)
        state = create(keyspace, StoreState(dim=dim, schema=schema))
        head_file.create(dim, state.commits)
        sync_folder(path)
    except BaseException:
        keyspace.close()
        raise
    return StoreFolder(keyspace, head_file, state)


def _check(state: StoreState, head: Head, schema: Schema | None, path: Path) -> None:
    if state.commits < head.commits:
        raise RecordCorrupt(
            f"commits {state.commits + 1} to {head.commits} were acknowledged and are missing",
            path / _DATABASE,
            None,
            _LOST,
        )
    if schema is not None and schema != state.schema:
        raise InvalidArgument(f"store {path}: expected {schema}; it has {state.schema}")
