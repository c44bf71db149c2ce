"""Which queries an index is tuned on, and when again."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from paradox.kernels import oracle
from paradox.memory import LatentMemoryEngine
from paradox.memory.effort import EffortBook

DIM, SAMPLE = 8, np.full((300, 8), 9, np.float32)


class Index:
    """An index that only writes down what it is tuned on."""

    metric, effort_key = "l2", "graph"

    def __init__(self):
        self.n, self.is_tunable, self.tuned_on = 10_000, True, []

    def __len__(self):
        return self.n

    def tunable(self, k):
        return self.is_tunable

    def tune(self, queries, k, recall):
        self.tuned_on.append(queries)
        return len(self.tuned_on)


@pytest.fixture
def index():
    return Index()


@pytest.fixture
def ask(index):
    """Return a function that makes a call of n queries, all of one value, in place of an engine."""
    book = EffortBook()

    def call(n, value=0.0, recall=0.95):
        book.note(np.full((n, DIM), value, np.float32))
        return book.effort_for(index, 10, recall, lambda: SAMPLE)

    return call


def values(queries):
    """Return how many queries there are of each value."""
    return dict(Counter(queries[:, 0].tolist()))


def test_a_first_call_of_many_queries_is_tuned_on_these(index, ask):
    ask(50, value=3.0)
    assert values(index.tuned_on[0]) == {3.0: 50}


def test_single_queries_are_tuned_on_stand_ins_until_there_are_fifty(index, ask):
    assert [ask(1) for _ in range(50)] == [1] * 49 + [2]
    assert len(index.tuned_on[0]) == 200
    assert values(index.tuned_on[1]) == {0.0: 50}


def test_no_call_counts_for_more_than_64(index, ask):
    ask(1_000, value=1.0)
    assert values(index.tuned_on[0]) == {1.0: 64}
    for value in (2.0, 3.0, 4.0, 5.0):
        ask(1_000, value=value)
    assert len(index.tuned_on) == 2
    assert values(index.tuned_on[1]) == {1.0: 8, 2.0: 64, 3.0: 64, 4.0: 64}


def test_queries_of_all_parts_of_a_call_count(index):
    book = EffortBook()
    book.note(np.repeat(np.arange(200, dtype=np.float32), DIM).reshape(200, DIM))
    book.effort_for(index, 10, 0.9, lambda: SAMPLE)
    picked = index.tuned_on[0][:, 0]
    assert (picked[0], picked[-1]) == (0, 196)
    assert set(np.diff(picked).tolist()) == {3.0, 4.0}


def test_it_is_tuned_again_once_the_index_doubled_or_halved(index, ask):
    for _ in range(4):
        ask(64)
    n = len(index.tuned_on)
    for size, tunings in [(20_000, 0), (20_001, 1), (10_001, 1), (9_999, 2)]:
        index.n = size
        ask(1)
        assert len(index.tuned_on) == n + tunings, size


def test_nothing_is_asked_of_an_index_with_nothing_to_tune(index, ask):
    index.is_tunable = False
    assert ask(100) is None
    assert index.tuned_on == []
    index.is_tunable = True
    assert ask(1) == 1


def test_what_was_learnt_is_void_once_the_index_is_another(index, ask):
    assert (ask(60), ask(1)) == (1, 1)
    index.effort_key = "graph, made anew"
    assert ask(1) == 2


def test_an_effort_is_learnt_once_a_long_record_is_gone():
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((5_000, 32), np.float32)
    queries = rng.standard_normal((100, 32), np.float32)
    engine = LatentMemoryEngine(32, index="graph")
    engine.add(vectors)
    engine.add(np.full(32, 1e16), ids=[10**6])
    assert engine.query(queries).certified
    engine.delete([10**6])
    hits = engine.query(queries)
    farthest = oracle.top_k(queries, vectors, 10, "l2")[1][:, -1:]
    assert (hits.distances <= farthest * (1 + 1e-6)).mean() >= 0.93


def test_the_recall_asked_is_reached_after_longer_vectors_came_under_inner_product():
    rng = np.random.default_rng(0)
    base = rng.normal(size=(8_200, 32)).astype(np.float32)
    base[8_000:] *= 3
    queries = rng.normal(size=(100, 32)).astype(np.float32)
    with LatentMemoryEngine(dim=32, metric="ip", index="graph") as engine:
        engine.add(base[:8_000])
        engine.query(queries, k=10)
        engine.add(base[8_000:])
        found = engine.query(queries, k=10)
    truth = np.argsort(oracle.distances(queries, base, "ip"), axis=1, kind="stable")[:, :10]
    hits = [len(np.intersect1d(a, b)) for a, b in zip(found.ids, truth, strict=True)]
    assert np.mean(hits) / 10 > 0.93


def test_what_one_index_learnt_is_not_taken_for_another_of_its_kind():
    rng = np.random.default_rng(1)
    engine = LatentMemoryEngine(16, index="auto", index_options={"exact_below": np.int64(2_000)})
    kinds = rng.standard_normal((4_000, 16), np.float32), rng.standard_normal((4_000, 16)) ** 5
    learnt = []
    for kind in kinds:
        engine.add(kind, ids=range(4_000))
        engine.query(kind[:1], k=10)
        learnt.append(set(engine._efforts._known))
        engine.delete(range(4_000))
    assert len(learnt[1]) == 1
    assert not learnt[0] & learnt[1]
