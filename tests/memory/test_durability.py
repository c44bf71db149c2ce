"""What a durable engine keeps, whatever ends its process."""

from __future__ import annotations

import logging
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

from paradox.core.errors import CorruptionError, InvalidArgument, StorageUnavailable
from paradox.memory import LatentMemoryEngine, checkpoint

DIM = 8


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def vectors_of(rng, n):
    return rng.standard_normal((n, DIM), dtype=np.float32)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "engine"


@pytest.mark.parametrize("index", ["exact", "graph", "hnsw", "ivfpq", "auto"])
@pytest.mark.parametrize("clean", [True, False])
def test_reopening_gives_the_same_answers(folder, rng, index, clean):
    vectors = vectors_of(rng, 400)
    engine = LatentMemoryEngine.open(folder, dim=DIM, metric="cosine", index=index)
    engine.add(vectors[:300], payload=[{"n": i} for i in range(300)])
    engine.checkpoint()
    engine.add(vectors[300:], payload=[{"n": i} for i in range(300, 400)])
    engine.delete(np.arange(0, 400, 4))
    engine.add(-vectors[1:3], ids=[1, 2], payload=[{"n": -1}, {"n": -2}])
    before = engine.query(vectors[:50], k=5, recall=1.0)
    filtered = engine.query(vectors[0], k=5, filter="n < 0")
    seq = engine.last_seq
    engine.close(checkpoint=clean)

    with LatentMemoryEngine.open(folder) as again:
        assert (again.dim, again.metric, len(again), again.last_seq) == (DIM, "cosine", 300, seq)
        after = again.query(vectors[:50], k=5, recall=1.0)
        np.testing.assert_array_equal(after.ids, before.ids)
        np.testing.assert_allclose(after.distances, before.distances, atol=1e-6)
        np.testing.assert_array_equal(
            again.query(vectors[0], k=5, filter="n < 0").ids, filtered.ids
        )
        assert again.add(vectors[:1]).ids.tolist() == [400]


def test_only_what_follows_the_checkpoint_is_replayed(folder, rng, caplog):
    engine = LatentMemoryEngine.open(folder, dim=DIM)
    engine.add(vectors_of(rng, 100))
    engine.checkpoint()
    engine.add(vectors_of(rng, 7))
    engine.close(checkpoint=False)
    with caplog.at_level(logging.INFO, logger="paradox.memory.derived"):
        LatentMemoryEngine.open(folder).close()
    assert "7 changes" in caplog.text


@pytest.mark.parametrize("damage", ["flip", "truncate", "delete"])
def test_a_damaged_checkpoint_is_left_out_and_said(folder, rng, caplog, damage):
    vectors = vectors_of(rng, 200)
    with LatentMemoryEngine.open(folder, dim=DIM) as engine:
        engine.add(vectors, payload=[{"n": i} for i in range(200)])
    for path in folder.glob("checkpoints/*/index.pdx"):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 4
        if damage == "delete":
            path.unlink()
        else:
            path.write_bytes(data if damage == "flip" else data[: len(data) // 2])
    with (
        caplog.at_level(logging.WARNING, logger="paradox.memory"),
        LatentMemoryEngine.open(folder) as again,
    ):
        assert again.query(vectors[5], k=1, filter="n = 5").ids.tolist() == [5]
    assert "a checkpoint is left out" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="paradox.memory"):
        LatentMemoryEngine.open(folder).close()
    assert not caplog.text  # the damage was mended


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), MemoryError()])
def test_a_checkpoint_that_fails_leaves_nothing_and_no_write_fails_for_it(
    folder, rng, monkeypatch, caplog, error
):
    monkeypatch.setattr("paradox.memory.derived._CHECKPOINT_EVERY", 50)
    engine = LatentMemoryEngine.open(folder, dim=DIM)
    tries = []

    def fails(*arguments):
        tries.append(arguments)
        raise error

    monkeypatch.setattr("paradox.memory.checkpoint.write_container", fails)
    with caplog.at_level(logging.WARNING, logger="paradox.memory"):
        for _ in range(4):
            engine.add(vectors_of(rng, 30))
    assert len(engine) == 120
    assert len(tries) == 2  # not at every write
    assert caplog.text.count("no checkpoint was made") == 2
    assert not list((folder / "checkpoints").iterdir())
    monkeypatch.undo()
    engine.close()
    assert len(LatentMemoryEngine.open(folder)) == 120


