"""Bounds from 8-bit codes: never above a distance, as near to it as derived, on every level."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import DIMS, Array, draw, draw_pair, forced, misaligned, special_rows

from paradox import kernels
from paradox.core.errors import InvalidArgument
from paradox.core.metric import METRICS, Metric
from paradox.kernels import level, oracle

DTYPES = ("float32", "float16", "int8")
SLACK = 2.0**-18
"""Of the product of the norms, or their squares: what float32 may cost a bound."""


def every_pair(queries: Array, rows: Array) -> Array:
    return np.tile(np.arange(len(rows)), (len(queries), 1))


def check_bounds(queries: Array, rows: Array, metric: Metric, codes: kernels.Codes) -> Array:
    """Hold bounds to what is measured in float64; return them."""
    lower = kernels.lower_bounds(queries, codes, metric)
    exact = kernels.refine(queries, rows, every_pair(queries, rows), metric)
    assert not np.isnan(lower).any()
    above = lower > exact
    assert not above.any(), f"{lower[above][0]!r} is more than {exact[above][0]!r}"
    return lower


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dim", DIMS)
def test_bounds_are_below_the_distances_and_as_near_as_derived(isa, dim, dtype, metric):
    queries, rows = draw_pair(1, 37, 70, dim, ("float32", dtype))
    limit = level.chosen.query_limit
    derived = oracle.lower_bounds(queries, rows, metric, limit)
    size = np.outer(oracle.row_norms(queries), oracle.row_norms(rows))
    if metric == "l2":
        size = np.add.outer(oracle.row_norms(queries), oracle.row_norms(rows)) ** 2
    allowed = SLACK * (np.ones_like(size) if metric == "cosine" else size)
    allowed += 1e-15  # a row of zeros is bounded as one of 2^-60
    codes = kernels.encode(rows, metric)
    for n_queries in (1, 3, 4, 17, 37):
        lower = check_bounds(queries[:n_queries], rows, metric, codes)
        assert (np.abs(lower - derived[:n_queries]) <= allowed[:n_queries]).all()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dim", DIMS)
def test_no_value_breaks_a_bound(isa, dim, dtype, metric):
    rows = special_rows(dim, dtype)
    queries = special_rows(dim, "float32")
    queries = np.concatenate(
        [queries[np.isfinite(queries).all(axis=1)], draw(2, 5, dim, "float32")]
    )
    codes = kernels.encode(rows, metric)
    check_bounds(queries, rows, metric, codes)
    for query in queries:
        check_bounds(query[np.newaxis], rows, metric, codes)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dim", DIMS)
def test_rows_and_codes_may_lie_anywhere(isa, dim, dtype):
    queries, rows = draw_pair(3, 9, 61, dim, ("float32", dtype))
    codes = kernels.encode(rows, "l2")
    elsewhere = kernels.encode(misaligned(rows), "l2")
    np.testing.assert_array_equal(elsewhere.terms, codes.terms)
    np.testing.assert_array_equal(elsewhere.values, codes.values)
    moved = kernels.Codes(misaligned(codes.values, gap=5), codes.terms)
    for n in (1, 9):
        expected = kernels.lower_bounds(queries[:n], codes, "l2")
        np.testing.assert_array_equal(kernels.lower_bounds(queries[:n], moved, "l2"), expected)


@pytest.mark.parametrize("dim", [1, 16, 17, 4096, 65_536])
def test_sums_of_the_greatest_codes_do_not_saturate(isa, dim):
    limit = float(level.chosen.query_limit)
    rows = np.stack([np.full(dim, value, np.int8) for value in (-128, 127, -128, 1)])
    rows[2, ::2] = 127
    queries = np.full((5, dim), limit, np.float32)
    queries[1] = -limit
    queries[2, ::2] = -limit
    queries[3, 1::4] = -limit
    codes = kernels.encode(rows, "ip")
    exact = oracle.distances(queries, rows, "ip")
    size = SLACK * np.outer(oracle.row_norms(queries), oracle.row_norms(rows))
    for n in (1, 5):
        assert (
            np.abs(kernels.lower_bounds(queries[:n], codes, "ip") - exact[:n]) <= size[:n]
        ).all()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_codes_are_the_twins(dtype, metric):
    rows = draw(4, 50, 97, dtype)
    rows[7] = 0
    codes = kernels.encode(rows, metric)
    coded, rest, scale = oracle.encode(rows, metric)
    assert codes.values.shape == (50, kernels.code_width(97))
    np.testing.assert_array_equal(codes.terms[0], scale[:, 0])
    np.testing.assert_allclose((codes.values[:, :97] - 128.0) * scale, coded, atol=1e-12)
    residual = np.linalg.norm(rest, axis=1)
    assert (codes.terms[1] >= residual).all()
    assert (
        codes.terms[1] <= residual * (1 + 1e-5) + SLACK * np.maximum(codes.terms[2], 1e-9)
    ).all()


def test_int8_rows_are_codes_themselves():
    rows = draw(5, 9, 33, "int8")
    codes = kernels.encode(rows, "l2")
    assert codes.values is rows
    assert (codes.terms[0] == 1).all()
    assert (codes.terms[1] <= SLACK * codes.terms[2]).all()


def by_distance_and_id(
    queries: Array, rows: Array, ids: Array, k: int, metric: Metric, allow: Array
) -> tuple[Array, Array]:
    """Return positions and distances from `refine` of every allowed row."""
    at = np.flatnonzero(allow)
    exact = kernels.refine(queries, rows, np.tile(at, (len(queries), 1)), metric)
    order = np.lexsort((np.broadcast_to(ids[at], exact.shape), exact), axis=-1)[:, :k]
    positions = np.full((len(queries), k), -1)
    distances = np.full((len(queries), k), np.inf)
    positions[:, : order.shape[1]] = at[order]
    distances[:, : order.shape[1]] = np.take_along_axis(exact, order, axis=1)
    return positions, distances


@pytest.mark.parametrize("isa", kernels.available())
@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    n_queries=st.sampled_from([1, 3, 4, 19, 40]),
    n=st.integers(0, 700),
    dim=st.integers(1, 80),
    k=st.integers(1, 60),
    threads=st.integers(1, 3),
    kind=st.sampled_from(["spread", "whole", "sizes", "near", "clusters"]),
    density=st.sampled_from([None, 0.0, 0.1, 0.9]),
    dtype=st.sampled_from(DTYPES),
    metric=st.sampled_from(METRICS),
    seed=st.integers(0, 2**32 - 1),
)
def test_certified_answers_are_those_of_float64(
    isa, n_queries, n, dim, k, threads, kind, density, dtype, metric, seed
):
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((n + n_queries, dim))
    if kind == "whole":
        values = rng.integers(-1, 2, values.shape).astype(np.float64)
    elif kind == "sizes":
        values *= 10.0 ** rng.integers(-4, 4, (len(values), 1))
    elif kind == "near":
        values = values[:1] + 1e-4 * values
    elif kind == "clusters":
        values = values[rng.integers(0, len(values), len(values)) // 9] + 0.05 * values
    values = values.astype(np.float32)
    queries = np.ascontiguousarray(values[n:])
    rows = (np.clip(40 * values[:n], -128, 127) if dtype == "int8" else values[:n]).astype(dtype)
    ids = rng.permutation(n) - n // 2
    allow = None if density is None else rng.random(n) < density
    everything = np.ones(n, np.bool_)
    expected = by_distance_and_id(
        queries, rows, ids, k, metric, everything if allow is None else allow
    )
    with forced(isa):
        codes = kernels.encode(rows, metric)
        positions, distances, certified = kernels.certified_top_k(
            queries, rows, codes, ids, k, metric, allow=allow, threads=threads
        )
    assert certified.all()  # so few rows are all measured, if need be
    np.testing.assert_array_equal(positions, expected[0])
    np.testing.assert_array_equal(distances, expected[1])


@pytest.mark.parametrize("n_queries", [1, 20])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("threads", [1, 4])
def test_where_bounds_rule_nothing_out_the_query_is_left_alone(isa, metric, threads, n_queries):
    rows = np.ones((40_000, 20), np.float32)
    queries = draw(6, n_queries, 20, "float32")
    codes, ids = kernels.encode(rows, metric), np.arange(len(rows))
    positions, distances, certified = kernels.certified_top_k(
        queries, rows, codes, ids, 10, metric, threads=threads
    )
    assert not certified.any()
    assert (positions == -1).all()
    assert np.isinf(distances).all()


def test_of_many_queries_only_those_are_left_alone(isa):
    rows = draw(7, 30_000, 24, "float32")
    rows[:12_000] = 5
    queries = np.concatenate([draw(8, 20, 24, "float32"), np.full((20, 24), 5, np.float32)])
    codes, ids = kernels.encode(rows, "l2"), np.arange(len(rows))
    positions, _, certified = kernels.certified_top_k(queries, rows, codes, ids, 10, "l2")
    assert certified.tolist() == [True] * 20 + [False] * 20
    everything = np.ones(len(rows), np.bool_)
    expected = by_distance_and_id(queries[:20], rows, ids, 10, "l2", everything)
    np.testing.assert_array_equal(positions[:20], expected[0])


@pytest.mark.parametrize("norm", [1e-30, 1e30])
def test_queries_beyond_the_range_are_left_alone(isa, norm):
    rows = draw(9, 300, 16, "float32")
    queries = draw(10, 2, 16, "float32") * np.float32(norm)
    codes = kernels.encode(rows, "l2")
    assert (kernels.lower_bounds(queries, codes, "l2") == -np.inf).all()
    assert not kernels.certified_top_k(queries, rows, codes, np.arange(300), 3, "l2")[2].any()


def test_codes_of_other_rows_and_bad_numbers_are_refused():
    queries, rows = draw_pair(11, 3, 20, 16, ("float32", "float32"))
    codes, ids = kernels.encode(rows, "l2"), np.arange(20)
    with pytest.raises(InvalidArgument, match="codes, ids: expected those of 19 rows"):
        kernels.certified_top_k(queries, rows[:19], codes, ids, 3, "l2")
    with pytest.raises(InvalidArgument, match="k and threads: expected 1 or more; got 0 and 1"):
        kernels.certified_top_k(queries, rows, codes, ids, 0, "l2")
    with pytest.raises(InvalidArgument, match="allow: expected bool"):
        kernels.certified_top_k(queries, rows, codes, ids, 3, "l2", allow=np.ones(3, np.bool_))
    whole = draw(12, 20, 16, "int8")
    with pytest.raises(InvalidArgument, match="queries: expected float32; got int8"):
        kernels.certified_top_k(whole, whole, kernels.encode(whole, "l2"), ids, 3, "l2")


def test_nothing_to_look_at():
    queries, rows = draw_pair(13, 3, 9, 16, ("float32", "float32"))
    none = kernels.encode(rows[:0], "l2")
    positions, distances, certified = kernels.certified_top_k(
        queries, rows[:0], none, np.arange(0), 2, "l2"
    )
    assert positions.tolist() == [[-1, -1]] * 3
    assert certified.all()
    assert np.isinf(distances).all()
    assert kernels.lower_bounds(queries, none, "l2").shape == (3, 0)
    assert kernels.lower_bounds(queries[:0], kernels.encode(rows, "l2"), "l2").shape == (0, 9)
