"""Opening a durable store: what is there, who holds it, what cannot be opened."""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import struct
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import google_crc32c
import numpy as np
import pytest

from paradox.core.errors import (
    DimensionMismatch,
    InvalidArgument,
    RecordCorrupt,
    StorageUnavailable,
)
from paradox.core.types import F32Matrix
from paradox.store import RecordStore, WriteBatch
from paradox.store import folder as folder_module
from tests.store.conftest import DIM


def test_everything_is_there_again(tmp_path: Path, vectors: F32Matrix) -> None:
    with RecordStore.open(tmp_path / "a" / "b", dim=DIM) as store:
        store.write(
            WriteBatch(
                vectors=vectors[:5], payloads=[{"n": i} for i in range(5)], operation_id=b"x"
            )
        )
        store.write(WriteBatch(deletes=[2]))
        store.assign_homes(np.array([3]), [1])
        store.prune_changes(5)
        before = [store.get(store.ids()), store.stats(), store.schema]
    with RecordStore.open(tmp_path / "a" / "b") as store:
        records = store.get(store.ids())
        assert [r and (r.id, r.seq, r.payload) for r in records] == [
            r and (r.id, r.seq, r.payload) for r in before[0]
        ]
        stats = store.stats()
        assert (stats.n_records, stats.last_seq, stats.oldest_change) == (4, 6, 5)
        assert stats.disk_bytes > 0
        assert store.schema == before[2]
        assert store.dim == DIM
        assert store.homes(np.array([3])).tolist() == [1]
        assert not store.write(WriteBatch(vectors=vectors[:5], operation_id=b"x")).applied
        assert store.write(WriteBatch(vectors=vectors[:1])).ids.tolist() == [5]
        assert store.verify() == 5


def test_a_new_store_needs_a_dimension(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="expected dim"):
        RecordStore.open(tmp_path / "s")
    with RecordStore.open(tmp_path / "s", dim=3) as store:
        assert store.dim == 3


def test_another_dimension_is_refused(tmp_path: Path) -> None:
    RecordStore.open(tmp_path, dim=3).close()
    with pytest.raises(DimensionMismatch, match="expected dimension 4; it has 3"):
        RecordStore.open(tmp_path, dim=4)
    with pytest.raises(InvalidArgument, match="dim: expected 1 to"):
        RecordStore.open(tmp_path, dim=0)


def test_another_schema_is_refused(tmp_path: Path) -> None:
    RecordStore.open(tmp_path, dim=3, schema={"a": int}).close()
    with pytest.raises(InvalidArgument, match=r"'a': 'float'.*it has .*'a': 'int'"):
        RecordStore.open(tmp_path, dim=3, schema={"a": float})
    for schema in (None, {"a": "int"}):
        RecordStore.open(tmp_path, dim=3, schema=schema).close()


def test_a_store_has_one_holder(tmp_path: Path) -> None:
    store = RecordStore.open(tmp_path, dim=3)
    with pytest.raises(StorageUnavailable, match=f"process {os.getpid()} holds it"):
        RecordStore.open(tmp_path, dim=3)
    store.close()
    RecordStore.open(tmp_path, dim=3).close()


