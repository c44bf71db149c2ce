"""One commit: the operations of a group, staged on a copy of the state, written in one piece."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from paradox.core.errors import InvalidArgument
from paradox.core.types import F32Matrix, I64Vector
from paradox.core.vectors import as_ids, as_matrix, last_of_each
from paradox.store.batch import WriteBatch, WriteReport, check_encoder, check_operation_id
from paradox.store.codec import (
    RecordCodec,
    id_keys,
    pack_change,
    pack_head,
    record_digest,
    seq_key,
    unpack_heads,
)
from paradox.store.keyspace import Family, Keyspace, Mutation
from paradox.store.payload import as_rows
from paradox.store.schema import INT64_MAX
from paradox.store.state import StoreState
from paradox.store.timestamps import as_microseconds

KEPT_OPERATIONS = 100_000
"""Operation ids remembered: a repeat of an older one is applied again."""

_NO_IDS = np.empty(0, np.int64)
_Report = tuple[int | None, int, int, int, int, int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class CheckedBatch:
    """A `WriteBatch` whose form is right; whether its payloads fit, the schema decides later.

    Attributes:
        ids: (n,) int64 as given, or None where the store assigns them.
        kept: (m,) int64, positions of the vectors that are not overwritten within the batch.
        vectors: (m, dim) float32.
        rows: m payloads.
        timestamps: (m,) int64, microseconds since 1970.
        deletes: int64, no two equal.
    """

    ids: I64Vector | None
    kept: I64Vector
    vectors: F32Matrix
    rows: Sequence[Mapping[str, Any]]
    timestamps: I64Vector
    deletes: I64Vector
    encoder_id: str
    version: int
    operation_id: bytes | None
    n_given: int


def check_batch(batch: WriteBatch, dim: int) -> CheckedBatch:
    """Return a batch in the form the commit needs.

    Raises:
        InvalidArgument: names the field, what was expected and what came.
        PayloadError: the payload is of another type or length.
    """
    if batch.vectors is None and batch.deletes is None:
        raise InvalidArgument("batch: expected vectors or deletes; got neither")
    if batch.vectors is None and batch.ids is not None:
        raise InvalidArgument("batch: expected a vector for each id; got none")
    vectors = np.empty((0, dim), np.float32)
    if batch.vectors is not None:
        vectors = as_matrix(batch.vectors, dim)
    n = len(vectors)
    ids = None if batch.ids is None else as_ids(batch.ids, n)
    deletes = _NO_IDS
    if batch.deletes is not None:
        deletes = np.unique(as_ids(batch.deletes, where="deletes"))
    if ids is not None and len(deletes) and len(both := np.intersect1d(ids, deletes)):
        raise InvalidArgument(
            f"batch: expected an id with a vector or among the deletes; got {both[0]} in both"
        )
    check_encoder(batch.encoder_id, batch.version)
    check_operation_id(batch.operation_id)
    rows = as_rows(batch.payloads, n)
    timestamps = as_microseconds(batch.timestamps, n)
    kept = np.arange(n) if ids is None else last_of_each(ids)
    if len(kept) < n:
        vectors, timestamps = vectors[kept], timestamps[kept]
        rows = [rows[position] for position in kept.tolist()]
    return CheckedBatch(
        ids,
        kept,
        vectors,
        rows,
        timestamps,
        deletes,
        batch.encoder_id,
        int(batch.version),
        batch.operation_id,
        n,
    )


class Commit:
    """Stages operations; an operation that raises has staged nothing.

    Attributes:
        state: the state after the operations staged so far.
    """

    def __init__(self, keyspace: Keyspace, before: StoreState, codec: RecordCodec) -> None:
        self.state = before.copy()
        self._before = before
        self._keyspace = keyspace
        self._codec = codec
        self._mutation: Mutation = []
        self._staged: dict[Family, dict[bytes, bytes | None]] = {
            "heads": {},
            "operations": {},
            "homes": {},
        }

    def mutation(self) -> Mutation:
        """Return all there is to write; empty where the operations changed nothing."""
        before = self._before
        is_other = self.state.schema is not before.schema or self.state.lives != before.lives
        if self._mutation or is_other:
            self.state.commits += 1
            self._mutation += self.state.difference(before)
        return self._mutation

    def apply(self, batch: CheckedBatch) -> WriteReport:
        """Stage one batch.

        Raises:
            PayloadError: a value does not fit its column.
            InvalidArgument: no ids are left to assign.
            RecordCorrupt: what a record replaces cannot be read.
        """
        if batch.operation_id is not None:
            [known] = self._get("operations", [b"i" + batch.operation_id])
            if known is not None:
                return _unpack_report(known, batch)
        state = self.state
        schema, rows = state.schema.admit(batch.rows)
        assigned = None if batch.ids is not None or not batch.n_given else state.next_id
        ids = batch.ids if batch.ids is not None else _assigned(state.next_id, batch.n_given)
        kept = ids[batch.kept]
        keys, delete_keys = id_keys(kept), id_keys(batch.deletes)
        heads = self._get("heads", keys)
        deleted_heads = self._get("heads", delete_keys)

        state.schema = schema
        first_seq = state.last_seq + 1
        replaced = self._upsert(batch, kept, keys, heads, rows)
        deletes = self._delete(batch.deletes, delete_keys, deleted_heads)
        if len(kept):
            state.next_id = max(state.next_id, int(kept.max()) + 1)
        if state.last_seq >= first_seq:
            change = pack_change(first_seq, kept, deletes)
            self._mutation.append(("changes", seq_key(state.last_seq), change))
        report = WriteReport(
            ids,
            inserted=len(kept) - replaced,
            replaced=replaced,
            duplicates=batch.n_given - len(kept),
            deleted=len(deletes),
            first_seq=first_seq,
            last_seq=state.last_seq,
        )
        if batch.operation_id is not None:
            self._remember(batch.operation_id, _pack_report(report, assigned))
        return report

    def declare(self, columns: Mapping[str, Any]) -> None:
        """Stage payload columns that no record has a value for yet."""
        self.state.schema = self.state.schema.declare(columns)

    def begin_life(self) -> int:
        """Stage another life of the store's server; return its number."""
        self.state.lives += 1
        return self.state.lives

    def assign_homes(
        self, ids: I64Vector, proposed: npt.NDArray[np.int32]
    ) -> npt.NDArray[np.int32]:
        """Stage homes for the ids that have none; return the home of every id."""
        keys = id_keys(ids)
        known = self._get("homes", keys)
        fresh: dict[bytes, bytes] = {}
        for key, home, proposal in zip(keys, known, proposed.tolist(), strict=True):
            if home is None:
                fresh.setdefault(key, proposal.to_bytes(4, "little"))
        self._put("homes", list(fresh), list(fresh.values()))
        homes = np.frombuffer(
            b"".join([home or fresh[key] for key, home in zip(keys, known, strict=True)]), "<i4"
        ).astype(np.int32)
        new = np.array([home is None for home in known], bool)
        new_ids, first = np.unique(ids[new], return_index=True)
        self.state.homes.put(new_ids, homes[new][first].astype(np.uint64))
        return homes

    def prune_changes(self, up_to_seq: int) -> None:
        """Stage forgetting the changes of all batches that end at or before `up_to_seq`."""
        last_key = seq_key(max(up_to_seq, 0))
        cursor = self._keyspace.cursor("changes")
        keys = [key for key, _ in takewhile(lambda pair: pair[0] <= last_key, cursor)]
        if keys:
            self._put("changes", keys, [None] * len(keys))
            self.state.pruned_seq = int.from_bytes(keys[-1], "big")

    def _upsert(
        self,
        batch: CheckedBatch,
        ids: I64Vector,
        keys: list[bytes],
        heads: list[bytes | None],
        rows: list[Any],
    ) -> int:
        state = self.state
        content_versions = np.ones(len(ids), np.int64)
        known = np.array([head is not None for head in heads], bool)
        n_known = int(known.sum())
        if n_known:
            versions, seqs, crcs = unpack_heads([head for head in heads if head is not None])
            content_versions[known] = versions + 1
            state.records.remove(ids[known], record_digest(seqs, crcs))
        first_seq = state.last_seq + 1
        values, crc_list = self._codec.encode(
            ids,
            batch.vectors,
            rows,
            batch.encoder_id,
            batch.version,
            batch.timestamps,
            content_versions,
            first_seq,
        )
        seqs = np.arange(first_seq, first_seq + len(ids))
        new_heads = list(map(pack_head, content_versions.tolist(), seqs.tolist(), crc_list))
        self._put("records", keys, values)
        self._put("heads", keys, new_heads)
        state.records.put(ids, record_digest(seqs, np.array(crc_list, np.uint64)))
        state.last_seq += len(ids)
        return n_known

    def _delete(self, ids: I64Vector, keys: list[bytes], heads: list[bytes | None]) -> I64Vector:
        known = np.array([head is not None for head in heads], bool)
        if not known.any():
            return _NO_IDS
        ids = ids[known]
        _, seqs, crcs = unpack_heads([head for head in heads if head is not None])
        self.state.records.remove(ids, record_digest(seqs, crcs))
        gone = [key for key, head in zip(keys, heads, strict=True) if head is not None]
        self._put("records", gone, [None] * len(gone))
        self._put("heads", gone, [None] * len(gone))
        self.state.last_seq += len(ids)
        return ids

    def _remember(self, operation_id: bytes, report: bytes) -> None:
        state = self.state
        age = seq_key(state.next_operation)
        self._put("operations", [b"i" + operation_id, b"s" + age], [report, operation_id])
        state.next_operation += 1
        if state.next_operation - state.first_operation > KEPT_OPERATIONS:
            oldest = b"s" + seq_key(state.first_operation)
            forgotten = self._get("operations", [oldest])[0]
            assert forgotten is not None
            self._put("operations", [oldest, b"i" + forgotten], [None, None])
            state.first_operation += 1

    def _get(self, family: Family, keys: list[bytes]) -> list[bytes | None]:
        """Return values as the operations staged so far leave them."""
        values = self._keyspace.get(family, keys) if keys else []
        staged = self._staged[family]
        if not staged:
            return values
        return [staged.get(key, value) for key, value in zip(keys, values, strict=True)]

    def _put(self, family: Family, keys: Sequence[bytes], values: Sequence[bytes | None]) -> None:
        self._mutation += [(family, key, value) for key, value in zip(keys, values, strict=True)]
        if family in self._staged:
            self._staged[family].update(zip(keys, values, strict=True))


