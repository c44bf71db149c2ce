"""What goes into the record store in one piece, and what comes out in blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from paradox.core.errors import InvalidArgument
from paradox.core.types import F32Matrix, I64Vector, Payload, Record
from paradox.store.schema import INT64_MAX, is_text
from paradox.store.timestamps import from_microseconds


@dataclass(frozen=True, slots=True, eq=False)
class WriteBatch:
    """Upserts and deletes that become durable together or not at all.

    Attributes:
        vectors: (n, dim) of the records to insert or replace, or None for none; what
            `core.vectors.as_matrix` takes.
        ids: (n,) int64, one for each vector, the last wins where two are equal; None lets the
            store assign them, above every id it ever held.
        payloads: n payloads in any form `as_rows` takes.
        encoder_id: identity of the encoder that made the vectors.
        version: version of that encoder.
        timestamps: when they were made, in any form `as_microseconds` takes; None is now.
        deletes: (m,) int64, ids to delete; unknown ones are ignored. No id may be both given a
            vector and deleted.
        operation_id: 1 to 255 bytes; a batch whose operation id is known changes nothing.
    """

    vectors: Any = None
    ids: Any = None
    payloads: Any = None
    encoder_id: str = ""
    version: int = 0
    timestamps: Any = None
    deletes: Any = None
    operation_id: bytes | None = None


@dataclass(frozen=True, slots=True, eq=False)
class WriteReport:
    """What one batch did, after it is durable.

    Attributes:
        ids: (n,) int64, the id of every vector given, in the order given.
        inserted: records that were new.
        replaced: records that replaced one of the same id.
        duplicates: vectors dropped because a later one in the batch had their id.
        deleted: records deleted.
        first_seq: seq of the first change, `last_seq + 1` where nothing changed. The vectors
            kept have the seqs from here on in the order given, the deletes those after them.
        last_seq: seq of the last change.
        applied: False where the operation id was known, and this is the report of its first time.
    """

    ids: I64Vector
    inserted: int
    replaced: int
    duplicates: int
    deleted: int
    first_seq: int
    last_seq: int
    applied: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class RecordBlock:
    """Some records, column by column.

    Attributes:
        ids: (n,) int64.
        vectors: (n, dim) float32.
        payloads: n payloads.
        encoder_ids: n encoder identities.
        versions: (n,) int64, encoder versions.
        timestamps: (n,) int64, microseconds since 1970.
        content_versions: (n,) int64.
        seqs: (n,) int64.
    """

    ids: I64Vector
    vectors: F32Matrix
    payloads: list[Payload]
    encoder_ids: list[str]
    versions: I64Vector
    timestamps: I64Vector
    content_versions: I64Vector
    seqs: I64Vector

    def __len__(self) -> int:
        return len(self.ids)

    def records(self) -> list[Record]:
        """Return the records one by one; their vectors are rows of this block's matrix."""
        return list(
            map(
                Record,
                self.ids.tolist(),
                self.vectors,
                self.payloads,
                self.encoder_ids,
                self.versions.tolist(),
                map(from_microseconds, self.timestamps.tolist()),
                self.content_versions.tolist(),
                self.seqs.tolist(),
            )
        )


@dataclass(frozen=True, slots=True, eq=False)
class ChangeBlock:
    """A stretch of changes, reduced to their effect: first remove `deletes`, then put `upserts`.

    Attributes:
        last_seq: the changes up to this seq are covered, by this block and those before it.
        deletes: (m,) int64, ids deleted; some may have been unknown to the reader.
        upserts: the records written and not overwritten since, as they are now.
    """

    last_seq: int
    deletes: I64Vector
    upserts: RecordBlock


@dataclass(frozen=True, slots=True)
class StoreStats:
    """Figures of one record store.

    Attributes:
        n_records: live records.
        last_seq: seq of the last change.
        oldest_change: changes after this seq can still be replayed.
        n_operations: operation ids remembered.
        disk_bytes: size of its files; 0 for a volatile store.
    """

    n_records: int
    last_seq: int
    oldest_change: int
    n_operations: int
    disk_bytes: int


def check_encoder(encoder_id: object, version: object) -> None:
    """Refuse what can be no identity of an encoder, or no version of one.

    Raises:
        InvalidArgument: names the one that cannot be.
    """
    if not isinstance(encoder_id, str) or not is_text(encoder_id):
        raise InvalidArgument(f"encoder_id: expected a str; got {encoder_id!r:.80}")
    if not isinstance(version, int | np.integer) or isinstance(version, bool):
        raise InvalidArgument(f"version: expected an int; got {version!r:.80}")
    if not 0 <= version <= INT64_MAX:
        raise InvalidArgument(f"version: expected 0 to {INT64_MAX}; got {version}")


def check_operation_id(operation_id: object) -> None:
    """Refuse what can be no operation id; None is no id.

    Raises:
        InvalidArgument: it is not 1 to 255 bytes.
    """
    is_bytes = isinstance(operation_id, bytes) and 1 <= len(operation_id) <= 255
    if operation_id is not None and not is_bytes:
        raise InvalidArgument(f"operation_id: expected 1 to 255 bytes; got {operation_id!r:.80}")
