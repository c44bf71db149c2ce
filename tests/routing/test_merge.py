from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paradox.core.types import NO_ID, Neighbors
from paradox.routing import QueryPlan, merge
from paradox.routing.plan import rows_asked

DISTANCES = [0.0, 0.5, 1.0, 2.0, np.inf]


def _plan(rows_by_shard, n_queries):
    shards = tuple(sorted(rows_by_shard))
    rows = {shard: np.array(rows, np.int64) for shard, rows in rows_by_shard.items()}
    return QueryPlan(rows, np.zeros((n_queries, len(shards)), np.float32), shards, False)


def _answer(rows, k, **told):
    """Return the answer of a shard that holds, for each query, these (distance, id)."""
    ids = np.full((len(rows), k), NO_ID, np.int64)
    distances = np.full((len(rows), k), np.inf, np.float32)
    for row, found in enumerate(rows):
        best = sorted(found)[:k]
        ids[row, : len(best)] = [id_ for _, id_ in best]
        distances[row, : len(best)] = [distance for distance, _ in best]
    return Neighbors(ids, distances, **told)


def _oracle(found, k):
    """Return the k nearest of (distance, id), ties by id, each id once at its least distance."""
    least = {}
    for distance, id_ in found:
        least[id_] = min(distance, least.get(id_, np.inf))
    best = sorted((distance, id_) for id_, distance in least.items())[:k]
    padding = [(np.inf, NO_ID)] * (k - len(best))
    return best + padding


ids = st.integers(-4, 12).filter(lambda i: i != NO_ID) | st.sampled_from([-(2**63), 2**63 - 1])


findings = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 4), ids, st.sampled_from(DISTANCES)), max_size=40
)
"""What is found: query, shard, id, distance."""


@given(findings, st.integers(1, 6), st.sampled_from([1, 7, 1 << 22]))
@settings(deadline=None, derandomize=True, max_examples=200)
def test_what_shards_found_together_is_what_one_would_have_found(found, k, at_once):
    found = sorted({(query, shard, i): d for query, shard, i, d in found}.items())
    rows_by_shard = {s: sorted({q for (q, t, _), _ in found if t == s}) for s in range(5)}
    answers = {
        shard: _answer(
            [[(d, i) for (q, s, i), d in found if (q, s) == (row, shard)] for row in rows], k
        )
        for shard, rows in rows_by_shard.items()
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(import_module("paradox.routing.merge"), "_CANDIDATES_AT_ONCE", at_once)
        merged = merge(answers, _plan(rows_by_shard, 4), 4, k)
    assert merged.ids.shape == merged.distances.shape == (4, k)
    assert (merged.ids.dtype, merged.distances.dtype) == (np.int64, np.float32)
    for query in range(4):
        told = [
            pair
            for shard in range(5)
            for pair in sorted((d, i) for (q, s, i), d in found if (q, s) == (query, shard))[:k]
        ]
        got = list(zip(merged.distances[query].tolist(), merged.ids[query].tolist(), strict=True))
        assert got == _oracle(told, k)


def test_the_global_nearest_are_found_however_records_are_spread():
    rng = np.random.default_rng(0)
    vectors = rng.integers(-2, 3, (400, 3)).astype(float)  # a lattice: many ties
    queries = rng.integers(-2, 3, (20, 3)).astype(float)
    distances = ((queries[:, None] - vectors[None]) ** 2).sum(2)
    home = rng.integers(0, 5, 400)
    held = {
        shard: [[(row[i], int(i)) for i in np.flatnonzero(home == shard)] for row in distances]
        for shard in range(5)
    }
    answers = {shard: _answer(rows, 10) for shard, rows in held.items()}
    merged = merge(answers, _plan(dict.fromkeys(range(5), range(20)), 20), 20, 10)
    np.testing.assert_array_equal(
        merged.ids, np.lexsort((np.broadcast_to(np.arange(400), (20, 400)), distances))[:, :10]
    )


def test_a_record_found_infinitely_far_comes_before_padding():
    answers = {0: _answer([[(np.inf, 7)]], 2), 1: _answer([[(1.0, 3)]], 2)}
    merged = merge(answers, _plan({0: [0], 1: [0]}, 1), 1, 3)
    assert merged.ids.tolist() == [[3, 7, NO_ID]]


def test_a_record_in_two_shards_leaves_no_gap():
    answers = {
        0: _answer([[(0.1, 1), (0.2, 2), (0.9, 5)]], 3),
        1: _answer([[(0.1, 1), (0.3, 2), (0.5, 4)]], 3),
    }
    merged = merge(answers, _plan({0: [0], 1: [0]}, 1), 1, 3)
    assert merged.ids.tolist() == [[1, 2, 4]]
    np.testing.assert_allclose(merged.distances, [[0.1, 0.2, 0.5]])


def test_no_answers_at_all_are_padding():
    merged = merge({}, _plan({}, 2), 2, 3)
    assert merged.ids.tolist() == [[NO_ID] * 3] * 2
    assert np.isinf(merged.distances).all()
    assert merged.effort is None
    assert merged.shards_touched == 0


def test_the_effort_is_the_greatest_and_the_shards_are_counted():
    rows = [[(0.0, 1)]]
    answers = {
        0: _answer(rows, 1, effort=32),
        1: _answer(rows, 1, effort=None),
        2: _answer(rows, 1, effort=64),
    }
    merged = merge(answers, _plan(dict.fromkeys(range(3), (0,)), 1), 1, 1)
    assert (merged.effort, merged.shards_touched, merged.certified) == (64, 3, False)


def test_answers_are_not_written_to():
    answer = _answer([[(0.5, 1), (1.0, 2)]], 2)
    answer.ids.setflags(write=False)
    answer.distances.setflags(write=False)
    plan = _plan({0: [0], 1: [0]}, 1)
    assert rows_asked(plan).all()
    assert merge({0: answer, 1: answer}, plan, 1, 2).ids.tolist() == [[1, 2]]
