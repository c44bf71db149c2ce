"""Labels are given once; a stale one stands for nothing."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from paradox.index.labels import Labels


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sets(st.integers(0, 30), min_size=1), max_size=20))
def test_a_row_has_the_label_it_was_given_last(batches):
    labels, current, n_given = Labels(), {}, 0
    for batch in batches:
        slots = np.array(sorted(batch), np.int64)
        stale = labels.take(slots)
        assert stale.tolist() == [current[s] for s in slots.tolist() if s in current]
        given_now = labels.give(slots)
        assert given_now.tolist() == list(range(n_given, n_given + len(slots)))
        n_given += len(slots)
        current.update(zip(slots.tolist(), given_now.tolist(), strict=True))
        expected = np.full(n_given, -1)
        for slot, label in current.items():
            expected[label] = slot
        everything = np.arange(-1, n_given)
        again = Labels.from_section(
            memoryview(labels.section().copy()).cast("B"), np.ones(100, np.bool_)
        )
        for some in (labels, again):
            assert some.slots(everything).tolist() == [-1, *expected.tolist()]
            assert some.stale().tolist() == (expected == -1).tolist()
            assert (some.n_live, some.n_stale, len(some)) == (
                len(current),
                n_given - len(current),
                n_given,
            )


def test_no_labels_at_all():
    labels = Labels()
    assert labels.take(np.array([3, 9])).tolist() == []
    assert labels.slots(np.array([[-1, -1]])).tolist() == [[-1, -1]]
