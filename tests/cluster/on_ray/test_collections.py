"""A collection of a cluster: found by its name from anywhere, and answering as an engine does."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest
import ray
from processes import driver, kill, shard_actor, shard_process, wait_until

import paradox
from paradox.core.errors import (
    CollectionExists,
    CollectionNotFound,
    InvalidArgument,
    RetryableError,
    ShardUnavailable,
)
from paradox.memory import LatentMemoryEngine

pytestmark = pytest.mark.ray

DIM = 16
N = 900


@pytest.fixture(scope="module")
def vectors():
    """Twelve clusters, far apart."""
    rng = np.random.default_rng(5)
    centres = 20 * rng.standard_normal((12, DIM))
    return (centres[rng.integers(0, 12, N)] + rng.standard_normal((N, DIM))).astype(np.float32)


@pytest.fixture(scope="module")
def rows():
    return [{"n": n, "kind": "even" if n % 2 == 0 else "odd"} for n in range(N)]


@pytest.fixture(scope="module")
def papers(client, vectors, rows):
    """A collection that nothing changes."""
    collection = client.create("papers", dim=DIM, index="exact", shards=3)
    assert collection.add(vectors, ids=np.arange(N) * 7, payload=rows).inserted == N
    return collection


@pytest.fixture(scope="module")
def engine(vectors, rows):
    """An embedded engine of the same records."""
    engine = LatentMemoryEngine(DIM, index="exact")
    engine.add(vectors, ids=np.arange(N) * 7, payload=rows)
    return engine


@pytest.mark.parametrize("via_router", [False, True])
@pytest.mark.parametrize("filter", [None, "kind = 'odd' AND n % 10 < 5"])
def test_the_answers_are_those_of_an_engine(papers, engine, vectors, filter, via_router):
    queries = vectors[::30] + np.float32(0.2)
    found = papers.query(queries, k=8, recall=1.0, filter=filter, via_router=via_router)
    expected = engine.query(queries, k=8, recall=1.0, filter=filter)
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_allclose(found.distances, expected.distances, rtol=1e-5)
    assert (found.certified, found.shards_missing, found.coverage) == (True, (), 1.0)
    for ours, theirs in zip(found.records(), expected.records(), strict=True):
        assert [r.payload for r in ours] == [r.payload for r in theirs]


def test_client_and_router_ask_the_same_shards(papers, vectors):
    for query in vectors[::100]:
        here = papers.query(query, k=5)
        there = papers.query(query, k=5, via_router=True)
        np.testing.assert_array_equal(here.ids, there.ids)
        assert here.shards_touched == there.shards_touched


def test_a_single_vector_has_an_answer_of_one_axis(papers, vectors):
    found = papers.query(vectors[3], k=4)
    assert (found.ids.shape, found.distances.shape) == ((4,), (4,))
    assert (found.ids[0], found.distances[0]) == (21, 0)
    assert found.records()[0].payload == {"n": 3, "kind": "odd"}


def test_k_beyond_the_collection_is_padded(papers, vectors):
    found = papers.query(vectors[:2], k=N + 10, recall=1.0)
    assert (found.ids[:, :N] != -1).all()
    assert (found.ids[:, N:] == -1).all()
    assert np.isinf(found.distances[:, N:]).all()


def test_upserts_and_deletes_leave_what_they_leave_in_an_engine(make, rng):
    collection = make()
    engine = LatentMemoryEngine(DIM, index="exact")
    for step in range(12):
        ids = 2 * rng.choice(400, 60, replace=False) - 100
        if step % 3 == 2:
            assert collection.delete(ids) == engine.delete(ids)
        else:
            vectors = rng.standard_normal((60, DIM)).astype(np.float32)
            payload = [{"step": step, "third": bool(i % 3 == 0)} for i in ids]
            ours = collection.add(vectors, ids=ids, payload=payload)
            theirs = engine.add(vectors, ids=ids, payload=payload)
            assert (ours.inserted, ours.replaced) == (theirs.inserted, theirs.replaced)
    assert len(collection) == len(engine)
    every = np.arange(-100, 700)
    every = every[every != -1]
    for ours, theirs in zip(collection.get(every), engine.get(every), strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            np.testing.assert_array_equal(ours.vector, theirs.vector)
            assert ours.payload == theirs.payload
            assert ours.content_version == theirs.content_version
    queries = rng.standard_normal((20, DIM)).astype(np.float32)
    for filter in (None, "third AND step > 5"):
        found = collection.query(queries, k=5, recall=1.0, filter=filter)
        np.testing.assert_array_equal(
            found.ids, engine.query(queries, k=5, recall=1.0, filter=filter).ids
        )


def recall_at(k, collection, queries, live):
    """Return the share of the k nearest of `live`, in float64, that a collection finds."""
    distances = ((queries[:, None].astype(np.float64) - live["vectors"]) ** 2).sum(axis=2)
    nearest = live["ids"][np.argsort(distances, axis=1)[:, :k]]
    found = collection.query(queries, k=k, recall=0.95).ids
    return np.mean([np.isin(a, b).mean() for a, b in zip(nearest, found, strict=True)])


def test_shards_that_choose_their_index_change_it_and_find_the_same(client, rng):
    """From a scan to a graph as they grow, through a death, and back as they shrink."""
    collection = client.create(
        "choosing", dim=DIM, shards=2, partition="hash", index_options={"exact_below": 300}
    )
    assert collection.settings.index == "auto"  # which is what `create` takes unasked
    vectors = rng.standard_normal((2_000, DIM), dtype=np.float32)
    queries = rng.standard_normal((40, DIM), dtype=np.float32)
    ids = np.arange(2_000)

    def in_use():
        return {stats.index.backend for stats in collection.stats().shards.values()}

    def live(rows):
        return {"ids": ids[rows], "vectors": vectors[rows]}

    collection.add(vectors[:400], ids=ids[:400])
    assert in_use() == {"exact"}
    assert collection.query(queries, k=10).certified
    assert recall_at(10, collection, queries, live(slice(400))) == 1

    collection.add(vectors[400:], ids=ids[400:], payload=[{"n": n} for n in range(1_600)])
    assert in_use() == {"graph"}
    assert recall_at(10, collection, queries, live(slice(None))) > 0.93
    assert (collection.query(vectors[::50], k=1).ids[:, 0] == ids[::50]).mean() > 0.95
    allowed = collection.query(queries, k=10, recall=1.0, filter="n < 20")
    assert set(allowed.ids.flat) <= set(range(400, 420))

    kill(shard_process(collection, 0))
    wait_until(lambda: not collection.query(queries, k=1).shards_missing)
    assert in_use() == {"graph"}
    assert recall_at(10, collection, queries, live(slice(None))) > 0.93

    assert collection.delete(ids[200:]) == 1_800
    assert in_use() == {"exact"}
    assert recall_at(10, collection, queries, live(slice(200))) == 1
    client.drop("choosing")


@pytest.fixture(scope="module")
def scratch(client):
    """A collection of two shards for tests that leave each other's ids alone."""
    return client.create("scratch", dim=DIM, index="exact", shards=2, partition="hash")


