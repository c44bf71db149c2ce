"""A query on its way: summaries, plan, shards, answer. In the client and in the router alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Protocol

import numpy as np

from paradox.cluster.settings import CollectionSettings
from paradox.cluster.summaries import SummaryCache, SummarySource
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
        settings: of the collection.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        port: SearchablePort,
        settings: CollectionSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._port = port
        self._planner = QueryPlanner(settings.metric)
        self._spread_evenly = not settings.has_directory
        self._clock = clock
        self.summaries = SummaryCache(port, n_shards=settings.shards, dim=settings.dim, clock=clock)

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
        unseen = self.summaries.unseen_writes()  # first: newer summaries may come in between
        summaries = self.summaries.current(timeout_s=timeout_s)
        plan = self._plan(request, summaries)
        return execute(
            _asking(plan, {*also, *unseen}),
            request,
            self._port,
            summaries=summaries,
            timeout_s=max(deadline - self._clock(), 0.0),
        )

    def explain(self, request: SearchRequest, *, timeout_s: float) -> QueryPlan:
        """Return which shards a request would go to, with the share expected of each."""
        unseen = self.summaries.unseen_writes()
        summaries = self.summaries.current(timeout_s=timeout_s)
        budget = self._budget(request)
        plan = self._planner.plan(summaries, request.queries, request.k, budget)
        return _asking(plan, {*unseen, *(plan.shards if budget.share >= 1 else ())})

    def _plan(self, request: SearchRequest, summaries: tuple[ShardSummary, ...]) -> QueryPlan:
        """Plan, without the planner where all shards must be asked anyway: it takes 0.5 ms."""
        budget = self._budget(request)
        if budget.share >= 1:
            return _of_every_shard(summaries, len(request.queries))
        return self._planner.plan(summaries, request.queries, request.k, budget)

    def _budget(self, request: SearchRequest) -> QueryBudget:
        return QueryBudget(
            recall=request.recall or DEFAULT_RECALL,
            every_shard=self._spread_evenly or request.filter is not None,
        )


def _of_every_shard(summaries: tuple[ShardSummary, ...], n_queries: int) -> QueryPlan:
    """Return the plan that asks every shard: those known as empty may have got records since."""
    every_row = np.arange(n_queries, dtype=np.int64)
    n_live = np.array([summary.n_live for summary in summaries], np.float32)
    return QueryPlan(
        queries_by_shard={summary.shard: every_row for summary in summaries},
        shares=np.broadcast_to(n_live / max(n_live.sum(), 1), (n_queries, len(n_live))),
        shards=tuple(summary.shard for summary in summaries),
        complete=True,
    )


def _asking(plan: QueryPlan, shards: set[int]) -> QueryPlan:
    """Return the plan with these shards asked for every query."""
    if not shards:
        return plan
    every_row = np.arange(len(plan.shares), dtype=np.int64)
    return replace(
        plan, queries_by_shard={**plan.queries_by_shard, **dict.fromkeys(shards, every_row)}
    )
