"""What a shard answers over its data plane, and in which types arguments and results travel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from paradox.cluster.plane import Handler
from paradox.cluster.shard import Shard, Upserts, Written
from paradox.core.types import BoolMask, F32Matrix, I32Vector, I64Vector, Neighbors, Record
from paradox.routing import SearchRequest, ShardSummary


@dataclass(frozen=True, slots=True, eq=False)
class FoundRecords:
    """Records column by column, of those ids that have one; see `Record`.

    Attributes:
        known: (n,) bool, which of the n ids that were asked for have one: m of them.
        ids: (m,) int64.
        vectors: (m, dim) float32.
        payloads: m payloads.
        encoder_ids: m identities of encoders.
        versions: m versions of those.
        timestamps: m moments.
        content_versions: (m,) int64.
        seqs: (m,) int64.
    """

    known: BoolMask
    ids: I64Vector
    vectors: F32Matrix
    payloads: list[dict[str, Any]]
    encoder_ids: list[str]
    versions: list[int]
    timestamps: list[datetime]
    content_versions: I64Vector
    seqs: I64Vector

    @staticmethod
    def of(records: Sequence[Record | None]) -> FoundRecords:
        """Return records as columns."""
        found = [record for record in records if record is not None]
        vectors = [record.vector for record in found]
        return FoundRecords(
            np.array([record is not None for record in records], np.bool_),
            np.array([record.id for record in found], np.int64),
            np.stack(vectors) if vectors else np.zeros((0, 0), np.float32),
            [record.payload for record in found],
            [record.encoder_id for record in found],
            [record.version for record in found],
            [record.timestamp for record in found],
            np.array([record.content_version for record in found], np.int64),
            np.array([record.seq for record in found], np.int64),
        )

    def records(self) -> list[Record | None]:
        """Return the records again, None where there is none."""
        rows = zip(
            self.ids.tolist(),
            self.vectors,
            self.payloads,
            self.encoder_ids,
            self.versions,
            self.timestamps,
            self.content_versions.tolist(),
            self.seqs.tolist(),
            strict=True,
        )
        return [Record(*next(rows)) if known else None for known in self.known.tolist()]


CALLS: dict[str, tuple[Any, Any]] = {
    "search": (tuple[SearchRequest], Neighbors),
    "get": (tuple[I64Vector], FoundRecords),
    "add": (tuple[Upserts], Written),
    "delete": (tuple[I64Vector, bytes], Written),
    "assign_homes": (tuple[I64Vector, I32Vector], I32Vector),
    "homes": (tuple[I64Vector], I32Vector),
    "summary": (tuple[tuple[int, int] | None], ShardSummary | int),
}
"""Method of `Shard` to the types of its arguments and of its result."""


def handlers(shard: Shard) -> dict[str, Handler]:
    """Return how a shard answers each call of `CALLS`."""
    made = {name: Handler(takes, _calling(shard, name)) for name, (takes, _) in CALLS.items()}
    made["get"] = Handler(CALLS["get"][0], lambda given: FoundRecords.of(shard.get(*given)))
    made["search"] = Handler(
        CALLS["search"][0],
        lambda given: shard.search(*given),
        is_light=lambda given: shard.answers_soon(*given),
        run_together=lambda given: shard.search_together([request for (request,) in given]),
    )
    return made


def _calling(shard: Shard, name: str) -> Any:
    method = getattr(shard, name)
    return lambda given: method(*given)
