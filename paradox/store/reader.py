"""Reading records and changes, every one of them checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from paradox.core.errors import RecordCorrupt
from paradox.core.types import I64Vector
from paradox.store.batch import ChangeBlock, RecordBlock
from paradox.store.codec import (
    REMEDY,
    RecordCodec,
    id_keys,
    ids_of,
    record_digest,
    seq_key,
    unpack_change,
    unpack_heads,
)
from paradox.store.digest import KeyRangeDigests, describe
from paradox.store.keyspace import Cursor, Family, Keyspace
from paradox.store.state import StoreState

_BLOCK = 1_024
_LOST = "restore a snapshot"


class Reader:
    """Reads one store's keyspace; an error names the record, the change or the key range."""

    def __init__(self, keyspace: Keyspace, codec: RecordCodec, path: Path) -> None:
        self._keyspace = keyspace
        self._codec = codec
        self._path = path

    def values(self, ids: I64Vector) -> list[bytes | None]:
        """Return each record as stored, None where there is none; its checksum is yet to check.

        Raises:
            RecordCorrupt: names the record that cannot be read or is missing.
        """
        values = self._get("records", ids)
        absent = np.array([at for at, value in enumerate(values) if value is None], np.int64)
        for position, head in zip(absent, self._get("heads", ids[absent]), strict=True):
            if head is not None:  # lost, or written between the two reads
                values[position] = self._written_meanwhile(ids[position : position + 1])
        return values

    def scan(self, cursor: Cursor, expected: KeyRangeDigests) -> Iterator[RecordBlock]:
        """Yield the records of a cursor, which must add up to the digests expected.

        Raises:
            RecordCorrupt: names the record, or, after the last block, the key range.
        """
        found = KeyRangeDigests()
        last_key = b""
        while pairs := self._next_pairs(cursor, last_key):
            last_key = pairs[-1][0]
            values = [value for _, value in pairs]
            block = self._codec.decode_block(ids_of([key for key, _ in pairs]), values)
            found.put(block.ids, record_digest(block.seqs, self._codec.crcs(values)))
            yield block
        self._compare("record", found, expected)

    def changes(self, after_seq: int, last_seq: Callable[[], int]) -> Iterator[ChangeBlock]:
        """Yield the changes after a seq, until there are no more.

        Args:
            after_seq: a seq that is not pruned.
            last_seq: tells the seq of the last change that is durable.

        Raises:
            RecordCorrupt: a change or a record that it names is damaged or missing.
        """
        seq = after_seq
        overdue: set[int] = set()  # written but not found: deletes of them must follow
        while True:
            start, target = seq, last_seq()
            effects: dict[int, int | None] = {}  # id to the seq it was written at; None: deleted
            for key, value in self._keyspace.cursor("changes", seq_key(seq + 1)):
                first_seq, upserts, deletes = self._follow(seq, key, value)
                effects.update(zip(upserts.tolist(), range(first_seq, 1 << 63), strict=False))
                effects.update(dict.fromkeys(deletes.tolist()))
                seq = first_seq + len(upserts) + len(deletes) - 1
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

    def verify_heads(self, heads: Cursor, expected: KeyRangeDigests) -> None:
        """Check that the heads add up to the digests expected."""
        self._add_up("head", heads, expected, lambda v: record_digest(*unpack_heads(v)[1:]))

    def verify_homes(self, homes: Cursor, expected: KeyRangeDigests) -> None:
        """Check that the homes add up to the digests expected."""
        self._add_up(
            "home", homes, expected, lambda v: np.frombuffer(b"".join(v), "<u4").astype(np.uint64)
        )

    def verify_changes(self, changes: Cursor, state: StoreState) -> None:
        """Check that every change that is not pruned is there."""
        seq = state.pruned_seq
        for key, value in changes:
            first_seq, upserts, deletes = self._follow(seq, key, value)
            seq = first_seq + len(upserts) + len(deletes) - 1
        if seq != state.last_seq:
            raise self._missing_changes(seq, state.last_seq)

    def verify_operations(self, operations: Cursor, state: StoreState) -> None:
        """Check that every operation id remembered has its report."""
        n_reports = n_ages = 0
        for key, value in operations:
            if key.startswith(b"i"):
                msgspec.msgpack.decode(value)
                n_reports += 1
            else:
                n_ages += 1
        expected = state.next_operation - state.first_operation
        if not n_reports == n_ages == expected:
            raise RecordCorrupt(
                f"expected {expected} operation ids; found {n_reports}", self._path, None, _LOST
            )

    def _written_meanwhile(self, ids: I64Vector) -> bytes | None:
        """Return a record whose head is there: it is missing if that stays the same around it."""
        [head] = self._get("heads", ids)
        while True:
            [value], before = self._get("records", ids), head
            [head] = self._get("heads", ids)
            if value is not None or head is None:
                return value
            if head == before:
                raise self._missing_record(int(ids[0]))

    def _get(self, family: Family, ids: I64Vector) -> list[bytes | None]:
        """Return what a family has of each id; an error names the id that cannot be read."""
        keys = id_keys(ids)
        try:
            return self._keyspace.get(family, keys)
        except RecordCorrupt:
            for record_id, key in zip(ids.tolist(), keys, strict=True):
                try:
                    self._keyspace.get(family, [key])
                except RecordCorrupt as error:
                    raise self._unreadable(record_id, error) from error
            raise

    def _next_pairs(self, cursor: Cursor, last_key: bytes) -> list[tuple[bytes, bytes]]:
        pairs: list[tuple[bytes, bytes]] = []
        try:
            pairs.extend(islice(cursor, _BLOCK))
        except RecordCorrupt as error:
            last_key = pairs[-1][0] if pairs else last_key
            following = next(self._keyspace.cursor("heads", last_key + b"\0"), None)
            if following is None:
                raise
            raise self._unreadable(int(ids_of([following[0]])[0]), error) from error
        return pairs

    def _follow(self, seq: int, key: bytes, value: bytes) -> tuple[int, I64Vector, I64Vector]:
        """Return first seq, ids upserted and ids deleted of the change that comes after `seq`."""
        first_seq, upserts, deletes = unpack_change(value, self._path)
        if first_seq > seq + 1:
            raise self._missing_changes(seq, first_seq - 1)
        last_seq = first_seq + len(upserts) + len(deletes) - 1
        if key != seq_key(last_seq):
            raise RecordCorrupt(f"change {last_seq} is out of place", self._path, None, _LOST)
        return first_seq, upserts, deletes

    def _change_block(
        self, seq: int, effects: dict[int, int | None], overdue: set[int]
    ) -> ChangeBlock:
        written = [record_id for record_id, at in effects.items() if at is not None]
        deletes = [record_id for record_id, at in effects.items() if at is None]
        overdue.difference_update(effects)
        ids, values = [], []
        for record_id, value in zip(written, self.values(np.array(written, np.int64)), strict=True):
            at = effects[record_id]
            if value is None:
                overdue.add(record_id)
            elif (stored := self._codec.seq(value)) == at:
                ids.append(record_id)
                values.append(value)
            elif at is not None and stored < at:
                raise RecordCorrupt(
                    f"record {record_id}: expected seq {at} or later; it is of {stored}",
                    self._path,
                    None,
                    REMEDY,
                )
        upserts = self._codec.decode_block(np.array(ids, np.int64), values)
        return ChangeBlock(seq, np.array(deletes, np.int64), upserts)

    def _add_up(
        self,
        noun: str,
        cursor: Cursor,
        expected: KeyRangeDigests,
        digest: Callable[[list[bytes]], npt.NDArray[np.uint64]],
    ) -> None:
        found = KeyRangeDigests()
        while pairs := list(islice(cursor, _BLOCK)):
            found.put(ids_of([key for key, _ in pairs]), digest([value for _, value in pairs]))
        self._compare(noun, found, expected)

    def _compare(self, noun: str, found: KeyRangeDigests, expected: KeyRangeDigests) -> None:
        for key_range in found.differing(expected):
            raise RecordCorrupt(
                f"{describe(key_range)}: expected {expected.count(key_range)} {noun}s; "
                f"found {found.count(key_range)}, or others",
                self._path,
                None,
                _LOST,
            )

    def _unreadable(self, record_id: int, error: RecordCorrupt) -> RecordCorrupt:
        message = f"record {record_id} cannot be read: {error.args[0]}"
        return RecordCorrupt(message, self._path, None, REMEDY)

    def _missing_record(self, record_id: int) -> RecordCorrupt:
        return RecordCorrupt(f"record {record_id} is missing", self._path, None, REMEDY)

    def _missing_changes(self, seq: int, last_seq: int) -> RecordCorrupt:
        message = f"changes {seq + 1} to {last_seq} are missing"
        return RecordCorrupt(message, self._path, None, _LOST)
