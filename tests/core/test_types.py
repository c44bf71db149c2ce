from __future__ import annotations

import pickle
from datetime import UTC, datetime

import numpy as np
import pytest

from paradox.core.types import Neighbors, Record


def record(record_id: int) -> Record:
    vector = np.zeros(2, np.float32)
    return Record(record_id, vector, {}, "", 0, datetime(2026, 1, 1, tzinfo=UTC), 1, 1)


def test_records_follow_the_order_of_the_answer_and_leave_out_padding():
    asked = []

    def fetch(ids):
        asked.append(ids.tolist())
        return [record(i) if i != 9 else None for i in ids.tolist()]

    ids = np.array([[5, 3, 9], [3, -1, -1]])
    hits = Neighbors(ids, np.zeros(ids.shape, np.float32), _fetch=fetch)
    assert [[r.id for r in row] for row in hits.records()] == [[5, 3], [3]]
    assert asked == [[5, 3, 9]]  # once each
    assert [r.id for r in hits.first_row().records()] == [5, 3]


def test_a_pickled_answer_leaves_its_source_behind():
    hits = Neighbors(np.array([[1]]), np.zeros((1, 1), np.float32), True, _fetch=lambda ids: [])
    copy = pickle.loads(pickle.dumps(hits))  # noqa: S301
    assert copy.certified
    np.testing.assert_array_equal(copy.ids, hits.ids)
    with pytest.raises(RuntimeError, match="bare index"):
        copy.records()
