"""What a cluster refuses: who was wrong, what was expected, what came; and nothing is written."""

from __future__ import annotations

import resource

import numpy as np
import pytest
import ray
from in_process import settings
from processes import NAMESPACE, shard_actor, wait_until

from paradox.cluster import launch, names
from paradox.cluster.supervisor import Supervisor
from paradox.core.errors import (
    CollectionExists,
    CollectionNotFound,
    DeadlineExceeded,
    DimensionMismatch,
    FilterError,
    InvalidArgument,
    NonFiniteVector,
    PayloadError,
    StorageUnavailable,
    UnknownBackend,
    UnknownEncoder,
    ZeroVector,
)

pytestmark = pytest.mark.ray

DIM = 16
N = 50
ONES = np.ones((3, DIM), np.float32)


@pytest.fixture(scope="module")
def papers(client):
    """A collection under cosine, of an open schema with one column."""
    collection = client.create(
        "papers", dim=DIM, index="exact", shards=2, partition="hash", metric="cosine"
    )
    vectors = np.random.default_rng(1).standard_normal((N, DIM)).astype(np.float32)
    collection.add(vectors, ids=range(N), payload=[{"year": 2000 + n} for n in range(N)])
    return collection


def with_value(value, row=1, column=3):
    vectors = np.ones((3, DIM))
    vectors[row, column] = value
    return vectors


BAD_ADDS = {
    "dimension": ((np.ones((3, 5)),), {}, DimensionMismatch, "expected dimension 16; got 5"),
    "axes": ((np.ones((3, 1, DIM)),), {}, InvalidArgument, r"expected shape \(n, 16\)"),
    "ragged": (([[1.0] * DIM, [1.0]],), {}, InvalidArgument, "ragged"),
    "int32": ((np.ones((3, DIM), np.int32),), {}, InvalidArgument, "float32.*got int32"),
    "complex": ((np.ones((3, DIM), complex),), {}, InvalidArgument, "float32.*got complex128"),
    "texts as vectors": (([["a"] * DIM],), {}, InvalidArgument, "float32.*got <U1"),
    "NaN": ((with_value(np.nan),), {}, NonFiniteVector, "got nan in row 1, column 3"),
    "infinity": ((with_value(np.inf),), {}, NonFiniteVector, "got inf in row 1, column 3"),
    "overflow": ((with_value(1e300),), {}, NonFiniteVector, r"got 1e\+300 in row 1, column 3"),
    "empty": ((np.ones((0, DIM)),), {}, InvalidArgument, "empty batch"),
    "zero": ((np.diag([1.0] * 15 + [0]),), {}, ZeroVector, "zero vector in row 15"),
    "nothing": ((), {}, InvalidArgument, "expected vectors or texts; got neither"),
    "both": ((ONES,), {"texts": ["a"]}, InvalidArgument, "got both"),
    "no encoder": ((), {"texts": ["a"]}, InvalidArgument, "'papers' has no encoder"),
    "id beyond": (
        (ONES,),
        {"ids": [1, 2, 2**63]},
        InvalidArgument,
        "expected int64; got an integer beyond",
    ),
    "id -1": ((ONES,), {"ids": [1, -1, 2]}, InvalidArgument, "got -1 in row 1"),
    "float ids": ((ONES,), {"ids": [1.0, 2, 3]}, InvalidArgument, "integers; got float64"),
    "few ids": ((ONES,), {"ids": [1, 2]}, InvalidArgument, "expected 3.*got 2"),
    "payload type": (
        (ONES,),
        {"payload": [{"year": 1}, {"year": "x"}, {}]},
        PayloadError,
        r"'year': expected int; got str \('x'\) in row 1",
    ),
    "payload value": ((ONES,), {"payload": [{}, {}, {"m": {}}]}, PayloadError, "'m'.*row 2"),
    "few payloads": ((ONES,), {"payload": [{}]}, PayloadError, "expected 3.*got 1"),
    "operation": ((ONES,), {"operation_id": b"x"}, InvalidArgument, "expected ids with it"),
    "time": ((ONES,), {"timeout_s": float("nan")}, InvalidArgument, "timeout_s.*got nan"),
}

