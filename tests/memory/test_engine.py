"""What an engine promises, volatile and durable alike."""

from __future__ import annotations

import shutil
import threading
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from paradox.core import config
from paradox.core.errors import (
    DimensionMismatch,
    FilterError,
    InvalidArgument,
    NonFiniteVector,
    PayloadError,
    UnknownBackend,
    ZeroVector,
)
from paradox.index.graph import GraphIndex
from paradox.memory import LatentMemoryEngine
from tests.memory.conftest import DIM


def vectors_of(rng, n, dim=DIM):
    return rng.standard_normal((n, dim), dtype=np.float32)


def nearest(vectors, query, k):
    return np.argsort(((vectors - query) ** 2).sum(1, dtype=np.float64), kind="stable")[:k]


def test_what_was_added_is_found(make_engine, rng):
    engine = make_engine()
    vectors = vectors_of(rng, 500)
    report = engine.add(vectors)
    assert report.ids.tolist() == list(range(500))
    assert (report.inserted, report.replaced, report.duplicates) == (500, 0, 0)
    assert len(engine) == 500
    query = vectors_of(rng, 1)[0]
    hits = engine.query(query, k=5)
    assert hits.ids.shape == hits.distances.shape == (5,)
    assert hits.ids.tolist() == nearest(vectors, query, 5).tolist()
    assert hits.certified
    many = engine.query(vectors[:3], k=5)
    assert many.ids.shape == (3, 5)
    assert many.ids[:, 0].tolist() == [0, 1, 2]


def test_records_come_back_as_they_were_given(make_engine, rng):
    engine = make_engine()
    vectors = vectors_of(rng, 2)
    made = datetime(2026, 5, 1, 12, tzinfo=UTC)
    engine.add(
        vectors,
        ids=[40, -7],
        payload=[{"title": "a", "year": 2020}, {"title": "b", "tags": ["x", "y"]}],
        encoder_id="minilm",
        version=3,
        timestamps=[made, made],
    )
    first, unknown, second = engine.get([-7, 5, 40])
    assert unknown is None
    assert (first.id, first.payload, first.encoder_id, first.version) == (
        -7,
        {"title": "b", "tags": ["x", "y"]},
        "minilm",
        3,
    )
    assert first.timestamp == made
    assert (second.id, second.content_version) == (40, 1)
    np.testing.assert_array_equal(second.vector, vectors[0])
    assert [r.id for r in engine.query(vectors[1], k=2).records()] == [-7, 40]


def test_a_known_id_is_replaced_and_the_last_of_a_batch_wins(make_engine, rng):
    engine = make_engine()
    old, new, last = vectors_of(rng, 3)
    engine.add(old, ids=[1], payload=[{"n": 1}])
    with pytest.warns(UserWarning, match="1 of 2 ids.*last"):
        report = engine.add([new, last], ids=[1, 1], payload=[{"n": 2}, {"n": 3}])
    assert (report.inserted, report.replaced, report.duplicates) == (0, 1, 1)
    assert len(engine) == 1
    (record,) = engine.get([1])
    assert record.payload == {"n": 3}
    assert record.content_version == 2
    hits = engine.query(last, k=2)
    assert hits.ids.tolist() == [1, -1]
    assert hits.distances[0] == pytest.approx(0)
    assert np.isinf(hits.distances[1])


def test_assigned_ids_never_meet_chosen_ones(make_engine, rng):
    engine = make_engine()
    engine.add(vectors_of(rng, 2), ids=[10, 99])
    assert engine.add(vectors_of(rng, 2)).ids.tolist() == [100, 101]
    engine.delete([101])
    assert engine.add(vectors_of(rng, 1)).ids.tolist() == [102]


def test_what_was_deleted_is_gone(make_engine, rng):
    engine = make_engine()
    vectors = vectors_of(rng, 10)
    engine.add(vectors, payload=[{"n": i} for i in range(10)])
    assert engine.delete([3, 4, 77]) == 2
    assert len(engine) == 8
    assert engine.get([3]) == [None]
    assert engine.contains([3, 5]).tolist() == [False, True]
    assert 3 not in engine.query(vectors[3], k=10).ids
    assert engine.query(vectors[3], k=10, filter="n in (3, 5)").ids.tolist() == [5, *[-1] * 9]
    assert engine.delete(3) == 0


