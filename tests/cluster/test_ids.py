from __future__ import annotations

import pytest

from paradox.cluster.ids import BLOCK, MAX_ID, IdCounter
from paradox.core.errors import InvalidArgument


@pytest.fixture
def marks():
    return []


def test_ids_are_handed_out_in_order_and_the_mark_stays_above_them(marks):
    counter = IdCounter(0, marks.append)
    assert [counter.assign(10), counter.assign(1), counter.assign(5)] == [0, 10, 11]
    assert marks == [BLOCK]
    assert counter.assign(BLOCK) == 16
    assert marks == [BLOCK, 2 * BLOCK]


def test_after_a_restart_no_id_comes_again(marks):
    counter = IdCounter(0, marks.append)
    last = counter.assign(BLOCK + 1) + BLOCK
    assert IdCounter(marks[-1], marks.append).assign(1) > last


def test_a_chosen_id_is_never_assigned(marks):
    counter = IdCounter(0, marks.append)
    counter.assign(100)
    assert counter.raise_above(50) == 100  # one of ours: replacing it is fine
    assert counter.raise_above(100) == BLOCK
    assert counter.raise_above(BLOCK) == 2 * BLOCK
    assert counter.assign(1) == 2 * BLOCK
    assert all(mark > 0 for mark in marks)


def test_the_mark_is_durable_before_an_id_is_handed_out():
    def refuse(mark):
        raise OSError("no space")

    counter = IdCounter(0, refuse)
    with pytest.raises(OSError, match="no space"):
        counter.assign(1)
    with pytest.raises(OSError, match="no space"):
        counter.raise_above(7)
    assert counter.next_id == 0


@pytest.mark.parametrize("chosen", [MAX_ID, MAX_ID - 1, MAX_ID - BLOCK + 1])
def test_ids_chosen_near_the_end_make_assigning_an_error_not_an_overflow(marks, chosen):
    counter = IdCounter(0, marks.append)
    counter.raise_above(chosen)
    with pytest.raises(InvalidArgument, match="have been chosen"):
        counter.assign(BLOCK + 1)
    assert counter.raise_above(5) > chosen
