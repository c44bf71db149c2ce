"""Ctrl-C at any moment leaves an engine whole."""

from __future__ import annotations

import signal
import threading
import time

import numpy as np
import pytest

from paradox.core.errors import InvalidArgument
from paradox.memory import LatentMemoryEngine, checkpoint

# Raised within a callback of the garbage collector, such as Hypothesis has, it is only told of.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

DIM = 16


class Stop(KeyboardInterrupt):
    pass


@pytest.fixture
def interrupted():
    """Return a function that runs a call, and raises Stop into it after some seconds; 0: never."""

    def stop(number, frame):
        raise Stop

    def run(call, after_s):
        try:
            signal.setitimer(signal.ITIMER_REAL, after_s)
            call()
            signal.setitimer(signal.ITIMER_REAL, 0)
        except Stop:
            return True
        return False

    before = signal.signal(signal.SIGALRM, stop)
    yield run
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def records_of(engine):
    blocks = list(engine.scan())
    return np.concatenate([b.ids for b in blocks]), np.concatenate([b.vectors for b in blocks])


def assert_whole(engine):
    """Check that the index has each record once, and that answers are those of an oracle."""
    ids, vectors = records_of(engine)
    assert len(engine) == len(ids)
    everything = engine.query(vectors[0], k=len(ids), recall=1.0)
    np.testing.assert_array_equal(np.sort(everything.ids), ids)
    queries = vectors[::40].astype(np.float64)
    distances = ((queries[:, np.newaxis] - vectors) ** 2).sum(axis=2)
    hits = engine.query(vectors[::40], k=10, recall=1.0)
    assert hits.certified
    np.testing.assert_allclose(
        hits.distances, np.sort(distances, axis=1)[:, :10], rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("index", ["exact", "graph"])
def test_a_change_runs_to_its_end(make_engine, interrupted, index):
    rng = np.random.default_rng(11)
    engine = make_engine(index=index)
    engine.add(rng.standard_normal((1_200, DIM), np.float32), ids=np.arange(1_200))
    n_stopped, slowest = 0, 1e-3
    for _ in range(40):
        ids = rng.choice(2_400, rng.choice([1, 50, 200]), replace=False)
        vectors = rng.standard_normal((len(ids), DIM), np.float32)
        begun = time.perf_counter()
        if rng.random() < 0.7:
            stopped = interrupted(lambda: engine.add(vectors, ids=ids), rng.random() * slowest)  # noqa: B023
        else:
            stopped = interrupted(lambda: engine.delete(ids), rng.random() * slowest)  # noqa: B023
        slowest = max(slowest, time.perf_counter() - begun) if not stopped else slowest
        n_stopped += stopped
    assert n_stopped >= 10
    assert_whole(engine)


@pytest.mark.parametrize("index", ["exact", "graph", "hnsw"])
def test_a_query_leaves_nothing_held(interrupted, index):
    rng = np.random.default_rng(12)
    engine = LatentMemoryEngine(DIM, index=index)
    vectors = rng.standard_normal((3_000, DIM), np.float32)
    engine.add(vectors)
    for n in range(400):
        interrupted(lambda: engine.query(vectors[n], k=5, effort=5 + n % 2), rng.random() * 4e-4)  # noqa: B023
    others = threading.Thread(target=lambda: engine.add(vectors[:1]), daemon=True)
    others.start()
    others.join(30)
    assert not others.is_alive()
    others = threading.Thread(target=lambda: engine.query(vectors[0], effort=77), daemon=True)
    others.start()
    others.join(30)
    assert not others.is_alive()
    assert_whole(engine)


def test_a_checkpoint_and_closing_run_to_their_end(tmp_path, interrupted, monkeypatch):
    save = checkpoint.save

    def interrupted_save(*args):
        signal.raise_signal(signal.SIGALRM)
        time.sleep(0.02)
        save(*args)

    engine = LatentMemoryEngine.open(tmp_path / "engine", dim=DIM)
    monkeypatch.setattr(checkpoint, "save", interrupted_save)
    for change in (engine.checkpoint, engine.close):
        engine.add(np.ones((10, DIM), np.float32))
        assert interrupted(change, 0)
        assert engine._derived.checkpoint_seq == engine.last_seq
    with pytest.raises(InvalidArgument, match="closed"):
        engine.get([0])
    monkeypatch.undo()
    with LatentMemoryEngine.open(tmp_path / "engine") as again:
        assert len(again) == 20
