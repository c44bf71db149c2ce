"""What an engine finds in its folder when it opens: what the dead left, and what does not fit."""

from __future__ import annotations

import logging
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from paradox.memory import LatentMemoryEngine
from paradox.memory import folder as folder_module

DIM = 8
NAMES = {"engine.json", "records", "checkpoints"}


@pytest.fixture
def rng():
    return np.random.default_rng(13)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "engine"


def vectors_of(rng, n):
    return rng.standard_normal((n, DIM), dtype=np.float32)


def numbered(n):
    return [{"n": i} for i in range(n)]


def seqs_in(folder):
    return sorted(int(path.name) for path in (folder / "checkpoints").iterdir())


def found(engine, expression):
    ids = engine.query(np.zeros(DIM), k=1_000, filter=expression).ids
    return sorted(ids[ids != -1].tolist())


DYING = """
import os, pathlib, signal, sys
import numpy as np
from paradox.memory import LatentMemoryEngine, checkpoint, folder, settings

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

path, how = pathlib.Path(sys.argv[1]), sys.argv[2]
if how == "first":
    pathlib.Path.replace = die
engine = LatentMemoryEngine.open(path, dim=8)
engine.add(np.ones((50, 8)))
if how == "checkpoint":
    checkpoint.write_container = die
    engine.checkpoint()
if how == "snapshot":
    folder.take_snapshot = die
    engine.snapshot(str(path.parent / "copy"))
"""


@pytest.mark.parametrize("how", ["first", "checkpoint", "snapshot"])
def test_what_a_killed_process_left_is_removed(folder, how):
    done = subprocess.run([sys.executable, "-c", DYING, str(folder), how], check=False)
    assert done.returncode == -signal.SIGKILL
    unfinished = [p for p in folder.rglob("*") if p.name.startswith(".") or p.suffix == ".tmp"]
    assert unfinished
    with LatentMemoryEngine.open(folder, dim=DIM) as engine:
        engine.add(np.ones((5, DIM)))
    assert {path.name for path in folder.iterdir()} == NAMES
    assert len(seqs_in(folder)) <= 2
    assert not any(path.exists() for path in unfinished)


def test_what_others_keep_there_stays(folder, rng):
    mine = [folder / "checkpoints" / name / "model" for name in ("100", "7.tmp", "x" * 20)]
    for file in mine:
        file.parent.mkdir(parents=True)
        file.write_text("mine")
    with LatentMemoryEngine.open(folder, dim=DIM) as engine:
        engine.add(vectors_of(rng, 5))
    with LatentMemoryEngine.open(folder) as engine:
        assert len(engine) == 5
    assert [file.read_text() for file in mine] == ["mine"] * 3


def test_a_snapshot_under_way_survives_that_its_engine_is_closed_and_opened(
    folder, rng, monkeypatch, tmp_path
):
    take_snapshot = folder_module.take_snapshot

    def meanwhile(*arguments):
        engine.close()
        with LatentMemoryEngine.open(folder) as again:
            again.add(vectors_of(rng, 1))
        take_snapshot(*arguments)

    monkeypatch.setattr(folder_module, "take_snapshot", meanwhile)
    engine = LatentMemoryEngine.open(folder, dim=DIM)
    engine.add(vectors_of(rng, 30))
    engine.snapshot(str(tmp_path / "copy"))
    with LatentMemoryEngine.restore(str(tmp_path / "copy"), tmp_path / "again") as copy:
        assert len(copy) == 30
    assert {path.name for path in folder.iterdir()} == NAMES


def test_checkpoints_of_records_that_are_no_more_are_never_trusted(folder, rng, tmp_path):
    """The records alone are put back, as from a copy of their folder."""
    with LatentMemoryEngine.open(folder, dim=DIM) as engine:
        engine.add(vectors_of(rng, 100), payload=numbered(100))
    shutil.copytree(folder / "records", tmp_path / "copy")
    for n in (-1, -2):
        with LatentMemoryEngine.open(folder) as engine:
            engine.add(vectors_of(rng, 50), ids=np.arange(50), payload=[{"n": n}] * 50)
    assert seqs_in(folder) == [150, 200]
    shutil.rmtree(folder / "records")
    shutil.copytree(tmp_path / "copy", folder / "records")

    with LatentMemoryEngine.open(folder) as engine:
        assert seqs_in(folder) == []
        assert found(engine, "n >= 0") == list(range(100))
        engine.add(vectors_of(rng, 20), ids=np.arange(20), payload=[{"n": -3}] * 20)
        engine.checkpoint()
        assert seqs_in(folder) == [120]
        for _ in range(10):  # beyond the seqs of those there were
            engine.add(vectors_of(rng, 10), ids=np.arange(90, 100), payload=[{"n": 5}] * 10)
        engine.close(checkpoint=False)
    with LatentMemoryEngine.open(folder) as engine:
        assert found(engine, "n < 0") == list(range(20))


def lose_vector(now):
    now.index.remove(np.array([3]))


def lose_payload(now):
    now.payload.remove(np.array([3]))


def add_payload(now):
    now.payload.upsert(np.array([777]), [{"n": 3}])


def add_column(now):
    now.payload.upsert(np.array([3]), [{"m": 3}])


@pytest.mark.parametrize("damage", [lose_vector, lose_payload, add_payload, add_column])
def test_a_checkpoint_that_does_not_fit_is_replaced(folder, rng, caplog, damage):
    vectors = vectors_of(rng, 100)
    with LatentMemoryEngine.open(folder, dim=DIM) as engine:
        engine.add(vectors, payload=numbered(100))
        damage(engine._derived.now)
    with caplog.at_level(logging.WARNING, logger="paradox.memory"):
        with LatentMemoryEngine.open(folder) as engine:
            assert seqs_in(folder) == []
            assert engine.query(vectors[3], k=1, filter="n = 3").ids.tolist() == [3]
        assert "does not fit" in caplog.text
        caplog.clear()
        with LatentMemoryEngine.open(folder) as engine:
            assert engine.query(vectors[3], k=1, filter="n = 3").ids.tolist() == [3]
        assert not caplog.text
    assert seqs_in(folder) == [100]


def test_a_checkpoint_under_another_s_name_is_left_out(folder, rng, caplog):
    engine = LatentMemoryEngine.open(folder, dim=DIM)
    engine.add(vectors_of(rng, 100), payload=numbered(100))
    engine.checkpoint()
    engine.add(vectors_of(rng, 50), ids=np.arange(50), payload=[{"n": -1}] * 50)
    engine.close(checkpoint=False)
    (path,) = (folder / "checkpoints").iterdir()
    path.rename(path.with_name(f"{150:020d}"))
    with (
        caplog.at_level(logging.WARNING, logger="paradox.memory"),
        LatentMemoryEngine.open(folder) as engine,
    ):
        assert found(engine, "n = -1") == list(range(50))
    assert "it is of seq 100" in caplog.text


def test_the_names_of_what_a_new_engine_has_are_on_disk(tmp_path, rng, times_synced):
    folder = tmp_path / "new" / "engine"
    with LatentMemoryEngine.open(folder, dim=DIM) as engine:
        engine.add(vectors_of(rng, 5))
        before = max(times_synced(folder))
        engine.checkpoint()
    for path in (tmp_path, folder.parent, folder, folder / "records", folder / "checkpoints"):
        assert times_synced(path), path
    assert max(times_synced(folder)) > before  # the name of the folder of checkpoints is new
