"""Adding, replacing and removing, whatever the backend."""

from __future__ import annotations

import numpy as np
import pytest

from tests.contract.backends import N, ids_of, near_enough, truth, vectors


def found(index, query, k=1):
    return index.search(query[np.newaxis], k, effort=400).ids[0].tolist()


def check_all(index, ids, rows, metric="l2"):
    """Compare answers with a scan: each vector finds itself, and no answer is not there."""
    assert len(index) == len(ids)
    hits = index.search(rows[::101], 10, effort=400)
    distances = truth(rows[::101], ids, rows, 10, metric)[1]
    assert np.isin(hits.ids, ids).all()
    assert near_enough(hits, distances).mean() >= 0.97


def test_batches_and_single_vectors_add_up(fresh, metric):
    index = fresh(metric)
    index.add(ids_of()[:100], vectors()[:100])
    for i in range(100, 130):
        index.add(ids_of()[i : i + 1], vectors()[i : i + 1])
    index.add(ids_of()[130:5_500], vectors()[130:5_500])
    index.add(ids_of()[5_500:], vectors()[5_500:])
    check_all(index, ids_of(), vectors(), metric)


def test_a_known_id_is_replaced(fresh):
    index = fresh()
    index.add(ids_of(), vectors())
    moved = vectors(300, seed=8)
    index.add(ids_of()[:300], moved)
    rows = np.concatenate([moved, vectors()[300:]])
    check_all(index, ids_of(), rows)
    for i in range(0, 300, 37):
        assert found(index, moved[i], 3)[0] in ids_of()[(rows == moved[i]).all(axis=1)]
        assert ids_of()[i] not in found(index, vectors()[i], 1) or (moved[i] == vectors()[i]).all()


def test_what_was_removed_is_not_found(fresh, metric):
    index = fresh(metric)
    index.add(ids_of(), vectors())
    gone = ids_of()[::3]
    assert index.remove(np.concatenate([gone, gone[:5], [10**15]])) == len(gone)
    assert index.remove(gone) == 0
    kept = ~np.isin(ids_of(), gone)
    check_all(index, ids_of()[kept], vectors()[kept], metric)
    assert not np.isin(index.search(vectors()[::3][:50], 20).ids, gone).any()


def test_removing_all_and_beginning_again(fresh):
    index = fresh()
    index.add(ids_of(), vectors())
    assert index.remove(ids_of()) == N
    assert len(index) == 0
    assert (index.search(vectors()[:1], 5).ids == -1).all()
    index.add(ids_of(), vectors(seed=4))
    check_all(index, ids_of(), vectors(seed=4))


def test_churn_leaves_neither_ghosts_nor_gaps(fresh):
    """Three times as many changes as vectors, so that rebuilding is passed through."""
    rng = np.random.default_rng(6)
    index = fresh()
    held = dict(zip(ids_of(5_200).tolist(), vectors(5_200), strict=True))
    index.add(ids_of(5_200), vectors(5_200))
    for step in range(12):
        gone = rng.choice(sorted(held), 400, replace=False)
        assert index.remove(gone) == 400
        for i in gone.tolist():
            del held[i]
        changed = rng.choice(sorted(held), 700, replace=False)
        new = vectors(700, seed=100 + step)
        index.add(changed, new)
        held.update(zip(changed.tolist(), new, strict=True))
        fresh_ids = np.arange(400) + 10**6 * (step + 1)
        index.add(fresh_ids, vectors(400, seed=200 + step))
        held.update(zip(fresh_ids.tolist(), vectors(400, seed=200 + step), strict=True))
    ids = np.fromiter(held, np.int64, len(held))
    check_all(index, ids, np.stack(list(held.values())))
    assert index.stats().n_deleted <= len(index) + 1_000


@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_handful_of_vectors(fresh, metric, n):
    index = fresh(metric)
    index.add(ids_of()[:n], vectors()[:n])
    hits = index.search(vectors()[:1], 8)
    expected = truth(vectors()[:1], ids_of()[:n], vectors()[:n], 8, metric)[0]
    np.testing.assert_array_equal(hits.ids, expected)
    assert index.remove(ids_of()[:1]) == 1
    assert ids_of()[0] not in index.search(vectors()[:1], 8).ids


def test_extreme_ids(fresh):
    index = fresh()
    ids = np.array([2**63 - 1, -(2**63), 0, -2], np.int64)
    index.add(ids, vectors()[:4])
    assert set(index.search(vectors()[:1], 4).ids[0].tolist()) == set(ids.tolist())
    assert index.remove(ids[:2]) == 2
    assert set(index.search(vectors()[:1], 4).ids[0].tolist()) == {0, -2, -1}


def test_the_same_input_gives_the_same_index(fresh):
    hits = []
    for _ in range(2):
        index = fresh()
        index.add(ids_of(), vectors())
        hits.append(index.search(vectors(40, seed=5), 10, effort=4))
    np.testing.assert_array_equal(hits[0].ids, hits[1].ids)


def test_inputs_are_not_written_to(fresh, metric):
    index = fresh(metric)
    rows, ids = vectors(200).copy(), ids_of(200)
    index.add(ids, rows)
    rows[:] = 1
    ids[:] = 5
    query = vectors(200)[:1]
    assert index.search(query, 1).ids[0, 0] in truth(query, ids_of(200), vectors(200), 1, metric)[0]
