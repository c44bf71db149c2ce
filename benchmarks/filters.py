"""Search among the rows that a filter lets pass: speed at a recall, beside other filtered graphs.

    python -m benchmarks.filters [--data text-minilm-384] [--by graph hnswlib] [--n 200000]

Half of the rows pass, a tenth, a hundredth and a thousandth: chosen at random, and those around one
of them, which few queries are near. Single queries on one thread. What a contestant makes of a
filter is made once, as by an engine that keeps it: our rows, faiss's bitmap, hnswlib's list for the
Python function that it calls for each row it meets. Each climbs to the least effort that reaches
the recall, a quarter more at a time, until a query takes 50 ms; an answer from outside of the
filter counts as none. What comes of the effort that is tuned without a filter, as by who asks for a
recall alone, is measured too.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from benchmarks import datasets, ours, peers, tables
from benchmarks.climb import Reached, least_effort
from benchmarks.curve import QPS, Point, fastest, figures_of
from benchmarks.datasets import Dataset
from benchmarks.goals import best_of
from benchmarks.in_turn import in_turn
from benchmarks.own_process import in_own_process
from benchmarks.report import Benchmark, Row, progress, row
from benchmarks.timing import answers, timed
from benchmarks.truth import Truth, distances
from paradox.core.metric import Metric
from paradox.core.types import F32Matrix, I64Vector

K = 10
RECALL = 0.95
GOAL = 3.0
"""Our graph's speed in hnswlib's."""
SHARES = (0.5, 0.1, 0.01, 0.001)
OURS = ("graph", "exact")
TUNING_QUERIES = 200
FULL_N, FULL_QUERIES = 200_000, 300
QUICK_N, QUICK_QUERIES = 10_000, 50
_PATIENCE_S = 15.0


@dataclass(frozen=True, slots=True, eq=False)
class Filter:
    """Rows that may be returned.

    Attributes:
        what: how many they are, and which.
        ids: (n,) int64 their positions, ascending.
        truth: the exact answers among them.
    """

    what: str
    ids: I64Vector
    truth: Truth

    @property
    def k(self) -> int:
        """How many are asked for: no more than there are."""
        k: int = self.truth.ids.shape[1]
        return k


@dataclass(frozen=True, slots=True)
class Case:
    """One contestant on one set.

    Attributes:
        by: the contestant.
        data: the set.
        n: rows of its base.
        seed: of the set and the filters.
        n_queries: how many are asked.
        threads: of builds.
        budget_s: for each speed, each time.
        turns: how often each speed is measured, minutes apart; see `fastest` for what counts.
    """

    by: str
    data: str
    n: int
    seed: int
    n_queries: int
    threads: int
    budget_s: float
    turns: int


@dataclass(frozen=True, slots=True)
class Asked:
    """What a contestant was asked.

    Attributes:
        filter: number of the filter.
        tuned: at the effort it tuned for the recall without a filter, not at the least effort that
            reaches it through this one.
    """

    filter: int
    tuned: bool


def measure_case(case: Case, filters: Sequence[Filter]) -> dict[Asked, Point]:
    """Build one contestant, and ask it through each of the filters, in this process."""
    dataset, queries, tuning = _loaded(case)
    contestant = _contestant(case.by, dataset.metric)
    contestant.build(dataset.base, case.threads)
    effort: int | None = None
    if isinstance(contestant, ours.Backend) and contestant.can_be_asked:
        effort = contestant.ask(tuning, K, RECALL)

    reached: dict[Asked, Reached] = {}
    for number, one in enumerate(filters):
        contestant.allow(one.ids)
        recall = partial(_recall, contestant, one, queries, dataset.base)
        reached[Asked(number, False)] = least_effort(
            contestant, K, RECALL, recall, patience_s=_PATIENCE_S
        )
        if effort is not None:
            contestant.effort = effort
            reached[Asked(number, True)] = Reached(effort, recall())
    timed_points: dict[Asked, list[Point]] = {asked: [] for asked in reached}
    for _ in range(case.turns):
        for asked, at in reached.items():
            one = filters[asked.filter]
            contestant.allow(one.ids)
            contestant.effort = at.effort
            speed = _speed(contestant, one, queries, case.budget_s)
            timed_points[asked].append(Point(at.effort, 1, at.recall, speed))
    return {asked: fastest(points) for asked, points in timed_points.items()}


def _contestant(by: str, metric: Metric) -> peers.Filtered:
    return ours.BACKENDS[by](metric) if by in OURS else peers.FILTERED[by](metric)


def _recall(contestant: peers.Filtered, one: Filter, queries: F32Matrix, base: F32Matrix) -> float:
    search = partial(contestant.search, k=one.k, threads=1)
    found = answers(search, queries, batch=1)
    return one.truth.recall(np.where(np.isin(found, one.ids), found, -1), queries, base)


def _speed(
    contestant: peers.Filtered, one: Filter, queries: F32Matrix, budget_s: float
) -> dict[str, float]:
    search = partial(contestant.search, k=one.k, threads=1)
    return figures_of(timed(search, queries, batch=1, budget_s=budget_s))


def _loaded(case: Case) -> tuple[Dataset, F32Matrix, F32Matrix]:
    """Return the set, the queries to ask, and those to tune on."""
    dataset = datasets.in_memory(datasets.load(case.data, case.n, seed=case.seed))
    tuning, asked = np.split(dataset.queries, [TUNING_QUERIES])
    return dataset, np.ascontiguousarray(asked[: case.n_queries]), tuning


def filters_of(dataset: Dataset, queries: F32Matrix, *, seed: int) -> Iterator[Filter]:
    """Yield the filters of a set, those at random first; each has the answers to the queries."""
    rng = np.random.default_rng(seed)
    n, base = len(dataset.base), dataset.base
    middle = base[rng.integers(n)][np.newaxis]
    around = np.concatenate(
        [distances(middle, part, dataset.metric)[0] for part in np.array_split(base, 32)]
    )
    orders = {
        "at random": rng.permutation(n),
        "around one": np.argsort(around, kind="stable"),
    }
    for what, order in orders.items():
        for share in SHARES:
            ids = np.sort(order[: max(1, round(share * n))])
            truth = Truth.among(ids, queries, base, K, dataset.metric)
            yield Filter(f"{100 * share:g} % {what}", ids, truth)


def measure(given: argparse.Namespace) -> Iterator[Row]:
    """Measure every contestant, in turn."""
    case = Case(
        by="",
        data=given.data or ("manifold-128" if given.quick else "text-minilm-384"),
        n=given.n or (QUICK_N if given.quick else FULL_N),
        seed=given.seed,
        n_queries=QUICK_QUERIES if given.quick else FULL_QUERIES,
        threads=given.threads,
        budget_s=0.02 if given.quick else 0.5,
        turns=1 if given.quick else 3,
    )
    dataset, asked, _ = _loaded(case)
    progress(f"{dataset.label}: exact answers in float64")
    filters = list(filters_of(dataset, asked, seed=case.seed))
    title = f"{dataset.label} {dataset.metric} k={K} filtered"
    del dataset

    def measured(by: str) -> dict[Asked, Point]:
        return in_own_process(measure_case, replace(case, by=by), filters)

    names = given.by or (*OURS, *peers.FILTERED)
    found, skipped = in_turn(names, title, measured, given.journal, needed=OURS)
    yield from rows(title, filters, found)
    yield from tables.skipped(title, skipped)


def rows(
    title: str, filters: Sequence[Filter], found: Mapping[str, Mapping[Asked, Point]]
) -> Iterator[Row]:
    """Yield the rows of one set.

    Args:
        title: the set, its size, the metric and k.
        filters: in the order of their numbers.
        found: contestant to what came of each filter.
    """
    for tuned, table in (
        (False, f"{title} at recall {RECALL:g}"),
        (True, f"{title} at the effort tuned for {RECALL:g} without a filter"),
    ):
        for number, one in enumerate(filters):
            for by, points in found.items():
                point = points.get(Asked(number, tuned))
                if point is not None:
                    yield from _line(table, by, one, point, tuned=tuned)
    yield from _goals(title, filters, found)


def _line(table: str, by: str, one: Filter, point: Point, *, tuned: bool) -> Iterator[Row]:
    """Yield the figures of a contestant through one filter."""
    reached = tuned or point.recall >= RECALL
    what = one.what if reached else f"{one.what}, not reached"
    entry = partial(tables.entry, table, by, what=what)
    yield entry(f"recall@{K}", point.recall, target=RECALL)
    yield entry("effort", point.effort)
    for figure, value in point.figures.items():
        yield entry(figure, value)


def _goals(
    title: str, filters: Sequence[Filter], found: Mapping[str, Mapping[Asked, Point]]
) -> Iterator[Row]:
    """Yield the speed of our graph in hnswlib's, where that reaches, and in the best peer's."""
    if "graph" not in found:
        return
    others = [by for by in found if by in peers.FILTERED]
    for number, one in enumerate(filters):
        mine = _speed_at(found["graph"][Asked(number, False)])
        speeds = {by: _speed_at(found[by][Asked(number, False)]) for by in others}
        goal = f"{title} goals: QPS, {one.what}, graph ÷ "
        best = max(speeds, key=speeds.__getitem__, default="")
        named = {best: best_of(best, len(others)), "hnswlib": "hnswlib with its Python filter"}
        for by in dict.fromkeys(("hnswlib", best)):
            if speeds.get(by):
                points = [found[name][Asked(number, False)] for name in ("graph", by)]
                at = " and ".join(f"{point.recall:.3f}" for point in points)
                target = GOAL if by == "hnswlib" else None
                case = f"{goal}{named[by]}, at recall {at}"
                yield row(case, "times", mine / speeds[by], target=target)


def _speed_at(point: Point) -> float:
    """Return the QPS of a point, 0 where it does not reach the recall."""
    return point.figures[QPS] if point.recall >= RECALL else 0.0


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", choices=datasets.names())
    parser.add_argument("--by", nargs="+", choices=[*OURS, *peers.FILTERED])
    parser.add_argument("--n", type=int, help="rows of the base")


BENCHMARK = Benchmark("filters", "search among the rows that a filter lets pass", measure, _options)

if __name__ == "__main__":
    BENCHMARK.main()
