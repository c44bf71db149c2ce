"""Building inverted lists from a stream: the file, its sources, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from paradox import index
from paradox.core.errors import InvalidArgument, NonFiniteVector, SourceError, ZeroVector
from paradox.core.types import F32Matrix
from paradox.index.ivf import IvfIndex
from paradox.index.ivf_source import Block, open_stream
from paradox.kernels import oracle

N = 4_000
DIM = 20


def rows(seed: int = 0) -> F32Matrix:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(7).normal(size=(40, DIM))
    spread = centres[rng.integers(40, size=N)] + 0.4 * rng.normal(size=(N, DIM))
    return np.ascontiguousarray(spread, np.float32)


def ids() -> Any:
    return np.random.default_rng(1).permutation(N).astype(np.int64) * 7 - 3_000


def blocks(at_once: int = 700) -> Iterator[Block]:
    for begin in range(0, N, at_once):
        yield ids()[begin : begin + at_once], rows()[begin : begin + at_once]


def as_npy(folder: Path) -> Path:
    np.save(folder / "rows.npy", rows())
    return folder / "rows.npy"


def as_parquet(folder: Path) -> Path:
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(rows().ravel()), DIM)
    table = pa.table({"id": ids(), "vector": vectors})
    parquet.write_table(table, folder / "rows.parquet", row_group_size=900)
    return folder / "rows.parquet"


def assert_finds(built: Any, known: Any) -> None:
    queries = rows(5)[:40]
    found = built.search(queries, 10, effort=60)
    truth = known[oracle.top_k(queries, rows(), 10, built.metric)[0]]
    assert np.mean([np.isin(a, b).mean() for a, b in zip(found.ids, truth, strict=True)]) > 0.95


@pytest.mark.parametrize("keep", ["float32", "float16", "none"])
@pytest.mark.parametrize("metric", ["l2", "ip", "cosine"])
def test_a_stream_becomes_a_mapped_index(keep: str, metric: Any, tmp_path: Path) -> None:
    path = tmp_path / "index.pdx"
    built = IvfIndex.build(blocks(), path, metric=metric, keep=keep, n=N, quiet=True)
    assert [p.name for p in tmp_path.iterdir()] == ["index.pdx"]
    assert len(built) == N
    assert built.stats().mapped_bytes > 0
    assert_finds(built, ids())
    if keep == "float32":
        exact = built.search(rows()[:20], 1, effort=2**31 - 1)
        assert exact.certified
        truth = oracle.top_k(rows()[:20], rows(), 1, metric)[0]
        assert exact.ids.tolist() == ids()[truth].tolist()
    np.testing.assert_array_equal(
        index.load(path).search(rows(5)[:20], 5).ids, built.search(rows(5)[:20], 5).ids
    )


@pytest.mark.parametrize("source", [as_npy, as_parquet, lambda _folder: rows()])
def test_files_and_arrays_are_sources(source: Any, tmp_path: Path) -> None:
    built = IvfIndex.build(source(tmp_path), tmp_path / "index.pdx", metric="l2", quiet=True)
    assert_finds(built, ids() if source is as_parquet else np.arange(N))


def test_it_is_built_as_if_it_had_been_filled(tmp_path: Path) -> None:
    """The supplements go through scratch files, and come back in the order of the lists."""
    built = IvfIndex.build(as_npy(tmp_path), tmp_path / "a.pdx", metric="l2", quiet=True, lists=50)
    filled = index.create("ivf", dim=DIM, metric="l2", lists=50)
    filled.add(np.arange(N), rows())
    for effort in (2, 8):
        one, other = (some.search(rows(5)[:50], 10, effort=effort) for some in (built, filled))
        np.testing.assert_array_equal(one.ids, other.ids)
        np.testing.assert_array_equal(one.distances, other.distances)


def test_it_goes_on_as_any_other(tmp_path: Path) -> None:
    built = IvfIndex.build(blocks(), tmp_path / "index.pdx", metric="l2", keep="none", quiet=True)
    assert built.remove(ids()[:500]) == 500
    built.add(ids()[:900], rows(3)[:900])
    assert len(built) == N
    found = built.search(rows(3)[:50], 1, effort=60)
    assert (found.ids[:, 0] == ids()[:50]).mean() > 0.95
    built.save(tmp_path / "index.pdx")
    assert len(index.load(tmp_path / "index.pdx", mmap=True)) == N


def test_bad_sources_leave_nothing_behind(tmp_path: Path) -> None:
    def build(source: Any, **options: Any) -> None:
        IvfIndex.build(source, tmp_path / "index.pdx", quiet=True, **options)

    bad, zero = rows().copy(), rows().copy()
    bad[7, 3], zero[9] = np.nan, 0
    with pytest.raises(InvalidArgument, match="twice"):
        build([*blocks(), (ids()[:1], rows()[:1])], metric="l2")
    with pytest.raises(NonFiniteVector):
        build([(ids(), bad)], metric="l2")
    with pytest.raises(ZeroVector):
        build([(ids(), zero)], metric="cosine")
    with pytest.raises(InvalidArgument, match=r"up to 1e\+15"):
        build([(ids(), rows() * np.float32(1e17))], metric="l2")
    late = rows().copy()
    late[700 + 9] *= np.float32(1e17)
    with pytest.raises(InvalidArgument, match="in row 9 of those from 700 on"):
        build([(ids()[:700], late[:700]), (ids()[700:], late[700:])], metric="l2")
    for empty in (np.zeros((N, 0), np.float32), [(ids(), np.zeros((N, 0), np.float32))]):
        with pytest.raises(InvalidArgument, match=r"got an empty batch|dim: expected 1 to"):
            build(empty, metric="l2")
    with pytest.raises(InvalidArgument, match="got none"):
        build([], metric="l2")
    with pytest.raises(InvalidArgument, match="block 1 is a ndarray"):
        build([(ids(), rows()), rows()], metric="l2")
    with pytest.raises(InvalidArgument, match=r"rows\.csv"):
        build(tmp_path / "rows.csv", metric="l2")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_read_or_set_is_told_before_anything_is_written(tmp_path: Path) -> None:
    whole = as_npy(tmp_path)
    cut = tmp_path / "cut.npy"
    cut.write_bytes(whole.read_bytes()[:-10])
    for name in ("junk.npy", "junk.parquet"):
        (tmp_path / name).write_bytes(b"junk!")
    damaged = bytearray(as_parquet(tmp_path).read_bytes())
    damaged[4:4_000] = bytes(3_996)  # the footer says all is well
    (tmp_path / "damaged.parquet").write_bytes(damaged)
    before = sorted(path.name for path in tmp_path.iterdir())
    out = tmp_path / "index.pdx"
    npy, parquets = ("cut", "junk", "none"), ("damaged", "junk", "none")
    for source in (*(f"{n}.npy" for n in npy), *(f"{n}.parquet" for n in parquets)):
        with pytest.raises(SourceError, match=f"expected a whole .* file; .*{source}: "):
            IvfIndex.build(tmp_path / source, out, metric="l2", quiet=True)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"metric": "l3"}, "metric: expected one of .*; got 'l3'"),
        ({"metric": "l2", "nlist": 5}, "expected one of keep, lists, .*; got 'nlist'"),
        ({"metric": "l2", "lists": 0}, "lists: expected 1 to"),
        ({"metric": "l2", "n": 0}, "n: expected 1 to"),
    ]
    for options, message in wrong:
        with pytest.raises(InvalidArgument, match=message):
            IvfIndex.build(whole, out, quiet=True, **options)
    with pytest.raises(InvalidArgument, match=r"path: expected a file in a folder; .*nowhere"):
        IvfIndex.build(whole, tmp_path / "nowhere" / "index.pdx", metric="l2", quiet=True)
    with pytest.raises(InvalidArgument, match=r"path: expected a file; .* is a folder"):
        IvfIndex.build(whole, tmp_path, metric="l2", quiet=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def write_parquet(path: Path, ids: Any, vectors: Any, **options: Any) -> Path:
    parquet.write_table(pa.table({"id": ids, "vector": vectors}), path, **options)
    return path


def test_rows_of_a_parquet_file_that_cannot_be_are_named(tmp_path: Path) -> None:
    many = [[1.0, 2.0]] * 100
    floats = pa.list_(pa.float32())
    bad: list[tuple[Any, Any, str]] = [
        (pa.array([1, 2, 3]), pa.array([[1.0], [1.0, 2.0], [3.0]]), "row 1: .*1 values; got 2"),
        (pa.array([1, 2]), pa.array([[1.0], None], floats), "row 1: .*a vector; got a null"),
        (pa.array([1, 2]), pa.array([[1.0], [None]], floats), "row 1: .*numbers; got a null"),
        (pa.array([1, None]), pa.array([[1.0], [2.0]]), "row 1: .*an id; got a null"),
        (pa.array([1, -1]), pa.array([[1.0], [2.0]]), "row 1: .*other than -1"),
        (pa.array([1, 2]), pa.array([[1.0], [np.inf]]), "row 1: .*finite"),
        (pa.array([1, 2]), pa.array([1.0, 2.0]), "expected lists of numbers; got double"),
        (pa.array([1.0, 2.0]), pa.array([[1.0], [2.0]]), "expected integer ids; got double"),
        (pa.array(range(101)), pa.array([*many, [1.0]]), "row 100: .*2 values; got 1"),
    ]
    for ids, vectors, message in bad:
        path = write_parquet(tmp_path / "bad.parquet", ids, vectors, row_group_size=50)
        with pytest.raises(SourceError, match=message):
            IvfIndex.build(path, tmp_path / "index.pdx", metric="l2", quiet=True)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.parquet"]


def test_empty_row_groups_are_no_fault_and_long_ones_are_learnt_from(tmp_path: Path) -> None:
    path = as_parquet(tmp_path)
    table = parquet.read_table(path)
    with parquet.ParquetWriter(path, table.schema) as file:
        for start in range(200):
            file.write_table(table.slice(start, start % 2))  # none, or one
        file.write_table(table.slice(200))
    assert len(open_stream(path).sample) > N - 250


@pytest.mark.parametrize("n_groups", [4, 100])
def test_lists_are_learnt_from_all_over_a_parquet_file(
    n_groups: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    n = 20_000
    monkeypatch.setattr("paradox.index.ivf_source.SAMPLE_ROWS", 2_000)
    ordered = pa.array([[float(i)] for i in range(n)])
    size = n // n_groups
    path = write_parquet(tmp_path / "o.parquet", range(n), ordered, row_group_size=size)
    sample = open_stream(path).sample[:, 0]
    assert 1_500 <= len(sample) <= 2_500
    assert np.histogram(sample, 4, (0, n))[0].min() > 0.15 * len(sample)
    assert len(np.unique(sample)) == len(sample)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (5, "expected an array .*; got 5"),
        (None, "got None"),
        ([(0, 1.0)], "block 0: expected vectors"),
        ([([1, 2], [[1.0], [1.0, 2.0]])], "block 0: expected rows of one length"),
        ([(ids(), rows()), ([5], [[1.0]])], "block 1: expected dimension 20; got 1"),
        ([(ids()[:3], rows())], "block 0, ids: expected 4000"),
        ([(ids(), [["a"] * DIM] * N)], "block 0: expected float32"),
    ],
)
def test_blocks_that_cannot_be_are_named(source: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=message):
        IvfIndex.build(source, tmp_path / "index.pdx", metric="l2", quiet=True)
    assert not list(tmp_path.iterdir())


def test_a_path_may_be_text(tmp_path: Path) -> None:
    path = str(tmp_path / "index.pdx")
    built = IvfIndex.build(str(as_npy(tmp_path)), path, metric="l2", quiet=True)
    assert len(IvfIndex.load(path)) == len(built)


def test_an_index_by_itself_checks_what_it_is_given(tmp_path: Path) -> None:
    built: Any = IvfIndex.build(rows(), tmp_path / "index.pdx", metric="cosine", quiet=True)
    wrong = [
        (lambda: built.search(np.ones((1, 3)), 5), "queries: expected dimension 20; got 3"),
        (lambda: built.search([["a"] * DIM], 5), "queries: expected float32"),
        (lambda: built.search(np.full((2, DIM), np.nan), 5), "queries: expected finite"),
        (lambda: built.search(np.zeros((1, DIM), np.float32), 5), "queries: expected non-zero"),
        (lambda: built.search(rows()[:1], 0), "k: expected 1"),
        (lambda: built.search(rows()[:1], 5, effort=0), "effort: expected 1"),
        (lambda: built.search(rows()[:1], 5, threads=0), "threads: expected 1"),
        (lambda: built.tune(rows()[:50], 5, 2), "recall: expected a number"),
        (lambda: built.add([1, 2], rows()[:1]), "ids: expected 1"),
        (lambda: built.add([1], np.ones(DIM + 1)), "vectors: expected dimension"),
        (lambda: built.remove(["a"]), "ids: expected integers"),
    ]
    for call, message in wrong:
        with pytest.raises(InvalidArgument, match=message):
            call()
    assert len(built) == N
    one = built.search(rows()[7].tolist(), 1)  # a query by itself, of Python's numbers
    assert one.ids.tolist() == [[7]]
    built.add([7, 7], rows(3)[:2])  # the last of those of one id
    assert built.search(rows(3)[1], 1).ids.tolist() == [[7]]
    built.save(str(tmp_path / "saved.pdx"))
    assert len(index.load(str(tmp_path / "saved.pdx"))) == N


@pytest.mark.parametrize("keep", ["float32", "none"])
def test_what_is_empty_or_many_is_no_fault(keep: str) -> None:
    n = 12_000
    made: Any = index.create("ivf", dim=4, metric="l2", keep=keep)
    made.add(np.arange(n), np.random.default_rng(0).normal(size=(n, 4)).astype(np.float32))
    nothing = np.empty((0, 4), np.float32)
    made.add(np.empty(0, np.int64), nothing)
    assert made.remove(np.empty(0, np.int64)) == 0
    assert len(made) == n
    assert made.search(nothing, 5).ids.shape == (0, 5)
    for limit in (0, 1, n):  # more than an engine may be asked for, too
        assert len(made.range_search(np.zeros(4, np.float32), 1e9, limit=limit).ids) == limit
