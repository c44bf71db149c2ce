from __future__ import annotations

import threading

import numpy as np
import pytest
from in_process import DIM

from paradox.cluster.sealed import read_sealed
from paradox.cluster.settings import CollectionState
from paradox.cluster.writer import Batch
from paradox.core.errors import InvalidArgument, PayloadError, ShardUnavailable

T = 10.0


def batch(rng, n, ids=None, rows=None, **more):
    vectors = rng.standard_normal((n, DIM)).astype(np.float32)
    return Batch(vectors, None if ids is None else np.asarray(ids), rows, **more)


@pytest.fixture(params=["semantic", "hash"])
def collection(request, make_collection):
    return make_collection(partition=request.param)


def _records(collection, writer, ids):
    ids = np.asarray(ids)
    homes = writer.placement.find(ids, timeout_s=T)
    return [
        None if home < 0 else collection.shards.shards[home].get(ids[[row]])[0]
        for row, home in enumerate(homes.tolist())
    ]


def test_what_was_added_is_found_by_id_on_its_home(collection, rng):
    writer, _ = collection.client()
    given = batch(rng, 300, ids=range(300), rows=[{"n": n} for n in range(300)])
    report = writer.add(given, timeout_s=T)
    assert (report.inserted, report.replaced, report.duplicates) == (300, 0, 0)
    for row, record in enumerate(_records(collection, writer, range(300))):
        np.testing.assert_array_equal(record.vector, given.vectors[row])
        assert record.payload == {"n": row}
    assert collection.n_records() == 300


def test_an_upsert_that_moves_the_vector_stays_one_record(collection, rng):
    writer, _ = collection.client()
    writer.add(batch(rng, 600, ids=range(600)), timeout_s=T)
    other_client, _ = collection.client()
    moved = Batch(np.full((600, DIM), -50, np.float32), np.arange(600))
    report = other_client.add(moved, timeout_s=T)
    assert (report.inserted, report.replaced) == (0, 600)
    assert collection.n_records() == 600
    assert all((r.vector == -50).all() for r in _records(collection, writer, range(600)))


def test_a_batch_before_training_keeps_its_homes_after_it(make_collection, rng):
    collection = make_collection()
    writer, _ = collection.client()
    writer.add(batch(rng, 20, ids=range(20)), timeout_s=T)
    assert not writer.placement.trained
    homes = writer.placement.find(np.arange(20), timeout_s=T)
    writer.add(batch(rng, 64 * 3, ids=range(100, 292)), timeout_s=T)
    assert writer.placement.trained
    writer.add(batch(rng, 20, ids=range(20)), timeout_s=T)
    np.testing.assert_array_equal(homes, writer.placement.find(np.arange(20), timeout_s=T))
    assert collection.n_records() == 212


def test_semantic_placement_puts_like_with_like(make_collection, rng):
    collection = make_collection()
    writer, _ = collection.client()
    centres = 30 * rng.standard_normal((12, DIM))
    labels = rng.integers(0, 12, 1200)
    vectors = (centres[labels] + rng.standard_normal((1200, DIM))).astype(np.float32)
    writer.add(Batch(vectors, np.arange(1200)), timeout_s=T)
    homes = writer.placement.find(np.arange(1200), timeout_s=T)
    together = [np.bincount(homes[labels == label]).max() for label in range(12)]
    assert sum(together) > 0.95 * 1200


def test_the_last_of_equal_ids_wins_and_that_is_said(collection, rng):
    writer, _ = collection.client()
    given = batch(rng, 4, ids=[5, 6, 5, 5], rows=[{"n": n} for n in range(4)])
    with pytest.warns(UserWarning, match="2 of 4 ids came again"):
        report = writer.add(given, timeout_s=T)
    assert (report.inserted, report.duplicates, report.ids.tolist()) == (2, 2, [5, 6, 5, 5])
    assert [r.payload["n"] for r in _records(collection, writer, [5, 6])] == [3, 1]


