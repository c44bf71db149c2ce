"""A saved index comes back as it was, or not at all."""

from __future__ import annotations

import copy
import os
import pickle
import random
from importlib import import_module

import numpy as np
import pytest

from paradox import index
from paradox.core.errors import IndexFileCorrupt
from tests.contract.backends import MAKES, N, ids_of, truth, vectors

QUERIES = vectors(30, seed=5)


@pytest.fixture
def changed(make, metric):
    """An index with stale entries and free slots in it."""
    made = make(metric)
    made.add(ids_of(), vectors())
    made.add(ids_of()[:400], vectors(400, seed=8))
    made.remove(ids_of()[400:900])
    return made


@pytest.mark.parametrize("mmap", [False, True])
def test_it_comes_back_as_it_was(changed, make, metric, mmap, tmp_path):
    changed.tune(QUERIES, 10, 0.9)
    changed.save(tmp_path / "index.pdx")
    loaded = index.load(tmp_path / "index.pdx", mmap=mmap)
    assert type(loaded) is type(changed)
    assert (loaded.dim, loaded.metric, len(loaded)) == (16, metric, N - 500)
    assert loaded.stats().effort == changed.stats().effort
    assert (loaded.stats().mapped_bytes > 0) == mmap
    before, after = changed.search(QUERIES, 10), loaded.search(QUERIES, 10)
    np.testing.assert_array_equal(after.ids, before.ids)
    np.testing.assert_array_equal(after.distances, before.distances)

    allow = ids_of()[1_000:4_000]
    np.testing.assert_array_equal(
        loaded.search(QUERIES, 5, allow=allow).ids, changed.search(QUERIES, 5, allow=allow).ids
    )
    for some in (changed, loaded):
        some.remove(ids_of()[900:1_000])
        some.add(ids_of()[:50], vectors(50, seed=9))
        some.add(np.arange(50) + 10**9, vectors(50, seed=10))
    assert len(loaded) == len(changed) == N - 550
    new = loaded.search(QUERIES, 10, allow=np.arange(50) + 10**9)
    np.testing.assert_array_equal(
        new.ids, truth(QUERIES, np.arange(50) + 10**9, vectors(50, seed=10), 10, metric)[0]
    )
    loaded.save(tmp_path / "index.pdx")
    assert len(index.load(tmp_path / "index.pdx")) == N - 550


@pytest.mark.parametrize("n", [0, 1, 50])
def test_small_ones_come_back_too(fresh, metric, tmp_path, n):
    made = fresh(metric)
    if n:
        made.add(ids_of()[:n], vectors()[:n])
    made.save(tmp_path / "index.pdx")
    loaded = index.load(tmp_path / "index.pdx")
    assert len(loaded) == n
    np.testing.assert_array_equal(loaded.search(QUERIES, 3).ids, made.search(QUERIES, 3).ids)
    loaded.add(ids_of()[n:], vectors()[n:])
    assert len(loaded) == N


@pytest.mark.parametrize("again", [copy.deepcopy, lambda made: pickle.loads(pickle.dumps(made))])  # noqa: S301
def test_a_copy_is_equal_and_apart(changed, again):
    changed.tune(QUERIES, 10, 0.9)
    before = changed.search(QUERIES, 10)
    copied = again(changed)
    assert type(copied) is type(changed)
    assert copied.stats().effort == changed.stats().effort
    changed.remove(ids_of()[2_000:])
    changed.add(ids_of()[:50], vectors(50, seed=9))
    after = copied.search(QUERIES, 10)
    np.testing.assert_array_equal(after.ids, before.ids)
    np.testing.assert_array_equal(after.distances, before.distances)
    copied.add(ids_of(), vectors())
    assert len(copied) == N


@pytest.mark.parametrize("n", [0, 50])
def test_small_ones_can_be_copied_too(fresh, metric, n):
    made = fresh(metric)
    if n:
        made.add(ids_of()[:n], vectors()[:n])
    copied = copy.deepcopy(made)
    np.testing.assert_array_equal(copied.search(QUERIES, 3).ids, made.search(QUERIES, 3).ids)


