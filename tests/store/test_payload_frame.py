"""Payload columns beside the index."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from types import FrameType
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paradox.core.errors import IndexFileCorrupt
from paradox.store import PayloadFrame, Schema
from paradox.store import payload_frame as module

VALUES = {
    "s": "naïve",
    "i": -3,
    "f": 0.5,
    "b": False,
    "t": datetime(2024, 1, 2, tzinfo=UTC),
    "l": ["x", ""],
}


def ids(*values: int) -> Any:
    return np.array(values, np.int64)


def test_upserts_replace_and_removes_remove() -> None:
    frame = PayloadFrame()
    frame.upsert(ids(1, 2, 3), [{"n": 1}, {"n": 2}, {"n": 3}])
    assert frame.select("n >= 2").tolist() == [2, 3]
    frame.upsert(ids(2), [{"n": 0, "new": "x"}])
    frame.remove(ids(3, 99))
    assert frame.select("n >= 0").tolist() == [1, 2]
    assert frame.select("new = 'x'").tolist() == [2]
    assert frame.select("new IS NULL").tolist() == [1]
    assert len(frame) == 2


def test_the_last_of_buffered_changes_counts() -> None:
    frame = PayloadFrame()
    frame.upsert(ids(1), [{"n": 1}])
    frame.remove(ids(1))
    frame.upsert(ids(2), [{"n": 1}])
    frame.upsert(ids(1), [{"n": 5}])
    frame.remove(ids(2))
    assert frame.select("TRUE").tolist() == [1]
    assert frame.select("n = 5").tolist() == [1]


def test_records_without_payload_are_there() -> None:
    frame = PayloadFrame()
    frame.upsert(ids(1, 2), [{}, {}])
    assert frame.select("TRUE").tolist() == [1, 2]
    frame.upsert(ids(3), [{"n": 1}])
    assert frame.select("n IS NULL").tolist() == [1, 2]


@pytest.mark.parametrize("replaced", [False, True])
def test_a_frame_survives_dump_and_load(replaced: bool) -> None:
    frame = PayloadFrame()
    frame.upsert(ids(1, -5, 2**62), [VALUES, dict.fromkeys(VALUES), {"^x$": 1}])
    if replaced:
        frame.upsert(ids(1), [VALUES])
        frame.remove(ids(2**62))
    loaded = PayloadFrame.load(frame.dump())
    assert loaded.columns == frame.columns
    for expression in ("TRUE", "i = -3 AND s = 'naïve' AND ARRAY_LENGTH(l) = 2", "t IS NULL"):
        assert sorted(loaded.select(expression)) == sorted(frame.select(expression))
    loaded.upsert(ids(1), [{"i": 9}])
    assert loaded.select("i = 9").tolist() == [1]


def test_an_empty_frame_survives_dump_and_load() -> None:
    assert len(PayloadFrame.load(memoryview(PayloadFrame().dump()))) == 0


def test_other_bytes_are_refused() -> None:
    good = PayloadFrame()
    good.upsert(ids(1), [VALUES])
    for data in (b"", b"garbage" * 100, good.dump()[:200]):
        with pytest.raises(IndexFileCorrupt, match="payload columns cannot be read"):
            PayloadFrame.load(data)


def test_dead_rows_are_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PENDING_ROWS", 10)
    frame = PayloadFrame()
    for number in range(100):
        frame.upsert(np.arange(10), [{"n": number}] * 10)
    assert len(frame.select("n = 99")) == len(frame) == 10
    assert len(frame._settled.frame) <= 20


class Fault(BaseException):
    """What a signal's handler raises, or memory that does not suffice."""


