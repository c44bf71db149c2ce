from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paradox.cluster.ledger import Ledger, union, without
from paradox.core.errors import CorruptionError

ranges = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)).map(sorted).map(tuple))


def _rows(ranges):
    return {row for start, stop in ranges for row in range(start, stop)}


@given(ranges)
def test_union_has_the_same_rows_in_ranges_apart(given_ranges):
    merged = union(given_ranges)
    assert _rows(merged) == _rows(given_ranges)
    assert all(a[1] < b[0] for a, b in pairwise(merged))


@given(ranges, st.tuples(st.integers(0, 30), st.integers(0, 30)).map(sorted).map(tuple))
def test_without_leaves_the_rows_not_done(done, rows):
    left = without(rows, union(done))
    assert _rows(left) == _rows([rows]) - _rows(done)
    assert all(start < stop for start, stop in left)


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "ingest")


def test_rows_in_are_remembered_by_way(ledger, tmp_path):
    ledger.begin("key", "a.parquet", 100, "text", assign=None, afresh=False)
    ledger.begin("key", "a.parquet", 100, "title", assign=None, afresh=False)
    ledger.finish("key", "text", [(0, 10), (20, 30)])
    ledger.finish("key", "text", [(10, 20)])
    known = Ledger(tmp_path / "ingest").known("key")
    assert known.left("text") == [(30, 100)]
    assert known.left("title") == [(0, 100)]


def test_the_ids_of_a_file_are_assigned_once(ledger):
    first = ledger.begin("key", "a", 10, "w", assign=lambda n: 500, afresh=False)
    again = ledger.begin("key", "moved", 10, "w", assign=lambda n: 900, afresh=True)
    assert (first.first_id, again.first_id, again.file) == (500, 500, "a")


def test_afresh_forgets_rows_of_its_way_only(ledger):
    for way in ("a", "b"):
        ledger.begin("key", "file", 10, way, assign=None, afresh=False)
        ledger.finish("key", way, [(0, 10)])
    known = ledger.begin("key", "file", 10, "a", assign=None, afresh=True)
    assert (known.left("a"), known.left("b")) == ([(0, 10)], [])


def test_a_damaged_entry_is_noticed(ledger, tmp_path):
    ledger.begin("key", "file", 10, "w", assign=None, afresh=False)
    path = tmp_path / "ingest" / "key.json"
    path.write_bytes(path.read_bytes().replace(b"10", b"11"))
    with pytest.raises(CorruptionError, match="checksum"):
        ledger.known("key")
