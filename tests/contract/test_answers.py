"""What a search returns, whatever the backend."""

from __future__ import annotations

import re
import threading

import numpy as np
import pytest

from paradox.core.errors import InvalidArgument
from tests.contract.backends import (
    DIM,
    MAKES,
    METRICS,
    N,
    ids_of,
    near_enough,
    true_distances,
    truth,
    vectors,
)

QUERIES = vectors(40, seed=5)


def test_distances_are_true_and_in_order(full, make, metric):
    hits = full.search(QUERIES, 10)
    assert hits.ids.shape == hits.distances.shape == (40, 10)
    assert (hits.ids.dtype, hits.distances.dtype) == (np.int64, np.float32)
    assert (np.diff(hits.distances, axis=1) >= 0).all()
    for query, ids, distances in zip(QUERIES, hits.ids, hits.distances, strict=True):
        assert len(set(ids.tolist())) == 10
        expected = true_distances(ids, query[np.newaxis], metric)
        np.testing.assert_allclose(distances, expected, rtol=1e-5, atol=1e-6)


def test_certified_answers_are_those_of_float64(full, make, metric):
    hits = full.search(QUERIES, 10)
    if make.certified:
        assert hits.certified
        ids, distances = truth(QUERIES, ids_of(), vectors(), 10, metric)
        np.testing.assert_array_equal(hits.ids, ids)
        np.testing.assert_allclose(hits.distances, distances, rtol=1e-6, atol=1e-7)


def test_the_greatest_effort_is_certified_and_exact(full, metric):
    hits = full.search(QUERIES, 10, effort=2**31 - 1)
    assert hits.certified
    np.testing.assert_array_equal(hits.ids, truth(QUERIES, ids_of(), vectors(), 10, metric)[0])


@pytest.mark.parametrize("effort", [0, -1, 2**31, 1.5, "all"])
def test_an_effort_that_cannot_be_is_refused(full, effort):
    with pytest.raises(InvalidArgument, match="effort"):
        full.search(QUERIES[:1], 1, effort=effort)


def test_more_threads_give_the_same_answer(full):
    alone = full.search(QUERIES, 10)
    together = full.search(QUERIES, 10, threads=3)
    np.testing.assert_array_equal(alone.ids, together.ids)
    np.testing.assert_array_equal(alone.distances, together.distances)


def test_readers_of_different_efforts_do_not_meet(full):
    efforts = [1, 20, 150]
    expected = {effort: full.search(QUERIES, 5, effort=effort).ids for effort in efforts}
    wrong = []

    def read(effort):
        for _ in range(8):
            if not np.array_equal(full.search(QUERIES, 5, effort=effort).ids, expected[effort]):
                wrong.append(effort)

    readers = [threading.Thread(target=read, args=(effort,)) for effort in efforts * 2]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert not wrong


@pytest.mark.parametrize("share", [0.002, 0.05, 0.5, 0.99])
def test_only_what_is_allowed_is_found(full, metric, share):
    allow = np.random.default_rng(3).permutation(ids_of())[: int(share * N)]
    hits = full.search(QUERIES, 10, allow=allow)
    assert np.isin(hits.ids, allow).all()
    rows = vectors()[np.isin(ids_of(), allow)]
    ids, distances = truth(QUERIES, ids_of()[np.isin(ids_of(), allow)], rows, 10, metric)
    assert near_enough(hits, distances).mean() >= 0.9
    if hits.certified:
        np.testing.assert_array_equal(hits.ids, ids)


def test_allowing_unknown_repeated_or_no_ids(full):
    known = ids_of()[:3]
    allow = np.concatenate([known, known, [10**12, -(10**12)]])
    hits = full.search(QUERIES[:2], 5, allow=allow)
    assert sorted(hits.ids[0][:3].tolist()) == sorted(known.tolist())
    assert hits.ids[:, 3:].tolist() == [[-1, -1]] * 2
    assert np.isinf(hits.distances[:, 3:]).all()
    nothing = full.search(QUERIES[:2], 5, allow=np.empty(0, np.int64))
    assert (nothing.ids == -1).all()


def test_more_neighbours_than_there_are(full):
    hits = full.search(QUERIES[:2], N + 50)
    for row in hits.ids:
        assert set(row[:N].tolist()) == set(ids_of().tolist())
        assert (row[N:] == -1).all()
    assert np.isinf(hits.distances[:, N:]).all()


def test_an_empty_index_answers_with_padding(fresh, metric):
    index = fresh(metric)
    hits = index.search(QUERIES[:2], 3)
    assert len(index) == 0
    assert (hits.ids == -1).all()
    assert np.isinf(hits.distances).all()
    assert len(index.range_search(QUERIES[0], 10.0, limit=5).ids) == 0
    assert index.remove(ids_of(4)) == 0


def test_range_search_finds_all_within(full, metric):
    query = QUERIES[0]
    ids, distances = truth(query[np.newaxis], ids_of(), vectors(), 60, metric)
    radius = float(np.float32((distances[0, 30] + distances[0, 31]) / 2))
    hits = full.range_search(query, radius, limit=100)
    assert hits.ids.tolist() == ids[0][distances[0] <= radius].tolist()
    assert hits.certified
    assert full.range_search(query, radius, limit=4).ids.tolist() == ids[0, :4].tolist()
    assert len(full.range_search(query, float(distances[0, 0]) - 1, limit=4).ids) == 0


def test_equal_vectors_are_all_found(fresh, metric):
    index = fresh(metric)
    index.add(ids_of(), np.tile(vectors()[:60], (100, 1)))
    hits = index.search(vectors()[:3], 100, effort=300)
    for row, distances in zip(hits.ids, hits.distances, strict=True):
        assert len(set(row.tolist())) == 100
        assert distances[0] == pytest.approx(distances[-1], abs=1e-6)


@pytest.mark.parametrize("dim", [1, 3, 17, 130])
def test_any_dimension(name, metric, dim):
    if {"PQ", "PCA"} & set(re.findall(r"[A-Z]+", MAKES[name].options.get("factory", ""))):
        pytest.skip("the factory string is made for 16 dimensions")
    index = MAKES[name](metric, dim)
    rows = vectors(300, dim=dim)
    index.add(ids_of(300), rows)
    hits = index.search(rows[:5], 4)
    distances = truth(rows[:5], ids_of(300), rows, 4, metric)[1]
    np.testing.assert_allclose(hits.distances, distances, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", [name for name, make in MAKES.items() if not make.whole])
def test_huge_beside_tiny_vectors_do_no_harm(name, metric):
    """Distances of float32 overflow inside of the libraries: answers stay sorted, ids valid."""
    index = MAKES[name](metric)
    scale = np.where(np.arange(N) % 3 == 0, 1e18, 1e-2)[:, np.newaxis]
    if MAKES[name].rounds:
        scale = np.minimum(scale, 500)
    index.add(ids_of(), (vectors() * scale).astype(np.float32))
    hits = index.search(QUERIES[:5], 10)
    assert np.isin(hits.ids, ids_of()).all()
    assert (hits.distances[:, 1:] >= hits.distances[:, :-1]).all()


def test_figures(full, name, metric):
    stats = full.stats()
    assert (full.dim, full.metric, len(full)) == (DIM, metric, N)
    assert stats.backend == {"auto": "graph"}.get(name, name.split("-")[0])
    assert (stats.n_live, stats.n_deleted, stats.mapped_bytes) == (N, 0, 0)
    assert stats.resident_bytes > N * DIM
