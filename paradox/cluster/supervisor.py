"""Who knows the collections: makes, finds and drops them, and decides what their shards must share.

Nothing here is on a query's path, and of a write only what is new to the whole collection is: a
column never seen, ids to assign, and until the partitioner is trained whether it is by now.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection as AnyOf
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import msgspec

from paradox.cluster.backup import restore_collection, snapshot_collection
from paradox.cluster.catalog import Catalog, Entry
from paradox.cluster.ids import IdCounter
from paradox.cluster.ledger import Ledger, Rows, SourceRows
from paradox.cluster.sealed import read_sealed, write_sealed
from paradox.cluster.settings import (
    DAMAGED_REMEDY,
    INGEST_FOLDER,
    PARTITIONER_FILE,
    STATE_FILE,
    CollectionSettings,
    CollectionState,
    Columns,
)
from paradox.core.errors import CollectionExists, CorruptionError
from paradox.core.files import write_atomically
from paradox.core.making import remove_abandoned
from paradox.core.types import F32Matrix
from paradox.routing import SemanticPartitioner

_LOG = logging.getLogger(__name__)


class Launcher(Protocol):
    """Starts and ends what serves a collection; `cluster/launch.py` does it with Ray actors."""

    def start(self, entry: Entry) -> None:
        """Start what is not running yet, and wait until it serves.

        Raises:
            ParadoxError: a new collection's shard cannot open; not raised for one that was there
                before, which is served without that shard.
        """
        ...

    def check_room(self, n_shards: int) -> None:
        """Refuse a new collection of more shards than can run.

        Raises:
            InvalidArgument: there are too many; says how many there may be.
        """
        ...

    def stop(self, name: str) -> None:
        """End it, whatever its settings, and return when nothing has its files open any more."""
        ...

    def closed_if_empty(self, settings: CollectionSettings) -> bool:
        """Let no write to a collection pass any more, if it holds no records; tell whether.

        Raises:
            RetryableError: a shard does not tell what it holds.
        """
        ...

    def stage(self, settings: CollectionSettings, folder: Path) -> None:
        """Write a copy of every shard's engine into a folder, all of one moment.

        Raises:
            RetryableError: a shard stayed away.
        """
        ...


@dataclass(frozen=True, slots=True)
class Description:
    """What a client needs to know of a collection.

    Attributes:
        settings: what never changes.
        storage: absolute path of its data.
        columns: payload columns declared so far.
        created: whether it was not there before the call that returned this.
    """

    settings: CollectionSettings
    storage: str
    columns: Columns
    created: bool = False


@dataclass(slots=True)
class _Shared:
    """The shared state of one collection, in memory."""

    entry: Entry
    state: CollectionState
    ids: IdCounter
    ledger: Ledger
    lock: Lock = field(default_factory=Lock)


class Supervisor:
    """The collections of one Ray cluster.

    Safe from many threads; what concerns one collection happens one after another. Making one
    never fails: a damaged catalog is told by each call, until it is as it was.

    Args:
        root: folder of the catalog, and of collections without a storage of their own.
        launcher: starts and ends their actors.
    """

    def __init__(self, root: Path, launcher: Launcher) -> None:
        self._root = root
        self._opened: Catalog | None = None
        self._opening = Lock()
        self._launcher = launcher
        self._shared: dict[str, _Shared] = {}
        self._guard = Lock()
        self._lifecycles: defaultdict[str, Lock] = defaultdict(Lock)
        self._snapshots: defaultdict[str, Lock] = defaultdict(Lock)

    @property
    def root(self) -> Path:
        """Folder of the catalog."""
        return self._root

    @property
    def _catalog(self) -> Catalog:
        """The catalog; opened by the calls, because Ray buries an actor that cannot be made."""
        with self._opening:
            if self._opened is None:
                self._opened = Catalog(self._root)
            return self._opened

    def create(
        self, asked: CollectionSettings, storage: Path | None, *, unasked: AnyOf[str] = ()
    ) -> Description:
        """Return the collection with these settings, made and started if it is not there.

        Args:
            asked: the settings wanted.
            storage: an absolute path, or None for the default.
            unasked: settings that may differ where the collection is there already.

        Raises:
            CollectionExists: it is there with other settings.
            InvalidArgument: the storage is not fit for it, or the index options are not; or it is
                of more shards than the cluster can run.
        """
        with self._lifecycle(asked.name):
            if asked.name not in self._catalog.names():
                self._launcher.check_room(asked.shards)
            entry = self._catalog.create(asked, storage, unasked=unasked)
            try:
                self._launcher.start(entry)
            except Exception:
                if entry.created:
                    self._launcher.stop(entry.settings.name)
                    self._catalog.remove(asked.name)
                raise
            return replace(self._describe(asked.name), created=entry.created)

    def get(self, name: str) -> Description:
        """Return a collection, started if it is not running.

        Raises:
            CollectionNotFound: there is none of that name.
        """
        with self._lifecycle(name):
            self._launcher.start(self._catalog.get(name))
            return self._describe(name)

    def names(self) -> list[str]:
        """Return the names of all collections, sorted."""
        return self._catalog.names()

    def drop(self, name: str, *, keep_data: bool = False) -> None:
        """End a collection's actors and delete its data, unless they are to be kept.

        Raises:
            CollectionNotFound: there is none of that name.
        """
        with self._lifecycle(name):
            try:
                self._catalog.get(name)
            except CorruptionError:
                _LOG.warning("dropping collection %r without its settings", name)
            self._end(name, keep_data=keep_data)

    def discard(self, name: str, uid: str) -> bool:
        """Drop a collection that holds nothing, and return whether that was done.

        Args:
            name: what it is called.
            uid: of its settings; another of that name stays.

        Raises:
            CollectionNotFound: there is none of that name.
            RetryableError: a shard does not tell what it holds.
        """
        with self._lifecycle(name):
            settings = self._catalog.get(name).settings
            is_dropped = settings.uid == uid and self._launcher.closed_if_empty(settings)
            if is_dropped:
                self._end(name)
            return is_dropped

    def snapshot(self, name: str, uri: str) -> None:
        """Copy a collection, as it is, to a folder or object store; see `snapshot_collection`.

        Of a collection one is taken at a time: writes are held for it.
        """
        with self._guard:
            one_at_a_time = self._snapshots[name]
        with one_at_a_time:
            entry = self._catalog.get(name)
            snapshot_collection(
                entry.storage, uri, lambda folder: self._launcher.stage(entry.settings, folder)
            )

    def restore(self, name: str, uri: str, storage: Path | None, shards: int | None) -> Description:
        """Make a collection from a snapshot, and start it; see `restore_collection`.

        Raises:
            CollectionExists: there is a collection of that name.
            InvalidArgument: the shards are more than the cluster can run.
        """
        with self._lifecycle(name):
            if name in self._catalog.names():
                raise CollectionExists(f"collection {name!r} is there; drop it first")
            folder = storage or self._catalog.default_storage(name)
            restored = restore_collection(
                uri, folder, name=name, shards=shards, check_room=self._launcher.check_room
            )
            self._launcher.start(self._catalog.create(restored, folder))
            return self._describe(name)

    def assign_ids(self, name: str, n: int) -> int:
        """Return the first of `n` consecutive ids that nothing in the collection has had.

        Raises:
            InvalidArgument: there are not `n` left above the ids that were chosen.
        """
        with self._locked(name) as shared:
            return shared.ids.assign(n)

    def raise_ids(self, name: str, highest: int) -> int:
        """Let no id up to `highest` be assigned; return the next that may be."""
        with self._locked(name) as shared:
            return shared.ids.raise_above(highest)

    def declare(self, name: str, columns: Columns) -> Columns:
        """Declare payload columns, durably; return all there are.

        A column that is declared already keeps its type, and a closed schema its columns: whoever
        declares checks values against what is returned.
        """
        with self._locked(name) as shared:
            known = shared.state.schema(shared.entry.settings)
            merged = {**columns, **known.columns}
            if not known.closed and len(merged) > len(known.columns):
                self._save(shared, columns=merged)
            return dict(shared.state.schema(shared.entry.settings).columns)

    def partitioner(self, name: str) -> bytes | None:
        """Return the trained partitioner as bytes, or None before there is one."""
        with self._locked(name) as shared:
            path = shared.entry.storage / PARTITIONER_FILE
            return path.read_bytes() if path.exists() else None

    def train(self, name: str, sample: F32Matrix) -> bytes:
        """Train the semantic partitioner, unless it has been; return it as bytes.

        Args:
            name: the collection.
            sample: (m, dim) float32.
        """
        with self._locked(name) as shared:
            path = shared.entry.storage / PARTITIONER_FILE
            if not path.exists():
                settings = shared.entry.settings
                trained = SemanticPartitioner.train(
                    sample, settings.shards, metric=settings.metric, seed=0
                )
                write_atomically(path, trained.to_bytes())
            return path.read_bytes()

    def known_source(self, name: str, key: str) -> SourceRows | None:
        """Return what the ledger knows of a source file by its key, or None."""
        with self._locked(name) as shared:
            return shared.ledger.known(key)

    def begin_source(
        self,
        name: str,
        key: str,
        file: str,
        n_rows: int,
        way: str,
        *,
        assign: bool,
        afresh: bool,
    ) -> SourceRows:
        """Note that a source file is going in, with ids for its rows if wanted; see `Ledger`."""
        with self._locked(name) as shared:
            ids = shared.ids.assign if assign else None
            return shared.ledger.begin(key, file, n_rows, way, assign=ids, afresh=afresh)

    def finish_rows(self, name: str, key: str, way: str, rows: Iterable[Rows]) -> None:
        """Note durably that rows of a source file are in."""
        with self._locked(name) as shared:
            shared.ledger.finish(key, way, rows)

    def _end(self, name: str, *, keep_data: bool = False) -> None:
        self._launcher.stop(name)
        with self._guard:
            shared = self._shared.pop(name, None)
        with shared.lock if shared else nullcontext():
            self._catalog.remove(name, keep_data=keep_data)

    def _describe(self, name: str) -> Description:
        with self._locked(name) as shared:
            entry = shared.entry
            columns = dict(shared.state.schema(entry.settings).columns)
            return Description(entry.settings, str(entry.storage), columns)

    def _lifecycle(self, name: str) -> Lock:
        with self._guard:
            return self._lifecycles[name]

    @contextmanager
    def _locked(self, name: str) -> Iterator[_Shared]:
        while True:
            with self._guard:
                shared = self._shared.get(name)
                if shared is None:
                    shared = self._shared[name] = self._load(self._catalog.get(name))
            with shared.lock:
                if self._shared.get(name) is shared:  # not dropped meanwhile
                    yield shared
                    return

    def _load(self, entry: Entry) -> _Shared:
        remove_abandoned(entry.storage)  # snapshots of a supervisor that was killed
        path = entry.storage / STATE_FILE
        state = read_sealed(path, CollectionState, remedy=DAMAGED_REMEDY) or CollectionState()
        shared = _Shared(
            entry=entry,
            state=state,
            ids=IdCounter(state.next_id, lambda mark: self._save(shared, next_id=mark)),
            ledger=Ledger(entry.storage / INGEST_FOLDER),
        )
        return shared

    def _save(self, shared: _Shared, **changes: Any) -> None:
        state = msgspec.structs.replace(shared.state, **changes)
        write_sealed(shared.entry.storage / STATE_FILE, state)
        shared.state = state
