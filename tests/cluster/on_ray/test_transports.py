"""Searches and writes reach the shards over sockets and by Ray's calls alike."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
import ray
from processes import NAMESPACE, kill, shard_process, wait_until

import paradox
from paradox.cluster.client import Client
from paradox.cluster.collection import Collection
from paradox.cluster.plane_shards import PlaneShards
from paradox.core.errors import FilterError, InvalidArgument, PayloadError

pytestmark = pytest.mark.ray

DIM = 16
N = 300
MOMENT = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)


@pytest.fixture(scope="module", params=["sockets", "ray"])
def transport(request: pytest.FixtureRequest, client: Client) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def by(transport: str, client: Client) -> Client:
    return paradox.connect(namespace=NAMESPACE, transport=transport)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return np.random.default_rng(2).standard_normal((N, DIM)).astype(np.float32)


@pytest.fixture(scope="module")
def papers(by: Client, transport: str, vectors: np.ndarray) -> Collection:
    made = by.create(f"papers-{transport}", dim=DIM, shards=2)
    assert isinstance(made._link.shards, PlaneShards) == (transport == "sockets")
    return made


def payload(n: int) -> dict[str, object]:
    return {"n": n, "half": n / 2, "name": f"ü{n}", "tags": ["a", str(n)], "at": MOMENT}


def test_what_is_written_is_found_and_fetched_and_deleted(
    papers: Collection, vectors: np.ndarray
) -> None:
    rows = [payload(n) for n in range(N)]
    times = [datetime(2026, 1, 1 + n % 28, tzinfo=UTC) for n in range(N)]
    assert papers.add(vectors, ids=np.arange(N), payload=rows, timestamps=times).inserted == N
    found = papers.query(vectors, k=3, recall=1.0)
    assert found.ids[:, 0].tolist() == list(range(N))
    assert papers.query(vectors[5], k=1, filter="n > 200").ids[0] > 200
    record, missing = papers.get([7, N + 1])
    assert missing is None
    assert record is not None
    assert (record.payload, record.timestamp) == (payload(7), times[7])
    np.testing.assert_array_equal(record.vector, vectors[7])
    assert next(one.id for one in papers.query(vectors[9], k=2, recall=1.0).records()) == 9
    assert papers.delete([7, 8, N + 1]) == 2
    assert papers.get([7, 8]) == [None, None]
    assert papers.add(vectors[7:9], ids=[7, 8], payload=rows[7:9]).inserted == 2
    assert papers.query(vectors[7], k=1, recall=1.0, via_router=True).ids.tolist() == [7]


def test_a_batch_and_one_query_at_a_time_get_the_same(
    papers: Collection, vectors: np.ndarray
) -> None:
    batch = papers.query(vectors[:100], k=5, recall=1.0)
    for row in range(0, 100, 9):
        alone = papers.query(vectors[row], k=5, recall=1.0)
        np.testing.assert_array_equal(alone.ids, batch.ids[row])


def test_errors_are_those_of_an_engine(papers: Collection, vectors: np.ndarray) -> None:
    with pytest.raises(FilterError, match="unknown"):
        papers.query(vectors[0], filter="unknown = 3")
    with pytest.raises(PayloadError, match="n"):
        papers.add(vectors[:1], ids=[1], payload=[{"n": "a word"}])
    assert papers.get([1])[0] is not None


def test_a_task_calls_the_same_way(papers: Collection, vectors: np.ndarray, transport: str) -> None:
    @ray.remote(num_cpus=0)
    def ask(collection: Collection) -> tuple[str, int]:
        found = collection.query(vectors[3], k=1, recall=1.0)
        return collection.supervisor.transport, int(found.ids[0])

    assert ray.get(ask.remote(papers)) == (transport, 3)


def test_a_killed_shard_is_missed_and_found_again(
    papers: Collection, vectors: np.ndarray, by: Client
) -> None:
    other = by.get(papers.name)
    kill(shard_process(papers, 0))
    partial = papers.query(vectors, k=1, recall=1.0)
    assert partial.shards_missing == (0,)
    assert papers.add(vectors[:20], ids=np.arange(20)).replaced == 20  # waits for it
    for collection in (papers, other):
        wait_until(lambda of=collection: not of.query(vectors[0], recall=1.0).shards_missing)
        for via_router in (False, True):
            found = collection.query(vectors, k=1, recall=1.0, via_router=via_router)
            assert found.ids[:, 0].tolist() == list(range(N))


def test_a_transport_that_is_none_is_refused(client: Client) -> None:
    with pytest.raises(InvalidArgument, match="transport: expected one of sockets, ray; got 'udp'"):
        paradox.connect(namespace=NAMESPACE, transport="udp")  # type: ignore[arg-type]