def test_assigned_ids_never_repeat(scratch, rng):
    before = len(scratch)
    vectors = rng.standard_normal((30, DIM)).astype(np.float32)
    ids = np.concatenate([scratch.add(vectors).ids for _ in range(4)])
    assert len(np.unique(ids)) == len(scratch) - before == 120
    assert scratch.get([]) == []
    assert scratch.delete([]) == 0


def test_the_last_of_equal_ids_wins_and_that_is_said(scratch, rng):
    vectors = rng.standard_normal((3, DIM)).astype(np.float32)
    with pytest.warns(UserWarning, match="1 of 3 ids came again"):
        report = scratch.add(vectors, ids=[-5, -6, -5])
    assert (report.inserted, report.duplicates) == (2, 1)
    np.testing.assert_array_equal(scratch.get(-5)[0].vector, vectors[2])


def test_the_async_twins_do_the_same(scratch, rng):
    vectors = rng.standard_normal((20, DIM)).astype(np.float32)
    ids = np.arange(-60, -40)

    async def use():
        report = await scratch.aadd(vectors, ids=ids)
        found = await asyncio.gather(*(scratch.aquery(v, k=1) for v in vectors))
        deleted = await scratch.adelete([-43, -44])
        return report, found, deleted, await scratch.aget([-43, -45])

    report, found, deleted, records = asyncio.run(use())
    assert report.inserted == 20
    assert [hits.ids[0] for hits in found] == ids.tolist()
    assert deleted == 2
    assert records[0] is None
    assert records[1].id == -45


def test_a_collection_may_be_passed_to_tasks(papers, vectors):
    @ray.remote(num_cpus=0)
    def nearest(collection, query):
        found = collection.query(query, k=2)
        return found.ids, [record.payload["n"] for record in collection.get(found.ids)]

    for ids, numbers in ray.get([nearest.remote(papers, vectors[n]) for n in (3, 4)]):
        assert ids.tolist() == [7 * n for n in numbers]