@pytest.fixture
def no_parser_sees_it(monkeypatch):
    """Make every parser of a library under us fail the test."""

    def seen(*args, **kwargs):
        pytest.fail("a library was given bytes that are not what was written")

    monkeypatch.setattr(import_module("faiss"), "deserialize_index", seen)
    monkeypatch.setattr(import_module("paradox.index.graph").GraphIndex, "_restore", seen)
    monkeypatch.setattr(import_module("paradox.index.ivf").IvfIndex, "_restore", seen)
    monkeypatch.setattr(import_module("paradox.index.hnsw").HnswIndex, "_restore", seen)


@pytest.mark.parametrize("name", ["exact", "graph", "hnsw", "ivf", "ivfpq", "auto"])
@pytest.mark.parametrize("mmap", [False, True])
def test_any_flipped_byte_is_found(name, mmap, tmp_path, no_parser_sees_it):
    path = tmp_path / "index.pdx"
    made = MAKES[name]()
    made.add(ids_of(), vectors())
    made.save(path)
    whole = path.read_bytes()
    random.seed(4)
    places = {*range(64), *random.sample(range(len(whole)), 150), len(whole) - 1}
    for at in places:
        damaged = bytearray(whole)
        damaged[at] ^= 1 << random.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(IndexFileCorrupt, match=r"index\.pdx"):
            index.load(path, mmap=mmap)


@pytest.mark.parametrize("name", ["exact", "graph", "hnsw", "ivf", "ivfpq", "auto"])
def test_a_truncated_or_lengthened_file_is_found(name, tmp_path, no_parser_sees_it):
    path = tmp_path / "index.pdx"
    made = MAKES[name]()
    made.add(ids_of(), vectors())
    made.save(path)
    whole = path.read_bytes()
    for length in [0, 1, 15, 16, 47, 48, 100, len(whole) // 2, len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(IndexFileCorrupt, match=r"index\.pdx"):
            index.load(path)
    path.write_bytes(whole + b"\0")
    with pytest.raises(IndexFileCorrupt, match=r"index\.pdx"):
        index.load(path)


@pytest.mark.parametrize("name", ["exact", "graph", "hnsw", "ivf", "ivfpq", "auto"])
def test_a_mapped_file_that_shrinks_is_an_error_not_the_end_of_the_process(name, tmp_path):
    path, made = tmp_path / "index.pdx", MAKES[name]()
    made.add(ids_of(), vectors())
    made.save(path)
    mapped = index.load(path, mmap=True)
    whole = path.read_bytes()
    os.truncate(path, len(whole) // 2)
    for reads in (
        lambda: mapped.search(QUERIES, 3),
        lambda: mapped.range_search(QUERIES[0], 10.0, limit=5),
        lambda: mapped.add(ids_of()[:5], vectors()[:5]),
        lambda: mapped.remove(ids_of()[:5]),
        lambda: mapped.save(tmp_path / "copy.pdx"),
    ):
        with pytest.raises(IndexFileCorrupt, match=rf"shrank .* expected {len(whole)} bytes"):
            reads()
    path.write_bytes(whole)
    np.testing.assert_array_equal(mapped.search(QUERIES, 3).ids, made.search(QUERIES, 3).ids)


def test_what_an_index_has_read_is_its_own(tmp_path):
    path, made = tmp_path / "index.pdx", MAKES["exact"]()
    made.add(ids_of(), vectors())
    made.save(path)
    mapped = index.load(path, mmap=True)
    mapped.add(ids_of()[:1], vectors()[:1])  # moves the rows to memory
    os.truncate(path, 0)
    np.testing.assert_array_equal(mapped.search(QUERIES, 3).ids, made.search(QUERIES, 3).ids)


def test_a_file_of_another_backend_is_refused_by_its_class(tmp_path):
    made = MAKES["exact"]()
    made.save(tmp_path / "index.pdx")
    with pytest.raises(IndexFileCorrupt, match="expected an index of kind 'hnsw'; got 'exact'"):
        import_module("paradox.index.hnsw").HnswIndex.load(tmp_path / "index.pdx")


def test_saving_replaces_in_one_step(fresh, tmp_path):
    made = fresh()
    made.add(ids_of()[:10], vectors()[:10])
    made.save(tmp_path / "index.pdx")
    made.save(tmp_path / "index.pdx")
    assert [path.name for path in tmp_path.iterdir()] == ["index.pdx"]
