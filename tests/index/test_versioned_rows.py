"""Rows are written while views of them are read: no slot is used again while somebody looks."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from paradox.index import scan
from paradox.index.rows_view import RowsView
from paradox.index.versioned_rows import VersionedRows

DIM = 2


class Written:
    """Rows, and of every write the view and what it must show."""

    def __init__(self) -> None:
        self.rows = VersionedRows(DIM, coded_for="l2")
        self.now: dict[int, int] = {}
        self.held: list[tuple[RowsView, dict[int, int]]] = []
        self.show()

    def show(self) -> RowsView:
        self.rows.make_room()
        view = RowsView(self.rows)
        self.rows.settle_ids()
        self.rows.follow(view)
        return view

    def add(self, ids: list[int], value: int) -> None:
        self.rows.put(np.array(ids), np.full((len(ids), DIM), value, np.float32))
        self.now |= dict.fromkeys(ids, value)

    def remove(self, ids: list[int]) -> None:
        assert len(self.rows.remove(np.array(ids, np.int64))) == len(set(ids) & set(self.now))
        self.now = {i: value for i, value in self.now.items() if i not in ids}


def shown(view: RowsView) -> dict[int, int]:
    live = view.live_slots()
    assert len(live) == len(view)
    return dict(zip(view.ids[live].tolist(), view.matrix[live, 0].astype(int), strict=True))


def fresh(view: Any) -> Any:
    """Return a view of the same arrays that has not worked out yet which slots are live."""
    view.__dict__.pop("live", None)
    return view


ids = st.lists(st.integers(0, 40), min_size=1, max_size=12, unique=True)
step = st.tuples(st.sampled_from(["add", "add", "fail", "remove", "drop"]), ids)


@settings(max_examples=150, deadline=None)
@given(st.lists(step, max_size=30))
def test_every_view_shows_what_there_was_as_long_as_it_is_held(steps: Any) -> None:
    written = Written()
    for number, (what, some) in enumerate(steps, 1):
        if what == "drop":
            del written.held[some[0] % 3 :: 2]
            continue
        if what == "fail":
            written.rows.put(np.array(some), np.zeros((len(some), DIM), np.float32))
            written.rows.take_back()
        else:
            written.add(some, number) if what == "add" else written.remove(some)
        view = written.show()
        written.held.append((view, dict(written.now)))
        found = view.find(np.arange(41))
        assert set(np.flatnonzero(found >= 0).tolist()) == set(written.now)
        assert (view.ids[found[found >= 0]] == np.flatnonzero(found >= 0)).all()
        del view
        for held, expected in written.held:
            assert shown(fresh(held)) == expected
            query = np.zeros((1, DIM), np.float32)
            nearest = scan.neighbors(held, *scan.nearest(held, query, 50, "l2"))
            assert sorted(nearest.ids[nearest.ids >= 0].tolist()) == sorted(expected)


def test_what_is_taken_back_before_it_is_shown_was_never_there() -> None:
    written = Written()
    written.add([1, 2, 3], 1)
    held = written.show()
    written.rows.put(np.array([2, 3, 4, 5]), np.full((4, DIM), 2, np.float32))
    written.rows.take_back()
    view = written.show()
    assert shown(view) == shown(held) == {1: 1, 2: 1, 3: 1}
    assert (view.find(np.arange(1, 6)) >= 0).tolist() == [True, True, True, False, False]
    assert (len(written.rows), written.rows.n_free) == (3, 4)
    written.rows.put(np.array([3, 4]), np.full((2, DIM), 3, np.float32))
    assert shown(written.show()) == {1: 1, 2: 1, 3: 3, 4: 3}
    assert shown(view) == shown(held) == {1: 1, 2: 1, 3: 1}


def test_rows_without_vectors_are_shown_as_others_are() -> None:
    rows = VersionedRows(0, np.int8)
    views = []
    for ids in ([1, 2], [2, 3], [3, 4]):
        rows.put(np.array(ids), np.empty((2, 0), np.int8))
        rows.make_room()
        view = RowsView(rows)
        rows.settle_ids()
        rows.follow(view)
        views.append(view)
    assert [sorted(view.ids[view.live].tolist()) for view in views] == [
        [1, 2],
        [1, 2, 3],
        [1, 2, 3, 4],
    ]
    assert not len(views[0].norms)


def test_slots_are_used_again_when_the_views_that_show_them_are_gone() -> None:
    written = Written()
    written.add(list(range(100)), 1)
    held = written.show()
    for value in range(2, 6):
        written.add(list(range(100)), value)
        written.show()
    assert written.rows.n_slots == 500  # nothing is known to be unseen beyond the first
    assert written.rows.seen_seq == held.seq
    del held
    for value in range(6, 20):
        written.add(list(range(100)), value)
        written.show()
    assert written.rows.n_slots == 500
    assert written.rows.n_free == 400
    assert written.rows.seen_seq == written.rows.seq


def test_ids_move_to_a_larger_table_without_a_word_to_older_views() -> None:
    written = Written()
    written.add([1, 2, 3], 1)
    old = written.show()
    table = written.rows.slot_of
    written.add(list(range(10, 5_000)), 2)
    written.rows.make_room()
    assert written.rows.slot_of is not table
    assert (old.find(np.array([1, 2, 3, 11])) >= 0).tolist() == [True, True, True, False]
    written.rows.settle_ids()
    assert (written.rows.find(np.array([1, 4_999])) >= 0).all()
