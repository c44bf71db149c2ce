"""Closing an engine that is being written to: each write is there, or was refused."""

from __future__ import annotations

import threading
from functools import partial

import numpy as np
import pytest

from paradox.core.errors import InvalidArgument
from paradox.memory import LatentMemoryEngine
from tests.memory.conftest import DIM

ONE = np.ones((1, DIM), np.float32)


def started(work):
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def paused(monkeypatch, owner, name):
    """Let a method pause at its end; return what is set when it does, and what lets it go on."""
    method, pausing, go_on = getattr(owner, name), threading.Event(), threading.Event()

    def pause(*arguments):
        result = method(*arguments)
        pausing.set()
        assert go_on.wait(60)
        return result

    monkeypatch.setattr(owner, name, pause)
    return pausing, go_on


def test_closing_waits_for_a_write_that_is_stored(make_engine, monkeypatch):
    engine = make_engine()
    stored, go_on = paused(monkeypatch, engine._store, "write")
    reports = []
    writer = started(lambda: reports.append(engine.add(ONE, ids=[5])))
    assert stored.wait(60)
    closer = started(engine.close)
    closer.join(0.2)
    assert closer.is_alive()
    with pytest.raises(InvalidArgument, match="the engine is closed"):
        engine.add(ONE, ids=[6])
    go_on.set()
    writer.join(60)
    closer.join(60)
    assert [report.inserted for report in reports] == [1]


def test_a_write_that_meets_the_end_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    for number, engine in enumerate(
        (LatentMemoryEngine(DIM), LatentMemoryEngine.open(tmp_path / "engine", dim=DIM))
    ):
        engine.add(ONE, ids=[1])
        monkeypatch.setattr(engine._derived, "check", lambda _, engine=engine: engine.close())
        with pytest.raises(InvalidArgument, match="the engine is closed"):
            engine.add(ONE, ids=[1] if number else [2])
        assert engine.last_seq == 1


def test_readers_go_on_until_the_last_checkpoint_is_made(tmp_path, monkeypatch):
    engine = LatentMemoryEngine.open(tmp_path / "engine", dim=DIM)
    engine.add(ONE)
    kept, go_on = paused(monkeypatch, engine._derived, "checkpoint")
    first = started(engine.close)
    assert kept.wait(60)
    assert engine.query(ONE[0], k=1).ids.tolist() == [0]
    second = started(engine.close)
    second.join(0.1)
    assert second.is_alive()  # or its caller would find the folder held
    go_on.set()
    for closer in (first, second):
        closer.join(60)
    with pytest.raises(InvalidArgument, match="the engine is closed"):
        engine.query(ONE[0], k=1)


def test_a_closed_engine_makes_no_checkpoint(tmp_path):
    engine = LatentMemoryEngine.open(tmp_path / "engine", dim=DIM)
    engine.add(ONE)
    engine.close(checkpoint=False)
    for change in (
        engine.checkpoint,
        lambda: engine.stage(tmp_path / "copy"),
        lambda: engine.homes(np.array([1])),
    ):
        with pytest.raises(InvalidArgument, match="closed"):
            change()
    assert not (tmp_path / "engine" / "checkpoints").exists()
    assert not (tmp_path / "copy").exists()


def write_until_refused(engine, begin, acknowledged, told):
    try:
        for i in range(begin, begin + 10_000):
            engine.add(ONE, ids=[i], payload=[{"i": i}])
            acknowledged.append(i)
    except BaseException as error:
        told.append(error)


def test_what_writers_were_told_while_it_closed_is_so(tmp_path):
    for round_number in range(8):
        folder = tmp_path / str(round_number)
        engine = LatentMemoryEngine.open(folder, dim=DIM, index="exact")
        acknowledged, told = [], []
        writers = [
            started(partial(write_until_refused, engine, begin, acknowledged, told))
            for begin in (0, 10_000, 20_000)
        ]
        while not acknowledged and not told:
            writers[0].join(0.001)
        engine.close(checkpoint=bool(round_number % 2))
        for writer in writers:
            writer.join(60)
        assert [type(error) for error in told] == [InvalidArgument] * 3
        with LatentMemoryEngine.open(folder) as again:
            assert len(again) == len(acknowledged)
            assert again.contains(acknowledged).all()
