"""The error budget: never exceeded by rows made to exceed it, finite, and near what happens."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import check_distances, draw, drifting, every_distance, forced

from paradox import kernels
from paradox.core.errors import InvalidArgument
from paradox.core.metric import METRICS, Metric
from paradox.kernels import oracle

UNIT = 2.0**-24


def greatest_share(dim: int, metric: Metric, *, tile: bool) -> float:
    """Return the greatest error of drifting sums, as a share of its bound."""
    shares = []
    for query, rows in drifting(dim):
        asked = np.repeat(-query if metric == "l2" else query, 4 if tile else 1, axis=0)
        found = every_distance(asked, rows, metric)[:1]
        truth = oracle.distances(asked[:1], rows, metric)
        norm = oracle.row_norms(asked[:1])
        bound = kernels.error_bound(dim, metric, norm, oracle.row_norms(rows))
        shares.append((np.abs(found - truth) / bound).max())
    return float(max(shares))


@pytest.mark.parametrize("tile", [False, True], ids=["one", "tile"])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dim", [1, 2, 3, 8, 16, 17, 255, 256, 257, 1025, 3072, 65_536])
def test_roundings_that_add_up_stay_within_the_bound(isa, dim, metric, tile):
    assert greatest_share(dim, metric, tile=tile) <= 1


def test_the_bound_is_near_what_happens(isa):
    """A bound that is only ever too wide would certify nothing."""
    assert greatest_share(256, "ip", tile=True) > 0.9
    assert greatest_share(3072, "ip", tile=True) > 0.9
    assert greatest_share(65_536, "ip", tile=False) > 0.2  # of the level with the fewest lanes, 1


@pytest.mark.parametrize("metric", METRICS)
def test_the_bound_grows_as_derived(metric):
    depths = {1: 1, 3: 3, 17: 17, 256: 256, 257: 257, 1025: 262, 3072: 269, 65_536: 4104}
    for dim, m in depths.items():
        factor = {"l2": m + 2, "ip": m, "cosine": m + math.ceil(m / 2) + 8}[metric]
        size = {"l2": (3 + 5) ** 2, "ip": 15, "cosine": 1}[metric]
        relative = factor * UNIT / (1 - factor * UNIT)
        bound = float(kernels.error_bound(dim, metric, 3.0, 5.0))
        assert bound == pytest.approx(relative * size, rel=1e-6)


def test_norms_are_broadcast():
    queries, rows = np.array([[1.0], [2.0]]), np.array([1.0, 10.0, 100.0])
    bound = kernels.error_bound(97, "l2", queries, rows)
    assert bound.shape == (2, 3)
    assert bound.dtype == np.float64
    assert (np.diff(bound, axis=1) > 0).all()
    assert bound[1, 2] == kernels.error_bound(97, "l2", 2.0, 100.0)


@pytest.mark.parametrize("norm", [np.nan, np.inf, 1e30])
def test_there_is_no_bound_where_float32_may_overflow(norm):
    assert kernels.error_bound(8, "l2", norm, 1.0) == np.inf
    assert kernels.error_bound(8, "l2", 1.0, norm) == np.inf
    assert kernels.error_bound(8, "ip", norm, 1e10) == np.inf
    finite = np.isfinite(norm)
    assert np.isfinite(kernels.error_bound(8, "cosine", norm, 1.0)) == finite
    assert kernels.error_bound(8, "ip", np.inf, 0.0) == np.inf


def test_an_unknown_metric_is_refused():
    with pytest.raises(InvalidArgument, match="metric: expected one of l2, ip, cosine"):
        kernels.error_bound(8, "manhattan", 1.0, 1.0)


@pytest.mark.parametrize("metric", METRICS)
def test_a_row_beyond_both_bounds_is_truly_farther(isa, metric):
    queries, rows = draw(2, 5, 97, "float32"), draw(3, 300, 97, "float32")
    rows[1::2] = rows[::2] * np.float32(1 + 1e-6)  # near ties
    found = every_distance(queries, rows, metric).astype(np.float64)
    truth = oracle.distances(queries, rows, metric)
    norms = oracle.row_norms(queries)[:, np.newaxis], oracle.row_norms(rows).max()
    bound = kernels.error_bound(97, metric, *norms)
    certain = (found + bound)[:, :, None] < (found - bound)[:, None, :]
    assert certain.any()
    assert (truth[:, :, None] < truth[:, None, :])[certain].all()


@pytest.mark.parametrize("isa", kernels.available())
@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    dim=st.integers(1, 400),
    exponents=st.tuples(st.integers(-149, 127), st.integers(0, 40)),
    metric=st.sampled_from(METRICS),
    seed=st.integers(0, 2**32 - 1),
)
def test_values_of_any_size_are_within_the_bound(isa, dim, exponents, metric, seed):
    low, spread = exponents
    rng = np.random.default_rng(seed)
    values = rng.uniform(-1, 1, (12, dim))
    scales = np.exp2(np.clip(rng.integers(low, low + spread + 1, (12, dim)), -149, 127))
    queries, rows = np.split((values * scales).astype(np.float32), [5])
    with forced(isa):
        many = every_distance(queries, rows, metric)
        single = kernels.distances(queries[0], rows, metric)[np.newaxis]
    check_distances(many, queries, rows, metric)
    check_distances(single, queries[:1], rows, metric)
