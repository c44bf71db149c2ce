"""What is kept: snapshots, restored on any number of shards, and collections when Ray ends."""

from __future__ import annotations

import hashlib
import json
import os
import threading

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import ray
from processes import NAMESPACE, kill, process_of, start_ray, wait_until

import paradox
from paradox.cluster import names
from paradox.cluster.ingest import ingest
from paradox.core.errors import CollectionExists, InvalidArgument, SnapshotCorrupt

pytestmark = [
    pytest.mark.ray,
    # Ray Data's own, at the making of any of its contexts
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context"),
]

DIM = 16
N = 500


@pytest.fixture(scope="module")
def vectors():
    rng = np.random.default_rng(4)
    centres = 20 * rng.standard_normal((8, DIM))
    return (centres[rng.integers(0, 8, N)] + rng.standard_normal((N, DIM))).astype(np.float32)


@pytest.fixture(scope="module")
def source(tmp_path_factory, vectors):
    """A file of the second half of the vectors."""
    path = tmp_path_factory.mktemp("source") / "half.parquet"
    half = range(N // 2, N)
    pq.write_table(pa.table({"id": half, "vector": list(vectors[N // 2 :]), "n": half}), path)
    return path


@pytest.fixture(scope="module")
def papers(client, vectors, source):
    """A collection, half of it added and half ingested."""
    collection = client.create("papers", dim=DIM, index="exact", shards=2)
    half = range(N // 2)
    collection.add(vectors[: N // 2], ids=half, payload=[{"n": n} for n in half], version=3)
    ingest(collection, str(source), id_column="id", progress=False)
    return collection


@pytest.fixture(scope="module")
def copy(papers, tmp_path_factory):
    """A snapshot of that collection."""
    path = tmp_path_factory.mktemp("copies") / "papers"
    papers.snapshot(str(path))
    return path


@pytest.mark.parametrize("shards", [None, 3])
def test_a_restored_collection_is_the_same(client, papers, copy, vectors, source, shards):
    restored = client.restore("restored", str(copy), shards=shards)
    try:
        assert (restored.settings.shards, len(restored)) == (shards or 2, N)
        expected = papers.query(vectors[::9], k=7, recall=1.0, filter="n % 3 < 2")
        found = restored.query(vectors[::9], k=7, recall=1.0, filter="n % 3 < 2")
        np.testing.assert_array_equal(found.ids, expected.ids)
        for ours, theirs in zip(restored.get(range(N)), papers.get(range(N)), strict=True):
            np.testing.assert_array_equal(ours.vector, theirs.vector)
            assert (ours.payload, ours.timestamp) == (theirs.payload, theirs.timestamp)
            assert ours.version == theirs.version
        assert restored.add(-vectors[:5]).ids.min() >= N  # none that is taken
        restored.add(-vectors[:9], ids=range(9))
        assert len(restored) == N + 5
        again = ingest(restored, str(source), id_column="id", progress=False)
        assert (again.rows, again.rows_before) == (0, N // 2)
        assert papers.get([0])[0].content_version == 1
    finally:
        client.drop("restored")


def test_writes_go_on_while_a_snapshot_is_taken(client, make, tmp_path, rng):
    collection = make(partition="hash")
    acknowledged = [collection.add(rng.standard_normal((20, DIM))).ids]
    stop = threading.Event()

    def write():
        while not stop.is_set():
            acknowledged.append(collection.add(rng.standard_normal((20, DIM))).ids)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        before = np.concatenate(acknowledged)
        collection.snapshot(str(tmp_path / "copy"))
    finally:
        stop.set()
        writer.join()
    after = np.concatenate(acknowledged)
    restored = client.restore("restored", str(tmp_path / "copy"))
    found = [record is not None for record in restored.get(after)]
    client.drop("restored")
    assert all(found[: len(before)])
    n_whole = sum(found) // 20 * 20
    assert found[:n_whole] == [True] * n_whole  # of one moment: nothing later without all earlier


def test_places_that_are_taken_are_refused(client, papers, copy, tmp_path):
    with pytest.raises(InvalidArgument, match="there is one at"):
        papers.snapshot(str(copy))
    with pytest.raises(CollectionExists, match="drop it first"):
        client.restore("papers", str(copy))
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InvalidArgument, match="is taken"):
        client.restore("other", str(copy), storage=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    assert client.list() == ["papers"]


def test_a_restore_cut_short_leaves_nothing_once_it_is_done_again(client, papers, tmp_path):
    """The snapshot's last file is a pipe at first: a restore waits at it, and is killed there."""
    papers.snapshot(str(tmp_path / "copy"))
    file, storage = tmp_path / "copy" / "state.json", tmp_path / "storage" / "again"
    file.rename(tmp_path / "whole")
    os.mkfifo(file)
    restored = []

    def restore():
        restored.append(client.restore("restored", str(tmp_path / "copy"), storage=storage))

    thread = threading.Thread(target=restore)
    thread.start()
    wait_until(lambda: any(storage.parent.rglob("collection.json")))
    (tmp_path / "whole").replace(file)
    kill(process_of(names.SUPERVISOR))
    thread.join()
    assert [path.name for path in storage.parent.iterdir()] == ["again"]
    assert len(restored[0]) == N
    client.drop("restored")


def altered(folder, **changes):
    """Change files in the manifest, and seal it again as whoever meant harm would."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_bytes())
    manifest["files"][0] |= changes
    body = msgspec.json.encode(manifest["files"])
    manifest["blake2b"] = hashlib.blake2b(body).hexdigest()
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize("name", ["../../escaped", "/tmp/escaped", "a/../../../escaped", "..\\x"])
def test_a_snapshot_that_reaches_out_of_its_folder_is_refused(client, papers, tmp_path, name):
    papers.snapshot(str(tmp_path / "copy"))
    altered(tmp_path / "copy", name=name)
    storage = tmp_path / "storage" / "deep"
    with pytest.raises(SnapshotCorrupt, match="no name below the folder"):
        client.restore("other", str(tmp_path / "copy"), storage=storage)
    assert client.list() == ["papers"]
    assert not storage.parent.exists() or not any(storage.parent.iterdir())
    assert not list(tmp_path.rglob("*escaped*"))


@pytest.mark.parametrize("damage", ["flip", "truncate", "delete", "no manifest"])
def test_a_damaged_snapshot_is_named_and_leaves_nothing(client, papers, tmp_path, damage):
    papers.snapshot(str(tmp_path / "copy"))
    victim = tmp_path / "copy" / "collection.json"
    if damage == "flip":
        data = bytearray(victim.read_bytes())
        data[40] ^= 1
        victim.write_bytes(data)
    elif damage == "truncate":
        victim.write_bytes(victim.read_bytes()[:-20])
    elif damage == "delete":
        victim.unlink()
    else:
        (tmp_path / "copy" / "manifest.json").unlink()
    named = "manifest.json" if damage == "no manifest" else "collection.json"
    with pytest.raises(SnapshotCorrupt, match=named):
        client.restore("other", str(tmp_path / "copy"), storage=tmp_path / "storage" / "deep")
    assert client.list() == ["papers"]
    assert not any((tmp_path / "storage").glob("*"))


def test_collections_are_found_again_by_a_new_ray(client, papers, vectors):
    expected = papers.query(vectors[::9], k=7, recall=1.0)
    first = papers.add(vectors[:1]).ids[0]
    ray.shutdown()
    start_ray()
    again = paradox.connect(namespace=NAMESPACE)
    assert again.list() == ["papers"]
    found = again.get("papers")
    assert len(found) == N + 1
    found.delete([first])
    np.testing.assert_array_equal(found.query(vectors[::9], k=7, recall=1.0).ids, expected.ids)
    assert found.add(vectors[:1], payload=[{"n": 1}]).ids[0] > first
