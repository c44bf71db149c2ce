"""A query on its way: summaries, plan, shards, answer. In the client and in the router alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Protocol

import numpy as np

from paradox.cluster.summaries import SummaryCache, SummarySource
from paradox.core.metric import Metric
from paradox.core.types import Neighbors
from paradox.memory.effort import DEFAULT_RECALL
from paradox.routing import (
    QueryBudget,
    QueryPlan,
    QueryPlanner,
    SearchRequest,
    ShardPort,
    ShardSummary,
    execute,
)


class SearchablePort(ShardPort, SummarySource, Protocol):
    """A way to shards that brings summaries as well as answers."""


class Searcher:
    """Plans queries from the summaries it keeps, and has them answered by the shards.

    Args:
        port: the way to the shards.
        metric: the collection's.
        dim: the collection's.
        n_shards: shards of the collection.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        port: SearchablePort,
        *,
        metric: Metric,
        dim: int,
        n_shards: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._port = port
        self._planner = QueryPlanner(metric)
        self._clock = clock
        self.summaries = SummaryCache(port, n_shards=n_shards, dim=dim, clock=clock)

    def search(
        self, request: SearchRequest, *, timeout_s: float, also: Iterable[int] = ()
    ) -> Neighbors:
        """Answer a request; see `paradox.routing.execute` for what may be missing and raised.

        Args:
            request: checked; without a recall or an effort it gets the default recall.
            timeout_s: time for everything.
            also: shards to ask whatever the summaries say.
        """
        deadline = self._clock() + timeout_s
        if request.recall is None and request.effort is None:
            request = replace(request, recall=DEFAULT_RECALL)
        plan, summaries = self.plan(request, timeout_s=timeout_s, also=also)
        return execute(
            plan,
            request,
            self._port,
            summaries=summaries,
            timeout_s=max(deadline - self._clock(), 0.0),
        )

    def plan(
        self, request: SearchRequest, *, timeout_s: float, also: Iterable[int] = ()
    ) -> tuple[QueryPlan, tuple[ShardSummary, ...]]:
        """Return which shards a request would go to, and what that was decided from."""
        summaries = self.summaries.current(timeout_s=timeout_s)
        budget = QueryBudget(
            recall=request.recall or DEFAULT_RECALL, every_shard=request.filter is not None
        )
        plan = self._planner.plan(summaries, request.queries, request.k, budget)
        return _asking(plan, {*also, *self.summaries.unseen_writes()}), summaries


def _asking(plan: QueryPlan, shards: set[int]) -> QueryPlan:
    """Return the plan with these shards asked for every query."""
    if not shards:
        return plan
    every_row = np.arange(len(plan.shares), dtype=np.int64)
    return replace(
        plan, queries_by_shard={**plan.queries_by_shard, **dict.fromkeys(shards, every_row)}
    )