@pytest.mark.parametrize("index", ["exact", "graph", "hnsw", "ivfpq", "auto"])
def test_filters_choose_among_payloads(make_engine, rng, index):
    engine = make_engine(index=index)
    vectors = vectors_of(rng, 300)
    engine.add(vectors, payload=[{"year": 2000 + i % 30, "even": i % 2 == 0} for i in range(300)])
    passing = np.array([i for i in range(300) if i % 30 >= 20 and i % 2 == 0])
    hits = engine.query(vectors[0], k=10, filter="year >= 2020 AND even")
    assert hits.ids.tolist() == passing[nearest(vectors[passing], vectors[0], 10)].tolist()
    assert engine.query(vectors[0], k=3, filter="year > 3000").ids.tolist() == [-1, -1, -1]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("yeer > 3", "yeer"),
        ("year > 3; year < 5", "one"),
        ("year + 1", "bool"),
        ("", "expected a value"),
    ],
)
def test_a_filter_that_is_none_is_refused(make_engine, rng, expression, message):
    engine = make_engine()
    engine.add(vectors_of(rng, 2), payload=[{"year": 1}, {"year": 2}])
    with pytest.raises(FilterError, match=message):
        engine.query(vectors_of(rng, 1), filter=expression)


def test_a_declared_column_can_be_filtered_before_any_record_has_it(make_engine, rng):
    engine = make_engine()
    engine.add(vectors_of(rng, 3))
    engine.declare({"year": "int"})
    engine.declare({"year": int})
    assert engine.query(vectors_of(rng, 1)[0], k=2, filter="year > 3").ids.tolist() == [-1, -1]
    assert engine.query(vectors_of(rng, 1)[0], k=3, filter="year IS NULL").ids.min() >= 0
    with pytest.raises(PayloadError, match="'year': expected int; got str"):
        engine.declare({"year": "str"})


def test_payload_may_come_as_a_table(make_engine, rng):
    engine = make_engine()
    rows = {"name": ["a", "b"], "score": [0.5, None]}
    engine.add(vectors_of(rng, 2), payload=pd.DataFrame(rows))
    engine.add(vectors_of(rng, 2), payload=pa.table(rows))
    assert [r.payload["name"] for r in engine.get([0, 1, 2, 3])] == ["a", "b", "a", "b"]
    assert [r.payload.get("score") for r in engine.get([2, 3])] == [0.5, None]


def bad_additions(rng):
    good = vectors_of(rng, 2)
    nan, zero = good.copy(), good.copy()
    nan[1, 3] = np.nan
    zero[1] = 0
    return [
        (DimensionMismatch, {"vectors": vectors_of(rng, 2, DIM + 1)}),
        (InvalidArgument, {"vectors": good.astype(np.int64)}),
        (NonFiniteVector, {"vectors": nan}),
        (ZeroVector, {"vectors": zero}),
        (InvalidArgument, {"vectors": np.empty((0, DIM), np.float32)}),
        (InvalidArgument, {"vectors": good, "ids": [1]}),
        (InvalidArgument, {"vectors": good, "ids": [1, 2**63]}),
        (InvalidArgument, {"vectors": good, "ids": [1, -1]}),
        (PayloadError, {"vectors": good, "payload": [{"n": 1}, {"n": "two"}]}),
        (PayloadError, {"vectors": good, "payload": [{"n": {"a": 1}}, {}]}),
        (PayloadError, {"vectors": good, "payload": [{"n": 1}]}),
    ]


@pytest.mark.parametrize("case", range(11))
def test_bad_input_changes_nothing(make_engine, rng, case):
    engine = make_engine(metric="cosine", schema={"n": "int"})
    engine.add(vectors_of(rng, 1), ids=[1], payload=[{"n": 5}])
    seq = engine.last_seq
    error, arguments = bad_additions(rng)[case]
    with pytest.raises(error):
        engine.add(**arguments)
    assert (len(engine), engine.last_seq) == (1, seq)
    assert engine.get([1])[0].payload == {"n": 5}


