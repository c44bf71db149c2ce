"""How a backend is chosen and refused."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from paradox import index
from paradox.core.errors import InvalidArgument, NonFiniteVector, UnknownBackend, ZeroVector
from paradox.memory import LatentMemoryEngine
from tests.contract.backends import MAKES, ids_of, truth, vectors


def test_every_registered_backend_is_in_the_suite():
    assert {make.backend for make in MAKES.values()} == set(index.backends())


def test_an_unknown_backend_names_those_there_are():
    with pytest.raises(UnknownBackend, match=r"exact.*got 'annoy'"):
        index.create("annoy", dim=4, metric="l2")


def test_a_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "paradox.index.ivfpq", raising=False)
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(UnknownBackend, match=r"pip install 'paradox\[cpu\]'"):
        index.create("ivfpq", dim=4, metric="l2")


@pytest.mark.parametrize("dim", [0, -1, 65_537, 2.0, True, None])
def test_a_dimension_that_cannot_be(make, dim):
    with pytest.raises(InvalidArgument, match="dim"):
        make(dim=dim)


def test_a_metric_that_cannot_be(make):
    with pytest.raises(InvalidArgument, match="metric"):
        make(metric="hamming")


def test_an_unknown_option_names_the_known(make):
    with pytest.raises(InvalidArgument, match="got 'colour'"):
        index.create(make.backend, dim=4, metric="l2", colour=1)


@pytest.mark.parametrize(
    ("backend", "options", "message"),
    [
        ("exact", {"dtype": "float8"}, "dtype"),
        ("hnsw", {"M": 1}, "M: expected 2 to 512; got 1"),
        ("hnsw", {"ef_construction": "many"}, "ef_construction"),
        ("hnsw", {"seed": -1}, "seed"),
        ("ivfpq", {"factory": "IVF,PQ"}, "factory"),
        ("ivfpq", {"factory": "PQ5"}, "factory"),
        ("ivfpq", {"factory": 7}, "factory"),
        ("ivfpq", {"train_rows": 0}, "train_rows"),
        ("auto", {"exact_below": 0}, "exact_below"),
        ("auto", {"exact_below": 50, "lists_from": 49}, "lists_from: expected 50 to"),
    ],
)
def test_options_that_cannot_be(backend, options, message):
    with pytest.raises(InvalidArgument, match=message):
        index.create(backend, dim=16, metric="l2", **options)


def test_the_engine_keeps_bad_vectors_from_every_backend(make):
    engine = LatentMemoryEngine(16, metric="cosine", index=make.backend, index_options=make.options)
    engine.add(vectors()[:10], ids=ids_of(10))
    bad = vectors()[:2].copy()
    for value, error in ((np.nan, NonFiniteVector), (np.inf, NonFiniteVector)):
        bad[1, 3] = value
        with pytest.raises(error, match="row 1, column 3"):
            engine.add(bad)
        with pytest.raises(error):
            engine.query(bad)
    bad[1] = 0
    with pytest.raises(ZeroVector, match="row 1"):
        engine.add(bad)
    with pytest.raises(InvalidArgument, match="expected dimension 16; got 5"):
        engine.add(np.ones((3, 5), np.float32))
    with pytest.raises(InvalidArgument, match="expected dimension 16; got 5"):
        engine.query(np.ones(5, np.float32))
    for k in (0, -1, 10_001, 1.5):
        with pytest.raises(InvalidArgument, match="k: expected"):
            engine.query(vectors()[:1], k=k)
    assert len(engine) == 10
    assert engine.last_seq == 10


def test_values_that_a_dtype_cannot_keep_change_nothing():
    small = index.create("exact", dim=2, metric="l2", dtype="int8")
    half = index.create("exact", dim=2, metric="cosine", dtype="float16")
    for made, row, message in (
        (small, [1.5, 0], "whole numbers"),
        (small, [200, 0], "whole numbers"),
        (half, [1e6, 0], "65504"),
        (half, [1e-9, 0], "rounds row 1 to zero"),
    ):
        rows = np.array([[1, 1], row], np.float32)
        with pytest.raises(InvalidArgument, match=message):
            made.check(rows)
        with pytest.raises(InvalidArgument, match=message):
            made.add(np.array([1, 2]), rows)
        assert len(made) == 0


def test_rows_that_faiss_cannot_train_on_are_scanned(caplog):
    """13 bits make 8,192 centroids, which is more than there are rows."""
    made = index.create("ivfpq", dim=16, metric="l2", factory="PQ8x13")
    with caplog.at_level("WARNING", logger="paradox.index"):
        made.add(ids_of()[:5_500], vectors()[:5_500])
        made.add(ids_of()[5_500:], vectors()[5_500:])
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "'PQ8x13' on 5500 rows" in caplog.text
    hits = made.search(vectors()[-2:], 3)
    assert hits.certified
    np.testing.assert_array_equal(hits.ids, truth(vectors()[-2:], ids_of(), vectors(), 3, "l2")[0])


def test_auto_goes_to_lists_and_back(tmp_path):
    made = index.create("auto", dim=16, metric="l2", exact_below=1_000, lists_from=5_000)
    made.add(ids_of()[:3_000], vectors()[:3_000])
    assert made.stats().backend == "graph"
    made.add(ids_of()[3_000:], vectors()[3_000:])
    assert made.stats().backend == "ivf"
    made.save(tmp_path / "auto")
    made = index.load(tmp_path / "auto")
    made.remove(ids_of()[2_500:])
    assert made.stats().backend == "ivf"
    made.remove(ids_of()[2_000:])
    assert made.stats().backend == "graph"
    made.remove(ids_of()[100:])
    assert made.stats().backend == "exact"
    made.add(ids_of(), vectors())
    assert made.stats().backend == "ivf"
    assert made.search(vectors()[4_000:4_001], 1, effort=200).ids[0, 0] == ids_of()[4_000]


def test_auto_goes_to_a_graph_and_back():
    made = index.create("auto", dim=16, metric="l2", exact_below=1_000)
    made.add(ids_of()[:999], vectors()[:999])
    assert made.stats().backend == "exact"
    assert made.search(vectors()[:1], 1).certified
    made.add(ids_of()[999:3_000], vectors()[999:3_000])
    assert made.stats().backend == "graph"
    made.remove(ids_of()[400:3_000])
    assert made.stats().backend == "exact"
    assert len(made) == 400
    assert made.search(vectors()[:1], 1).ids[0, 0] == ids_of()[0]
