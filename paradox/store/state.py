"""What the record store keeps in memory beside its keyspace, and persists with every commit."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType

import msgspec

from paradox.store.digest import N_RANGES, KeyRangeDigests
from paradox.store.keyspace import Keyspace, Mutation
from paradox.store.schema import ColumnType, Schema

_COUNTERS = (
    "dim",
    "commits",
    "last_seq",
    "pruned_seq",
    "next_id",
    "first_operation",
    "next_operation",
    "lives",
)


@dataclass(slots=True)
class StoreState:
    """Counters, schema and digests as of one commit.

    Attributes:
        dim: dimension of the vectors; 0 before the store is created.
        commits: number of commits.
        last_seq: seq of the last change.
        pruned_seq: changes up to this seq are forgotten.
        next_id: above every id ever held; the next one assigned.
        first_operation: age of the oldest operation id remembered.
        next_operation: age of the next one.
        lives: how often a server has begun to serve it.
        schema: the payload columns.
        records: digests over (id, head) of all live records.
        homes: digests over (id, home).
    """

    dim: int = 0
    commits: int = 0
    last_seq: int = 0
    pruned_seq: int = 0
    next_id: int = 0
    first_operation: int = 0
    next_operation: int = 0
    lives: int = 0
    schema: Schema = field(default_factory=Schema)
    records: KeyRangeDigests = field(default_factory=KeyRangeDigests)
    homes: KeyRangeDigests = field(default_factory=KeyRangeDigests)

    @classmethod
    def load(cls, keyspace: Keyspace) -> StoreState:
        """Read the state of the last commit; an empty keyspace gives the state before any."""
        stored = dict(keyspace.cursor("meta"))
        if b"state" not in stored:
            return cls()
        counters = msgspec.msgpack.decode(stored[b"state"], type=dict[str, int])
        columns, closed = msgspec.msgpack.decode(
            stored[b"schema"], type=tuple[dict[str, ColumnType], bool]
        )
        state = cls(schema=Schema(MappingProxyType(columns), closed))
        for name in _COUNTERS:
            setattr(state, name, counters[name])
        for name, digests in (("records", state.records), ("homes", state.homes)):
            for key_range in range(N_RANGES):
                entry = stored.get(_digest_key(name, key_range))
                if entry is not None:
                    digests.unpack(key_range, entry)
        return state

    def copy(self) -> StoreState:
        """Return a copy to stage changes on."""
        return replace(self, records=self.records.copy(), homes=self.homes.copy())

    def difference(self, before: StoreState) -> Mutation:
        """Return what to write so that a store in state `before` is loaded in this one."""
        counters = {name: getattr(self, name) for name in _COUNTERS}
        mutation: Mutation = [("meta", b"state", msgspec.msgpack.encode(counters))]
        if self.schema is not before.schema or before.commits == 0:
            schema = (dict(self.schema.columns), self.schema.closed)
            mutation.append(("meta", b"schema", msgspec.msgpack.encode(schema)))
        for name, after, earlier in (
            ("records", self.records, before.records),
            ("homes", self.homes, before.homes),
        ):
            mutation += [
                ("meta", _digest_key(name, key_range), after.pack(key_range))
                for key_range in after.differing(earlier)
            ]
        return mutation


def _digest_key(name: str, key_range: int) -> bytes:
    return f"digest/{name}/{key_range:03}".encode()
