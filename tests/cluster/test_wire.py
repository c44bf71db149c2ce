from __future__ import annotations

import numpy as np
import pytest

from paradox.cluster import wire
from paradox.core.types import Neighbors
from paradox.routing import SearchRequest


@pytest.mark.parametrize("filter", [None, "", "year = 2020 AND name = 'ü '", "x" * 32])
@pytest.mark.parametrize("n_queries", [1, 3])
def test_a_search_comes_out_as_it_went_in(n_queries, filter):
    queries = np.random.default_rng(0).standard_normal((n_queries, 5)).astype(np.float32)
    request = SearchRequest(queries, k=32, recall=0.97, effort=None, filter=filter)
    out = wire.unpack_search(wire.pack_search(request))
    np.testing.assert_array_equal(out.queries, queries)
    assert (out.k, out.recall, out.effort, out.filter) == (32, 0.97, None, filter)


def test_an_answer_comes_out_as_it_went_in():
    ids = np.array([[1, -5, -1], [2**62, 0, -1]])
    distances = np.array([[0.5, 1.0, np.inf], [0.0, 0.25, np.inf]], np.float32)
    answer = Neighbors(ids, distances, True, 32, 3, (1, 2), 0.75)
    out = wire.unpack_answer(wire.pack_answer(answer))
    np.testing.assert_array_equal(out.ids, ids)
    np.testing.assert_array_equal(out.distances, distances)
    assert (out.certified, out.effort, out.shards_touched) == (True, 32, 3)
    assert (out.shards_missing, out.coverage) == ((1, 2), 0.75)


def test_arrays_in_frames_are_aligned():
    for n in range(1, 40):
        frame = wire.pack_search(SearchRequest(np.zeros((1, 4), np.float32), 1, filter="f" * n))
        offset = len(frame) - 16
        assert offset % 8 == 0
