"""Which rows `top_k` returns: the nearest, ties by lower position, padded, allowed ones only."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import PAIRS, check_selection, draw_pair, every_distance, forced

from paradox import kernels
from paradox.core.metric import METRICS
from paradox.kernels import oracle

BATCHES = (1, 3, 4, 5, 33, 300)
N_ROWS = 1100
"""More than a block of rows for either kernel, and not whole tiles of any level."""


@pytest.mark.parametrize("n_queries", BATCHES)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtypes", PAIRS, ids="-".join)
def test_the_k_nearest_are_found(isa, dtypes, metric, n_queries):
    queries, rows = draw_pair(1, n_queries, N_ROWS, 8, dtypes)
    distances = every_distance(queries, rows, metric)
    everything = np.ones(N_ROWS, np.bool_)
    for k in (1, 10, 100):
        found = kernels.top_k(queries, rows, k, metric)
        check_selection(found, distances, k, everything)


@pytest.mark.parametrize("density", [0.0, 0.002, 0.5, 0.998, 1.0])
@pytest.mark.parametrize("n_queries", BATCHES)
def test_only_allowed_rows_are_looked_at(isa, n_queries, density):
    queries, rows = draw_pair(2, n_queries, N_ROWS, 8, PAIRS[0])
    distances = every_distance(queries, rows, "l2")
    allow = np.random.default_rng(3).random(N_ROWS) < density
    rows[~allow] = np.nan
    for k in (1, 10, 1000):
        found = kernels.top_k(queries, rows, k, "l2", allow=allow)
        check_selection(found, distances, k, allow)


@pytest.mark.parametrize("allowed", [[0], [N_ROWS - 1], [0, N_ROWS - 1], [1023, 1024], [252, 999]])
@pytest.mark.parametrize("n_queries", [1, 5])
def test_single_rows_are_allowed(isa, n_queries, allowed):
    queries, rows = draw_pair(4, n_queries, N_ROWS, 3, PAIRS[0])
    allow = np.zeros(N_ROWS, np.bool_)
    allow[allowed] = True
    positions, _ = kernels.top_k(queries, rows, 3, "ip", allow=allow)
    padding = [-1] * (3 - len(allowed))
    for row in positions.tolist():
        assert sorted(row, reverse=True) == sorted(allowed, reverse=True) + padding


def test_a_mask_may_lie_any_stride_apart(isa):
    queries, rows = draw_pair(5, 5, 200, 8, PAIRS[0])
    wide = np.random.default_rng(6).random(600) < 0.5
    for allow in (wide[::3], wide[:200][::-1], np.broadcast_to(wide[:1], 200)):
        found = kernels.top_k(queries, rows, 7, "l2", allow=allow)
        expected = kernels.top_k(queries, rows, 7, "l2", allow=allow.copy())
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("n_queries", BATCHES)
def test_equal_rows_are_ordered_by_position(isa, n_queries):
    queries, rows = draw_pair(7, n_queries, 1, 17, PAIRS[0])
    same = np.repeat(rows, N_ROWS, axis=0)
    for metric in METRICS:
        positions, distances = kernels.top_k(queries, same, 70, metric)
        np.testing.assert_array_equal(positions, np.tile(np.arange(70), (n_queries, 1)))
        assert (distances == distances[:, :1]).all()


@pytest.mark.parametrize("isa", kernels.available())
@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    n_queries=st.sampled_from(BATCHES[:5]),
    n_rows=st.integers(0, 400),
    dim=st.integers(1, 20),
    k=st.integers(1, 450),
    threads=st.integers(1, 4),
    density=st.sampled_from([None, 0.0, 0.05, 0.5, 1.0]),
    dtypes=st.sampled_from(PAIRS),
    metric=st.sampled_from(METRICS[:2]),
    seed=st.integers(0, 2**32 - 1),
)
def test_among_many_ties_the_answer_is_the_twins(
    isa, n_queries, n_rows, dim, k, threads, density, dtypes, metric, seed
):
    rng = np.random.default_rng(seed)
    queries = rng.integers(-1, 2, (n_queries, dim)).astype(dtypes[0])
    rows = rng.integers(-1, 2, (n_rows, dim)).astype(dtypes[1])
    allow = None if density is None else rng.random(n_rows) < density
    expected = oracle.top_k(queries, rows, k, metric, allow=allow)
    with forced(isa):
        found = kernels.top_k(queries, rows, k, metric, allow=allow, threads=threads)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])


@pytest.mark.parametrize("n_queries", BATCHES)
def test_fewer_rows_than_k_are_padded(isa, n_queries):
    queries, rows = draw_pair(8, n_queries, 7, 31, PAIRS[0])
    distances = every_distance(queries, rows, "cosine")
    for k in (7, 8, 50):
        found = kernels.top_k(queries, rows, k, "cosine")
        check_selection(found, distances, k, np.ones(7, np.bool_))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtypes", PAIRS, ids="-".join)
@pytest.mark.parametrize("threads", [1, 3])
def test_no_rows_and_no_queries(isa, dtypes, metric, threads):
    queries, rows = draw_pair(9, 5, 9, 16, dtypes)
    for allow in (None, np.zeros(0, np.bool_)):
        for n in (1, 5):
            positions, distances = kernels.top_k(
                queries[:n], rows[:0], 3, metric, allow=allow, threads=threads
            )
            assert positions.tolist() == [[-1] * 3] * n
            assert distances.tolist() == [[np.inf] * 3] * n
    positions, distances = kernels.top_k(queries[:0], rows, 3, metric, threads=threads)
    assert positions.shape == distances.shape == (0, 3)
    assert kernels.distances(queries[0], rows[:0], metric).shape == (0,)


@pytest.mark.parametrize("n_queries", [1, 5])
@pytest.mark.parametrize("metric", METRICS)
def test_rows_that_are_no_number_come_last_and_are_not_padding(isa, metric, n_queries):
    queries, rows = draw_pair(10, n_queries, 6, 16, PAIRS[0])
    rows[1, 3] = rows[4, 15] = np.nan
    positions, distances = kernels.top_k(queries, rows, 8, metric)
    assert (np.sort(positions[:, :4]) == [0, 2, 3, 5]).all()
    assert (positions[:, 4:] == [1, 4, -1, -1]).all()
    assert np.isfinite(distances[:, :4]).all()
    assert (distances[:, 4:] == np.inf).all()


@pytest.mark.parametrize("n_queries", [1, 5])
def test_a_query_that_is_no_number_finds_rows_by_position(isa, n_queries):
    queries, rows = draw_pair(11, n_queries, 2000, 16, PAIRS[0])
    queries[0, 2] = np.nan
    for metric in METRICS:
        positions, distances = kernels.top_k(queries, rows, 40, metric)
        assert positions[0].tolist() == list(range(40))
        assert (distances[0] == np.inf).all()
        assert np.isfinite(distances[1:]).all()


@pytest.mark.parametrize("n_queries", [1, 5])
def test_an_infinite_inner_product_is_nearest(isa, n_queries):
    queries, rows = draw_pair(12, n_queries, 50, 8, PAIRS[0])
    queries = np.abs(queries)
    rows[33, 2], rows[34, 2] = np.inf, -np.inf
    positions, distances = kernels.top_k(queries, rows, 50, "ip")
    assert (positions[:, 0] == 33).all()
    assert (distances[:, 0] == -np.inf).all()
    assert (positions[:, -1] == 34).all()
    assert (distances[:, -1] == np.inf).all()