def test_assigned_ids_never_meet_chosen_ones(collection, rng):
    a, b = collection.client()[0], collection.client()[0]
    first = a.add(batch(rng, 10), timeout_s=T).ids
    a.add(batch(rng, 3, ids=[10, 11, 70_000]), timeout_s=T)
    b.add(batch(rng, 1, ids=[200_000]), timeout_s=T)
    rest = [client.add(batch(rng, 10), timeout_s=T).ids for client in (b, a, b)]
    everything = np.concatenate([first, [10, 11, 70_000, 200_000], *rest])
    assert len(np.unique(everything)) == len(everything)
    assert collection.n_records() == len(everything)


def test_negative_and_extreme_ids(collection, rng):
    writer, _ = collection.client()
    ids = [-(2**63), -2, 0, 2**63 - 1]
    writer.add(batch(rng, 4, ids=ids), timeout_s=T)
    assert [r.id for r in _records(collection, writer, ids)] == ids
    with pytest.raises(InvalidArgument, match="have been chosen"):
        writer.add(batch(rng, 1), timeout_s=T)


def test_delete_counts_what_was_there(collection, rng):
    writer, _ = collection.client()
    writer.add(batch(rng, 30, ids=range(30)), timeout_s=T)
    ids = np.array([3, 4, 4, 99, -7])
    assert writer.delete(ids, operation_id=None, timeout_s=T) == 2
    assert writer.delete(ids, operation_id=None, timeout_s=T) == 0
    assert _records(collection, writer, [3, 99]) == [None, None]
    assert collection.n_records() == 28


@pytest.mark.parametrize("dies_at", range(1, 7))
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_add_cut_short_anywhere_is_completed_by_repeating_it(
    make_collection, rng, dies_at, when
):
    collection = make_collection()
    writer, _ = collection.client()
    writer.add(batch(rng, 200, ids=range(1000, 1200)), timeout_s=T)  # trains
    calls = 0

    def die(shard, method):
        nonlocal calls
        calls += 1
        if calls == dies_at:
            raise ShardUnavailable("killed")

    given = batch(rng, 40, ids=range(40), rows=[{"n": n} for n in range(40)])
    if when == "before":
        collection.shards.fails = die
    else:
        collection.shards.ask_all = _dies_after(collection.shards, die)
    with pytest.raises(ShardUnavailable):
        writer.add(given, timeout_s=T)
    collection.shards.fails = lambda shard, method: None
    moved = Batch(-given.vectors, given.ids, given.rows)
    collection.client()[0].add(moved, timeout_s=T)
    assert collection.n_records() == 240
    for row, record in enumerate(_records(collection, writer, range(40))):
        np.testing.assert_array_equal(record.vector, -given.vectors[row])


def test_a_repeated_operation_changes_nothing(collection, rng):
    writer, _ = collection.client()
    given = batch(rng, 30, ids=range(30), operation_id=b"op")
    first = writer.add(given, timeout_s=T)
    other = Batch(given.vectors + 1, given.ids, operation_id=b"op")
    again = collection.client()[0].add(other, timeout_s=T)
    assert (again.inserted, again.replaced) == (first.inserted, first.replaced) == (30, 0)
    for row, record in enumerate(_records(collection, writer, range(30))):
        np.testing.assert_array_equal(record.vector, given.vectors[row])
        assert record.content_version == 1
    with pytest.raises(InvalidArgument, match="operation_id"):
        writer.add(batch(rng, 1, operation_id=b"op"), timeout_s=T)


def test_large_batches_go_in_rounds(make_collection, rng, monkeypatch):
    monkeypatch.setattr("paradox.cluster.writer._BYTES_AT_ONCE", 4 * DIM * 50)
    collection = make_collection()
    writer, _ = collection.client()
    report = writer.add(batch(rng, 230), timeout_s=T)
    assert report.inserted == collection.n_records() == 230
    assert sum(method == "add" for method, _ in collection.shards.calls) >= 5


