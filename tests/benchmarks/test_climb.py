from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from benchmarks.climb import Reached, least_effort
from benchmarks.peers import Graph
from paradox.core.types import F32Matrix, I64Matrix


class Steps(Graph):
    """A contestant whose recall is what its effort is worth."""

    worth: dict[int, float]

    def __init__(self, worth: dict[int, float]) -> None:
        self.worth = worth
        self.tried: list[int] = []

    def efforts(self, k: int) -> Sequence[int]:
        return list(self.worth)

    def build(self, base: F32Matrix, threads: int) -> None:
        pass

    def search(self, queries: F32Matrix, k: int, threads: int) -> I64Matrix:
        return np.empty((0, k), np.int64)

    def recall(self) -> float:
        self.tried.append(self.effort)
        return self.worth[self.effort]


def test_the_least_effort_that_reaches_a_recall_is_left_set() -> None:
    steps = Steps({10: 0.8, 20: 0.95, 40: 0.99})
    found = least_effort(steps, 10, 0.95, steps.recall, patience_s=60)
    assert found == Reached(20, 0.95)
    assert (steps.effort, steps.tried) == (20, [10, 20])


def test_where_none_reaches_it_the_best_is_left_set() -> None:
    steps = Steps({10: 0.2, 20: 0.9, 40: 0.7})
    assert least_effort(steps, 10, 0.95, steps.recall, patience_s=60) == Reached(20, 0.9)
    assert (steps.effort, steps.tried) == (20, [10, 20, 40])


def test_no_more_is_tried_once_measuring_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    steps, now = Steps({10: 0.0, 20: 0.9, 40: 1.0}), {"s": 0.0}

    def slowly() -> float:
        now["s"] += steps.effort
        return steps.recall()

    monkeypatch.setattr("benchmarks.climb.time.perf_counter", lambda: now["s"])
    assert least_effort(steps, 10, 0.95, slowly, patience_s=15) == Reached(20, 0.9)
