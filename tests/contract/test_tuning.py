"""What `tune` learns, and when it learns nothing."""

from __future__ import annotations

import numpy as np
import pytest

from paradox.memory.effort import stand_ins
from tests.contract.backends import APPROXIMATE, MAKES, N, ids_of, vectors

QUERIES = stand_ins(vectors(2_000), "l2", seed=0)
LONG = np.full((1, 16), 1e16, np.float32)


@pytest.mark.parametrize("name", APPROXIMATE)
@pytest.mark.parametrize("drawn", ["negative", "any"])
def test_efforts_do_not_depend_on_the_ids(name, drawn):
    ids = -2 - np.arange(N)
    if drawn == "any":
        ids = np.random.default_rng(6).integers(-(2**63), 2**63 - 1, N)
    named, counted = MAKES[name](), MAKES[name]()
    named.add(ids, vectors())
    counted.add(np.arange(N), vectors())
    assert named.tune(QUERIES, 10, 0.9) == counted.tune(QUERIES, 10, 0.9)


def test_what_is_always_exact_has_nothing_to_tune(make, full):
    if make.certified:
        assert not full.tunable(10)
        assert full.tune(QUERIES, 10, 0.9) is None


@pytest.mark.parametrize("name", [name for name in APPROXIMATE if not MAKES[name].rounds])
def test_nothing_is_learnt_while_every_search_is_a_scan(name):
    made = MAKES[name]()
    made.add(ids_of()[:150], vectors()[:150])
    assert not made.tunable(10)
    assert made.tune(QUERIES, 10, 0.9) is None
    made.add(ids_of()[150:], vectors()[150:])
    assert made.tunable(10)
    learnt = made.tune(QUERIES, 10, 0.9)
    made.add(np.array([10**9]), LONG)
    assert made.search(QUERIES, 10).certified
    assert not made.tunable(10)
    assert made.tune(QUERIES, 10, 0.99) == made.stats().effort == learnt
    made.remove(np.array([10**9]))
    assert made.tunable(10)
    assert made.tune(QUERIES, 10, 0.99) >= learnt


@pytest.mark.parametrize("name", APPROXIMATE)
def test_queries_of_which_every_search_is_a_scan_teach_nothing(name):
    made = MAKES[name]()
    made.add(ids_of(), vectors())
    learnt = made.tune(QUERIES, 10, 0.95)
    assert made.tune(np.concatenate([LONG, QUERIES]), 10, 0.95) == learnt
    assert made.tune(LONG, 10, 0.5) == made.stats().effort == learnt
