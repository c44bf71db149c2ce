"""What a collection does while processes of its cluster are dead, slow or gone, and afterwards."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import ray
from processes import kill, process_of, shard_actor, shard_process, wait_until

from paradox.cluster import names
from paradox.core.errors import (
    CorruptionError,
    DeadlineExceeded,
    RetryableError,
    ShardUnavailable,
)
from paradox.routing import HashPartitioner

pytestmark = pytest.mark.ray

DIM = 16
N = 400


@pytest.fixture(scope="module")
def vectors():
    return np.random.default_rng(2).standard_normal((N, DIM)).astype(np.float32)


@pytest.fixture(scope="module")
def papers(client, vectors):
    """A collection of two shards, spread by hash, whose first `N` records nothing changes."""
    collection = client.create("papers", dim=DIM, index="exact", shards=2, partition="hash")
    collection.add(vectors, ids=np.arange(N), payload=[{"n": n} for n in range(N)])
    return collection


@pytest.fixture
def share(papers):
    """Shard to its share of the records."""
    stats = papers.stats().shards
    return {shard: stats[shard].n_records / len(papers) for shard in stats}


def is_whole(collection, **options):
    found = collection.query(np.zeros(DIM), k=1, recall=1.0, **options)
    return not found.shards_missing


def answers(collection, vectors):
    found = collection.query(vectors[:40], k=5, recall=1.0, filter=f"n < {N}")
    assert found.shards_missing == ()
    return found.ids


def test_a_killed_shard_is_missed_honestly_and_returns_with_its_data(papers, vectors, share):
    before = answers(papers, vectors)
    kill(shard_process(papers, 0))
    partial = papers.query(vectors, k=1, recall=1.0)
    assert partial.shards_missing == (0,)
    assert partial.coverage == pytest.approx(share[1], abs=0.01)
    assert not partial.certified
    at_home = HashPartitioner(2).place(np.arange(N), vectors) == 1
    np.testing.assert_array_equal(partial.ids[:, 0] == np.arange(N), at_home)
    with pytest.raises(ShardUnavailable, match="shards 0 of 'papers' did not answer"):
        papers.query(vectors[0], recall=1.0, partial=False)
    wait_until(lambda: is_whole(papers))
    np.testing.assert_array_equal(answers(papers, vectors), before)
    assert papers.get([7])[0].payload == {"n": 7}


def test_writes_go_through_deaths_once(papers, rng):
    """Adds without ids, cut off by SIGKILLs: acknowledged ones are there, and none twice."""
    before = len(papers)
    reports = []
    stop = threading.Event()

    def write():
        while not stop.is_set():
            reports.append(papers.add(rng.standard_normal((20, DIM)).astype(np.float32)))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for shard in (0, 1):
            n_done = len(reports)
            wait_until(lambda n=n_done: len(reports) > n + 3)
            kill(shard_process(papers, shard))
        n_done = len(reports)
        wait_until(lambda: len(reports) > n_done + 3)
    finally:
        stop.set()
        writer.join()
    assert all((report.inserted, report.replaced) == (20, 0) for report in reports)
    ids = np.concatenate([report.ids for report in reports])
    assert len(np.unique(ids)) == len(ids) == len(papers) - before
    assert {record.content_version for record in papers.get(ids)} == {1}


def test_an_operation_is_remembered_through_a_death(papers, rng):
    ids = np.arange(10_000, 10_040)
    vectors = rng.standard_normal((40, DIM)).astype(np.float32)
    first = papers.add(vectors, ids=ids, operation_id=b"once")
    deleted = papers.delete(ids[:5], operation_id=b"gone")
    kill(shard_process(papers, 1))
    again = papers.add(-vectors, ids=ids, operation_id=b"once")
    assert (again.inserted, again.replaced) == (first.inserted, first.replaced) == (40, 0)
    assert papers.delete(ids[:5], operation_id=b"gone") == deleted == 5
    records = papers.get(ids)
    assert records[:5] == [None] * 5
    for record, vector in zip(records[5:], vectors[5:], strict=True):
        np.testing.assert_array_equal(record.vector, vector)
        assert record.content_version == 1


def test_a_killed_supervisor_is_not_missed(client, papers, vectors):
    first = papers.add(vectors[:1]).ids[0]
    kill(process_of(names.SUPERVISOR))
    assert papers.query(vectors[3], k=1).ids.tolist() == [3]
    report = papers.add(vectors[:1], payload=[{"after": "the death"}])  # an id, and a new column
    assert report.ids[0] > first
    assert papers.get(report.ids)[0].payload == {"after": "the death"}
    assert client.list() == ["papers"]
    found = client.get("papers")
    assert found.query(vectors[3], k=1, filter="after = 'the death'").ids.tolist() == [
        report.ids[0]
    ]


def test_a_killed_router_is_missed_by_those_who_ask_it_only(papers, vectors):
    assert is_whole(papers, via_router=True)
    kill(process_of(names.router_actor(papers.name)))
    assert papers.query(vectors[3], k=1).ids.tolist() == [3]

    def answered():
        try:
            return papers.query(vectors[3], k=1, via_router=True).ids.tolist() == [3]
        except RetryableError:
            return False

    wait_until(answered)


@pytest.mark.parametrize("via_router", [False, True])
def test_a_slow_shard_is_missed_within_the_deadline(client, papers, vectors, via_router):
    """Halted by SIGSTOP; a client that knows nothing yet has no summary of it either."""
    process = shard_process(papers, 1)
    stranger = client.get("papers")
    late = {"vectors": -vectors[:30], "ids": np.arange(30) + 20_000, "operation_id": b"late"}
    process.suspend()
    try:
        for collection in (papers, stranger, papers):
            partial = collection.query(vectors, k=1, recall=1.0, timeout_s=2, via_router=via_router)
            assert partial.shards_missing == (1,)
            assert 0 < partial.coverage < 1
            at_home = HashPartitioner(2).place(np.arange(N), vectors) == 0
            np.testing.assert_array_equal(partial.ids[:, 0] == np.arange(N), at_home)
        with pytest.raises(DeadlineExceeded):
            papers.add(**late, timeout_s=1)
        stats = papers.stats(timeout_s=1)
        assert stats.shards_missing == (1,)
    finally:
        process.resume()
    wait_until(lambda: is_whole(papers) and is_whole(stranger, via_router=via_router))
    report = papers.add(**late)
    assert len(report) == 30
    assert {record.content_version for record in papers.get(report.ids)} == {1}


@pytest.mark.parametrize("via_router", [False, True])
def test_a_shard_gone_for_good_is_started_again(papers, vectors, via_router):
    wait_until(lambda: is_whole(papers) and is_whole(papers, via_router=via_router))
    before = answers(papers, vectors)
    process = shard_process(papers, 0)
    ray.kill(shard_actor(papers, 0))
    process.wait(60)  # Ray returns before it is dead, and until then it answers
    wait_until(lambda: is_whole(papers) and is_whole(papers, via_router=via_router))
    np.testing.assert_array_equal(answers(papers, vectors), before)


def test_a_shard_that_is_slow_first_and_then_gone_is_started_again(papers, vectors):
    wait_until(lambda: is_whole(papers))
    before = answers(papers, vectors)
    process = shard_process(papers, 0)
    process.suspend()
    assert papers.query(vectors, k=1, recall=1.0, timeout_s=1).shards_missing == (0,)
    ray.kill(shard_actor(papers, 0))
    kill(process)
    wait_until(lambda: is_whole(papers))
    np.testing.assert_array_equal(answers(papers, vectors), before)


def test_a_write_to_a_shard_gone_for_good_writes_once(papers, rng):
    before = len(papers)
    ids = papers.add(rng.standard_normal((40, DIM))).ids
    ray.kill(shard_actor(papers, 1))
    report = papers.add(rng.standard_normal((40, DIM)).astype(np.float32))
    assert report.inserted == 40
    assert len(papers) == before + 80
    ray.kill(shard_actor(papers, 1))
    assert papers.delete(ids) == 40
    assert len(papers) == before + 40


def test_a_damaged_shard_is_told_and_the_others_answer(client, make, vectors):
    collection = make(shards=2, partition="hash")
    collection.add(vectors[:200], ids=np.arange(200))
    head = Path(collection.stats().storage) / "shard-0" / "records" / "HEAD"
    whole = head.read_bytes()
    process = shard_process(collection, 0)
    process.suspend()
    head.write_bytes(bytes(byte ^ 1 for byte in whole))
    kill(process)
    wait_until(lambda: _says_corrupt(collection))
    partial = collection.query(vectors[:200], k=1, recall=1.0)
    assert partial.shards_missing == (0,)
    assert (partial.ids[:, 0] == np.arange(200)).mean() > 0.3
    head.write_bytes(whole)
    wait_until(lambda: is_whole(collection))
    assert collection.query(vectors[:200], k=1, recall=1.0).ids[:, 0].tolist() == list(range(200))


def _says_corrupt(collection):
    try:
        collection.get(np.arange(200), timeout_s=5)
    except CorruptionError as error:
        return "shard-0" in str(error)
    except RetryableError:
        return False
    raise AssertionError("damaged records were served")


def test_a_damaged_catalog_is_told_by_every_call_until_it_is_repaired(client, papers, vectors):
    path = client.storage_root / "catalog.json"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"papers", b"papery"))
    try:
        kill(process_of(names.SUPERVISOR))
        for use in (client.list, lambda: client.get("papers")):
            with pytest.raises(CorruptionError, match=r"catalog\.json"):
                use()
        assert papers.query(vectors[3], k=1).ids.tolist() == [3]
    finally:
        path.write_bytes(whole)
    assert "papers" in client.list()
