"""The way to a collection's shards; which transport it takes is not routing's business."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from paradox.core.errors import ParadoxError
from paradox.core.types import F32Matrix, Neighbors


@dataclass(frozen=True, slots=True, eq=False)
class SearchRequest:
    """One search, of a collection or of one of its shards.

    Attributes:
        queries: (n_queries, dim) float32, C-contiguous.
        k: neighbours wanted of each query.
        recall: recall@k the answer should reach, or None for the default.
        effort: the backend's own knob, which overrides `recall`, or None.
        filter: an SQL expression over payload columns that records must satisfy, or None.
    """

    queries: F32Matrix
    k: int
    recall: float | None = None
    effort: int | None = None
    filter: str | None = None


class ShardPort(Protocol):
    """Carries requests to shards, all at once, and brings back what came in time."""

    def search(
        self, requests: Mapping[int, SearchRequest], *, timeout_s: float
    ) -> dict[int, Neighbors | ParadoxError]:
        """Ask several shards at once.

        Args:
            requests: shard number to what it is asked.
            timeout_s: return after this long with what has come.

        Returns:
            Shard number to its answer, with a row for each query of its request, or to why there
            is none. A shard left out counts as one that did not answer in time.
        """
        ...
