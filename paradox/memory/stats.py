"""Figures of an engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from paradox.core.metric import Metric
from paradox.index import IndexStats
from paradox.memory.checkpoint import Derived
from paradox.store import ColumnType, RecordStore, StoreStats


@dataclass(frozen=True, slots=True)
class EngineStats:
    """Figures of one engine.

    Attributes:
        n_records: live records.
        dim: dimension of the vectors.
        metric: metric of the distances.
        columns: declared payload columns and their types.
        last_seq: the last write.
        checkpoint_seq: the write up to which nothing needs replaying at the next opening.
        index: figures of the index.
        store: figures of the record store.
    """

    n_records: int
    dim: int
    metric: Metric
    columns: dict[str, ColumnType]
    last_seq: int
    checkpoint_seq: int
    index: IndexStats
    store: StoreStats

    @classmethod
    def of(cls, derived: Derived, checkpoint_seq: int, store: RecordStore) -> Self:
        """Return the figures of an engine that consists of these."""
        return cls(
            n_records=len(derived.index),
            dim=store.dim,
            metric=derived.index.metric,
            columns=dict(store.schema.columns),
            last_seq=derived.seq,
            checkpoint_seq=checkpoint_seq,
            index=derived.index.stats(),
            store=store.stats(),
        )
