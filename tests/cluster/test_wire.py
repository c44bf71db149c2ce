"""Values as frames: they come out as they went in, and nothing else is taken for one."""

from __future__ import annotations

import os
import random
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from paradox.cluster import wire
from paradox.cluster.shard import Upserts, Written
from paradox.cluster.shard_calls import CALLS, FoundRecords
from paradox.core.types import F32Matrix, I64Vector, Neighbors, Record
from paradox.routing import SearchRequest

RUNS = int(os.environ.get("PARADOX_FUZZ_RUNS", "100000"))
MOMENT = datetime(2026, 2, 3, 4, 5, 6, 789, tzinfo=UTC)


def there_and_back(value: object, kind: Any) -> Any:
    """A value as it comes out of one frame that all of its frames went into."""
    return wire.unpack(wire.split(wire.joined(wire.pack(value))), kind)


def matrix(*shape: int) -> F32Matrix:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("filter", [None, "", "year = 2020 AND name = 'ü '", "x" * 32])
@pytest.mark.parametrize("n_queries", [0, 1, 3])
def test_a_search_comes_out_as_it_went_in(n_queries: int, filter: str | None) -> None:
    request = SearchRequest(matrix(n_queries, 5), k=32, recall=0.97, effort=None, filter=filter)
    out = there_and_back(request, SearchRequest)
    np.testing.assert_array_equal(out.queries, request.queries)
    assert (out.k, out.recall, out.effort, out.filter) == (32, 0.97, None, filter)


def test_an_answer_comes_out_as_it_went_in_but_for_where_its_records_are() -> None:
    ids = np.array([[1, -5, -1], [2**62, 0, -1]])
    distances = np.array([[0.5, 1.0, np.inf], [0.0, 0.25, np.inf]], np.float32)
    answer = Neighbors(ids, distances, True, 32, 3, (1, 2), 0.75, _fetch=lambda _: [])
    out = there_and_back(answer, Neighbors)
    np.testing.assert_array_equal(out.ids, ids)
    np.testing.assert_array_equal(out.distances, distances)
    assert (out.certified, out.effort, out.shards_touched) == (True, 32, 3)
    assert (out.shards_missing, out.coverage, out._fetch) == ((1, 2), 0.75, None)


def test_a_write_comes_out_as_it_went_in() -> None:
    payloads = [{"n": 1, "x": 0.5, "yes": True, "name": "ü", "tags": ["a", ""], "at": MOMENT}, {}]
    times = np.array(["2026-01-01", "2026-01-02"], "datetime64[us]")
    upserts = Upserts(np.array([3, 4]), matrix(2, 4), payloads, "enc", 2, times, b"\0\xff")
    (out,) = there_and_back((upserts,), CALLS["add"][0])
    np.testing.assert_array_equal(out.vectors, upserts.vectors)
    np.testing.assert_array_equal(out.timestamps, times)
    assert (out.payloads, out.encoder_id, out.version) == (payloads, "enc", 2)
    assert (out.ids.tolist(), out.operation_id) == ([3, 4], b"\0\xff")
    assert there_and_back(Written(1, 2, 3, 4), Written) == Written(1, 2, 3, 4)


@pytest.mark.parametrize("there", [[True, False, True], [False], []])
def test_records_come_out_as_they_went_in(there: list[bool]) -> None:
    payload = {"at": MOMENT, "n": 2**63 - 1, "none": None}
    records = [
        Record(n, matrix(1, 3)[0], payload, "enc", 1, MOMENT, 2, 70 + n) if known else None
        for n, known in enumerate(there)
    ]
    out = there_and_back(FoundRecords.of(records), FoundRecords).records()
    assert [record is not None for record in out] == there
    for record, before in zip(out, records, strict=True):
        if record is None or before is None:
            continue
        np.testing.assert_array_equal(record.vector, before.vector)
        for name in ("id", "payload", "encoder_id", "version", "timestamp", "seq"):
            assert getattr(record, name) == getattr(before, name)
        assert type(record.seq) is int


def test_arrays_that_are_not_contiguous_come_out_too() -> None:
    of = matrix(6, 8)
    for view in (of[::2], of[:, 1:3], of.T):
        np.testing.assert_array_equal(there_and_back(view, F32Matrix), view)


def test_arrays_are_views_of_their_frames_and_aligned() -> None:
    for n in range(1, 40):
        frames = wire.split(wire.joined(wire.pack(SearchRequest(matrix(1, 4), 1, filter="f" * n))))
        out = wire.unpack(frames, SearchRequest).queries
        assert out.ctypes.data % 8 == 0
        assert not out.flags.owndata
        assert not out.flags.writeable


@pytest.mark.parametrize("value", [np.zeros(2, np.complex64), np.array(["a"]), object(), {1, 2}])
def test_what_cannot_travel_is_refused_where_it_is(value: object) -> None:
    if isinstance(value, set):
        wire.pack(value)
    else:
        with pytest.raises(NotImplementedError, match="cannot be sent"):
            wire.pack(value)


def test_arrays_of_another_dtype_or_size_are_refused() -> None:
    body, frame = wire.pack(np.zeros(4, np.int64))
    with pytest.raises(wire.MalformedMessage, match="expected"):
        wire.unpack([body, frame], F32Matrix)
    for frames in ([body], [body, frame[:-8]], [body, bytes(frame) + b"\0"], [], [body] * 65):
        with pytest.raises(wire.MalformedMessage):
            wire.unpack(frames, I64Vector)


def test_damaged_frames_are_refused_or_are_values_and_never_more() -> None:
    """As many as PARADOX_FUZZ_RUNS says."""
    draw = random.Random(7)
    upserts = Upserts(np.arange(3), matrix(3, 4), [{"a": 1}] * 3, "e", 1, None, b"op")
    whole = [
        (wire.joined(wire.pack((SearchRequest(matrix(2, 8), 5, 0.9),))), CALLS["search"][0]),
        (wire.joined(wire.pack((upserts,))), CALLS["add"][0]),
        (wire.joined(wire.pack((np.arange(5), b"op"))), CALLS["delete"][0]),
    ]
    taken = 0
    for run in range(RUNS):
        data, kind = whole[run % len(whole)]
        damaged = bytearray(data)
        for _ in range(draw.choice([1, 1, 2, 8])):
            match draw.randrange(4):
                case 0:
                    damaged[draw.randrange(len(damaged))] = draw.randrange(256)
                case 1:
                    del damaged[draw.randrange(len(damaged)) :]
                case 2:
                    damaged += draw.randbytes(draw.randrange(16))
                case 3:
                    at = draw.randrange(len(damaged))
                    damaged[at : at + 8] = draw.choice([b"\xff" * 8, b"\0" * 8, b"\x7f" * 8])
            damaged = damaged or bytearray(1)
        try:
            wire.unpack(wire.split(bytes(damaged)), kind)
            taken += 1
        except wire.MalformedMessage:
            pass
    assert 0 < taken < RUNS