def test_the_holding_process_is_named_and_its_death_frees_the_store(tmp_path: Path) -> None:
    program = textwrap.dedent(
        f"""
        import time
        from paradox.store import RecordStore
        store = RecordStore.open({str(tmp_path)!r}, dim=3)
        print("open", flush=True)
        time.sleep(600)
        """
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(StorageUnavailable, match=f"process {holder.pid} holds it"):
            RecordStore.open(tmp_path)
        holder.kill()
        holder.wait()
    RecordStore.open(tmp_path).close()


def test_a_file_is_no_store(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("x")
    for place in (path, path / "below"):
        with pytest.raises(InvalidArgument, match="expected a folder; got a file"):
            RecordStore.open(place, dim=3)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    for place in (folder, folder / "below"):
        with pytest.raises(InvalidArgument, match="expected a writable"):
            RecordStore.open(place, dim=3)


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    RecordStore.open(tmp_path, dim=3).close()
    slot = struct.pack("<8sIIqq", b"PARADOX\0", 2, 3, 9, 1)
    slot += struct.pack("<I", google_crc32c.value(slot))
    (tmp_path / "HEAD").write_bytes(slot.ljust(512, b"\0") * 2)
    with pytest.raises(InvalidArgument, match="expected format 1 or older; got 2"):
        RecordStore.open(tmp_path, dim=3)


def test_a_creation_cut_short_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    for step in ("create", "sync_folder"):
        with monkeypatch.context() as patch:
            patch.setattr(folder_module, step, killed)
            with contextlib.suppress(Killed):
                RecordStore.open(tmp_path, dim=3)
    (tmp_path / "HEAD").write_bytes(b"")
    with RecordStore.open(tmp_path, dim=3) as store:
        assert store.verify() == 0


def test_a_store_may_share_its_folder(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    RecordStore.open(tmp_path, dim=3).close()
    RecordStore.open(tmp_path).close()
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_closed_store_says_so(tmp_path: Path, vectors: F32Matrix) -> None:
    store = RecordStore.open(tmp_path, dim=DIM)
    store.write(WriteBatch(vectors=vectors))
    scan, changes = store.scan(), store.changes(0)
    store.close()
    store.close()
    for call in (
        lambda: store.get(np.array([1])),
        lambda: store.write(WriteBatch(deletes=[1])),
        lambda: store.scan(),
        lambda: next(changes),
        lambda: store.checkpoint(tmp_path / "copy"),
    ):
        with pytest.raises(InvalidArgument, match="was closed"):
            call()
    with pytest.raises(StorageUnavailable, match="closed while being read"):
        next(scan)
    RecordStore.open(tmp_path).close()


def test_a_reader_in_the_middle_does_not_keep_the_store(tmp_path: Path) -> None:
    store = RecordStore.open(tmp_path, dim=DIM)
    store.write(WriteBatch(vectors=np.ones((3_000, DIM), np.float32)))
    scan = store.scan()
    next(scan)
    store.close()
    with pytest.raises(StorageUnavailable, match="closed while being read"):
        list(scan)
    RecordStore.open(tmp_path).close()
    gc.collect()


def test_a_store_that_is_read_while_it_is_closed_can_be_opened_again(tmp_path: Path) -> None:
    RecordStore.open(tmp_path, dim=DIM).close()
    for _ in range(10):
        with RecordStore.open(tmp_path) as store:
            store.write(WriteBatch(vectors=np.ones((2_000, DIM), np.float32), ids=np.arange(2_000)))
            reading = threading.Event()

            def read(store: RecordStore = store, reading: threading.Event = reading) -> None:
                with contextlib.suppress(InvalidArgument):
                    while True:
                        store.get_vectors(np.arange(2_000))
                        reading.set()

            readers = [threading.Thread(target=read) for _ in range(2)]
            for reader in readers:
                reader.start()
            assert reading.wait(60)
        for reader in readers:
            reader.join()


def test_a_closed_store_in_memory_says_so(vectors: F32Matrix) -> None:
    store = RecordStore.volatile(dim=DIM)
    store.write(WriteBatch(vectors=vectors))
    store.close()
    store.close()
    for call in (
        lambda: store.get(np.array([1])),
        lambda: store.write(WriteBatch(deletes=[1])),
        lambda: store.write(WriteBatch(vectors=vectors, ids=np.arange(len(vectors)))),
        lambda: store.scan(),
        lambda: next(store.changes(0)),
    ):
        with pytest.raises(InvalidArgument, match="was closed"):
            call()


def test_errors_cross_a_process_boundary(tmp_path: Path) -> None:
    store = RecordStore.open(tmp_path, dim=3)
    with pytest.raises(StorageUnavailable) as caught:
        RecordStore.open(tmp_path)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301
    store.close()
    (tmp_path / "HEAD").write_bytes(b"x" * 1024)
    with pytest.raises(RecordCorrupt) as damaged:
        RecordStore.open(tmp_path)
    assert str(pickle.loads(pickle.dumps(damaged.value))) == str(damaged.value)  # noqa: S301
