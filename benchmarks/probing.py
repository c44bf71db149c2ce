"""How many shards a query needs, and how many the planner asks, without a cluster.

Records are placed by a partitioner trained as a collection's is, shards are summarized as they
summarize themselves, and shards that are asked answer exactly. What a threshold learns from one
half of the queries is tried on the other half.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from benchmarks.datasets import Dataset
from benchmarks.report import Row, progress, row
from benchmarks.truth import Truth
from paradox.cluster.summaries import SAMPLE
from paradox.core.types import BoolMask, F32Matrix, F64Matrix, I32Vector
from paradox.routing import (
    QueryBudget,
    QueryPlan,
    QueryPlanner,
    SemanticPartitioner,
    ShardSummary,
    ThresholdCalibration,
    sample_size,
    summarize,
)
from paradox.routing.plan import rows_asked

K = 10
SHARDS, MANY_SHARDS = 16, 1_000
BALANCE, BEYOND_ORACLE, OF_MANY = 1.05, 1.0, 0.02
GLOVE = 3.5
_CELLS_AT_ONCE = 1 << 25  # queries times cells: bounds the memory
_PLANNED_ALONE = 100


@dataclass(frozen=True, eq=False)
class World:
    """Records in shards, as the planner sees them and as they are.

    Attributes:
        dataset: vectors and queries.
        home: (n,) int32, the shard of each vector.
        summaries: one a shard.
        train_s: seconds that training the partitioner took.
        held: (n_queries, n_shards) float64, the true share of each answer that each shard holds.
    """

    dataset: Dataset
    home: I32Vector
    summaries: tuple[ShardSummary, ...]
    train_s: float
    held: F64Matrix

    @classmethod
    def made(cls, dataset: Dataset, n_shards: int, *, seed: int) -> World:
        """Place the records of a set in shards."""
        rng = np.random.default_rng(seed)
        base, metric = dataset.base, dataset.metric
        n, dim = base.shape
        progress(f"{dataset.label}: training the partitioner")
        start = time.perf_counter()
        drawn = rng.choice(n, min(sample_size(n_shards, dim), n), replace=False)
        partitioner = SemanticPartitioner.train(base[drawn], n_shards, metric=metric, seed=seed)
        train_s = time.perf_counter() - start
        home = partitioner.place(np.arange(n), base)
        progress(f"{dataset.label}: summarizing {n_shards} shards")
        summaries = []
        for shard in range(n_shards):
            own = np.flatnonzero(home == shard)
            sampled = rng.choice(own, min(SAMPLE, len(own)), replace=False)
            summaries.append(
                summarize(
                    base[sampled], shard=shard, metric=metric, n_live=len(own), seq=1, epoch=1
                )
            )
        progress(f"{dataset.label}: exact answers in float64")
        homes = home[Truth.of(dataset.queries, base, K, metric).ids]
        held = np.zeros((len(homes), n_shards))
        np.add.at(held, (np.arange(len(homes))[:, np.newaxis], homes), 1 / K)
        return cls(dataset, home, tuple(summaries), train_s, held)

    @cached_property
    def planner(self) -> QueryPlanner:
        """The planner, which keeps what it makes of the summaries."""
        return QueryPlanner(self.dataset.metric)

    def plans(
        self, queries: F32Matrix, budget: QueryBudget, threshold: float | None = None
    ) -> Iterator[QueryPlan]:
        """Plan some queries, as many at once as memory allows."""
        n_cells = sum(len(summary.counts) for summary in self.summaries)
        at_once = max(1, _CELLS_AT_ONCE // n_cells)
        for start in range(0, len(queries), at_once):
            some = queries[start : start + at_once]
            yield self.planner.plan(self.summaries, some, K, budget, threshold=threshold)


def rows(world: World, budget: QueryBudget) -> Iterator[Row]:
    """Yield how many shards are needed and asked, and how far that reaches."""
    recall = budget.recall
    dataset, n_shards = world.dataset, len(world.summaries)
    title = f"{dataset.label} {dataset.metric}, {n_shards} shards, recall@{K} {recall:g}"
    sizes = np.bincount(world.home, minlength=n_shards)
    progress(f"{dataset.label}: planning")
    balance = float(sizes.max() / sizes.mean())
    yield row(f"{title}: partition", "max ÷ mean size", balance, target=BALANCE, better="less")
    yield row(f"{title}: partition", "train s", world.train_s)
    oracle = _oracle(world.held, recall)
    yield from _asked(f"{title}: oracle", oracle, recall, n_shards)
    queries = dataset.queries
    plans = list(world.plans(queries, budget))
    shares = np.concatenate([plan.shares for plan in plans])
    asked = np.concatenate([rows_asked(plan) for plan in plans])
    case = f"{title}: a set for each query"
    yield from _asked(case, asked.sum(axis=1).mean(), _kept(world.held, asked), n_shards)
    learnt = np.zeros_like(asked)
    even, odd = slice(0, None, 2), slice(1, None, 2)
    for half, other in ((even, odd), (odd, even)):
        threshold = _threshold(shares[half], world.held[half], budget.share)
        plans = list(world.plans(queries[other], budget, threshold))
        learnt[other] = np.concatenate([rows_asked(plan) for plan in plans])
    case = f"{title}: a threshold learnt"
    n_asked = float(learnt.sum(axis=1).mean())
    most = OF_MANY * n_shards if n_shards >= MANY_SHARDS else oracle + BEYOND_ORACLE
    if dataset.name == "glove-50" and n_shards == SHARDS:
        most = min(most, GLOVE)
    yield from _asked(case, n_asked, _kept(world.held, learnt), n_shards, target=most)
    start = time.perf_counter()
    for query in queries[:_PLANNED_ALONE]:
        world.planner.plan(world.summaries, query[np.newaxis], K, budget)
    took_s = (time.perf_counter() - start) / min(_PLANNED_ALONE, len(queries))
    yield row(case, "µs to plan one query", 1e6 * took_s)


def _asked(
    case: str, n_asked: float, reached: float, n_shards: int, *, target: float | None = None
) -> Iterator[Row]:
    yield row(case, f"recall@{K}", reached)
    yield row(case, "shards a query", n_asked, target=target, better="less")
    yield row(case, "% of all", 100 * n_asked / n_shards)


def _oracle(held: F64Matrix, recall: float) -> float:
    """Return the fewest shards a query, on average, that together hold `recall` of the answers."""
    most_first = np.sort(held, axis=None)[::-1]
    enough = int(np.searchsorted(np.cumsum(most_first), recall * held.sum() - 1e-9)) + 1
    return max(enough / len(held), 1.0)


def _kept(held: F64Matrix, asked: BoolMask) -> float:
    return float((held * asked).sum(axis=1).mean())


def _threshold(shares: F32Matrix, held: F64Matrix, share: float) -> float | None:
    calibration = ThresholdCalibration()
    calibration.observe(shares, (K * held).round().astype(np.int64))
    return calibration.threshold(share)
