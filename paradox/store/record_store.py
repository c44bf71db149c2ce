"""The record store: one atomic, durable write for everything a record is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from paradox.core.errors import InvalidArgument, RecordCorrupt
from paradox.core.types import BoolMask, F32Matrix, I64Vector, Record
from paradox.core.vectors import as_ids, check_dim
from paradox.store.batch import ChangeBlock, RecordBlock, StoreStats, WriteBatch, WriteReport
from paradox.store.codec import (
    REMEDY,
    RecordCodec,
    id_keys,
    ids_of,
    seq_key,
    unpack_change,
    unpack_heads,
)
from paradox.store.commit import Commit, check_batch, record_digest
from paradox.store.digest import KeyRangeDigests, describe
from paradox.store.folder import checkpoint_folder, create, open_folder
from paradox.store.group import GroupCommitter
from paradox.store.head import HeadFile
from paradox.store.keyspace import Cursor, Keyspace
from paradox.store.schema import Schema
from paradox.store.state import StoreState
from paradox.store.volatile import VolatileKeyspace

_BLOCK = 1_024
_LOST = "restore a snapshot"


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
        values = self._values(ids)
        return [
            None if value is None else self._codec.decode(record_id, value)
            for record_id, value in zip(ids.tolist(), values, strict=True)
        ]

    def get_vectors(self, ids: I64Vector) -> F32Matrix:
        """Return the vector of each id, (n, dim) float32, NaN where there is no record.

        Raises:
            RecordCorrupt: names the record that is damaged or missing.
        """
        ids = as_ids(ids)
        values = self._values(ids)
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

    def scan(self) -> Iterator[RecordBlock]:
        """Yield all records by ascending id, as they are now, whatever is written meanwhile.

        Raises:
            RecordCorrupt: names the record that is damaged, or, after the last block, the key
                range in which one is missing.
        """
        with self._committer.lock:
            return self._scan(self._keyspace.cursor("records"), self._state.records.copy())

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
        return self._changes(after_seq)

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
        with self._committer.lock:
            state = self._state.copy()
            records = self._scan(self._keyspace.cursor("records"), state.records)
            heads = self._keyspace.cursor("heads")
            homes = self._keyspace.cursor("homes")
            changes = self._keyspace.cursor("changes")
        n_records = sum(len(block) for block in records)
        self._check_digests("record", heads, state.records, _head_digest)
        self._check_digests("home", homes, state.homes, _home_digest)
        seq = state.pruned_seq
        for key, value in changes:
            seq = self._follow(seq, key, value)[0]
        if seq != state.last_seq:
            raise self._missing_changes(seq, state.last_seq)
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
            self._head.write(commit.state.commits)
        self._state = commit.state
        self._uncertain = False

    def _values(self, ids: I64Vector) -> list[bytes | None]:
        keys = id_keys(ids)
        try:
            values = self._keyspace.get("records", keys)
        except RecordCorrupt:
            for record_id, key in zip(ids.tolist(), keys, strict=True):
                self._value(record_id, key)  # raises for the one that is damaged
            raise
        absent = [position for position, value in enumerate(values) if value is None]
        heads = self._keyspace.get("heads", [keys[position] for position in absent])
        for position, head in zip(absent, heads, strict=True):
            if head is not None:  # written between the two reads, or lost
                values[position] = self._value(int(ids[position]), keys[position])
                if values[position] is None and self.contains(ids[[position]])[0]:
                    raise self._missing_record(int(ids[position]))
        return values

    def _value(self, record_id: int, key: bytes) -> bytes | None:
        try:
            return self._keyspace.get("records", [key])[0]
        except RecordCorrupt as error:
            raise self._unreadable(record_id, error) from error

    def _scan(self, cursor: Cursor, expected: KeyRangeDigests) -> Iterator[RecordBlock]:
        found = KeyRangeDigests()
        last_key = b""
        while pairs := self._next_pairs(cursor, last_key):
            last_key = pairs[-1][0]
            values = [value for _, value in pairs]
            block = self._codec.decode_block(ids_of([key for key, _ in pairs]), values)
            found.put(block.ids, record_digest(block.seqs, self._codec.crcs(values)))
            yield block
        if differing := found.differing(expected):
            raise self._missing_in("record", differing[0], found, expected)

    def _next_pairs(self, cursor: Cursor, last_key: bytes) -> list[tuple[bytes, bytes]]:
        pairs: list[tuple[bytes, bytes]] = []
        try:
            for pair in islice(cursor, _BLOCK):
                pairs.append(pair)
        except RecordCorrupt as error:
            last_key = pairs[-1][0] if pairs else last_key
            following = next(self._keyspace.cursor("heads", last_key + b"\0"), None)
            if following is None:
                raise
            raise self._unreadable(int(ids_of([following[0]])[0]), error) from error
        return pairs

    def _changes(self, after_seq: int) -> Iterator[ChangeBlock]:
        seq = after_seq
        overdue: set[int] = set()  # written, not found: must turn up among later deletes
        while True:
            target = self.last_seq
            start = seq
            effects: dict[int, int | None] = {}  # id to the seq it was written at; None: deleted
            for key, value in self._keyspace.cursor("changes", seq_key(seq + 1)):
                seq, first_seq, upserts, deletes = self._follow(seq, key, value)
                effects.update(zip(upserts.tolist(), range(first_seq, seq + 1), strict=False))
                effects.update(dict.fromkeys(deletes.tolist()))
                if len(effects) >= _BLOCK:
                    yield self._change_block(seq, effects, overdue)
                    effects = {}
            if effects:
                yield self._change_block(seq, effects, overdue)
            if seq < target:
                raise self._missing_changes(seq, target)
            if seq == start:
                break
        if overdue:
            raise self._missing_record(min(overdue))

    def _follow(self, seq: int, key: bytes, value: bytes) -> tuple[int, int, I64Vector, I64Vector]:
        """Return last seq, first seq, ids upserted and ids deleted of the change after `seq`."""
        last_seq = int.from_bytes(key, "big")
        first_seq, upserts, deletes = unpack_change(value, self._path)
        if first_seq > seq + 1:
            raise self._missing_changes(seq, first_seq - 1)
        if last_seq != first_seq + len(upserts) + len(deletes) - 1:
            raise RecordCorrupt(f"change {last_seq} is of another seq", self._path, None, _LOST)
        return last_seq, first_seq, upserts, deletes

    def _change_block(
        self, seq: int, effects: dict[int, int | None], overdue: set[int]
    ) -> ChangeBlock:
        written = [record_id for record_id, at in effects.items() if at is not None]
        deletes = [record_id for record_id, at in effects.items() if at is None]
        ids = np.array(written, np.int64)
        overdue.difference_update(effects)
        current: list[tuple[int, bytes]] = []
        for record_id, value in zip(written, self._values(ids), strict=True):
            if value is None:
                overdue.add(record_id)
            elif (stored := self._codec.seq(value)) < (effects[record_id] or 0):
                raise RecordCorrupt(
                    f"record {record_id} is of seq {stored}; seq {effects[record_id]} is missing",
                    self._path,
                    None,
                    REMEDY,
                )
            elif stored == effects[record_id]:
                current.append((record_id, value))
        upserts = self._codec.decode_block(
            np.array([record_id for record_id, _ in current], np.int64),
            [value for _, value in current],
        )
        return ChangeBlock(seq, np.array(deletes, np.int64), upserts)

    def _check_digests(
        self,
        noun: str,
        cursor: Cursor,
        expected: KeyRangeDigests,
        digest: Callable[[list[bytes]], npt.NDArray[np.uint64]],
    ) -> None:
        found = KeyRangeDigests()
        while pairs := list(islice(cursor, _BLOCK)):
            found.put(ids_of([key for key, _ in pairs]), digest([value for _, value in pairs]))
        if differing := found.differing(expected):
            raise self._missing_in(noun, differing[0], found, expected)

    def _missing_in(
        self, noun: str, key_range: int, found: KeyRangeDigests, expected: KeyRangeDigests
    ) -> RecordCorrupt:
        return RecordCorrupt(
            f"key range {key_range} ({describe(key_range)}): expected {expected.count(key_range)} "
            f"{noun}s; found {found.count(key_range)}, or others",
            self._path,
            None,
            _LOST,
        )

    def _missing_record(self, record_id: int) -> RecordCorrupt:
        return RecordCorrupt(f"record {record_id} is missing", self._path, None, REMEDY)

    def _missing_changes(self, seq: int, last_seq: int) -> RecordCorrupt:
        return RecordCorrupt(
            f"changes {seq + 1} to {last_seq} are missing", self._path, None, _LOST
        )

    def _unreadable(self, record_id: int, error: RecordCorrupt) -> RecordCorrupt:
        return RecordCorrupt(
            f"record {record_id} cannot be read: {error.args[0]}", self._path, None, REMEDY
        )


def _head_digest(heads: list[bytes]) -> npt.NDArray[np.uint64]:
    return record_digest(*unpack_heads(heads)[1:])


def _home_digest(homes: list[bytes]) -> npt.NDArray[np.uint64]:
    return np.frombuffer(b"".join(homes), "<u4").astype(np.uint64)