def test_names_are_made_once_listed_and_dropped(client, rng):
    made = client.create("fleeting", dim=DIM, index="exact", shards=2, metric="cosine")
    made.add(rng.standard_normal((10, DIM)), ids=range(10))
    again = client.create("fleeting", dim=DIM, index="exact", metric="cosine")  # its own shards
    assert (again.settings, len(again)) == (made.settings, 10)
    assert "fleeting" in client.list()
    with pytest.raises(CollectionExists) as caught:
        client.create("fleeting", dim=DIM + 1, index="exact", shards=3, metric="cosine")
    assert f"dim: it has {DIM}, asked for {DIM + 1}" in str(caught.value)
    assert "shards: it has 2, asked for 3" in str(caught.value)
    assert "metric" not in str(caught.value)
    client.drop("fleeting")
    assert "fleeting" not in client.list()
    for use in (lambda: client.get("fleeting"), lambda: client.drop("fleeting")):
        with pytest.raises(CollectionNotFound, match="'fleeting' is not there"):
            use()
    query = np.ones(DIM)
    for use in (
        lambda: made.query(query),
        lambda: made.query(query, via_router=True),
        lambda: made.add(query),
        lambda: made.get([3]),
        lambda: made.delete([3]),
        lambda: len(made),
    ):
        with pytest.raises(CollectionNotFound, match="fleeting"):
            use()
    new = client.create("fleeting", dim=DIM, index="exact", shards=1)
    nothing = new.query(query, k=3)
    assert (nothing.ids.tolist(), nothing.coverage) == ([-1, -1, -1], 1.0)
    with pytest.raises(CollectionNotFound, match="there is a new one of that name"):
        made.add(query, ids=[1])
    assert len(new) == 0
    client.drop("fleeting")


def test_what_meets_a_drop_is_told_that_it_is_gone_or_to_try_again(client, rng):
    """Calls go on from many threads while the collection goes; each ends with what it then gets."""
    collection = client.create("passing", dim=DIM, index="exact", shards=2)
    rows = [{"n": 0}] * 50
    collection.add(rng.standard_normal((50, DIM)), ids=range(50), payload=rows)
    vector = np.ones(DIM, np.float32)
    ends = []

    def repeat(use):
        try:
            while True:
                use()
        except Exception as error:
            ends.append(error)

    uses = [
        lambda: collection.query(vector, partial=False),
        lambda: collection.query(vector, via_router=True),
        lambda: collection.query(vector, filter="n = 1"),
        lambda: collection.add(vector, payload=[{"n": 1}]),
        lambda: collection.get(range(50)),
        lambda: collection.delete([3]),
    ]
    threads = [threading.Thread(target=repeat, args=(use,)) for use in 2 * uses]
    for thread in threads:
        thread.start()
    client.drop("passing")
    for thread in threads:
        thread.join()
    assert len(ends) == len(threads)
    assert [e for e in ends if not isinstance(e, CollectionNotFound | RetryableError)] == []


def test_a_closed_shard_is_one_that_is_gone(client, make, rng):
    """What calls get between the closing of the shards by a drop and the end of their actors."""
    collection = make()
    collection.add(rng.standard_normal((50, DIM)), ids=range(50))
    ray.get([shard_actor(collection, shard).close.remote(False) for shard in (0, 1)])
    vector = np.ones(DIM)
    for use in (
        lambda: collection.query(vector),
        lambda: collection.query(vector, via_router=True),
        lambda: collection.add(vector, timeout_s=1.5),
        lambda: collection.get([3], timeout_s=1.5),
        lambda: collection.delete([3], timeout_s=1.5),
    ):
        with pytest.raises(ShardUnavailable):
            use()
    client.drop(collection.name)
    with pytest.raises(CollectionNotFound):
        collection.query(vector)


def test_data_that_are_kept_come_back(client, rng, tmp_path):
    settings = {"dim": DIM, "index": "exact", "shards": 1, "storage": tmp_path / "kept"}
    client.create("kept", **settings).add(rng.standard_normal((25, DIM)))
    client.drop("kept", keep_data=True)
    assert "kept" not in client.list()
    assert len(client.create("kept", **settings)) == 25
    client.drop("kept")
    assert not (tmp_path / "kept").exists()


def test_a_collection_survives_the_driver_that_made_it(client, tmp_path):
    log = tmp_path / "driver.log"
    script = """
        collection = client.create("survivor", dim=16, index="exact", shards=2)
        vectors = np.random.default_rng(3).standard_normal((200, 16)).astype(np.float32)
        print(collection.add(vectors, ids=np.arange(200), payload=[{"n": n} for n in range(200)]))
    """
    with log.open("wb") as output:
        assert driver(script, output=output).wait(120) == 0, log.read_text()
    vectors = np.random.default_rng(3).standard_normal((200, DIM)).astype(np.float32)
    found = client.get("survivor")
    assert len(found) == 200
    assert found.query(vectors, k=1, recall=1.0).ids[:, 0].tolist() == list(range(200))
    assert found.get([17])[0].payload == {"n": 17}
    client.drop("survivor")


def test_another_storage_root_of_the_same_cluster_is_refused(client, tmp_path):
    with pytest.raises(InvalidArgument, match="storage_root") as caught:
        paradox.connect(namespace="tests", storage_root=tmp_path)
    assert str(client.storage_root) in str(caught.value)
    assert str(tmp_path) in str(caught.value)
