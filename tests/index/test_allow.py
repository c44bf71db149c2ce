"""A list of allowed ids is looked up once, and again after a change."""

from __future__ import annotations

import numpy as np
import pytest

from paradox import index
from paradox.index import AllowList
from paradox.index.allow import allowed_rows
from paradox.index.rows import Rows


@pytest.fixture
def rows():
    rows = Rows(2)
    rows.put(np.array([7, 3, 9]), np.eye(3, 2, dtype=np.float32))
    return rows


@pytest.mark.parametrize("made", [np.asarray, AllowList])
def test_unknown_and_repeated_ids_do_no_harm(rows, made):
    allowed = allowed_rows(made(np.array([9, 8, 7, 9, -1])), rows)
    assert allowed.mask.tolist() == [True, False, True]
    assert allowed.slots.tolist() == [0, 2]
    assert len(allowed) == 2


def test_a_list_is_looked_up_once_until_the_rows_change(rows):
    some = AllowList(np.array([3, 4]))
    found = some.among(rows)
    assert some.among(rows) is found
    rows.put(np.array([4]), np.ones((1, 2), np.float32))
    assert some.among(rows).slots.tolist() == [1, 3]
    rows.remove(np.array([3]))
    assert some.among(rows).slots.tolist() == [3]


@pytest.mark.parametrize("backend", index.backends())
def test_a_list_filters_as_its_ids_do_while_the_index_changes(backend):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(3_000, 8)).astype(np.float32)
    made = index.create(backend, dim=8, metric="l2")
    some = AllowList(np.arange(0, 4_000, 3))
    for begin in range(0, 3_000, 1_000):
        made.add(np.arange(begin, begin + 1_000), vectors[begin : begin + 1_000])
        made.remove(np.arange(begin, begin + 30))
        by_list = made.search(vectors[:5], 10, allow=some)
        by_ids = made.search(vectors[:5], 10, allow=np.arange(0, 4_000, 3))
        np.testing.assert_array_equal(by_list.ids, by_ids.ids)
        assert (by_list.ids % 3 == 0).all()