def test_two_clients_adding_the_same_ids_make_one_record_each(make_collection, rng):
    collection = make_collection()
    collection.client()[0].add(batch(rng, 300), timeout_s=T)  # trains
    ids = np.arange(10_000, 10_200)
    start = threading.Barrier(4)

    def add(seed):
        start.wait()
        vectors = np.random.default_rng(seed).standard_normal((200, DIM)).astype(np.float32)
        collection.client()[0].add(Batch(vectors, ids), timeout_s=T)

    threads = [threading.Thread(target=add, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert collection.n_records() == 500


def test_a_new_column_has_one_type_for_all_shards_and_clients(collection, rng):
    a, b = collection.client()[0], collection.client()[0]
    a.add(batch(rng, 30, rows=[{"score": 0.5 + n} for n in range(30)]), timeout_s=T)
    b.add(batch(rng, 30, rows=[{"score": n} for n in range(30)]), timeout_s=T)  # ints fit floats
    with pytest.raises(PayloadError, match=r"'score'.*expected float; got str.*row 7"):
        b.add(
            batch(rng, 9, rows=[{"score": "x" if n == 7 else 1.0} for n in range(9)]), timeout_s=T
        )
    assert collection.n_records() == 60
    for shard in collection.shards.shards:
        assert shard.stats().columns.get("score", "float") == "float"


def test_of_two_clients_that_declare_a_column_at_once_one_wins(make_collection, rng):
    collection = make_collection()
    outcomes = []
    start = threading.Barrier(2)

    def add(value):
        writer, _ = collection.client()
        start.wait()
        try:
            writer.add(batch(np.random.default_rng(0), 20, rows=[{"c": value}] * 20), timeout_s=T)
            outcomes.append("added")
        except PayloadError:
            outcomes.append("refused")

    threads = [threading.Thread(target=add, args=(value,)) for value in ("text", True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["added", "refused"]
    assert collection.n_records() == 20
    assert len({s.stats().columns["c"] for s in collection.shards.shards}) == 1


def test_columns_are_durable_before_any_shard_has_them(make_collection, rng):
    collection = make_collection()
    writer, _ = collection.client()

    def check(shard, method):
        if method == "add":
            state = read_sealed(collection.storage / "state.json", CollectionState, remedy="")
            assert state.columns == {"year": "int"}

    collection.shards.fails = check
    writer.add(batch(rng, 30, rows=[{"year": 2020}] * 30), timeout_s=T)


def test_a_closed_schema_refuses_other_columns(make_collection, rng):
    collection = make_collection(schema={"year": "int"})
    writer, _ = collection.client()
    with pytest.raises(PayloadError, match="declared columns"):
        writer.add(batch(rng, 2, rows=[{"year": 1}, {"month": 2}]), timeout_s=T)
    assert collection.n_records() == 0


def _dies_after(shards, die):
    """Make the shards do each call, and lose the answer of one."""
    real = shards.ask_all

    def ask_all(method, arguments, *, timeout_s):
        results = {}
        for shard, args in arguments.items():
            results |= real(method, {shard: args}, timeout_s=timeout_s)
            die(shard, method)
        return results

    return ask_all


def test_a_batch_of_many_small_rounds_trains_too(make_collection, rng, monkeypatch):
    monkeypatch.setattr("paradox.cluster.writer._BYTES_AT_ONCE", 4 * DIM * 10)
    collection = make_collection()
    writer, _ = collection.client()
    writer.add(batch(rng, 64 * 3, ids=range(192)), timeout_s=T)
    assert writer.placement.trained
    assert collection.n_records() == 192


def test_a_vector_that_no_shard_can_keep_is_refused_before_anything_is_written(
    make_collection, rng
):
    collection = make_collection(index_options={"dtype": "int8"})
    writer, _ = collection.client()
    vectors = rng.integers(-100, 100, (300, DIM)).astype(np.float32)
    vectors[250, 3] = 0.5
    with pytest.raises(InvalidArgument, match=r"whole numbers.*row 250, column 3"):
        writer.add(Batch(vectors, np.arange(300)), timeout_s=T)
    assert collection.n_records() == 0