def test_an_engine_in_memory_forgets_changes_that_it_has_seen(rng):
    engine = LatentMemoryEngine(DIM)
    for _ in range(5):
        engine.add(vectors_of(rng, 10), ids=range(10))
    engine.delete([3])
    assert engine.stats().store.oldest_change == engine.last_seq == 51
    assert len(engine) == 9


def test_reads_go_on_while_a_checkpoint_is_made_and_a_write_waits(folder, rng, monkeypatch):
    vectors = vectors_of(rng, 50)
    engine = LatentMemoryEngine.open(folder, dim=DIM)
    engine.add(vectors)
    saving, go_on = threading.Event(), threading.Event()
    save = checkpoint.save

    def slowly(*arguments):
        saving.set()
        assert go_on.wait(60)
        save(*arguments)

    monkeypatch.setattr("paradox.memory.checkpoint.save", slowly)
    keeper = threading.Thread(target=engine.checkpoint)
    keeper.start()
    assert saving.wait(60)
    writer = threading.Thread(target=engine.add, args=(vectors,))
    writer.start()
    writer.join(0.2)
    answers = []
    reader = threading.Thread(target=lambda: answers.append(engine.query(vectors[7], k=1)))
    reader.start()
    reader.join(60)
    assert answers[0].ids.tolist() == [7]
    assert writer.is_alive()
    go_on.set()
    keeper.join()
    writer.join()
    assert len(engine) == 100
    engine.close()


@pytest.mark.parametrize("dtype", ["int8", "float16"])
def test_a_vector_the_index_cannot_keep_is_refused_before_it_is_stored(folder, rng, dtype):
    options = {"index": "exact", "index_options": {"dtype": dtype}}
    with LatentMemoryEngine.open(folder, dim=DIM, **options) as engine:
        engine.add(np.ones((1, DIM)), ids=[1])
        bad = np.ones((2, DIM))
        bad[1, 2] = 1e5
        with pytest.raises(InvalidArgument, match="row 1, column 2"):
            engine.add(bad, ids=[1, 2])
        assert engine.last_seq == 1
        engine.add(np.full((1, DIM), 3.0), ids=[3])
    with LatentMemoryEngine.open(folder) as again:
        assert again.query(np.full(DIM, 3.0), k=2).ids.tolist() == [3, 1]


def test_damaged_settings_are_an_error(folder, rng):
    LatentMemoryEngine.open(folder, dim=DIM).close()
    (folder / "engine.json").write_bytes(b'{"dim": 8')
    with pytest.raises(CorruptionError, match="settings"):
        LatentMemoryEngine.open(folder)


@pytest.mark.parametrize(
    "other", [{"dim": DIM + 1}, {"metric": "ip"}, {"index": "hnsw"}, {"index_options": {"M": 8}}]
)
def test_opening_with_other_settings_names_both(folder, other):
    LatentMemoryEngine.open(folder, dim=DIM, metric="l2", index="exact").close()
    name = next(iter(other))
    with pytest.raises(InvalidArgument, match=f"{name}: it has .*, asked for"):
        LatentMemoryEngine.open(folder, **other)


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/x", "/dev/null/x"])
def test_a_place_that_can_be_no_folder_is_refused(tmp_path, place):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InvalidArgument, match=f"engine: expected a folder .* got '.*{place}'"):
        LatentMemoryEngine.open(tmp_path / place, dim=DIM)
    assert (tmp_path / "file").read_text() == "mine"


