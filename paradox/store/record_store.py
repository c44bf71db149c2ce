"""The record store: one atomic, durable write for everything a record is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from paradox.core.errors import InvalidArgument
from paradox.core.types import BoolMask, F32Matrix, I64Vector, Record
from paradox.core.vectors import as_ids, check_dim
from paradox.store.batch import ChangeBlock, RecordBlock, StoreStats, WriteBatch, WriteReport
from paradox.store.codec import RecordCodec, id_keys, ids_of
from paradox.store.commit import Commit, check_batch
from paradox.store.folder import checkpoint_folder, create, open_folder
from paradox.store.group import GroupCommitter
from paradox.store.head import HeadFile
from paradox.store.keyspace import Keyspace
from paradox.store.reader import Reader
from paradox.store.schema import Schema
from paradox.store.state import StoreState
from paradox.store.volatile import VolatileKeyspace


class RecordStore:
    """Records by id, with their order of writes. One writing process, any number of threads.

    `open` gives a durable store, `volatile` one in memory; both are this class over another
    keyspace.
    """

    def __init__(
        self, keyspace: Keyspace, state: StoreState, path: Path, head: HeadFile | None
    ) -> None:
        self._keyspace = keyspace
        self._state = state
        self._path = path
        self._head = head
        self._codec = RecordCodec(state.dim, path)
        self._reader = Reader(keyspace, self._codec, path)
        self._uncertain = False  # a write failed: what is stored may differ from `_state`
        self._committer = GroupCommitter(self._begin, self._finish)

    @classmethod
    def open(
        cls, path: Path | str, *, dim: int | None = None, schema: Mapping[str, Any] | None = None
    ) -> RecordStore:
        """Open the store in the folder `path`, or create one there.

        Args:
            path: the folder.
            dim: dimension of the vectors; may be left out where the store exists.
            schema: columns of a closed schema; None takes the store's own, an open one at first.

        Raises:
            InvalidArgument: `path` cannot be a folder, `dim` is missing, `schema` is not the
                store's, or a newer Paradox wrote it.
            DimensionMismatch: the store has another dimension.
            StorageUnavailable: a process, which is named, holds the store; or the disk refuses.
            RecordCorrupt: files are damaged, or acknowledged commits are missing.
        """
        path = Path(path).absolute()
        folder = open_folder(path, dim, None if schema is None else Schema.of(schema))
        return cls(folder.keyspace, folder.state, path, folder.head)

    @classmethod
    def volatile(cls, *, dim: int, schema: Mapping[str, Any] | None = None) -> RecordStore:
        """Make a store in memory, gone with the process.

        Raises:
            InvalidArgument: `dim` or `schema` is out of range.
        """
        keyspace = VolatileKeyspace()
        state = create(keyspace, StoreState(dim=check_dim(dim), schema=Schema.of(schema)))
        return cls(keyspace, state, Path("memory"), None)

    @property
    def dim(self) -> int:
        """Dimension of the vectors."""
        return self._state.dim

    @property
    def schema(self) -> Schema:
        """The payload columns declared so far."""
        return self._state.schema

    @property
    def last_seq(self) -> int:
        """Seq of the last change, 0 before the first."""
        return self._state.last_seq

    def __len__(self) -> int:
        return len(self._state.records)

    def write(self, batch: WriteBatch) -> WriteReport:
        """Insert, replace and delete records; all of the batch is durable when this returns.

        Raises:
            CallerError: a field or a payload is wrong; nothing is written.
            StorageUnavailable: the disk refused. Nothing is acknowledged; the batch is there
                whole or not at all, and repeating it with an operation id is safe.
        """
        checked = check_batch(batch, self.dim)
        return self._committer.run(lambda commit: commit.apply(checked))

    def get(self, ids: I64Vector) -> list[Record | None]:
        """Return the record of each id, None where there is none.

        Raises:
            RecordCorrupt: names the record that is damaged or missing.
        """
        ids = as_ids(ids)
        values = self._reader.values(ids)
        known = np.array([value is not None for value in values], bool)
        block = self._codec.decode_block(
            ids[known], [value for value in values if value is not None]
        )
        records = iter(block.records())
        return [next(records) if found else None for found in known.tolist()]

    def get_vectors(self, ids: I64Vector) -> F32Matrix:
        """Return the vector of each id, (n, dim) float32, NaN where there is no record.

        Raises:
            RecordCorrupt: names the record that is damaged or missing.
        """
        ids = as_ids(ids)
        values = self._reader.values(ids)
        known = np.array([value is not None for value in values], bool)
        vectors = np.full((len(ids), self.dim), np.nan, np.float32)
        vectors[known] = self._codec.decode_vectors(
            ids[known], [value for value in values if value is not None]
        )
        return vectors

    def contains(self, ids: I64Vector) -> BoolMask:
        """Return for each id whether it has a record."""
        heads = self._keyspace.get("heads", id_keys(as_ids(ids)))
        return np.array([head is not None for head in heads], bool)

    def ids(self) -> I64Vector:
        """Return the ids of all records, ascending."""
        return ids_of([key for key, _ in self._keyspace.cursor("heads")])

    def sample(self, n: int, *, seed: int) -> tuple[I64Vector, F32Matrix]:
        """Return ids and vectors of `n` records drawn at random, or of all where there are fewer.

        Those deleted meanwhile are left out.

        Returns:
            ids (m,) int64, ascending; vectors (m, dim) float32.

        Raises:
            InvalidArgument: `n` is no integer from 0 on.
            RecordCorrupt: names the record that is damaged or missing.
        """
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 0:
            raise InvalidArgument(f"sample: expected an integer from 0 on; got {n!r:.80}")
        ids = self.ids()
        if len(ids) > n:
            picked = np.random.default_rng(seed).choice(len(ids), n, replace=False)
            ids = ids[np.sort(picked)]
        vectors = self.get_vectors(ids)
        there = ~np.isnan(vectors[:, 0])
        return ids[there], vectors[there]

    def scan(self) -> Iterator[RecordBlock]:
        """Yield all records by ascending id, as they are now, whatever is written meanwhile.

        Raises:
            RecordCorrupt: names the record that is damaged, or, after the last block, the key
                range in which one is missing.
        """
        with self._committer.lock:
            cursor, expected = self._keyspace.cursor("records"), self._state.records.copy()
        return self._reader.scan(cursor, expected)

    def changes(self, after_seq: int) -> Iterator[ChangeBlock]:
        """Yield what changed after a seq, until the last change there is when it ends.

        Applying the blocks in order to a copy of the store as of `after_seq` makes it equal to
        the store. What was overwritten since is left out.

        Raises:
            InvalidArgument: `after_seq` is negative, or changes after it were pruned.
            RecordCorrupt: a change or a record that it names is damaged or missing.
        """
        pruned = self._state.pruned_seq
        if after_seq < pruned:
            raise InvalidArgument(
                f"changes: expected a seq from {pruned} on, as those before are pruned; "
                f"got {after_seq}"
            )
        return self._reader.changes(after_seq, lambda: self.last_seq)

    def prune_changes(self, up_to_seq: int) -> None:
        """Forget changes up to a seq, as they need no replay; those of a batch go together."""
        self._committer.run(lambda commit: commit.prune_changes(up_to_seq))

    def declare(self, columns: Mapping[str, Any]) -> None:
        """Declare payload columns, durably, before any record has a value for them.

        Args:
            columns: column to type, as for `Schema.of`.

        Raises:
            InvalidArgument: a name or type that cannot be.
            PayloadError: one is declared with another type, or the schema is closed.
            StorageUnavailable: the disk refused.
        """
        self._committer.run(lambda commit: commit.declare(columns))

    def begin_life(self) -> int:
        """Return the number of another life of whoever serves the store, durably counted.

        It is greater than that of any before, so that a former one is known as such, whatever
        clocks say.

        Raises:
            StorageUnavailable: the disk refused.
        """
        return self._committer.run(lambda commit: commit.begin_life())

    def assign_homes(self, ids: I64Vector, proposed: npt.ArrayLike) -> npt.NDArray[np.int32]:
        """Return the home of each id, and give it the proposed one if it has none.

        The first home of an id is its home for ever. Durable when this returns.

        Args:
            ids: (n,) int64.
            proposed: (n,) int32, from 0 on.

        Raises:
            InvalidArgument: not n homes, or one out of range.
            StorageUnavailable: the disk refused.
        """
        ids = as_ids(ids)
        homes = np.asarray(proposed)
        if homes.shape != ids.shape or (len(homes) and homes.dtype.kind not in "iu"):
            raise InvalidArgument(
                f"proposed: expected {len(ids)} integers; got {homes.dtype} of shape {homes.shape}"
            )
        if len(homes) and not (homes.min() >= 0 and homes.max() < 2**31):
            raise InvalidArgument(
                f"proposed: expected 0 to {2**31 - 1}; got {homes.min()} to {homes.max()}"
            )
        wanted = homes.astype(np.int32)
        return self._committer.run(lambda commit: commit.assign_homes(ids, wanted))

    def homes(self, ids: I64Vector) -> npt.NDArray[np.int32]:
        """Return the home of each id, (n,) int32, -1 where it has none."""
        homes = self._keyspace.get("homes", id_keys(as_ids(ids)))
        return np.frombuffer(b"".join([h or b"\xff\xff\xff\xff" for h in homes]), "<i4").astype(
            np.int32
        )

    def stats(self) -> StoreStats:
        """Return the store's figures."""
        state = self._state
        return StoreStats(
            n_records=len(state.records),
            last_seq=state.last_seq,
            oldest_change=state.pruned_seq,
            n_operations=state.next_operation - state.first_operation,
            disk_bytes=self._keyspace.size_bytes(),
        )

    def verify(self) -> int:
        """Read everything and check it against its checksums and digests.

        Returns:
            The number of records.

        Raises:
            RecordCorrupt: the first damage found.
        """
        reader, open_cursor = self._reader, self._keyspace.cursor
        with self._committer.lock:
            state = self._state.copy()
            records, heads = open_cursor("records"), open_cursor("heads")
            homes, changes = open_cursor("homes"), open_cursor("changes")
            operations = open_cursor("operations")
        n_records = sum(len(block) for block in reader.scan(records, state.records))
        reader.verify_heads(heads, state.records)
        reader.verify_homes(homes, state.homes)
        reader.verify_changes(changes, state)
        reader.verify_operations(operations, state)
        return n_records

    def checkpoint(self, path: Path | str) -> None:
        """Write a consistent copy of the store to `path`, a store itself; writes go on after.

        Files are hard-linked where the file system is the same.

        Raises:
            InvalidArgument: `path` exists.
            StorageUnavailable: the disk refuses.
        """
        with self._committer.lock:
            checkpoint_folder(self._keyspace, self._state, Path(path).absolute())

    def close(self) -> None:
        """Close the store; a second time does nothing."""
        with self._committer.lock:
            self._keyspace.close()
            if self._head is not None:
                self._head.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _begin(self) -> Commit:
        if self._uncertain:
            self._keyspace.recover()
            self._state = StoreState.load(self._keyspace)
            self._uncertain = False
        return Commit(self._keyspace, self._state, self._codec)

    def _finish(self, commit: Commit) -> None:
        mutation = commit.mutation()
        if not mutation:
            return
        self._uncertain = True
        self._keyspace.write(mutation)
        if self._head is not None:
            self._head.write(commit.state.dim, commit.state.commits)
        self._state = commit.state
        self._uncertain = False