def ended_at(step: int, work: Callable[[], object]) -> bool:
    """Raise Fault into `work` at the step-th call that a payload frame makes; tell whether so."""
    n_calls = 0

    def count(frame: FrameType, event: str, called: Any) -> None:
        nonlocal n_calls
        caller = frame.f_back if event == "call" else frame
        if event not in ("call", "c_call") or caller is None:
            return
        if caller.f_code.co_filename != module.__file__:
            return
        if getattr(called, "__name__", "") == "__exit__":  # of a lock: no signal comes before it
            return
        n_calls += 1
        if n_calls == step:
            raise Fault

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    except Fault:
        return True
    finally:
        sys.setprofile(before)
    return False


def changed_often() -> PayloadFrame:
    """Return a frame with pending rows that replace, remove, and add a column."""
    frame = PayloadFrame()
    frame.upsert(ids(*range(10)), [{"n": i} for i in range(10)])
    assert len(frame) == 10
    frame.remove(ids(8, 9))
    frame.upsert(ids(0, 1, 2, 3, 10), [{"n": 100 + i, "new": "x"} for i in range(5)])
    return frame


@pytest.mark.parametrize(
    "call",
    [
        lambda frame: frame.select("n >= 0"),
        PayloadFrame.dump,
        PayloadFrame.__len__,
        lambda frame: frame.columns,
        lambda frame: frame.upsert(ids(3), [{"n": 103, "new": "x"}]),
        lambda frame: frame.remove(ids(9)),
    ],
    ids=["select", "dump", "len", "columns", "upsert", "remove"],
)
def test_a_call_that_is_ended_at_any_step_loses_no_row(
    call: Callable[[PayloadFrame], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_CHUNKS", 1)
    step = 1
    while True:
        frame = changed_often()
        with monkeypatch.context() as patch:
            patch.setattr(module, "_PENDING_ROWS", 7)
            if not ended_at(step, partial(call, frame)):
                break
        for again in range(2):
            assert sorted(frame.select("n >= 0")) == [0, 1, 2, 3, 4, 5, 6, 7, 10]
            assert sorted(frame.select("n >= 100 AND new = 'x'")) == [0, 1, 2, 3, 10]
            assert sorted(frame.select("new IS NULL")) == [4, 5, 6, 7]
            assert len(frame) == 9
            assert frame.columns == {"n": "int", "new": "str"}
            frame = frame if again else PayloadFrame.load(frame.dump())
        step += 1
    assert step > 20


def test_a_frame_with_an_id_twice_is_refused() -> None:
    twice = io.BytesIO()
    pl.DataFrame({"id": [1, 2, 1], "column:n": [1, 2, 3]}).write_ipc(twice)
    with pytest.raises(IndexFileCorrupt, match="an id comes twice"):
        PayloadFrame.load(twice.getvalue())


def test_threads_select_at_once() -> None:
    frame = PayloadFrame()
    frame.upsert(np.arange(5_000), [{"n": i % 7} for i in range(5_000)])
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda n=n: found.append(len(frame.select(f"n = {n}"))))
        for n in range(7)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(found) == 5_000


@given(
    st.lists(
        st.tuples(
            st.booleans(),
            st.lists(st.integers(0, 8), min_size=1, max_size=6, unique=True),
            st.integers(0, 3),
            st.booleans(),
        ),
        max_size=20,
    )
)
def test_a_frame_is_a_dict(steps: list[tuple[bool, list[int], int, bool]]) -> None:
    frame, model = PayloadFrame(), dict[int, int]()
    schema = Schema.of({"n": "int"})
    for remove, members, value, look in steps:
        if remove:
            frame.remove(ids(*members))
            for member in members:
                model.pop(member, None)
        else:
            frame.upsert(ids(*members), [{"n": value}] * len(members))
            model.update(dict.fromkeys(members, value))
        if look:
            expected = sorted(i for i, n in model.items() if n == value)
            assert sorted(frame.select(f"n = {value}", schema)) == expected
    assert sorted(frame.select("TRUE")) == sorted(model)
    assert sorted(PayloadFrame.load(frame.dump()).select("TRUE")) == sorted(model)
