"""The recall asked for is reached by `tune` alone, after every kind of change."""

from __future__ import annotations

import numpy as np
import pytest

from paradox.memory.effort import stand_ins
from tests.contract.backends import (
    APPROXIMATE,
    MAKES,
    METRICS,
    N,
    filled,
    ids_of,
    near_enough,
    truth,
    vectors,
)

FLOOR = 0.93
"""For 0.95 on other queries than those tuned on: three standard errors of 300 queries below."""

pytestmark = [
    pytest.mark.parametrize("name", APPROXIMATE),
    pytest.mark.parametrize("metric", METRICS),
]


def recall(index, ids, rows, metric):
    queries = vectors(300, seed=77)
    effort = index.tune(stand_ins(rows[:2_000], metric, seed=0), 10, 0.95)
    assert effort == index.stats().effort
    distances = truth(queries, ids, rows, 10, metric)[1]
    return near_enough(index.search(queries, 10), distances).mean()


def test_after_building(name, metric):
    assert recall(filled(name, metric), ids_of(), vectors(), metric) >= FLOOR


def test_after_inserts(name, metric):
    index = MAKES[name](metric)
    index.add(ids_of()[:5_100], vectors()[:5_100])
    for start in range(5_100, N, 90):
        index.add(ids_of()[start : start + 90], vectors()[start : start + 90])
    assert recall(index, ids_of(), vectors(), metric) >= FLOOR


def test_after_deletes_and_replacement(name, metric):
    index = MAKES[name](metric)
    index.add(ids_of(), vectors(seed=31))
    index.add(ids_of()[:2_000], vectors()[:2_000])
    index.remove(ids_of()[4_500:])
    rows = np.concatenate([vectors()[:2_000], vectors(seed=31)[2_000:4_500]])
    assert recall(index, ids_of()[:4_500], rows, metric) >= FLOOR


def test_a_higher_recall_costs_no_less(name, metric):
    index = MAKES[name](metric)
    index.add(ids_of(), vectors())
    queries = vectors(100, seed=78)
    efforts = [index.tune(queries, 10, asked) for asked in (0.5, 0.9, 0.99, 1.0)]
    assert efforts == sorted(efforts)
