"""Carry out a plan: ask the shards at once, merge what came, say what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from paradox.core.errors import (
    CallerError,
    CorruptionError,
    DeadlineExceeded,
    ParadoxError,
    RetryableError,
    ShardUnavailable,
)
from paradox.core.types import NO_ID, I64Matrix, I64Vector, Neighbors
from paradox.routing.merge import merge
from paradox.routing.plan import MOST_TOLD, QueryPlan, rows_asked, split_recall
from paradox.routing.ports import SearchRequest, ShardPort
from paradox.routing.summary import ShardSummary


@dataclass(frozen=True, slots=True, eq=False)
class Execution:
    """What came of a plan.

    Attributes:
        answer: of all shards together.
        plan: the plan.
        by_shard: shard to its own answer, with a row for each of `plan.queries_by_shard[shard]`.
    """

    answer: Neighbors
    plan: QueryPlan
    by_shard: Mapping[int, Neighbors]

    def given(self, rows: I64Vector) -> I64Matrix:
        """Return how many of the answers of some queries each shard gave.

        Args:
            rows: (m,) int64, the queries.

        Returns:
            (m, n_shards) int64, columns as in `plan.shards`. A record that two shards gave counts
            for both.
        """
        given = np.zeros((len(rows), len(self.plan.shards)), np.int64)
        for column, shard in enumerate(self.plan.shards):
            if shard not in self.by_shard:
                continue
            asked = self.plan.queries_by_shard[shard]
            _, at, of_shard = np.intersect1d(rows, asked, assume_unique=True, return_indices=True)
            for row, place in zip(at.tolist(), of_shard.tolist(), strict=True):
                found = np.intersect1d(self.answer.ids[rows[row]], self.by_shard[shard].ids[place])
                given[row, column] = np.count_nonzero(found != NO_ID)
        return given

    def explain(self) -> str:
        """Return in words which shards were asked, why, and what each of them gave."""
        rows = np.arange(min(len(self.answer.ids), MOST_TOLD), dtype=np.int64)
        told = self.plan.explain(self.given(rows))
        if self.answer.shards_missing:
            missing = ", ".join(map(str, self.answer.shards_missing))
            told += f"\nno answer came from shards: {missing}"
        return told


def execute(
    plan: QueryPlan,
    request: SearchRequest,
    port: ShardPort,
    *,
    summaries: Sequence[ShardSummary],
    timeout_s: float,
) -> Execution:
    """Answer a request by the shards of a plan.

    Where the plan leaves shards out, the recall asked of each shard is raised to make up for
    what they may hold (see `QueryBudget`).

    Args:
        plan: made for the queries of `request`.
        request: what is asked of the whole collection.
        port: the way to the shards.
        summaries: those the plan was made from; they tell how much a missing shard holds.
        timeout_s: how long the shards have.

    Returns:
        What came of it. In its answer, shards that were asked and did not answer are in
        `shards_missing`; `coverage` is the share of the live records that those hold not, for the
        query that lost most. `certified` only if every query went to every shard, and each of them
        certified its answer.

    Raises:
        CallerError: a shard says that the request itself is wrong.
        ShardUnavailable: no shard that was asked answered.
        DeadlineExceeded: none answered, and none for another reason than time.
        CorruptionError: none answered, and none may answer later as things are.
    """
    answers: dict[int, Neighbors] = {}
    failures: dict[int, ParadoxError] = {}
    requests = _requests(plan, request)
    replies = port.search(requests, timeout_s=timeout_s) if requests else {}
    for shard in requests:
        reply = replies.get(shard)
        if isinstance(reply, CallerError):
            raise reply
        if isinstance(reply, Neighbors):
            answers[shard] = reply
        else:
            failures[shard] = reply or DeadlineExceeded(
                f"shard {shard}: no answer within {timeout_s:g} s"
            )
    if failures and not answers:
        raise _none_answered(failures, timeout_s)
    merged = merge(answers, plan, len(request.queries), request.k)
    answer = replace(
        merged,
        certified=plan.asks_all and not failures and all(a.certified for a in answers.values()),
        shards_missing=tuple(sorted(failures)),
        coverage=_coverage(plan, summaries, frozenset(failures)),
    )
    return Execution(answer, plan, answers)


def _requests(plan: QueryPlan, request: SearchRequest) -> dict[int, SearchRequest]:
    """Make out what each shard is asked."""
    recall = request.recall
    if recall is not None and not plan.complete:
        recall = split_recall(recall)
    n_queries = len(request.queries)
    whole = replace(request, recall=recall)  # one for all that get it, to be packed once
    return {
        shard: whole if len(rows) == n_queries else replace(whole, queries=request.queries[rows])
        for shard, rows in plan.queries_by_shard.items()
    }


def _coverage(plan: QueryPlan, summaries: Sequence[ShardSummary], missing: frozenset[int]) -> float:
    """Return the share of records not held by missing shards, for the query that lost most."""
    total = sum(summary.n_live for summary in summaries)
    if not missing or total == 0:
        return 1.0
    n_live = {summary.shard: summary.n_live for summary in summaries}
    lost = np.array([n_live[s] if s in missing else 0 for s in plan.shards])
    return 1.0 - float((rows_asked(plan) @ lost).max()) / total


def _none_answered(failures: Mapping[int, ParadoxError], timeout_s: float) -> ParadoxError:
    """Return what to raise when every shard that was asked failed."""
    shards = ", ".join(map(str, sorted(failures)))
    if all(isinstance(failure, DeadlineExceeded) for failure in failures.values()):
        return DeadlineExceeded(f"shards {shards}: no answer within {timeout_s:g} s")
    if all(isinstance(failure, CorruptionError) for failure in failures.values()):
        return next(iter(failures.values()))
    reasons = "; ".join(f"shard {shard}: {failure}" for shard, failure in failures.items())
    waits = [f.retry_after_s for f in failures.values() if isinstance(f, RetryableError)]
    return ShardUnavailable(
        f"none of the shards asked answered ({reasons})", retry_after_s=min(waits, default=1.0)
    )