def _assigned(next_id: int, n: int) -> I64Vector:
    if next_id + n > INT64_MAX + 1:
        raise InvalidArgument(f"ids: expected room for {n} more; {next_id - 1} is in use")
    return np.arange(next_id, next_id + n, dtype=np.int64)


def _pack_report(report: WriteReport, assigned: int | None) -> bytes:
    """Return a report without the ids given, which a repeat of the call gives again."""
    stored: _Report = (
        assigned,
        len(report.ids),
        report.inserted,
        report.replaced,
        report.duplicates,
        report.deleted,
        report.first_seq,
        report.last_seq,
    )
    return msgspec.msgpack.encode(stored)


def _unpack_report(report: bytes, batch: CheckedBatch) -> WriteReport:
    """Return the report of the first call of this operation.

    Raises:
        InvalidArgument: this call is another one, under the same operation id.
    """
    assigned, n, inserted, replaced, duplicates, deleted, first_seq, last_seq = (
        msgspec.msgpack.decode(report, type=_Report)
    )
    if n != batch.n_given or (assigned is None) != (batch.ids is not None or not n):
        raise InvalidArgument(
            f"operation_id: expected the call of that name again, which gave {n} vectors; "
            f"got another, with {batch.n_given}"
        )
    ids = _NO_IDS if batch.ids is None else batch.ids
    if assigned is not None:
        ids = np.arange(assigned, assigned + n, dtype=np.int64)
    return WriteReport(
        ids, inserted, replaced, duplicates, deleted, first_seq, last_seq, applied=False
    )
