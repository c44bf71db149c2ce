"""Indexes that keep no vectors, alike."""

from __future__ import annotations

import numpy as np
import pytest

from paradox import index
from paradox.core.errors import InvalidArgument

N = 2_500


@pytest.mark.parametrize("name", ["graph", "ivf"])
def test_no_more_is_found_within_a_radius_than_there_is(name: str) -> None:
    rows = np.random.default_rng(0).normal(size=(N, 8)).astype(np.float32)
    made = index.create(name, dim=8, metric="l2", keep="none")
    made.add(np.arange(N), rows)
    found = made.range_search(rows[0], np.inf, limit=N + 100)
    np.testing.assert_array_equal(np.sort(found.ids), np.arange(N))
    assert np.isfinite(found.distances).all()


@pytest.mark.parametrize("k", [10, 600])
def test_few_rows_in_lists_that_alone_keep_them_are_tuned_like_many(k: int) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(1_600, 32)).astype(np.float32)
    queries = rng.normal(size=(50, 32)).astype(np.float32)
    made = index.create("ivf", dim=32, metric="l2", keep="none", lists=100)
    assert not made.tunable(k)
    assert made.tune(queries, k, 0.99) is None
    made.add(np.arange(len(rows)), rows)
    assert made.tunable(k)
    assert made.tune(queries, k, 0.9) < made.tune(queries, k, 0.99)  # type: ignore[operator]
    everywhere = made.search(queries, k, effort=100)
    found = made.search(queries, k)
    assert np.mean(found.distances <= everywhere.distances[:, -1:]) >= 0.99


@pytest.mark.parametrize("name", ["graph", "ivf"])
def test_vectors_that_are_not_kept_cannot_be_had(name: str) -> None:
    made = index.create(name, dim=8, metric="l2", keep="none")
    with pytest.raises(InvalidArgument, match=f"{name}: expected vectors to be kept"):
        made.get(np.arange(1))
