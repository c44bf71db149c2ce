from __future__ import annotations

import re
import shutil
import threading
import time

import numpy as np
import pytest
from in_process import DIM

from paradox.cluster.gate import WriteGate
from paradox.cluster.shard import Shard, ShardClosed, ShardConfig, Upserts
from paradox.core.errors import (
    CorruptionError,
    InvalidArgument,
    ParadoxError,
    ShardUnavailable,
    StorageUnavailable,
)
from paradox.core.types import NO_ID
from paradox.memory import LatentMemoryEngine
from paradox.routing import SearchRequest


def upserts(ids, vectors, operation_id=b"op"):
    return Upserts(np.asarray(ids), vectors, None, "", 0, None, operation_id)


@pytest.fixture
def collection(make_collection):
    return make_collection(shards=2)


def test_a_second_shard_waits_for_the_first_to_let_go(collection, rng):
    first = collection.shards.shards[0]
    vectors = rng.standard_normal((5, DIM)).astype(np.float32)
    first.add(upserts(range(5), vectors))
    waits = []

    def sleep(seconds):
        waits.append(seconds)
        if len(waits) == 3:
            first.close(checkpoint=False)

    second = Shard(ShardConfig(collection.settings, str(collection.storage), 0), sleep=sleep)
    assert second.stats().n_records == 5
    assert len(waits) == 3
    second.close(checkpoint=False)


def test_a_shard_that_cannot_open_says_so_at_each_call_and_opens_when_it_can(collection, rng):
    first = collection.shards.shards[0]
    first.ready()
    now = [0.0]

    def sleep(seconds):
        now[0] += seconds

    config = ShardConfig(collection.settings, str(collection.storage), 0)
    second = Shard(config, clock=lambda: now[0], sleep=sleep)  # making it raises nothing
    with pytest.raises(StorageUnavailable):
        second.ready()
    assert now[0] > 5
    with pytest.raises(StorageUnavailable):
        second.search(SearchRequest(np.zeros((1, DIM), np.float32), 1))
    first.close(checkpoint=False)
    second.ready()
    second.close(checkpoint=False)


def test_a_closed_shard_is_there_again_with_its_data(collection, rng):
    vectors = rng.standard_normal((50, DIM)).astype(np.float32)
    shard = collection.shards.shards[0]
    shard.add(upserts(range(50), vectors))
    shard.assign_homes(np.arange(50), np.ones(50, np.int32))
    epoch = shard.summary(None).epoch
    shard.close(checkpoint=True)
    again = collection.shard(0)
    found = again.search(SearchRequest(vectors[:3], 1))
    assert found.ids[:, 0].tolist() == [0, 1, 2]
    assert again.homes(np.array([3, 99])).tolist() == [1, NO_ID]
    assert again.summary(None).epoch > epoch
    again.close(checkpoint=False)


CALLS = {
    "search": lambda shard: shard.search(SearchRequest(np.zeros((1, DIM), np.float32), 1)),
    "filter": lambda shard: shard.search(
        SearchRequest(np.zeros((1, DIM), np.float32), 1, filter="undeclared = 1")
    ),
    "add": lambda shard: shard.add(upserts([7], np.ones((1, DIM), np.float32))),
    "delete": lambda shard: shard.delete(np.array([7]), b"gone"),
    "get": lambda shard: shard.get(np.array([7])),
    "assign_homes": lambda shard: shard.assign_homes(np.array([7]), np.zeros(1, np.int32)),
    "homes": lambda shard: shard.homes(np.array([7])),
    "summary": lambda shard: shard.summary(None),
    "stats": Shard.stats,
    "checkpoint": Shard.checkpoint,
    "ready": Shard.ready,
}