@pytest.mark.parametrize("k", [0, 10_001, 1.5])
def test_a_wrong_k_is_refused(make_engine, rng, k):
    with pytest.raises(InvalidArgument, match="k: expected"):
        make_engine().query(vectors_of(rng, 1), k=k)


def test_recall_and_effort_at_once_are_refused(make_engine, rng):
    with pytest.raises(InvalidArgument, match=r"expected recall= or effort=; got 0\.9 and 50"):
        make_engine().query(vectors_of(rng, 1), recall=0.9, effort=50)


def test_wrong_settings_are_refused(make_engine):
    with pytest.raises(InvalidArgument, match="metric"):
        make_engine(metric="manhattan")
    with pytest.raises(InvalidArgument, match="dim"):
        make_engine(dim=0)
    for threads in (0, -1, "3"):
        with pytest.raises(InvalidArgument, match="threads"):
            make_engine(threads=threads)
    with pytest.raises(UnknownBackend, match="annoy"):
        make_engine(index="annoy")


def test_an_engine_builds_with_its_threads(tmp_path, rng, monkeypatch):
    """As it adds, and as it makes its index again from the records."""
    seen, add = [], GraphIndex.add

    def watched(index, ids, vectors):
        seen.append(config.threads())
        add(index, ids, vectors)

    monkeypatch.setattr(GraphIndex, "add", watched)
    with LatentMemoryEngine.open(
        tmp_path / "engine", dim=DIM, metric="l2", index="graph", threads=3
    ) as engine:
        engine.add(vectors_of(rng, 10))
    shutil.rmtree(tmp_path / "engine" / "checkpoints")
    LatentMemoryEngine.open(tmp_path / "engine", threads=2).close()
    assert seen == [3, 2]
    assert config.threads() == 1


def test_what_is_missing_of_k_is_padded_and_certified_all_the_same(make_engine, rng):
    engine = make_engine(index="exact")
    engine.add(vectors_of(rng, 2), ids=[3, 4])
    hits = engine.query(vectors_of(rng, 1)[0], k=4)
    assert (hits.ids[2:] == -1).all()
    assert np.isinf(hits.distances[2:]).all()
    assert hits.certified
    assert len(hits.records()) == 2


def test_an_empty_engine_answers_with_padding(make_engine, rng):
    hits = make_engine().query(vectors_of(rng, 2), k=3)
    assert (hits.ids == -1).all()
    assert np.isinf(hits.distances).all()
    assert hits.records() == [[], []]


@pytest.mark.parametrize("k", [1, 10])
@pytest.mark.parametrize("index", ["graph", "hnsw", "ivfpq"])
def test_the_recall_asked_for_is_reached(make_engine, index, k):
    rng = np.random.default_rng(3)
    centres = rng.standard_normal((40, 32), dtype=np.float32) * 2
    vectors = centres[rng.integers(0, 40, 8_000)] + rng.standard_normal((8_000, 32), np.float32)
    queries = centres[rng.integers(0, 40, 400)] + rng.standard_normal((400, 32), np.float32)
    engine = make_engine(dim=32, index=index)
    engine.add(vectors)
    truth = np.stack([nearest(vectors, query, k) for query in queries])
    hits = engine.query(queries, k=k, recall=0.95)
    found = [len(np.intersect1d(a, b)) for a, b in zip(hits.ids, truth, strict=True)]
    assert np.mean(found) / k >= 0.93  # two standard errors of 400 queries at k = 1 below
    assert hits.effort is not None
    assert engine.query(queries, k=k, recall=1.0).certified


def test_a_repeated_operation_is_applied_once(make_engine, rng):
    engine = make_engine()
    vectors = vectors_of(rng, 3)
    first = engine.add(vectors, operation_id=b"once")
    again = engine.add(vectors, operation_id=b"once")
    assert again.ids.tolist() == first.ids.tolist()
    assert len(engine) == 3


