"""Records, index and payload columns as one memory."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from paradox.core.errors import InvalidArgument
from paradox.core.metric import Metric
from paradox.core.types import (
    AddReport,
    BoolMask,
    F32Matrix,
    I32Vector,
    I64Vector,
    Neighbors,
    Record,
)
from paradox.core.vectors import as_ids, as_matrix, check_aim, check_directions, check_k
from paradox.index import AllowList, IndexBackend
from paradox.memory import settings
from paradox.memory.checkpoint import Derived
from paradox.memory.derived import DerivedData
from paradox.memory.effort import DEFAULT_RECALL, EffortBook
from paradox.memory.folder import open_folder, remove_leftovers, snapshot_folder, stage_folder
from paradox.memory.lifetime import Lifetime
from paradox.memory.settings import EngineSettings
from paradox.memory.stats import EngineStats
from paradox.store import RecordBlock, RecordStore, Schema, WriteBatch, WriteReport
from paradox.store.snapshot import restore_snapshot

_TUNING_SAMPLE = 2_000


class LatentMemoryEngine:
    """A memory of vectors with their meaning, in this process.

    Any number of threads may read while others write. A write is durable, where the engine is,
    and visible to every later read before its call returns; a query sees a write whole or not at
    all. `get` and `contains` may see one a moment before queries do.

    Args:
        dim: dimension of the vectors, 1 to 65,536.
        metric: `l2`, `ip` or `cosine`; see `paradox.core.metric`.
        index: name of an index backend; see `paradox.index.backends()`.
        schema: payload column to type (`str`, `int`, `float`, `bool`, `timestamp`, `list[str]`);
            other columns are then refused. None declares columns by their first value.
        index_options: options of the index backend.
        threads: threads one call may use, to search and to build; None takes `PARADOX_THREADS`,
            or 1.

    Raises:
        InvalidArgument: a setting out of its range.
        UnknownBackend: there is no such index, or its package is not installed.
    """

    def __init__(
        self,
        dim: int,
        *,
        metric: str = "l2",
        index: str = "auto",
        schema: Mapping[str, Any] | None = None,
        index_options: dict[str, Any] | None = None,
        threads: int | None = None,
    ) -> None:
        n_threads = settings.threads_of(threads)
        made = settings.make(dim, metric, index, index_options)
        self._start(made, RecordStore.volatile(dim=made.dim, schema=schema), None, n_threads)

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        dim: int | None = None,
        metric: str | None = None,
        index: str | None = None,
        schema: Mapping[str, Any] | None = None,
        index_options: dict[str, Any] | None = None,
        threads: int | None = None,
    ) -> Self:
        """Open the durable engine that lives in a folder, or make a new one there.

        Args:
            path: the folder.
            dim: needed for a new engine; an existing one knows its own, as it does all settings.
            metric: `l2` for a new engine if None.
            index: `auto` for a new engine if None.
            schema: as for `LatentMemoryEngine`.
            index_options: as for `LatentMemoryEngine`.
            threads: as for `LatentMemoryEngine`.

        Raises:
            InvalidArgument: the engine there has other settings, both named; or `path` is a file.
            StorageUnavailable: another process holds it, or the disk refuses.
            CorruptionError: what is stored is damaged beyond what can be made again.
        """
        folder = Path(path).absolute()
        n_threads = settings.threads_of(threads)
        asked = {"dim": dim, "metric": metric, "index": index, "index_options": index_options}
        made, store = open_folder(folder, asked, schema)
        engine = cls.__new__(cls)
        try:
            remove_leftovers(folder)
            engine._start(made, store, folder, n_threads)
        except BaseException:
            store.close()
            raise
        return engine

    def __repr__(self) -> str:
        made, where = self._settings, f"'{self._folder}'" if self._folder else "in memory"
        return f"<LatentMemoryEngine {where}: dim {made.dim}, {made.metric}, index {made.index!r}>"

    def _start(
        self, kept: EngineSettings, store: RecordStore, folder: Path | None, threads: int
    ) -> None:
        self._settings = kept
        self._store = store
        self._folder = folder
        self._threads = threads
        self._derived = DerivedData(kept, store, folder, threads)
        self._efforts = EffortBook()
        self._lifetime = Lifetime()
        self._closed = False  # for readers, whom the last checkpoint does not keep waiting

    # ---------------------------------------------------------------- settings and figures

    @property
    def dim(self) -> int:
        """Dimension of the vectors."""
        return self._settings.dim

    @property
    def metric(self) -> Metric:
        """Metric of the distances."""
        return self._settings.metric

    @property
    def schema(self) -> Schema:
        """Payload columns declared so far."""
        return self._store.schema

    @property
    def last_seq(self) -> int:
        """The last write."""
        return self._store.last_seq

    def __len__(self) -> int:
        with self._derived.reading():
            return len(self._current().index)

    def stats(self) -> EngineStats:
        """Return the engine's figures."""
        with self._derived.reading():
            return EngineStats.of(self._current(), self._derived.checkpoint_seq, self._store)

    # ---------------------------------------------------------------- writing

    def add(
        self,
        vectors: Any,
        *,
        ids: Any = None,
        payload: Any = None,
        encoder_id: str = "",
        version: int = 0,
        timestamps: Any = None,
        operation_id: bytes | None = None,
    ) -> AddReport:
        """Insert records, replacing those whose id is known.

        Args:
            vectors: (n, dim) or (dim,); float32, float64, float16, int8, or bfloat16 as uint16.
            ids: (n,) int64 other than -1; None assigns them. Where two are equal the last wins,
                and a warning says so.
            payload: n dicts, or a pandas, pyarrow or polars table of n rows.
            encoder_id: identity of the encoder that made the vectors.
            version: version of that encoder.
            timestamps: n datetimes, or None for now.
            operation_id: a name for this call; repeating a call of a known name changes nothing
                and returns what the first returned.

        Raises:
            InvalidArgument: vectors, ids or another argument are not as described.
            PayloadError: the payload does not fit the declared columns.
            StorageUnavailable: the disk refused; nothing was added.
        """
        self._check_open()
        matrix = as_matrix(vectors, self.dim)
        if self.metric == "cosine":
            check_directions(matrix)
        self._derived.check(matrix)
        done = self._write(
            WriteBatch(
                vectors=matrix,
                ids=ids,
                payloads=payload,
                encoder_id=encoder_id,
                version=version,
                timestamps=timestamps,
                operation_id=operation_id,
            )
        )
        if done.duplicates:
            warnings.warn(
                f"add: {done.duplicates} of {len(matrix)} ids came again in the same call; "
                "the last of each was kept",
                stacklevel=2,
            )
        return AddReport(done.ids, done.inserted, done.replaced, done.duplicates)

    def delete(self, ids: Any, *, operation_id: bytes | None = None) -> int:
        """Delete records by id, ignoring unknown ids; return how many were deleted."""
        self._check_open()
        return self._write(WriteBatch(deletes=ids, operation_id=operation_id)).deleted

    def declare(self, columns: Mapping[str, Any]) -> None:
        """Declare payload columns before any record has a value for them.

        Args:
            columns: column to type, as for `schema`.

        Raises:
            PayloadError: one is declared with another type, or the schema is closed.
        """
        self._check_open()
        self._lifetime.change(lambda: self._store.declare(columns))

    def assign_homes(self, ids: I64Vector, proposed: I32Vector) -> I32Vector:
        """Return the shard each id lives on for good: the one proposed for it first.

        Durable before it returns. The engine only keeps this directory for the cluster: a home
        says nothing about which records live here.

        Args:
            ids: (n,) int64.
            proposed: (n,) int32, the shard for an id that has none yet.
        """
        self._check_open()
        return self._lifetime.change(lambda: self._store.assign_homes(ids, proposed))

    def homes(self, ids: I64Vector) -> I32Vector:
        """Return the shard each id lives on, -1 where none was assigned."""
        self._check_open()
        return self._store.homes(ids)

    # ---------------------------------------------------------------- reading

    def query(
        self,
        vectors: Any,
        k: int = 10,
        *,
        recall: float | None = None,
        effort: int | None = None,
        filter: str | None = None,
    ) -> Neighbors:
        """Return the k nearest records of each query, nearest first.

        Args:
            vectors: (n_queries, dim), or (dim,) for one query, whose answer is then
                one-dimensional.
            k: 1 to 10,000; where there are fewer, -1 pads the ids and +inf the distances, of a
                `certified` answer too.
            recall: recall@k to reach, in (0, 1]; 0.95 if neither this nor `effort` is given. The
                index is tuned for it on the engine's own data when it is first asked for.
            effort: the index's own knob instead; not both.
            filter: an SQL expression over payload columns, such as `year >= 2020`, that records
                must satisfy.

        Raises:
            InvalidArgument: a query, `k` or `recall` is not as described.
            FilterError: the filter is not one boolean expression over declared columns.
        """
        k = check_k(k)
        queries = as_matrix(vectors, self.dim, where="queries")
        if self.metric == "cosine":
            check_directions(queries, where="queries")
        recall = check_aim(recall, effort) or DEFAULT_RECALL
        self._efforts.note(queries)
        if filter is None and (beside := self._current().index.beside_writer) is not None:
            found = self._search(beside, queries, k, effort, recall)
        else:  # ids and payloads have to be of one moment
            with self._derived.reading():
                derived = self._current()
                allow = None if filter is None else derived.filtered(filter, self.schema)
                found = self._search(derived.index, queries, k, effort, recall, allow)
        found = replace(found, _fetch=self.get)
        return found.first_row() if np.ndim(vectors) == 1 else found

    def begin_life(self) -> int:
        """Return the number of another life of whoever serves the engine; see `RecordStore`."""
        return self._lifetime.change(self._store.begin_life)

    def answers_soon(
        self, k: int, *, recall: float | None = None, effort: int | None = None
    ) -> bool:
        """Tell whether a query without a filter would wait for no writer and tune nothing."""
        index = self._current().index
        if index.beside_writer is None and self._derived.is_changing:
            return False
        return effort is not None or self._efforts.is_known(index, k, recall or DEFAULT_RECALL)

    def get(self, ids: Any) -> list[Record | None]:
        """Return the records of these ids, None where there is none.

        Raises:
            RecordCorrupt: a record is not what was written; names it.
        """
        self._check_open()
        return self._store.get(as_ids(ids))

    def contains(self, ids: Any) -> BoolMask:
        """Return (n,) bool, which of these ids are live."""
        self._check_open()
        return self._store.contains(as_ids(ids))

    def scan(self) -> Iterator[RecordBlock]:
        """Yield all records in blocks by ascending id, as they are now; see `RecordStore.scan`."""
        self._check_open()
        return self._store.scan()

    def sample(self, n: int, *, seed: int = 0) -> tuple[I64Vector, F32Matrix]:
        """Return ids (m,), ascending, and vectors (m, dim) of `n` random records, or of all."""
        self._check_open()
        return self._store.sample(n, seed=seed)

    # ---------------------------------------------------------------- keeping

    def checkpoint(self) -> None:
        """Keep the index as it is, so that the next opening replays only what comes after.

        Does nothing for a volatile engine. Reads go on meanwhile, writes wait.
        """
        self._lifetime.change(self._derived.checkpoint)

    def snapshot(self, uri: str) -> None:
        """Copy the engine, as it is at this moment, to a folder or object store.

        Args:
            uri: where to; anything fsspec speaks. A finished snapshot is never overwritten.

        Raises:
            InvalidArgument: there is a snapshot at `uri` already, or nothing can be written there.
            StorageUnavailable: the place, or the disk, refuses.
        """
        self._check_open()
        snapshot_folder(uri, self._folder, self.stage)

    def stage(self, folder: Path) -> None:
        """Write a consistent copy of the engine into a new folder, by hard links where possible."""
        self._check_open()
        made, derived, store = self._settings, self._derived, self._store
        self._lifetime.change(lambda: stage_folder(folder, made, derived, store))

    @classmethod
    def restore(cls, uri: str, path: str | Path, *, threads: int | None = None) -> Self:
        """Make a durable engine in a new folder from a snapshot, and open it.

        Raises:
            SnapshotCorrupt: a file of the snapshot is missing or not what was written.
            InvalidArgument: the folder is not empty.
        """
        restore_snapshot(uri, Path(path).absolute())
        return cls.open(path, threads=threads)

    def close(self, *, checkpoint: bool = True) -> None:
        """Close the engine; a second time does nothing.

        Writes under way are finished first, and those that come later refused.

        Args:
            checkpoint: keep the index, so that the next opening has nothing to replay.

        Raises:
            StorageUnavailable: the disk refuses the checkpoint; the engine is closed all the same.
        """
        self._lifetime.end(lambda: self._close(checkpoint))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(checkpoint=error is None)

    # ---------------------------------------------------------------- inside

    def _write(self, batch: WriteBatch) -> WriteReport:
        def write() -> WriteReport:
            done = self._store.write(batch)
            self._derived.catch_up(done.last_seq)
            self._derived.checkpoint_if_due()
            return done

        return self._lifetime.change(write)

    def _search(
        self,
        index: IndexBackend,
        queries: F32Matrix,
        k: int,
        effort: int | None,
        recall: float,
        allow: AllowList | None = None,
    ) -> Neighbors:
        if effort is None:
            effort = self._efforts.effort_for(index, k, recall, self._tuning_sample)
        return index.search(queries, k, effort=effort, allow=allow, threads=self._threads)

    def _tuning_sample(self) -> F32Matrix:
        return self.sample(_TUNING_SAMPLE)[1]

    def _close(self, checkpoint: bool) -> None:
        try:
            if checkpoint:
                self._derived.checkpoint()
        finally:
            with self._derived.changing():
                self._closed = True
            self._store.close()

    def _current(self) -> Derived:
        """Return what is derived, for a reader."""
        self._check_open()
        return self._derived.now

    def _check_open(self) -> None:
        if self._closed:
            raise InvalidArgument("the engine is closed")