@pytest.mark.parametrize("opened", [True, False])
@pytest.mark.parametrize("name", CALLS)
def test_a_call_that_comes_after_the_end_is_told_of_it(collection, name, opened):
    shard = collection.shards.shards[0]
    if opened:
        shard.ready()
    shard.close(checkpoint=True)
    with pytest.raises(ShardClosed, match="shard 0 of 'papers' is closed"):
        CALLS[name](shard)
    folder = collection.settings.shard_folder(collection.storage, 0)
    assert any(folder.iterdir()) == opened  # none was made anew where a drop deletes


@pytest.mark.parametrize("name", ["search", "add", "delete", "get", "assign_homes", "homes"])
def test_a_call_that_meets_the_end_is_told_of_it(collection, name, monkeypatch):
    """The engine is closed between the moment a call got hold of it and its use."""
    shard = collection.shards.shards[0]
    shard.ready()
    method = {"search": "query"}.get(name, name)
    whole = getattr(LatentMemoryEngine, method)

    def late(engine, *args, **options):
        shard.close(checkpoint=False)
        return whole(engine, *args, **options)

    monkeypatch.setattr(LatentMemoryEngine, method, late)
    with pytest.raises(ShardClosed):
        CALLS[name](shard)


def test_a_summary_the_caller_has_is_not_sent_again(collection, rng):
    shard = collection.shards.shards[0]
    shard.add(upserts(range(50), rng.standard_normal((50, DIM)).astype(np.float32)))
    summary = shard.summary(None)
    assert (summary.n_live, summary.counts.sum()) == (50, 50)
    assert shard.summary((summary.epoch, summary.seq)) == 50


def test_other_settings_than_the_engine_has_are_an_error(collection, make_collection):
    collection.shards.shards[0].ready()
    collection.close()
    other = make_collection("other", dim=DIM + 1)
    shard = Shard(ShardConfig(other.settings, str(collection.storage), 0))
    with pytest.raises(InvalidArgument, match="dim"):
        shard.ready()


def test_writes_wait_while_the_gate_is_held(collection, rng):
    shard = collection.shards.shards[0]
    shard.hold("one", 60)
    done = threading.Event()

    def add():
        shard.add(upserts([1], rng.standard_normal((1, DIM)).astype(np.float32)))
        done.set()

    thread = threading.Thread(target=add)
    thread.start()
    assert not done.wait(0.2)
    assert shard.stats().n_records == 0
    shard.release("other")
    assert not done.wait(0.1)
    shard.release("one")
    thread.join(10)
    assert shard.stats().n_records == 1


def test_a_gate_waits_for_writes_under_way_and_opens_when_its_time_is_up():
    now = [0.0]
    gate = WriteGate(lambda: now[0])
    held = threading.Event()

    def hold():
        gate.hold("one", 10)
        held.set()

    with gate.passing():
        thread = threading.Thread(target=hold)
        thread.start()
        assert not held.wait(0.1)
    thread.join(10)
    assert held.is_set()
    now[0] = 10.1
    with gate.passing():  # the holder was killed; nobody released it
        time.sleep(0)


def test_one_holder_has_a_gate_at_a_time():
    gate = WriteGate(lambda: 0.0)
    gate.hold("one", 10)
    gate.hold("one", 10)  # as a call is that is repeated
    with pytest.raises(ShardUnavailable, match="another snapshot"):
        gate.hold("other", 10)
    gate.release("other")
    with gate.kept_shut("one", 10), pytest.raises(ShardUnavailable, match="another snapshot"):
        gate.hold("other", 10)
    with pytest.raises(ShardUnavailable, match="writes went on"), gate.kept_shut("one", 10):
        pytest.fail("it was opened")
    gate.hold("third", 10)


def test_a_gate_that_opened_during_the_block_is_told():
    now = [0.0]
    gate = WriteGate(lambda: now[0])
    gate.hold("one", 10)
    with pytest.raises(ShardUnavailable, match="writes went on"), gate.kept_shut("one", 10):
        now[0] = 10.1