def test_an_engine_tells_what_it_is_and_where(folder):
    engine = LatentMemoryEngine.open(folder, dim=DIM, metric="cosine")
    engine.close()
    told = f": dim {DIM}, cosine, index 'auto'>"
    assert repr(engine) == f"<LatentMemoryEngine '{folder}'{told}"
    assert repr(LatentMemoryEngine(DIM, metric="cosine")) == f"<LatentMemoryEngine in memory{told}"


def test_a_new_folder_needs_a_dimension(folder):
    with pytest.raises(InvalidArgument, match="dim"):
        LatentMemoryEngine.open(folder)
    assert not folder.exists()


def test_a_closed_engine_says_so(folder, rng):
    engine = LatentMemoryEngine.open(folder, dim=DIM)
    engine.close()
    engine.close()
    with pytest.raises(InvalidArgument, match="closed"):
        engine.query(vectors_of(rng, 1))
    with pytest.raises(InvalidArgument, match="closed"):
        engine.add(vectors_of(rng, 1))


def test_checkpoints_are_made_along_the_way_and_old_ones_go(folder, rng, monkeypatch):
    monkeypatch.setattr("paradox.memory.derived._CHECKPOINT_EVERY", 50)
    engine = LatentMemoryEngine.open(folder, dim=DIM)
    for _ in range(20):
        engine.add(vectors_of(rng, 20))
    kept = sorted(int(path.name) for path in folder.glob("checkpoints/*"))
    assert len(kept) == 2
    assert kept[-1] >= 200
    engine.close()


WRITER = """
    import sys
    import numpy as np
    from paradox.memory import LatentMemoryEngine, checkpoint

    rng = np.random.default_rng(int(sys.argv[2]))
    with LatentMemoryEngine.open(sys.argv[1], dim=8, metric="l2", index="auto") as engine:
        print("open", flush=True)
        for _ in range(10_000):
            ids = rng.choice(500, rng.integers(1, 40), replace=False)
            stamp = int(rng.integers(1, 2**40))
            print("try", stamp, *ids, flush=True)
            if rng.random() < 0.3:
                engine.delete(ids)
                print("deleted", stamp, *ids, flush=True)
            else:
                vectors = np.full((len(ids), 8), stamp % 1009, np.float32) + ids[:, None]
                engine.add(vectors, ids=ids, payload=[{"stamp": stamp}] * len(ids))
                print("added", stamp, *ids, flush=True)
"""


def test_a_killed_process_loses_nothing_it_acknowledged(folder):
    """SIGKILL at random moments; what was acknowledged is there, what was under way is whole."""
    random.seed(5)
    known: dict[int, int | None] = {}
    for round_number in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(WRITER), str(folder), str(round_number)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout.readline() == "open\n"
        time.sleep(random.uniform(0.05, 0.6))
        process.send_signal(signal.SIGKILL)
        said = process.stdout.read()
        whole = said[: said.rfind("\n") + 1]  # the kill may cut the last line short
        lines = [line.split() for line in whole.splitlines()]
        process.wait()
        process.stdout.close()
        under_way: tuple[int, list[int]] | None = None
        for verb, stamp, *ids in lines:
            if verb == "try":
                under_way = int(stamp), [int(i) for i in ids]
                continue
            under_way = None
            known.update(dict.fromkeys(map(int, ids), int(stamp) if verb == "added" else None))
        with LatentMemoryEngine.open(folder) as engine:
            records = dict(zip(range(500), engine.get(np.arange(500)), strict=True))
            stamps = {i: r.payload["stamp"] if r else None for i, r in records.items()}
            if under_way is not None:
                stamp, ids = under_way
                after = {i: stamps[i] for i in ids}
                before = {i: known.get(i) for i in ids}
                assert after in (before, dict.fromkeys(ids, stamp), dict.fromkeys(ids, None))
                known.update(after)
            assert stamps == {i: known.get(i) for i in range(500)}
            live = [i for i, stamp in stamps.items() if stamp is not None]
            assert len(engine) == len(live)
            for i in live[::37]:
                hits = engine.query(records[i].vector, k=1, filter=f"stamp = {stamps[i]}")
                assert hits.distances[0] == 0
    assert any(stamp is not None for stamp in known.values())


