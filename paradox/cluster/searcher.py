"""A query on its way: summaries, plan, shards, answer. In the client and in the router alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import Protocol

import numpy as np

from paradox.cluster.settings import CollectionSettings
from paradox.cluster.summaries import SummaryCache, SummarySource
from paradox.core.types import I64Vector, Neighbors
from paradox.memory.effort import DEFAULT_RECALL
from paradox.routing import (
    Execution,
    QueryBudget,
    QueryPlan,
    QueryPlanner,
    SearchRequest,
    ShardPort,
    ShardSummary,
    ThresholdCalibration,
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
        self._calibration = ThresholdCalibration()
        self._exact_shards = settings.index == "exact"
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
        request = _with_an_aim(request)
        unseen = self.summaries.unseen_writes()  # first: newer summaries may come in between
        summaries = self.summaries.current(timeout_s=timeout_s)
        budget = self._budget(request)
        plan = self._plan(request, summaries, budget)
        everywhere = self._to_learn_from(request, budget)
        plan = _asking(plan, plan.shards, everywhere)
        asked = _asking(plan, {*also, *unseen}, _every_row(request))
        done = self._executed(asked, request, summaries, deadline)
        if len(everywhere) and not done.answer.shards_missing:
            self._calibration.observe(plan.shares[everywhere], done.given(everywhere))
        return done.answer

    def explain(self, request: SearchRequest, *, timeout_s: float) -> Execution:
        """Answer a request, with what is expected of each shard and what each gave.

        It does what `search` does, but is never one of those that go everywhere to be learnt from.
        """
        deadline = self._clock() + timeout_s
        request = _with_an_aim(request)
        unseen = self.summaries.unseen_writes()
        summaries = self.summaries.current(timeout_s=timeout_s)
        budget = self._budget(request)
        plan = self._planned(request, summaries, budget)
        also = {*unseen, *(plan.shards if budget.share >= 1 else ())}
        plan = _asking(plan, also, _every_row(request))
        return self._executed(plan, request, summaries, deadline)

    def _executed(
        self,
        plan: QueryPlan,
        request: SearchRequest,
        summaries: tuple[ShardSummary, ...],
        deadline: float,
    ) -> Execution:
        left_s = max(deadline - self._clock(), 0.0)
        return execute(plan, request, self._port, summaries=summaries, timeout_s=left_s)

    def _plan(
        self, request: SearchRequest, summaries: tuple[ShardSummary, ...], budget: QueryBudget
    ) -> QueryPlan:
        """Plan, without the planner where all shards must be asked anyway: it takes 0.5 ms."""
        if budget.share >= 1:
            return _of_every_shard(summaries, _every_row(request))
        return self._planned(request, summaries, budget)

    def _planned(
        self, request: SearchRequest, summaries: tuple[ShardSummary, ...], budget: QueryBudget
    ) -> QueryPlan:
        threshold = self._calibration.threshold(budget.share)
        if threshold is None:  # nothing makes sure of what shares promise, so more is asked of them
            budget = replace(budget, exact_shards=False)
        return self._planner.plan(
            summaries, request.queries, request.k, budget, threshold=threshold
        )

    def _to_learn_from(self, request: SearchRequest, budget: QueryBudget) -> I64Vector:
        """Return the rows of queries that go to every shard, to learn how well shares are told."""
        if request.effort is not None or budget.share >= 1:
            return np.zeros(0, np.int64)  # too little may be found, or all are asked anyway
        return self._calibration.choose(len(request.queries))

    def _budget(self, request: SearchRequest) -> QueryBudget:
        return QueryBudget(
            recall=request.recall or DEFAULT_RECALL,
            every_shard=self._spread_evenly or request.filter is not None,
            exact_shards=self._exact_shards,
        )


def _with_an_aim(request: SearchRequest) -> SearchRequest:
    if request.recall is None and request.effort is None:
        return replace(request, recall=DEFAULT_RECALL)
    return request


def _every_row(request: SearchRequest) -> I64Vector:
    return np.arange(len(request.queries), dtype=np.int64)


def _of_every_shard(summaries: tuple[ShardSummary, ...], every_row: I64Vector) -> QueryPlan:
    """Return the plan that asks every shard: those known as empty may have got records since."""
    n_live = np.array([summary.n_live for summary in summaries], np.float32)
    return QueryPlan(
        queries_by_shard={summary.shard: every_row for summary in summaries},
        shares=np.repeat((n_live / max(n_live.sum(), 1))[np.newaxis], len(every_row), axis=0),
        shards=tuple(summary.shard for summary in summaries),
        complete=True,
    )


def _asking(plan: QueryPlan, shards: Collection[int], rows: I64Vector) -> QueryPlan:
    """Return the plan with these shards asked for some queries too."""
    if not shards or len(rows) == 0:
        return plan
    asked = dict(plan.queries_by_shard)
    for shard in shards:
        asked[shard] = np.union1d(asked[shard], rows) if shard in asked else rows
    return replace(plan, queries_by_shard=asked)