def test_a_gate_let_go_of_before_it_was_held_stays_open():
    """Who gave up waiting cannot know whether the call to hold is still to come."""
    gate = WriteGate(lambda: 0.0)
    gate.release("one")
    with pytest.raises(ShardUnavailable):
        gate.hold("one", 10)
    with gate.passing():
        pass


def test_a_holder_that_gives_up_waiting_for_a_write_opens_the_gate():
    gate, ends = WriteGate(lambda: 0.0), []

    def hold():
        try:
            gate.hold("one", 10)
        except ShardUnavailable as error:
            ends.append(str(error))

    with gate.passing():
        thread = threading.Thread(target=hold)
        thread.start()
        while not gate._is_held_by("one"):
            time.sleep(0.001)
        gate.release("one")
        thread.join(10)
        assert len(ends) == 1
    with gate.passing():
        pass


def test_a_copy_is_of_the_moment_that_was_held_or_refused(collection, tmp_path):
    shard = collection.shards.shards[0]
    with pytest.raises(ShardUnavailable, match="writes went on"):
        shard.stage("one", tmp_path / "copy")  # of a shard that was started anew
    shard.hold("other", 60)
    shard.stage("other", tmp_path / "copy")
    assert (tmp_path / "copy" / "engine.json").exists()
    shard.add(upserts([1], np.ones((1, DIM), np.float32)))  # it was released


def test_a_shard_without_its_folder_is_no_empty_shard(collection):
    collection.close()
    folder = collection.settings.shard_folder(collection.storage, 1)
    shutil.rmtree(folder, ignore_errors=True)
    with pytest.raises(CorruptionError, match=r"folder is missing.*see the storage"):
        collection.shard(1).ready()
    assert not folder.exists()


def test_searches_together_are_answered_as_each_alone(collection, rng):
    vectors = rng.standard_normal((200, DIM)).astype(np.float32)
    shard = collection.shards.shards[0]
    shard.add(upserts(range(200), vectors))
    requests = [
        SearchRequest(vectors[0:1], 3, 0.9),
        SearchRequest(vectors[1:4], 3, 0.9),
        SearchRequest(vectors[4:5], 5, 0.9),
        SearchRequest(np.full((1, DIM), np.nan, np.float32), 3, 0.9),
        SearchRequest(np.zeros((1, DIM + 1), np.float32), 5, 0.9),
        SearchRequest(vectors[5:6], 3, 0.9, filter="unknown = 1"),
        SearchRequest(vectors[6:8], 3, 0.9),
    ]
    together = shard.search_together(requests)
    for request, answer in zip(requests, together, strict=True):
        if isinstance(answer, ParadoxError):
            with pytest.raises(type(answer), match=re.escape(str(answer))):
                shard.search(request)
            continue
        alone = shard.search(request)
        np.testing.assert_array_equal(answer.ids, alone.ids)
        np.testing.assert_array_equal(answer.distances, alone.distances)
    wrong = [isinstance(answer, ParadoxError) for answer in together]
    assert wrong == [False, False, False, True, True, True, False]


def test_what_is_answered_soon(make_collection, rng):
    collection = make_collection(shards=1, index="graph")
    [shard] = collection.shards.shards
    vectors = rng.standard_normal((3_000, DIM)).astype(np.float32)
    few = SearchRequest(vectors[:1], 3, 0.9)
    assert not shard.answers_soon(few)  # it is not open
    shard.add(upserts(range(3_000), vectors))
    assert not shard.answers_soon(few)  # its index has to be tuned first
    shard.search(few)
    assert shard.answers_soon(few)
    assert shard.answers_soon(SearchRequest(vectors[:1], 3, effort=20))
    assert not shard.answers_soon(SearchRequest(vectors[:1], 7, 0.9))
    assert not shard.answers_soon(SearchRequest(vectors[:1], 3, 0.9, filter="a = 1"))
    assert not shard.answers_soon(SearchRequest(vectors[:500], 3, 0.9))