def test_a_failing_checkpoint_loses_no_write_and_closing_lets_go(folder, rng, monkeypatch, caplog):
    monkeypatch.setattr("paradox.memory.derived._CHECKPOINT_EVERY", 50)
    engine = LatentMemoryEngine.open(folder, dim=DIM)
    (folder / "checkpoints").write_bytes(b"in the way")
    with caplog.at_level(logging.WARNING, logger="paradox.memory"):
        assert engine.add(vectors_of(rng, 60)).inserted == 60
    assert "no checkpoint was made" in caplog.text
    assert engine.add(vectors_of(rng, 1)).inserted == 1
    with pytest.raises(StorageUnavailable, match="checkpoint"):
        engine.close()
    (folder / "checkpoints").unlink()
    with LatentMemoryEngine.open(folder) as again:
        assert len(again) == 61


def test_missing_settings_of_an_engine_with_records_are_an_error(folder, rng):
    with LatentMemoryEngine.open(folder, dim=DIM, metric="cosine") as engine:
        engine.add(vectors_of(rng, 3))
    (folder / "engine.json").unlink()
    for dim in (DIM, None):
        with pytest.raises(CorruptionError, match=r"settings are missing .*engine\.json"):
            LatentMemoryEngine.open(folder, dim=dim)


def test_a_snapshot_never_overwrites_what_is_there(folder, rng, tmp_path):
    with LatentMemoryEngine.open(folder, dim=DIM) as engine:
        engine.add(vectors_of(rng, 30))
        other = LatentMemoryEngine.open(tmp_path / "other", dim=DIM)
        other.close()
        for place in (folder, tmp_path / "other", folder / "engine.json"):
            with pytest.raises(InvalidArgument, match="in use"):
                engine.snapshot(str(place))
        assert engine.query(np.zeros(DIM), k=1).ids[0] >= 0
        engine.snapshot(str(tmp_path / "copy"))
        assert not (tmp_path / "copy" / "unfinished").exists()
    with LatentMemoryEngine.restore(str(tmp_path / "copy"), tmp_path / "again") as again:
        assert len(again) == 30


def test_a_place_that_takes_no_snapshot_is_told_before_anything_is_staged(folder, rng):
    with LatentMemoryEngine.open(folder, dim=DIM) as engine:
        engine.add(vectors_of(rng, 30))
        before = sorted(folder.rglob("*"))
        with pytest.raises(InvalidArgument, match="expected a place that can be written to"):
            engine.snapshot("http://127.0.0.1:9/copy")  # nothing listens there
        assert engine.stats().checkpoint_seq == 0
        assert sorted(folder.rglob("*")) == before


def test_a_forked_child_is_refused(folder, rng):
    with LatentMemoryEngine.open(folder, dim=DIM) as engine:
        engine.add(vectors_of(rng, 3))
        child = os.fork()
        if child == 0:
            try:
                engine.add(vectors_of(rng, 3))
            except StorageUnavailable:
                os._exit(7)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert len(engine) == 3


def test_a_name_of_an_operation_is_not_taken_for_another(folder, rng):
    with LatentMemoryEngine.open(folder, dim=DIM) as engine:
        engine.add(vectors_of(rng, 1), ids=[40], operation_id=b"a")
        for other in (
            lambda: engine.add(vectors_of(rng, 3), ids=[41, 42, 43], operation_id=b"a"),
            lambda: engine.delete([40], operation_id=b"a"),
        ):
            with pytest.raises(InvalidArgument, match="operation_id"):
                other()
        assert len(engine) == 1
