"""A write on its way: its ids, its payload columns, the shards it goes to, and what they did."""

from __future__ import annotations

import hashlib
import secrets
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from time import monotonic
from typing import Any

import numpy as np

from paradox import index
from paradox.cluster.placement import (
    NOWHERE,
    Placement,
    ShardCalls,
    SupervisorCalls,
    rows_by_shard,
)
from paradox.cluster.settings import CollectionSettings, Columns
from paradox.cluster.shard import Upserts, Written
from paradox.core.errors import InvalidArgument, UnknownBackend
from paradox.core.types import AddReport, F32Matrix, I64Vector, Payload
from paradox.core.vectors import last_of_each
from paradox.index import IndexBackend
from paradox.store import Schema

_BYTES_AT_ONCE = 8 * 2**20  # of vectors in one round to the shards


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Records to add, as checked at the edge.

    Attributes:
        vectors: (n, dim) float32.
        ids: (n,) int64, or None to have them assigned.
        rows: n payloads, not checked yet, or None for none.
        encoder_id: identity of the encoder that made the vectors.
        version: version of that encoder.
        timestamps: (n,) datetime64[us], or None for now.
        operation_id: the caller's name for this write, or None.
    """

    vectors: F32Matrix
    ids: I64Vector | None = None
    rows: Sequence[Mapping[str, Any]] | None = None
    encoder_id: str = ""
    version: int = 0
    timestamps: Any = None
    operation_id: bytes | None = None


class Writer:
    """Carries the writes of one client to a collection's shards.

    A call is repeated where a shard is restarting, under an operation id that the shard remembers,
    so what was acknowledged is there once. What becomes of a batch in which a shard stays away: the
    other shards' records are durable, and adding the batch again completes it.

    Args:
        settings: of the collection.
        columns: payload columns declared so far.
        shards: the way to its shards.
        supervisor: the way to the supervisor.
        wrote: told each shard that was written to, and the seq of its last write.
    """

    def __init__(
        self,
        settings: CollectionSettings,
        columns: Columns,
        shards: ShardCalls,
        supervisor: SupervisorCalls,
        wrote: Callable[[int, int], None],
    ) -> None:
        self._settings = settings
        self._shards = shards
        self._supervisor = supervisor
        self._wrote = wrote
        self._schema = Schema(columns, closed=settings.schema is not None)
        self._next_id = 0
        self._lock = Lock()
        self.placement = Placement(settings, shards, supervisor)

    def add(self, batch: Batch, *, timeout_s: float) -> AddReport:
        """Insert records, replacing those whose id is known; durable when it returns.

        Raises:
            PayloadError: a payload does not fit the declared columns; nothing was written.
            InvalidArgument: an operation id without ids, no ids are left to assign, or a vector
                that the index cannot keep; nothing was written.
            RetryableError: a shard stayed away; the records of the others are written.
        """
        if batch.operation_id is not None and batch.ids is None:
            raise InvalidArgument("operation_id: expected ids with it, or a repeat gets new ones")
        if self._like_a_shard is not None:
            self._like_a_shard.check(batch.vectors)
        n = len(batch.vectors)
        payloads = None if batch.rows is None else self._admitted(batch.rows)
        ids = self._chosen(batch.ids) if batch.ids is not None else self._assigned(n)
        kept = last_of_each(ids) if batch.ids is not None else np.arange(n, dtype=np.int64)
        if len(kept) < n:
            warnings.warn(
                f"add: {n - len(kept)} of {n} ids came again in the same call; "
                "the last of each was kept",
                stacklevel=3,
            )
        deadline = monotonic() + timeout_s
        inserted = replaced = 0
        operation = batch.operation_id or secrets.token_bytes(16)
        self.placement.prepare(batch.vectors)
        for round_number, rows in enumerate(self._rounds(kept)):
            calls = self._calls(batch, ids, payloads, rows, (operation, round_number), deadline)
            for written in self._carry("add", calls, deadline):
                inserted += written.inserted
                replaced += written.replaced
        return AddReport(ids, inserted, replaced, n - len(kept))

    def delete(self, ids: I64Vector, *, operation_id: bytes | None, timeout_s: float) -> int:
        """Delete records by id, ignoring unknown ids; return how many were deleted."""
        deadline = monotonic() + timeout_s
        ids = np.unique(ids)
        operation = operation_id or secrets.token_bytes(16)
        homes = self.placement.find(ids, timeout_s=timeout_s)
        calls = {
            home: (ids[rows], _operation_of(operation, 0, home))
            for home, rows in rows_by_shard(homes)
            if home != NOWHERE
        }
        return sum(written.deleted for written in self._carry("delete", calls, deadline))

    def _calls(
        self,
        batch: Batch,
        ids: I64Vector,
        payloads: list[Payload] | None,
        rows: I64Vector,
        operation: tuple[bytes, int],
        deadline: float,
    ) -> dict[int, tuple[Upserts]]:
        """Return what each shard is to add of these rows."""
        vectors = batch.vectors[rows]
        homes = self.placement.settle(
            ids[rows], vectors, timeout_s=max(deadline - monotonic(), 0.0)
        )
        calls = {}
        for home, at in rows_by_shard(homes):
            mine = rows[at]
            calls[home] = (
                Upserts(
                    ids=ids[mine],
                    vectors=vectors[at],
                    payloads=None if payloads is None else [payloads[row] for row in mine],
                    encoder_id=batch.encoder_id,
                    version=batch.version,
                    timestamps=None if batch.timestamps is None else batch.timestamps[mine],
                    operation_id=_operation_of(*operation, home),
                ),
            )
        return calls

    def _carry(
        self, method: str, calls: dict[int, tuple[Any, ...]], deadline: float
    ) -> Iterator[Written]:
        left_s = max(deadline - monotonic(), 0.0)
        for shard, written in self._shards.ask_all(method, calls, timeout_s=left_s).items():
            self._wrote(shard, written.seq)
            yield written

    def _rounds(self, kept: I64Vector) -> Iterator[I64Vector]:
        step = max(1, _BYTES_AT_ONCE // (4 * self._settings.dim))
        for start in range(0, len(kept), step):
            yield kept[start : start + step]

    def _admitted(self, rows: Sequence[Mapping[str, Any]]) -> list[Payload]:
        """Return payloads of exactly the declared types, declaring new columns for all shards."""
        schema, admitted = self._schema.admit(rows)
        if schema is not self._schema:
            columns = self._supervisor.ask("declare", self._settings.name, dict(schema.columns))
            self._schema = Schema(columns, self._schema.closed)
            _, admitted = self._schema.admit(rows)
        return admitted

    @cached_property
    def _like_a_shard(self) -> IndexBackend | None:
        """An empty index as the shards have, or None where this process lacks its package."""
        made = self._settings
        try:
            return index.create(made.index, dim=made.dim, metric=made.metric, **made.index_options)
        except UnknownBackend:
            return None

    def _chosen(self, ids: I64Vector) -> I64Vector:
        """Return ids that a caller chose, after making sure that none of them will be assigned."""
        highest = int(ids.max())
        with self._lock:
            if highest >= self._next_id:
                self._next_id = self._supervisor.ask("raise_ids", self._settings.name, highest)
        return ids

    def _assigned(self, n: int) -> I64Vector:
        first = self._supervisor.ask("assign_ids", self._settings.name, n)
        return np.arange(first, first + n, dtype=np.int64)


def _operation_of(operation: bytes, round_number: int, shard: int) -> bytes:
    """Return the operation id of one shard's part of a write."""
    part = f"{round_number}:{shard}".encode()
    return hashlib.blake2b(operation, digest_size=16, salt=b"paradox", person=part[:16]).digest()
