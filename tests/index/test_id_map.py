"""The map of ids behaves as a dict does, asked for whole arrays."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from paradox.index.id_map import IdMap

KEYS = st.one_of(
    st.integers(-5, 40), st.sampled_from([2**63 - 1, -(2**63), 2**40]), st.integers(-(2**63), -2)
).filter(lambda key: key != -1)
N_SLOTS = 3_000


def array(keys):
    return np.array(sorted(keys), np.int64)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "remove", "replace", "room"]), st.sets(KEYS, max_size=30))
    )
)
def test_it_agrees_with_a_dict(steps):
    ours, theirs, ids = IdMap(), {}, np.full(N_SLOTS, -1)
    for step, keys in steps:
        if step == "add":
            new = array(keys - theirs.keys())
            slots = np.flatnonzero(ids == -1)[: len(new)]
            ids[slots] = new
            ours.add(slots, ids)
            theirs.update(zip(new.tolist(), slots.tolist(), strict=True))
        elif step == "room":
            roomy = ours.with_room(40 * len(keys), ids)
            assert roomy.with_room(40 * len(keys), ids) is roomy
            ours.add(np.empty(0, np.int64), ids)  # the one before is as it was
            ours = roomy
        elif step == "replace":
            known = sorted(keys & theirs.keys())
            before = np.array([theirs[key] for key in known], np.int64)
            after = np.flatnonzero(ids == -1)[: len(known)]
            ids[after] = known
            ours.replace(before, after, ids)
            ids[before] = -1
            theirs.update(zip(known, after.tolist(), strict=True))
        else:
            slots = np.array([theirs.pop(key) for key in sorted(keys & theirs.keys())], np.int64)
            ours.remove(slots, ids)
            ids[slots] = -1
        asked = array(keys | set(range(-4, 45)) | theirs.keys())
        assert ours.get(asked, ids).tolist() == [theirs.get(key, -1) for key in asked.tolist()]
        assert len(ours) == len(theirs)


def test_of_equal_ids_one_is_taken_in():
    ids = np.array([5, 7, 5, 5, 7, 9])
    ours = IdMap()
    ours.add(np.arange(6), ids)
    assert len(ours) == 3
    assert (ids[ours.get(ids, ids)] == ids).all()


def test_slots_that_are_absent_are_passed_over():
    ids = np.arange(40)
    ours = IdMap()
    ours.add(np.arange(20), ids)
    ours.remove(np.arange(10, 40), ids)
    assert ours.get(ids, ids).tolist() == [*range(10), *[-1] * 30]


def test_many_keys_that_differ_only_in_their_high_bits():
    ids = np.arange(20_000, dtype=np.int64) << 40
    ours = IdMap()
    ours.add(np.arange(20_000), ids)
    assert (ours.get(ids, ids) == np.arange(20_000)).all()
    assert ours.nbytes <= 12 * 20_000


def test_churn_does_not_grow_it_without_end():
    ours, slots = IdMap(), np.arange(50)
    for number in range(400):
        ids = slots + 1_000 * number
        ours.add(slots, ids)
        ours.remove(slots, ids)
    assert ours.nbytes <= 4_096
