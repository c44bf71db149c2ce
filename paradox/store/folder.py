"""The folder of a durable store: `HEAD`, and RocksDB under `rocksdb/`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from paradox.core.errors import InvalidArgument, RecordCorrupt, StorageUnavailable
from paradox.core.vectors import check_dim
from paradox.store.head import Head, HeadFile, check_head, read_head
from paradox.store.keyspace import Keyspace
from paradox.store.rocks import RocksKeyspace
from paradox.store.schema import Schema
from paradox.store.state import StoreState

_DATABASE = "rocksdb"
_LOST = "restore a snapshot, or save what is left with `paradox.store.salvage`"


@dataclass(frozen=True, slots=True)
class StoreFolder:
    """An open folder: what is stored in it, and its state as of the last commit."""

    keyspace: RocksKeyspace
    head: HeadFile
    state: StoreState


def open_folder(path: Path, dim: int | None, schema: Schema | None) -> StoreFolder:
    """Open the store in `path`, or create one.

    Raises:
        InvalidArgument: `path` is not a folder or cannot be one, a store is to be created
            without `dim`, its schema is another than the one given, or a newer Paradox wrote it.
        DimensionMismatch: the store has another dimension.
        StorageUnavailable: another process (or this one) holds it, or the disk refuses.
        RecordCorrupt: files are damaged, or commits that were acknowledged are missing.
    """
    if dim is not None:
        dim = check_dim(dim)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise InvalidArgument(f"store {path}: expected a folder; got a file") from error
    except PermissionError as error:
        raise InvalidArgument(f"store {path}: expected a writable place; {error}") from error
    except OSError as error:
        raise StorageUnavailable(f"store {path}: {error}") from error
    head = read_head(path / "HEAD")
    if head is not None and dim is not None:
        check_head(head, dim, path)
    if head is None and dim is None:
        raise InvalidArgument(f"store {path}: expected dim, as there is no store yet")
    keyspace = _open_keyspace(path, head)
    try:
        state = _check_acknowledged(StoreState.load(keyspace), head, path)
        if state.commits == 0:
            assert dim is not None
            state = create(keyspace, StoreState(dim=dim, schema=schema or Schema()))
        elif schema is not None and schema != state.schema:
            raise InvalidArgument(f"store {path}: expected {schema}; it has {state.schema}")
        head_file = HeadFile(path / "HEAD", state.dim)
        head_file.write(state.commits)
        head_file.sync()
    except BaseException:
        keyspace.close()
        raise
    return StoreFolder(keyspace, head_file, state)


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
    try:
        path.mkdir(parents=True)
        keyspace.checkpoint(path / _DATABASE)
        head = HeadFile(path / "HEAD", state.dim)
        head.write(state.commits)
        head.close()
    except FileExistsError as error:
        raise InvalidArgument(f"checkpoint: expected a new path; {path} exists") from error
    except OSError as error:
        raise StorageUnavailable(f"checkpoint {path}: {error}") from error


def _open_keyspace(path: Path, head: Head | None) -> RocksKeyspace:
    try:
        return RocksKeyspace(path / _DATABASE, create=head is None)
    except StorageUnavailable as error:
        if "lock" not in str(error).lower():
            raise
        holder = f"process {head.pid}" if head is not None else "another process"
        raise StorageUnavailable(f"store {path}: {holder} holds it; one may at a time") from error


def _check_acknowledged(state: StoreState, head: Head | None, path: Path) -> StoreState:
    if head is None and state.commits > 1:
        raise RecordCorrupt("HEAD is missing", path / "HEAD", None, _LOST)
    if head is not None and state.commits < head.commits:
        raise RecordCorrupt(
            f"commits {state.commits + 1} to {head.commits} were acknowledged and are missing",
            path / _DATABASE,
            None,
            _LOST,
        )
    return state