BAD_QUERIES = {
    "dimension": ({"vectors": np.ones(5)}, DimensionMismatch, "expected dimension 16; got 5"),
    "NaN": ({"vectors": with_value(np.nan)}, NonFiniteVector, "queries: .*got nan in row 1"),
    "empty": ({"vectors": np.ones((0, DIM))}, InvalidArgument, "queries: .*empty batch"),
    "zero": ({"vectors": np.zeros(DIM)}, ZeroVector, "queries: .*row 0"),
    "text": ({"vectors": None, "text": "x"}, InvalidArgument, "has no encoder"),
    "k 0": ({"k": 0}, InvalidArgument, "k: expected 1 to 10000; got 0"),
    "k 10,001": ({"k": 10_001}, InvalidArgument, "k: expected 1 to 10000; got 10001"),
    "k 2.5": ({"k": 2.5}, InvalidArgument, "k: expected an integer; got 2.5"),
    "recall": ({"recall": 1.5}, InvalidArgument, r"recall: expected a number in \(0, 1\]; got 1.5"),
    "both": ({"recall": 0.9, "effort": 9}, InvalidArgument, "recall= or effort=; got 0.9 and 9"),
    "effort": ({"effort": 0}, InvalidArgument, "effort: expected 1 to 2147483647; got 0"),
    "half": ({"filter": "year >="}, FilterError, "expected a value; got the end"),
    "two": ({"filter": "year > 1; SELECT 1"}, FilterError, "expression"),
    "undeclared": ({"filter": "month = 1"}, FilterError, "month"),
    "not boolean": ({"filter": "year + 1"}, FilterError, "boolean"),
    "no text": ({"filter": 7}, InvalidArgument, "filter: expected an SQL expression; got 7"),
    "time": ({"timeout_s": 0}, InvalidArgument, "timeout_s: expected a positive number; got 0"),
}


def last_writes(collection):
    stats = collection.stats()
    assert not stats.shards_missing
    return {shard: engine.last_seq for shard, engine in stats.shards.items()}


@pytest.mark.parametrize("name", BAD_ADDS)
def test_a_bad_add_is_refused_and_writes_nothing(papers, name):
    arguments, options, error, message = BAD_ADDS[name]
    before = last_writes(papers)
    with pytest.raises(error, match=message):
        papers.add(*arguments, **options)
    assert last_writes(papers) == before


@pytest.mark.parametrize("via_router", [False, True])
@pytest.mark.parametrize("name", BAD_QUERIES)
def test_a_bad_query_is_refused(papers, name, via_router):
    options, error, message = BAD_QUERIES[name]
    with pytest.raises(error, match=message):
        papers.query(**({"vectors": ONES, "via_router": via_router} | options))


@pytest.mark.parametrize("use", ["get", "delete"])
@pytest.mark.parametrize("ids", [2**63, [1, -1], ["a"], [1.5], [[1]]])
def test_bad_ids_are_refused(papers, use, ids):
    before = last_writes(papers)
    with pytest.raises(InvalidArgument, match="ids: expected"):
        getattr(papers, use)(ids)
    assert last_writes(papers) == before


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"name": "../escape"}, InvalidArgument, "name: expected"),
        ({"dim": 0}, InvalidArgument, "dim: expected 1 to"),
        ({"dim": None}, InvalidArgument, "dim: expected a dimension"),
        ({"metric": "manhattan"}, InvalidArgument, "metric: expected one of l2, ip, cosine"),
        ({"shards": 0}, InvalidArgument, "shards: expected 1 to"),
        ({"shards": 33}, InvalidArgument, "at most 32, 16 for each of the 2 CPUs .* got 33"),
        ({"replicas": 2}, InvalidArgument, "replicas: expected 1"),
        ({"partition": "random"}, InvalidArgument, "partition: expected one of"),
        ({"schema": {"a": "decimal"}}, InvalidArgument, "schema: column 'a'"),
        ({"encoder": "nothing"}, UnknownEncoder, "expected one of"),
        ({"index": "nothing"}, UnknownBackend, "expected one of"),
        ({"index_options": {"m": 1}}, InvalidArgument, "'exact'.*got 'm'"),
        ({"storage": "/dev/null/x"}, InvalidArgument, "storage: expected.*got '/dev/null/x'"),
        ({"storage": "/proc/x"}, InvalidArgument, "storage: expected.*got '/proc/x'"),
        ({"name": "papers", "dim": 3}, CollectionExists, "dim: it has 16, asked for 3"),
    ],
)
def test_a_collection_that_cannot_be_is_refused_and_leaves_nothing(
    client, papers, settings, error, message
):
    folders = client.storage_root / "collections"
    before = set(folders.iterdir())
    given = {"name": "new", "dim": DIM, "index": "exact", "shards": 1} | settings
    with pytest.raises(error, match=message):
        client.create(**given)
    assert client.list() == ["papers"]
    assert set(folders.iterdir()) == before


