"""An index half of whose rows have gone and others come, beside one built on what is there then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from benchmarks import datasets, tables
from benchmarks.curve import QPS, Measured, Point, fastest, figures_of
from benchmarks.datasets import Dataset
from benchmarks.peers import Changing
from benchmarks.report import Row
from benchmarks.timing import anonymous_bytes, answers, interleaved
from benchmarks.truth import Truth
from paradox.core.types import F32Matrix, I64Vector

K = 10
EFFORTS = (10, 20, 40, 80, 160)
RECALL = 0.95
MOST_LOST, LEAST_SPEED = 0.01, 0.85
"""Goals: recall lost at equal effort, and speed in that of the fresh index."""
_BATCH = 100
_ROUNDS, _PASSES = 10, 5


@dataclass(frozen=True, slots=True)
class Case:
    """What each contestant does on one set.

    Attributes:
        data: the set.
        n: rows there are at any time; the set has half as many more.
        seed: of the set, and of which rows go.
        n_queries: how many are asked.
        threads: of builds and insertions.
        call_rows: rows of each call.
        turns: how often each speed is measured; see `fastest` for what counts.
    """

    data: str
    n: int
    seed: int
    n_queries: int
    threads: int
    call_rows: int
    turns: int

    def loaded(self) -> Dataset:
        """Return the set, with no more queries than are asked."""
        n = self.n + self.n // 2
        dataset = datasets.in_memory(datasets.load(self.data, n, seed=self.seed))
        return replace(dataset, queries=dataset.queries[: self.n_queries])

    def going(self) -> I64Vector:
        """Return the positions of the rows that go, in that order."""
        return np.random.default_rng(self.seed).permutation(self.n)[: self.n // 2]

    def left(self) -> I64Vector:
        """Return the positions of the rows that are there in the end, ascending."""
        return np.setdiff1d(np.arange(self.n + self.n // 2), self.going())


@dataclass(frozen=True, slots=True)
class Compared:
    """Both indexes of a contestant.

    Attributes:
        churned: built and changed; its `build_s` are those of the changes.
        fresh: built on the rows that are left.
    """

    churned: Measured
    fresh: Measured


def measure_case(case: Case, make: Callable[[], Changing], truth: Truth) -> Compared:
    """Build both indexes of a contestant, and ask them in turns, in this process.

    Args:
        case: what to measure.
        make: returns an empty index.
        truth: the exact answers among the rows that are left, as positions in the set.
    """
    dataset, left = case.loaded(), case.left()
    rows = dataset.base[left]
    churned, fresh = make(), make()

    at_first = anonymous_bytes()
    churned.build(dataset.base[: case.n], case.threads)
    churn_s = _took_s(partial(_churn, churned, dataset.base, case))
    once_churned = anonymous_bytes()
    build_s = _took_s(partial(fresh.build, rows, case.threads))
    once_both = anonymous_bytes()

    points: dict[str, list[Point]] = {"churned": [], "fresh": []}
    indexes = {"churned": churned, "fresh": fresh}
    searches = {name: partial(index.search, k=K, threads=1) for name, index in indexes.items()}
    for effort in EFFORTS * case.turns:
        churned.effort = fresh.effort = effort
        timings = interleaved(searches, dataset.queries, rounds=_ROUNDS, passes=_PASSES)
        for name, timing in timings.items():
            found = answers(searches[name], dataset.queries, _BATCH)
            if name == "fresh":
                found = np.where(found < 0, found, left[found])
            recall = truth.recall(found, dataset.queries, dataset.base)
            points[name].append(Point(effort, 1, recall, figures_of(timing)))
    best = {
        name: tuple(fastest(of_one[number :: len(EFFORTS)]) for number in range(len(EFFORTS)))
        for name, of_one in points.items()
    }
    return Compared(
        Measured(churn_s, (once_churned - at_first) / case.n, best["churned"]),
        Measured(build_s, (once_both - once_churned) / case.n, best["fresh"]),
    )


def _churn(index: Changing, base: F32Matrix, case: Case) -> None:
    """Remove some rows and add as many others, again and again."""
    going, coming = case.going(), np.arange(case.n, case.n + case.n // 2)
    for start in range(0, len(going), case.call_rows):
        part = slice(start, start + case.call_rows)
        index.remove(going[part])
        index.add(coming[part], base[coming[part]], case.threads)


def _took_s(change: Callable[[], object]) -> float:
    start = time.perf_counter()
    change()
    return time.perf_counter() - start


def rows(title: str, found: Mapping[str, Compared]) -> Iterator[Row]:
    """Yield the rows of one set: what was measured, and how the two indexes compare."""
    for number, effort in enumerate(EFFORTS):
        for by, compared in found.items():
            for name, index in (("churned", compared.churned), ("fresh", compared.fresh)):
                point = index.points[number]
                entry = partial(tables.entry, title, by, what=f"effort {effort}, {name}")
                yield entry(f"recall@{K}", point.recall)
                for figure, value in point.figures.items():
                    yield entry(figure, value)
    for by, compared in found.items():
        entry = partial(tables.entry, f"{title}, churned beside fresh", by)
        both = list(zip(compared.churned.points, compared.fresh.points, strict=True))
        lost = max(fresh.recall - churned.recall for churned, fresh in both)
        yield entry("recall lost, most", lost, target=MOST_LOST, better="less")
        speed = min(churned.figures[QPS] / fresh.figures[QPS] for churned, fresh in both)
        yield entry("QPS at equal effort, least", speed, target=LEAST_SPEED)
        fresh_speed = compared.fresh.at(QPS, RECALL)
        if fresh_speed is not None:
            speed = (compared.churned.at(QPS, RECALL) or 0.0) / fresh_speed
            yield entry(f"QPS at recall {RECALL:g}", speed, target=LEAST_SPEED)
        yield entry("bytes/vector", compared.churned.bytes_per_vector)
        yield entry("bytes/vector, fresh", compared.fresh.bytes_per_vector)
        yield entry("changes s", compared.churned.build_s)
        yield entry("build s, fresh", compared.fresh.build_s)
