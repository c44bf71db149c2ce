"""What the planner decides: which shards answer which queries. A plain value, nothing runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paradox.core.errors import InvalidArgument
from paradox.core.types import F32Matrix, I64Matrix, I64Vector
from paradox.core.vectors import check_recall

MOST_TOLD = 10
"""Queries of a plan that are told one by one."""


@dataclass(frozen=True, slots=True)
class QueryBudget:
    """How good an answer must be, and what it may cost.

    Two things can lose a neighbour: a shard that was not asked, and an approximate search inside
    a shard that was. Each may lose half of what the budget allows: of a recall of 0.95, the
    shards asked hold 0.975, and each of them finds 0.975 of what it holds (0.975² > 0.95).

    Attributes:
        recall: recall@k wanted of the whole answer, in (0, 1]; 1.0 asks every shard that holds
            records.
        max_shards: ask at most this many shards a query, even if the recall is then not reached.
        every_shard: ask every shard that holds records, whatever the recall. A filtered query
            needs it: summaries do not tell which records satisfy the filter.
        exact_shards: a shard that is asked loses nothing, so all that may be lost may be left out.
    """

    recall: float = 0.95
    max_shards: int | None = None
    every_shard: bool = False
    exact_shards: bool = False

    def __post_init__(self) -> None:
        check_recall(self.recall)
        if self.max_shards is not None and self.max_shards < 1:
            raise InvalidArgument(f"max_shards: expected 1 or more; got {self.max_shards}")

    @property
    def share(self) -> float:
        """Share of the answer that the asked shards must hold."""
        if self.every_shard:
            return 1.0
        return self.recall if self.exact_shards else split_recall(self.recall)


def split_recall(recall: float) -> float:
    """Return the recall that each of two lossy stages must reach for `recall` of both."""
    return 1 - (1 - recall) / 2


@dataclass(frozen=True, slots=True, eq=False)
class QueryPlan:
    """Which shards answer which queries.

    Attributes:
        queries_by_shard: shard number to (m,) int64, the rows of the queries it must answer,
            ascending; only shards that are asked anything.
        shares: (n_queries, n_shards) float32, predicted share of each query's answer that each
            shard holds; rows add up to 1 unless all shards are empty.
        shards: shard number of each column of `shares`.
        complete: whether every query goes to every shard that holds records.
        threshold: the predicted share from which on a shard is asked, where that was learnt;
            otherwise each query's smallest set of shards that promises enough is.
    """

    queries_by_shard: dict[int, I64Vector]
    shares: F32Matrix
    shards: tuple[int, ...]
    complete: bool
    threshold: float | None = None

    @property
    def asks_all(self) -> bool:
        """Whether every query goes to every shard, those that held no records too."""
        asked = [len(rows) for rows in self.queries_by_shard.values()]
        return asked == [len(self.shares)] * len(self.shards)

    def shards_of(self, query_row: int) -> tuple[int, ...]:
        """Return the shards asked for one query, the likeliest first."""
        asked = [
            column
            for column, shard in enumerate(self.shards)
            if shard in self.queries_by_shard and query_row in self.queries_by_shard[shard]
        ]
        asked.sort(key=lambda column: -self.shares[query_row, column])
        return tuple(self.shards[column] for column in asked)

    def explain(self, gave: I64Matrix | None = None) -> str:
        """Return the plan in words: how many shards, and for few queries which and why.

        Args:
            gave: (n_told, n_shards) how many of the answers of the first `MOST_TOLD` queries each
                shard gave, told too where it is known.
        """
        n_queries = len(self.shares)
        asked = sum(map(len, self.queries_by_shard.values()))
        mean = f"{asked / max(n_queries, 1):.3g}"
        lines = [f"asks {mean} of {len(self.shards)} shards (mean of {n_queries})"]
        if self.threshold is not None:
            lines.append(
                f"every shard that {self.threshold:.1%} or more of an answer is expected of"
            )
        column_of = {shard: column for column, shard in enumerate(self.shards)}
        for row in range(min(n_queries, MOST_TOLD)):
            expected = ", ".join(
                f"{self.shares[row, column_of[shard]]:.0%} in shard {shard}"
                for shard in self.shards_of(row)
            )
            line = f"query {row} expects of its answer: {expected or 'nothing anywhere'}"
            if gave is not None:
                given = ", ".join(
                    f"{gave[row, column_of[shard]]} from shard {shard}"
                    for shard in self.shards_of(row)
                )
                line += f"; and got {given or 'none'}"
            lines.append(line)
        if n_queries > MOST_TOLD:
            lines.append(f"... and {n_queries - MOST_TOLD} more")
        return "\n".join(lines)


def rows_asked(plan: QueryPlan) -> npt.NDArray[np.bool_]:
    """Return (n_queries, n_shards) bool: which query goes to which column of `plan.shards`."""
    asked: npt.NDArray[np.bool_] = np.zeros(plan.shares.shape, np.bool_)
    for column, shard in enumerate(plan.shards):
        if shard in plan.queries_by_shard:
            asked[plan.queries_by_shard[shard], column] = True
    return asked