@pytest.mark.parametrize(
    ("shards", "shard_cpus", "told"),
    [
        (1, 64, r"expected 1 shards .* with 64 CPUs free; 1 did not, where nodes of 2 CPUs have 2"),
        (
            3,
            1,
            r"expected 3 shards .* with 1 CPUs free; [123] did not, where nodes of 2 CPUs have 0",
        ),
    ],
)
def test_shards_that_find_no_node_are_told_with_what_there_is(
    client, tmp_path, monkeypatch, shards, shard_cpus, told
):
    """The supervisor is this process, which has less patience than an actor."""
    monkeypatch.setattr(launch, "_OPEN_S", 3.0)
    monkeypatch.setattr(launch, "_CLOSE_S", 1.0)
    supervisor = Supervisor(tmp_path, launch.RayLauncher(NAMESPACE, shard_cpus))
    asked = settings("roomless", shards=shards)
    with pytest.raises(DeadlineExceeded, match=told) as caught:
        supervisor.create(asked, None)
    for change in ("fewer shards", "shard_cpus=", "add nodes"):
        assert change in str(caught.value)
    assert supervisor.names() == []
    assert not (tmp_path / "collections" / "roomless").exists()
    wait_until(lambda: ray.available_resources().get("CPU") == 2)


def test_an_unknown_collection_is_told_with_those_there_are(client, papers):
    for use in (client.get, client.drop):
        with pytest.raises(CollectionNotFound, match="'nothing' is not there; there is 'papers'"):
            use("nothing")


@pytest.mark.parametrize(
    "wrong",
    [
        {"version": -1},
        {"version": 1.5},
        {"encoder_id": 7},
        {"operation_id": "x", "ids": [1, 2, 3]},
        {"operation_id": b"", "ids": [1, 2, 3]},
    ],
)
def test_a_refused_add_declares_no_column(client, papers, wrong):
    before = client.get("papers")._link.description.columns
    with pytest.raises(InvalidArgument, match=r"version|encoder_id|operation_id"):
        papers.add(ONES, payload=[{"century": "20th"}] * 3, **wrong)
    with pytest.raises(InvalidArgument, match="operation_id"):
        papers.delete([1], operation_id="x")
    assert client.get("papers")._link.description.columns == before


def test_a_full_disk_of_a_shard_is_an_error_and_the_shard_goes_on(papers):
    """The largest file a process may write stands in for the disk."""
    before = last_writes(papers)
    actor = shard_actor(papers, 0)
    rows = [{"page": "x" * 100_000} for _ in range(60)]
    vectors = np.random.default_rng(2).standard_normal((60, DIM)).astype(np.float32)
    ids = np.arange(1_000, 1_060)
    limit_files(actor, 1_000_000)
    try:
        with pytest.raises(StorageUnavailable):
            papers.add(vectors, ids=ids, payload=rows, timeout_s=8)
        assert last_writes(papers)[0] == before[0]
        assert papers.query(vectors[:1], k=N, recall=1.0).shards_missing == ()
    finally:
        limit_files(actor, None)
    assert len(papers.add(vectors, ids=ids, payload=rows)) == 60
    assert papers.get(ids)[-1].payload == rows[-1]
    papers.delete(ids)
    assert len(papers) == N


def test_a_full_disk_of_the_supervisor_is_an_error_and_it_goes_on(papers):
    before = last_writes(papers)
    actor = ray.get_actor(names.SUPERVISOR, namespace=NAMESPACE)
    rows = [{"first": "of its column"}] * 3
    limit_files(actor, 0)
    try:
        with pytest.raises(StorageUnavailable, match="supervisor"):
            papers.add(ONES, payload=rows)
        assert last_writes(papers) == before
    finally:
        limit_files(actor, None)
    ids = papers.add(ONES, payload=rows).ids
    assert papers.get(ids)[0].payload == rows[0]
    papers.delete(ids)


def limit_files(actor, size):
    """Let no file of an actor's process grow beyond so many bytes; None lifts the limit."""

    def limit(self):
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard if size is None else size, hard))

    ray.get(actor.__ray_call__.remote(limit))
