"""Rows that run out of memory in the middle of a change."""

from __future__ import annotations

from itertools import count
from typing import Any

import numpy as np
import pytest

from paradox import kernels
from paradox.index import id_map
from paradox.index.rows import Rows, as_run
from paradox.index.versioned_rows import VersionedRows

N = 500
ROWS = np.random.default_rng(0).normal(size=(N, 3)).astype(np.float32)
IDS = np.arange(N) * 7 - 3


def failing(call: Any, at: int) -> Any:
    calls = count()

    def fail_once(*arguments: Any) -> Any:
        if next(calls) == at:
            raise MemoryError
        return call(*arguments)

    return fail_once


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        *((id_map.IdMap, name) for name in ("_home", "_allocate")),
        (id_map, "_have"),
        (kernels, "row_norms"),
        (Rows, "_moved"),
    ],
)
@pytest.mark.parametrize("change", ["put", "remove"])
def test_what_fails_changes_nothing(
    change: str, owner: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ids that a failed `put` had left came twice when it was repeated, and stayed for ever."""
    for at in range(20):
        rows = Rows(3)
        rows.put(IDS[:300], ROWS[:300])
        rows.remove(IDS[:40])
        with monkeypatch.context() as patched:
            patched.setattr(owner, name, failing(getattr(owner, name), at))
            try:
                if change == "put":
                    rows.put(IDS[200:], -ROWS[200:])
                else:
                    rows.remove(IDS[100:250])
            except MemoryError:
                assert len(rows) == 260
                slots = rows.find(IDS)
                assert (slots[:40] == -1).all()
                assert (slots[300:] == -1).all()
                np.testing.assert_array_equal(rows.matrix[slots[40:300]], ROWS[40:300])
                assert np.count_nonzero(rows.ids >= 0) == np.count_nonzero(rows.live) == 260
        rows.put(IDS[200:], -ROWS[200:])
        rows.put(IDS[:250], ROWS[:250])
        slots = rows.find(IDS)
        assert len(rows) == len(set(slots.tolist())) == N
        assert (rows.ids[slots] == IDS).all()
        np.testing.assert_array_equal(rows.matrix[slots[:250]], ROWS[:250])
        assert len(rows.remove(IDS)) == N


def test_ids_are_settled_again_where_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking for slots that had been replaced did not end."""
    rows = VersionedRows(3)
    rows.put(IDS, ROWS)
    rows.make_room()
    rows.settle_ids()
    rows.put(IDS[100:], -ROWS[100:])
    rows.make_room()
    with monkeypatch.context() as patched:
        patched.setattr(id_map.IdMap, "remove", failing(id_map.IdMap.remove, 0))
        with pytest.raises(MemoryError):
            rows.settle_ids()
    assert rows.has_unseen
    rows.settle_ids()
    slots = rows.find(IDS)
    np.testing.assert_array_equal(rows.matrix[slots[100:]], -ROWS[100:])


@pytest.mark.parametrize(
    ("slots", "run"),
    [
        ([], None),
        ([3], slice(3, 4)),
        ([3, 4, 5], slice(3, 6)),
        ([3, 5, 4], None),
        ([3, 5, 5], None),
    ],
)
def test_slots_that_follow_one_another_are_a_run(slots: list[int], run: slice | None) -> None:
    given = np.array(slots, np.int64)
    assert as_run(given) == run if run else as_run(given) is given
