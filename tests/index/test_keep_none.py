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


@pytest.mark.parametrize("name", ["graph", "ivf"])
def test_vectors_that_are_not_kept_cannot_be_had(name: str) -> None:
    made = index.create(name, dim=8, metric="l2", keep="none")
    with pytest.raises(InvalidArgument, match=f"{name}: expected vectors to be kept"):
        made.get(np.arange(1))
