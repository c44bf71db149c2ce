"""The map of ids behaves as a dict does, asked for whole arrays."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from paradox.index.id_map import IdMap

KEYS = st.one_of(
    st.integers(-5, 40), st.sampled_from([2**63 - 1, -(2**63), 2**40]), st.integers(-(2**63), -2)
).filter(lambda key: key != -1)


def array(keys):
    return np.array(sorted(keys), np.int64)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["set", "remove"]), st.sets(KEYS, max_size=30))))
def test_it_agrees_with_a_dict(steps):
    ours, theirs = IdMap(), {}
    for number, (step, keys) in enumerate(steps):
        if step == "set":
            values = np.arange(len(keys)) + 100 * number
            ours.set(array(keys), values)
            theirs.update(zip(array(keys).tolist(), values.tolist(), strict=True))
        else:
            present = array(keys & theirs.keys())
            ours.remove(present)
            for key in present.tolist():
                del theirs[key]
        asked = array(keys | set(range(-4, 45)) - {-1} | theirs.keys())
        assert ours.get(asked).tolist() == [theirs.get(key, -1) for key in asked.tolist()]


def test_many_keys_that_differ_only_in_their_high_bits():
    keys = np.arange(20_000, dtype=np.int64) << 40
    ours = IdMap()
    ours.set(keys, np.arange(20_000))
    assert (ours.get(keys) == np.arange(20_000)).all()
    assert ours.nbytes <= 64 * 20_000


def test_churn_does_not_grow_it_without_end():
    ours = IdMap()
    for number in range(400):
        keys = np.arange(50) + 1_000 * number
        ours.set(keys, np.arange(50))
        ours.remove(keys)
    assert ours.nbytes <= 16_384
