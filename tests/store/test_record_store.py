"""What a record store does, durable or volatile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from paradox.core.errors import (
    DimensionMismatch,
    InvalidArgument,
    NonFiniteVector,
    PayloadError,
)
from paradox.core.types import F32Matrix
from paradox.store import RecordStore, WriteBatch
from paradox.store import commit as commit_module
from tests.store.conftest import DIM

MOMENT = datetime(2024, 2, 29, 12, 30, tzinfo=UTC)


def put(store: RecordStore, vectors: F32Matrix, ids: Any, **fields: Any) -> Any:
    return store.write(WriteBatch(vectors=vectors[: len(ids)], ids=ids, **fields))


def replay(store: RecordStore, after_seq: int = 0) -> dict[int, int]:
    """Apply the changes to an empty copy; return id to seq."""
    copy: dict[int, int] = {}
    for block in store.changes(after_seq):
        for gone in block.deletes.tolist():
            copy.pop(gone, None)
        copy.update(zip(block.upserts.ids.tolist(), block.upserts.seqs.tolist(), strict=True))
    return copy


def test_a_record_comes_back_as_it_was_given(store: RecordStore, vectors: F32Matrix) -> None:
    payload = {"title": "naïve", "year": 2020, "score": 0.5, "ok": True, "at": MOMENT, "tags": []}
    put(store, vectors, [7], payloads=[payload], encoder_id="use", version=3, timestamps=MOMENT)
    [record] = store.get(np.array([7]))
    assert record is not None
    assert record.id == 7
    assert record.vector.dtype == np.float32
    np.testing.assert_array_equal(record.vector, vectors[0])
    assert record.payload == payload
    assert (record.encoder_id, record.version, record.timestamp) == ("use", 3, MOMENT)
    assert (record.content_version, record.seq) == (1, 1)


def test_an_upsert_replaces_and_counts(store: RecordStore, vectors: F32Matrix) -> None:
    first = put(store, vectors, [1, 2, 3], payloads=[{"a": 1}] * 3)
    assert (first.inserted, first.replaced, first.first_seq, first.last_seq) == (3, 0, 1, 3)
    second = put(store, vectors[10:], [3, 4])
    assert (second.inserted, second.replaced, second.first_seq, second.last_seq) == (1, 1, 4, 5)
    assert len(store) == 4
    assert store.last_seq == 5
    replaced = store.get(np.array([3]))[0]
    assert replaced is not None
    assert (replaced.content_version, replaced.seq, replaced.payload) == (2, 4, {})
    np.testing.assert_array_equal(replaced.vector, vectors[10])


def test_the_last_of_equal_ids_wins(store: RecordStore, vectors: F32Matrix) -> None:
    report = put(store, vectors, [5, 6, 5], payloads=[{"n": 0}, {"n": 1}, {"n": 2}])
    assert (report.inserted, report.duplicates) == (2, 1)
    assert report.ids.tolist() == [5, 6, 5]
    record = store.get(np.array([5]))[0]
    assert record is not None
    assert record.payload == {"n": 2}
    assert record.seq == report.first_seq + 1


def test_deletes_ignore_unknown_ids(store: RecordStore, vectors: F32Matrix) -> None:
    put(store, vectors, [1, 2, 3])
    report = store.write(WriteBatch(deletes=[2, 99, 2]))
    assert (report.deleted, report.first_seq, report.last_seq) == (1, 4, 4)
    assert store.get(np.array([1, 2])) != [None, None]
    assert store.get(np.array([2])) == [None]
    assert len(store) == 2
    nothing = store.write(WriteBatch(deletes=[99]))
    assert (nothing.deleted, nothing.first_seq, nothing.last_seq) == (0, 5, 4)


def test_a_record_written_again_after_its_deletion_is_new(
    store: RecordStore, vectors: F32Matrix
) -> None:
    put(store, vectors, [1])
    put(store, vectors, [1])
    store.write(WriteBatch(deletes=[1]))
    assert put(store, vectors, [1]).inserted == 1
    record = store.get(np.array([1]))[0]
    assert record is not None
    assert record.content_version == 1


def test_one_batch_may_write_and_delete(store: RecordStore, vectors: F32Matrix) -> None:
    put(store, vectors, [1, 2])
    report = put(store, vectors, [3], deletes=[1])
    assert (report.inserted, report.deleted, report.first_seq, report.last_seq) == (1, 1, 3, 4)
    assert store.ids().tolist() == [2, 3]


def test_ids_are_assigned_above_all_there_ever_were(store: RecordStore, vectors: F32Matrix) -> None:
    assert store.write(WriteBatch(vectors=vectors[:2])).ids.tolist() == [0, 1]
    put(store, vectors, [10, -5])
    store.write(WriteBatch(deletes=[10]))
    assert store.write(WriteBatch(vectors=vectors[:1])).ids.tolist() == [11]


def test_assigning_ids_beyond_int64_is_refused(store: RecordStore, vectors: F32Matrix) -> None:
    put(store, vectors, [2**63 - 1])
    with pytest.raises(InvalidArgument, match="room for 1"):
        store.write(WriteBatch(vectors=vectors[:1]))
    assert len(store) == 1


def test_ids_come_in_numeric_order(store: RecordStore, vectors: F32Matrix) -> None:
    ids = [3, -(2**63), 2**63 - 1, 0, -2, 256, 1]
    put(store, vectors, ids)
    assert store.ids().tolist() == sorted(ids)
    assert [i for block in store.scan() for i in block.ids.tolist()] == sorted(ids)


def test_contains_and_get_vectors(store: RecordStore, vectors: F32Matrix) -> None:
    put(store, vectors, [1, 2])
    ids = np.array([2, 9, 1])
    assert store.contains(ids).tolist() == [True, False, True]
    found = store.get_vectors(ids)
    np.testing.assert_array_equal(found[[0, 2]], vectors[[1, 0]])
    assert np.isnan(found[1]).all()
    assert store.get_vectors(np.array([], np.int64)).shape == (0, DIM)
    assert store.get(np.array([], np.int64)) == []


def test_a_scan_gives_every_field(store: RecordStore) -> None:
    n = 2_500
    vectors = np.arange(n * DIM, dtype=np.float32).reshape(n, DIM)
    when = [MOMENT + timedelta(seconds=i) for i in range(n)]
    store.write(
        WriteBatch(
            vectors=vectors,
            payloads=[{"n": i} for i in range(n)],
            encoder_id="e",
            version=2,
            timestamps=when,
        )
    )
    blocks = list(store.scan())
    assert sum(len(block) for block in blocks) == n
    records = [record for block in blocks for record in block.records()]
    np.testing.assert_array_equal(np.array([record.vector for record in records]), vectors)
    assert [record.payload["n"] for record in records] == list(range(n))
    assert [record.timestamp for record in records] == when
    assert {(record.encoder_id, record.version) for record in records} == {("e", 2)}
    assert [record.seq for record in records] == list(range(1, n + 1))


def test_a_scan_does_not_see_later_writes(store: RecordStore, vectors: F32Matrix) -> None:
    put(store, vectors, [1, 2])
    scan = store.scan()
    put(store, vectors, [2, 3])
    store.write(WriteBatch(deletes=[1]))
    assert [(r.id, r.seq) for block in scan for r in block.records()] == [(1, 1), (2, 2)]


def test_changes_replay_to_the_same_records(store: RecordStore, vectors: F32Matrix) -> None:
    put(store, vectors, range(20))
    checkpoint = store.last_seq
    put(store, vectors, [3, 4, 30])
    store.write(WriteBatch(deletes=[4, 5, 30]))
    put(store, vectors, [5])
    assert replay(store) == {r.id: r.seq for block in store.scan() for r in block.records()}
    blocks = list(store.changes(checkpoint))
    assert sorted(i for b in blocks for i in b.upserts.ids.tolist()) == [3, 5]
    assert sorted(i for b in blocks for i in b.deletes.tolist()) == [4, 30]
    assert blocks[-1].last_seq == store.last_seq
    assert list(store.changes(store.last_seq)) == []


def test_changes_come_in_blocks_in_the_order_of_seqs(store: RecordStore) -> None:
    for _ in range(5):
        store.write(WriteBatch(vectors=np.ones((700, DIM), np.float32)))
    blocks = list(store.changes(0))
    assert [block.last_seq for block in blocks] == [1400, 2800, 3500]
    assert [len(block.upserts) for block in blocks] == [1400, 1400, 700]


def test_changes_see_what_is_written_while_they_are_read(
    store: RecordStore, vectors: F32Matrix
) -> None:
    put(store, vectors, range(3))
    changes = store.changes(0)
    first = next(changes)
    put(store, vectors, [1])
    rest = list(changes)
    assert first.last_seq == 3
    assert [(b.last_seq, b.upserts.ids.tolist()) for b in rest] == [(4, [1])]


def test_a_change_deleted_while_changes_are_read_is_no_damage(
    store: RecordStore, vectors: F32Matrix
) -> None:
    store.write(WriteBatch(vectors=np.ones((1_500, DIM), np.float32)))
    put(store, vectors, [5_000])
    changes = store.changes(0)
    next(changes)
    store.write(WriteBatch(deletes=[5_000]))
    rest = list(changes)
    assert [i for block in rest for i in block.deletes.tolist()] == [5_000]


def test_pruned_changes_cannot_be_asked_for(store: RecordStore, vectors: F32Matrix) -> None:
    put(store, vectors, range(10))
    put(store, vectors, range(10, 15))
    store.prune_changes(12)
    assert store.stats().oldest_change == 10  # those of one batch go together
    with pytest.raises(InvalidArgument, match="from 10 on"):
        store.changes(9)
    assert [b.upserts.ids.tolist() for b in store.changes(10)] == [list(range(10, 15))]
    store.prune_changes(100)
    assert store.stats().oldest_change == 15
    assert store.verify() == 15
    put(store, vectors, [99])
    assert replay(store, 15) == {99: 16}


def test_an_operation_id_is_applied_once(store: RecordStore, vectors: F32Matrix) -> None:
    batch = WriteBatch(vectors=vectors[:3], operation_id=b"one")
    first = store.write(batch)
    again = store.write(batch)
    assert first.applied
    assert not again.applied
    assert again.ids.tolist() == first.ids.tolist() == [0, 1, 2]
    fields = ("inserted", "replaced", "duplicates", "deleted", "first_seq", "last_seq")
    assert [getattr(again, f) for f in fields] == [getattr(first, f) for f in fields]
    assert len(store) == store.last_seq == 3
    deleted = store.write(WriteBatch(deletes=[1], operation_id=b"two"))
    put(store, vectors, [1])
    assert store.write(WriteBatch(deletes=[1], operation_id=b"two")).deleted == deleted.deleted
    assert store.contains(np.array([1])).all()
    assert store.stats().n_operations == 2


def test_a_refused_operation_id_may_be_used_again(store: RecordStore, vectors: F32Matrix) -> None:
    with pytest.raises(PayloadError):
        put(store, vectors, [1], payloads=[{"a": object()}], operation_id=b"x")
    assert put(store, vectors, [1], operation_id=b"x").applied


def test_old_operation_ids_are_forgotten(
    store: RecordStore, vectors: F32Matrix, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit_module, "KEPT_OPERATIONS", 3)
    for number in range(5):
        put(store, vectors, [number], operation_id=b"%d" % number)
    assert store.stats().n_operations == 3
    assert not put(store, vectors, [2], operation_id=b"2").applied
    assert put(store, vectors, [0], operation_id=b"0").applied
    assert store.verify() == 5


def test_the_first_home_stays(store: RecordStore) -> None:
    assert store.homes(np.array([1, 2])).tolist() == [-1, -1]
    assert store.assign_homes(np.array([1, 2]), [3, 0]).tolist() == [3, 0]
    assert store.assign_homes(np.array([2, 5, 5]), [7, 8, 9]).tolist() == [0, 8, 8]
    homes = store.homes(np.array([5, 1, 2, -9]))
    assert homes.dtype == np.int32
    assert homes.tolist() == [8, 3, 0, -1]
    assert store.verify() == 0


@pytest.mark.parametrize("proposed", [[1], [1, -1], [1, 2**31], [0.5, 1.0], ["a", "b"]])
def test_homes_out_of_range_are_refused(store: RecordStore, proposed: Any) -> None:
    with pytest.raises(InvalidArgument, match="proposed: expected"):
        store.assign_homes(np.array([1, 2]), proposed)
    assert store.homes(np.array([1, 2])).tolist() == [-1, -1]


@pytest.mark.parametrize(
    ("fields", "error", "match"),
    [
        ({}, InvalidArgument, "vectors or deletes; got neither"),
        ({"ids": [1]}, InvalidArgument, "vectors or deletes; got neither"),
        ({"ids": [1], "deletes": [2]}, InvalidArgument, "a vector for each id"),
        ({"vectors": np.ones((1, 3))}, DimensionMismatch, "expected dimension 8; got 3"),
        ({"vectors": np.empty((0, DIM))}, InvalidArgument, "at least one vector"),
        ({"vectors": np.full((1, DIM), np.nan)}, NonFiniteVector, "row 0"),
        ({"vectors": np.ones((2, DIM)), "ids": [1]}, InvalidArgument, "expected 2"),
        ({"vectors": np.ones((1, DIM)), "ids": [-1]}, InvalidArgument, "other than -1"),
        ({"vectors": np.ones((1, DIM)), "ids": [2**63]}, InvalidArgument, "int64"),
        ({"vectors": np.ones((1, DIM)), "ids": [4], "deletes": [4]}, InvalidArgument, "4 in both"),
        ({"vectors": np.ones((1, DIM)), "encoder_id": 3}, InvalidArgument, "encoder_id"),
        ({"vectors": np.ones((1, DIM)), "encoder_id": "\ud800"}, InvalidArgument, "encoder_id"),
        ({"vectors": np.ones((1, DIM)), "version": -1}, InvalidArgument, "version"),
        ({"vectors": np.ones((1, DIM)), "version": True}, InvalidArgument, "version"),
        ({"vectors": np.ones((1, DIM)), "version": 2**63}, InvalidArgument, "version"),
        ({"vectors": np.ones((1, DIM)), "operation_id": b""}, InvalidArgument, "operation_id"),
        ({"vectors": np.ones((1, DIM)), "operation_id": "x"}, InvalidArgument, "operation_id"),
        ({"vectors": np.ones((1, DIM)), "timestamps": "now"}, InvalidArgument, "timestamps"),
        ({"vectors": np.ones((1, DIM)), "timestamps": [MOMENT] * 2}, InvalidArgument, "expected 1"),
        ({"vectors": np.ones((1, DIM)), "timestamps": [3]}, InvalidArgument, "row 0"),
        ({"vectors": np.ones((1, DIM)), "payloads": [{}, {}]}, PayloadError, "expected 1 rows"),
        ({"vectors": np.ones((1, DIM)), "payloads": [{"a": {}}]}, PayloadError, "row 0"),
        ({"deletes": [-1]}, InvalidArgument, "deletes"),
        ({"deletes": [0.5]}, InvalidArgument, "deletes"),
    ],
)
def test_bad_input_writes_nothing(
    store: RecordStore, vectors: F32Matrix, fields: Any, error: Any, match: str
) -> None:
    put(store, vectors, [4])
    with pytest.raises(error, match=match):
        store.write(WriteBatch(**fields))
    assert store.last_seq == len(store) == store.verify() == 1
    assert not store.schema.columns


def test_a_refused_batch_declares_no_column(store: RecordStore, vectors: F32Matrix) -> None:
    with pytest.raises(PayloadError, match=r"column 'a': expected int; got str .* in row 1"):
        put(store, vectors, [1, 2], payloads=[{"a": 1, "b": 2.0}, {"a": "x"}])
    assert not store.schema.columns


def test_timestamps_default_to_now(store: RecordStore, vectors: F32Matrix) -> None:
    before = datetime.now(UTC)
    put(store, vectors, [1])
    record = store.get(np.array([1]))[0]
    assert record is not None
    assert before - timedelta(milliseconds=1) <= record.timestamp <= datetime.now(UTC)


def test_a_closed_schema_refuses_other_columns(
    make_store: Callable[..., RecordStore], vectors: F32Matrix
) -> None:
    store = make_store(schema={"year": int})
    with pytest.raises(PayloadError, match=r"declared columns \('year'\); got 'title'"):
        put(store, vectors, [1], payloads=[{"title": "x"}])
    put(store, vectors, [1], payloads=[{"year": 1}])


def test_threads_write_at_once(store: RecordStore, vectors: F32Matrix) -> None:
    n_threads, n_writes = 8, 25
    failures: list[BaseException] = []

    def work(thread: int) -> None:
        try:
            for number in range(n_writes):
                report = put(
                    store,
                    vectors,
                    [thread * 1000 + number, 77],  # 77 is everybody's
                    operation_id=b"%d/%d" % (thread, number % 20),
                )
                assert report.applied == (number < 20)
                assert store.contains(report.ids[1:]).all()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(n_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(store) == n_threads * 20 + 1
    assert store.last_seq == n_threads * 20 * 2
    shared = store.get(np.array([77]))[0]
    assert shared is not None
    assert shared.content_version == n_threads * 20
    assert replay(store) == {r.id: r.seq for block in store.scan() for r in block.records()}
    assert store.verify() == len(store)


def test_waiting_callers_share_a_commit_and_fail_alone(
    store: RecordStore, vectors: F32Matrix
) -> None:
    """While one commit is under way, three callers queue up; the one that is wrong fails alone."""
    committer = store._committer
    outcomes: dict[int, Any] = {}

    def write(number: int, payload: Any) -> None:
        try:
            outcomes[number] = put(store, vectors, [number], payloads=[payload])
        except PayloadError as error:
            outcomes[number] = error

    before = store._state.commits
    with committer.lock:
        payloads = {1: {"a": 1}, 2: {"a": "x"}, 3: {"a": 3}}
        threads = []
        for number, payload in payloads.items():
            threads.append(threading.Thread(target=write, args=(number, payload)))
            threads[-1].start()
            while len(committer._queue) < number:
                threading.Event().wait(0.001)
    for thread in threads:
        thread.join()
    assert isinstance(outcomes[2], PayloadError)
    assert (outcomes[1].last_seq, outcomes[3].last_seq) == (1, 2)
    assert store._state.commits == before + 1
    assert store.verify() == 2


def test_operations_of_one_group_see_each_other(store: RecordStore, vectors: F32Matrix) -> None:
    reports: list[Any] = []
    batches = [
        WriteBatch(vectors=vectors[:1], ids=[1], operation_id=b"a"),
        WriteBatch(vectors=vectors[1:2], ids=[1], operation_id=b"a"),
        WriteBatch(vectors=vectors[2:3], ids=[1]),
        WriteBatch(deletes=[1]),
        WriteBatch(vectors=vectors[3:4], ids=[1]),
    ]
    committer = store._committer
    with committer.lock:
        threads = []
        for number, batch in enumerate(batches, 1):
            threads.append(threading.Thread(target=lambda b=batch: reports.append(store.write(b))))
            threads[-1].start()
            while len(committer._queue) < number:
                threading.Event().wait(0.001)
    for thread in threads:
        thread.join()
    assert sorted((r.first_seq, r.inserted, r.replaced, r.deleted) for r in reports) == [
        (1, 1, 0, 0),
        (1, 1, 0, 0),
        (2, 0, 1, 0),
        (3, 0, 0, 1),
        (4, 1, 0, 0),
    ]
    assert sum(not r.applied for r in reports) == 1
    record = store.get(np.array([1]))[0]
    assert record is not None
    np.testing.assert_array_equal(record.vector, vectors[3])
    assert store.verify() == 1
    assert replay(store) == {1: 4}


def test_a_checkpoint_is_a_store(store: RecordStore, vectors: F32Matrix, tmp_path: Path) -> None:
    put(store, vectors, range(10), payloads=[{"n": i} for i in range(10)], operation_id=b"op")
    store.assign_homes(np.array([4]), [2])
    store.checkpoint(tmp_path / "copy")
    put(store, vectors, [3, 99])
    with RecordStore.open(tmp_path / "copy") as copy:
        assert copy.verify() == len(copy) == 10
        assert copy.last_seq == 10
        assert copy.schema == store.schema
        assert copy.homes(np.array([4])).tolist() == [2]
        assert not put(copy, vectors, range(10), operation_id=b"op").applied
        assert copy.write(WriteBatch(vectors=vectors[:1])).ids.tolist() == [10]
    with pytest.raises(InvalidArgument, match="expected a new path"):
        store.checkpoint(tmp_path / "copy")
    assert store.verify() == 11


def test_a_sample_leaves_out_what_was_deleted_meanwhile(
    store: RecordStore, vectors: F32Matrix, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write(WriteBatch(vectors=vectors[:5], ids=[1, 2, 3, 4, 5]))
    known = store.ids()
    store.write(WriteBatch(deletes=[2]))
    monkeypatch.setattr(store, "ids", lambda: known)
    ids, sampled = store.sample(10, seed=0)
    assert ids.tolist() == [1, 3, 4, 5]
    np.testing.assert_array_equal(sampled, vectors[[0, 2, 3, 4]])
    for n in (-1, 1.5, True):
        with pytest.raises(InvalidArgument, match="sample: expected an integer"):
            store.sample(n, seed=0)
