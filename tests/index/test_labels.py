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


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.sets(st.integers(0, 30), min_size=1)), max_size=20))
def test_what_somebody_holds_of_their_rows_stays_as_it_is(batches):
    """Also of those that are stale by now, and of labels that were slots."""
    labels, held, given = Labels(), [], []
    for in_order, batch in batches:
        n = len(labels)
        slots = np.arange(n, n + len(batch)) if in_order else np.array(sorted(batch), np.int64)
        labels.take(slots)
        given += slots[np.argsort(labels.give(slots))].tolist()
        held.append((len(labels), labels.slot_of))
        for n_then, slot_of in held:
            now = range(n_then) if slot_of is None else slot_of.tolist()
            assert list(now) == given[:n_then]


def test_labels_take_memory_only_once_they_are_not_slots():
    labels = Labels()
    labels.give(np.arange(100))
    labels.give(np.arange(100, 150))
    assert labels.nbytes == 0
    labels.take(np.array([3, 149]))
    labels.give(np.array([150]))
    assert labels.slot_of is None
    assert 0 < labels.nbytes <= 6 * 151
    assert labels.slots(np.array([2, 3, 149, 150, -1])).tolist() == [2, -1, -1, 150, -1]
    labels.give(np.array([3]))
    assert labels.slots(np.array([3, 151])).tolist() == [-1, 3]


def test_no_labels_at_all():
    labels = Labels()
    assert labels.take(np.array([3, 9])).tolist() == []
    assert labels.slots(np.array([[-1, -1]])).tolist() == [[-1, -1]]