def test_readers_and_a_writer_side_by_side(make_engine, rng):
    """A reader sees each batch whole or not at all, and always finds what was there before."""
    engine = make_engine(index="graph")
    anchor = vectors_of(rng, 1) + 100
    engine.add(anchor, ids=[10**6])
    batches = [vectors_of(rng, 20) for _ in range(30)]
    errors, stop = [], threading.Event()

    def read():
        try:
            while not stop.is_set():
                assert engine.query(anchor[0], k=1).ids.tolist() == [10**6]
                assert (len(engine) - 1) % 20 == 0
        except BaseException as error:
            errors.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for thread in readers:
        thread.start()
    for number, batch in enumerate(batches):
        engine.add(batch, ids=np.arange(20) + number * 20)
        if number % 3 == 0:
            engine.delete(np.arange(20) + number * 20)
    stop.set()
    for thread in readers:
        thread.join()
    assert errors == []
    assert len(engine) == 20 * 20 + 1


@pytest.mark.parametrize("options", [{"index": "graph"}, {"index_options": {"exact_below": 100}}])
def test_searches_of_a_graph_do_not_wait_for_a_writer(make_engine, rng, options):
    engine = make_engine(**options)
    vectors = vectors_of(rng, 400)
    engine.add(vectors, ids=np.arange(400), payload=[{"i": i} for i in range(400)])
    found, filtered = [], []
    with engine._derived.changing():  # as a writer does
        reader = threading.Thread(target=lambda: found.append(engine.query(vectors[7], k=1).ids[0]))
        waiting = threading.Thread(
            target=lambda: filtered.append(engine.query(vectors[7], k=1, filter="i >= 7").ids[0])
        )
        reader.start()
        reader.join(timeout=60)
        assert found == [7]
        waiting.start()
        waiting.join(timeout=0.05)
        assert filtered == []  # it needs ids and payloads of one moment
    waiting.join()
    assert filtered == [7]


def test_many_writers_lose_nothing(make_engine, rng):
    engine = make_engine()
    vectors = vectors_of(rng, 400)

    def write(start):
        for i in range(start, start + 100):
            engine.add(vectors[i], ids=[i], payload=[{"i": i}])

    writers = [threading.Thread(target=write, args=(start,)) for start in range(0, 400, 100)]
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join()
    assert len(engine) == 400
    assert engine.query(vectors, k=1).ids[:, 0].tolist() == list(range(400))
    assert [r.payload["i"] for r in engine.get(np.arange(400))] == list(range(400))


def test_a_snapshot_restores_the_same_memory(make_engine, rng, tmp_path):
    engine = make_engine(metric="cosine")
    vectors = vectors_of(rng, 50)
    engine.add(vectors, payload=[{"n": i} for i in range(50)])
    engine.snapshot(f"file://{tmp_path}/snapshot")
    engine.delete(np.arange(25))
    with LatentMemoryEngine.restore(f"file://{tmp_path}/snapshot", tmp_path / "again") as copy:
        assert (len(copy), copy.metric, copy.dim) == (50, "cosine", DIM)
        assert copy.query(vectors[3], k=1, filter="n < 10").ids.tolist() == [3]
    assert len(engine) == 25


def test_stats_tell_what_there_is(make_engine, rng):
    engine = make_engine(metric="ip")
    engine.add(vectors_of(rng, 30), payload=[{"n": 1}] * 30)
    engine.delete([0])
    stats = engine.stats()
    assert (stats.n_records, stats.dim, stats.metric) == (29, DIM, "ip")
    assert stats.index.backend == "exact"
    assert stats.columns == {"n": "int"}
    assert stats.last_seq == engine.last_seq == 31


def test_sample_draws_live_records(make_engine, rng):
    engine = make_engine()
    vectors = vectors_of(rng, 100)
    engine.add(vectors)
    engine.delete(np.arange(50))
    ids, sampled = engine.sample(20, seed=1)
    assert len(set(ids.tolist())) == 20
    assert ids.min() >= 50
    np.testing.assert_array_equal(sampled, vectors[ids])
    assert len(engine.sample(1_000, seed=1)[0]) == 50
