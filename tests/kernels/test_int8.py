"""int8 queries to int8 rows: sums are exact integers, so every level and kernel agrees."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_cases import DIMS, Array, draw_pair, every_distance, forced, misaligned

from paradox import kernels
from paradox.core.metric import METRICS, Metric
from paradox.kernels import oracle

BYTES = ("int8", "int8")


def answers(queries: Array, rows: Array, metric: Metric) -> list[Array]:
    """Return what every level says by either kernel: (n_queries, n) each."""
    found = []
    for isa in kernels.available():
        with forced(isa):
            found.append(np.stack([kernels.distances(query, rows, metric) for query in queries]))
            found.append(every_distance(queries, rows, metric))
    return found


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dim", DIMS)
def test_levels_and_kernels_agree_bit_for_bit(dim, metric):
    queries, rows = draw_pair(1, 7, 61, dim, BYTES)
    rows[5] = 0
    first, *others = answers(queries, rows, metric)
    for other in others:
        np.testing.assert_array_equal(other, first)
    for other in answers(queries, misaligned(rows, offset=3, gap=5), metric):
        np.testing.assert_array_equal(other, first)


@pytest.mark.parametrize("metric", ["l2", "ip"])
@pytest.mark.parametrize("dim", DIMS)
def test_sums_are_exact(dim, metric):
    queries, rows = draw_pair(2, 5, 61, dim, BYTES)
    exact = oracle.distances(queries, rows, metric).astype(np.float32)  # rounded once
    for found in answers(queries, rows, metric):
        np.testing.assert_array_equal(found, exact)


@pytest.mark.parametrize("dim", [1, 17, 1025, 65_536])
def test_the_greatest_sums_do_not_overflow(dim):
    rows = np.stack([np.full(dim, value, np.int8) for value in (-128, 127, -1, 0)])
    for metric in METRICS:
        exact = oracle.distances(rows, rows, metric)
        for found in answers(rows, rows, metric):
            if metric == "cosine":
                np.testing.assert_allclose(found, exact, rtol=2.0**-23, atol=1e-15)
            else:
                np.testing.assert_array_equal(found, exact.astype(np.float32))


def test_answers_agree_in_every_batch_and_on_every_level():
    queries, rows = draw_pair(3, 300, 1500, 31, BYTES)
    rows[700:] = rows[:800]  # ties
    for metric in METRICS:
        with forced("scalar"):
            expected = [kernels.top_k(queries[i : i + 1], rows, 20, metric) for i in range(33)]
        for isa in kernels.available():
            for n in (1, 3, 4, 5, 33, 300):
                with forced(isa):
                    found = kernels.top_k(queries[:n], rows, 20, metric, threads=1 + n % 3)
                for mine, theirs in zip(found, zip(*expected, strict=True), strict=True):
                    np.testing.assert_array_equal(mine[:33], np.concatenate(theirs[:n]))


def test_float_queries_of_whole_numbers_give_the_integers_distances():
    queries, rows = draw_pair(4, 5, 61, 97, BYTES)
    for metric in ("l2", "ip"):
        first = answers(queries, rows, metric)[0]
        for found in answers(queries.astype(np.float32), rows, metric):
            np.testing.assert_array_equal(found, first)
