"""Lives of a store's server are counted durably."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from paradox.store import RecordStore, WriteBatch


def test_every_life_is_greater_than_all_before(tmp_path: Path) -> None:
    lives = []
    for _ in range(3):
        store = RecordStore.open(tmp_path / "store", dim=2)
        lives += [store.begin_life(), store.begin_life()]
        store.write(WriteBatch(vectors=np.zeros((1, 2), np.float32)))
        store.close()
    assert lives == [1, 2, 3, 4, 5, 6]


def test_a_life_changes_nothing_else() -> None:
    store = RecordStore.volatile(dim=2)
    store.write(WriteBatch(vectors=np.zeros((3, 2), np.float32)))
    assert store.begin_life() == 1
    assert (len(store), store.last_seq) == (3, 3)
