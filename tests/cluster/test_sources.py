from __future__ import annotations

import json

import lance
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from paradox.cluster.columns import Recipe, column_types, records_of
from paradox.cluster.sources import SourceFile, find_files, fingerprint, numbered, pieces, read
from paradox.core.errors import SourceError

DIM = 4


@pytest.fixture
def vectors():
    return np.random.default_rng(3).standard_normal((1000, DIM)).astype(np.float32)


@pytest.fixture
def table(vectors):
    return pa.table(
        {
            "id": pa.array(range(1000), pa.int64()),
            "vector": pa.array(list(vectors), pa.list_(pa.float32())),
            "title": [f"title {n}" for n in range(1000)],
        }
    )


def recipe(**changes):
    given = {"dim": DIM, "cosine": False, "id": None, "vector": "vector", "text": None}
    return Recipe(**(given | {"payload": None} | changes))


def _all_rows(file, rows=None, columns=None, batch_size=64):
    parts = list(read(file, rows=rows, columns=columns, batch_size=batch_size))
    numbers = [row for first, part in parts for row in range(first, first + part.num_rows)]
    assert all(part.num_rows <= batch_size for _, part in parts)
    return numbers, [r for _, part in parts for r in part.to_pylist()]


def write(table, path):
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=300)
    elif path.suffix == ".csv":
        as_text = [json.dumps(v) for v in table["vector"].to_pylist()]
        position = table.schema.get_field_index("vector")
        pyarrow.csv.write_csv(table.set_column(position, "vector", [as_text]), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    elif path.suffix == ".json":
        path.write_text(json.dumps(table.to_pylist()))
    elif path.suffix == ".lance":
        lance.write_dataset(table, path, max_rows_per_file=300)
    return SourceFile(str(path), find_files(str(path))[0].format)


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl", ".json", ".lance"])
def test_every_format_gives_the_same_records(table, vectors, tmp_path, suffix):
    file = write(table, tmp_path / f"a{suffix}")
    numbers, _ = _all_rows(file)
    assert numbers == list(range(1000))
    numbers, rows = _all_rows(file, rows=(290, 910))
    assert numbers == list(range(290, 910))
    assert rows[0]["title"] == "title 290"
    for first, part in read(file, rows=(290, 310), batch_size=100):
        records = records_of(part, recipe(id="id"), file=file.path, first_row=first)
        np.testing.assert_array_equal(records.ids, range(first, first + part.num_rows))
        expected = vectors[first : first + part.num_rows]
        np.testing.assert_allclose(records.vectors, expected, rtol=1e-6)
        assert records.payloads[0] == {"title": f"title {first}"}


def test_only_the_columns_wanted_are_read(table, tmp_path):
    file = write(table, tmp_path / "a.parquet")
    _, rows = _all_rows(file, columns=["title"])
    assert set(rows[0]) == {"title"}
    with pytest.raises(SourceError, match=r"a\.parquet.*'year'.*it has 'id', 'vector', 'title'"):
        _all_rows(file, columns=["year"])
    with pytest.raises(SourceError, match="expected a column 'year'; it has"):
        _all_rows(file, columns=["year", "id"])
    with pytest.raises(SourceError, match="expected the columns 'year', 'month'; it has"):
        _all_rows(file, columns=["year", "id", "month"])


def test_pieces_cover_a_file_once_along_its_row_groups(table, tmp_path):
    file = write(table, tmp_path / "a.parquet")
    assert pieces(file, 1000, at_least=1) == [(0, 300), (300, 600), (600, 900), (900, 1000)]
    assert pieces(file, 1000, at_least=500) == [(0, 600), (600, 1000)]
    assert pieces(write(table, tmp_path / "a.csv"), 1000, at_least=1) == [(0, 1000)]


def test_a_file_is_known_by_its_content(table, tmp_path):
    a = write(table, tmp_path / "a.parquet")
    b = write(table, tmp_path / "b.parquet")
    changed = write(table.slice(1), tmp_path / "c.parquet")
    assert fingerprint(a) == fingerprint(b) != fingerprint(changed)
    assert numbered(["x", "y", "x"]) == ["x-0", "y-0", "x-1"]


def test_folders_and_globs_are_searched(table, tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in ("in/b.parquet", "in/a.parquet", "in/deep/c.csv", "in/_tmp.parquet"):
        write(table, tmp_path / name)
    (tmp_path / "in" / "README.md").write_text("not data")
    names = [file.path.removeprefix(str(tmp_path)) for file in find_files(str(tmp_path / "in"))]
    assert names == ["/in/a.parquet", "/in/b.parquet", "/in/deep/c.csv"]
    assert len(find_files(str(tmp_path / "in" / "?.parquet"))) == 2
    assert len(find_files([str(tmp_path / "in/a.parquet"), str(tmp_path / "in/b.parquet")])) == 2


@pytest.mark.parametrize("source", ["missing.parquet", "missing/", "*.parquet", "note.md", "empty"])
def test_a_source_of_nothing_is_an_error(tmp_path, source):
    (tmp_path / "note.md").write_text("x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=r"expected"):
        find_files(str(tmp_path / source))


def test_an_unknown_protocol_is_an_error():
    with pytest.raises(SourceError, match="nowhere"):
        find_files("nowhere://bucket/a.parquet")


@pytest.mark.parametrize("suffix", [".parquet", ".json"])
def test_a_truncated_file_is_named(table, tmp_path, suffix):
    file = write(table, tmp_path / f"a{suffix}")
    path = tmp_path / f"a{suffix}"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SourceError, match=rf"a\{suffix}"):
        _all_rows(file)


def test_damage_inside_a_file_is_named_with_the_row_it_was_met_at(table, tmp_path):
    path = tmp_path / "a.parquet"
    file = write(table, path)
    offset = pq.ParquetFile(path).metadata.row_group(2).column(2).data_page_offset
    data = bytearray(path.read_bytes())
    data[offset : offset + 40] = b"\xff" * 40
    path.write_bytes(data)
    with pytest.raises(SourceError, match=r"a\.parquet, from row \d+ on"):
        _all_rows(file)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "id,title\n1,x\n2,y,z\n", r"a\.csv.*Row #3"),
        ("a.jsonl", '{"id": 1}\n{"id": "x"}\n', r"a\.jsonl.*row"),
        ("a.jsonl", '{"id": 1}\n{"id": \n', r"a\.jsonl"),
        ("a.json", '[{"id": 1}, {"id": ', r"a\.json"),
        ("a.parquet", "not parquet at all", r"a\.parquet"),
    ],
)
def test_ragged_and_broken_files_are_named(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(SourceError, match=message):
        _all_rows(find_files(str(path))[0])


FAULTS = {
    "shorter": ([1.0, 2.0], r"row 1007: .*expected 4 values; got 2"),
    "longer": ([1.0] * 5, r"row 1007: .*expected 4 values; got 5"),
    "empty": ([], r"row 1007: .*expected 4 values; got 0"),
    "null": (None, r"row 1007: .*expected a vector; got a null"),
    "nan": ([1.0, float("nan"), 0, 0], r"row 1007: .*expected finite float32 values; got nan"),
    "overflow": ([1e300, 0, 0, 0], r"row 1007: .*expected finite float32 values; got inf"),
    "null inside": ([1.0, None, 0, 0], r"row 1007: .*expected numbers; got a null"),
}


@pytest.mark.parametrize("kind", ["list", "large_list"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_row_that_holds_no_vector_is_named(fault, kind):
    value, message = FAULTS[fault]
    rows = [[1.0, 2.0, 3.0, 4.0]] * 20
    rows[7] = value
    arrow = pa.list_(pa.float64()) if kind == "list" else pa.large_list(pa.float64())
    table = pa.table({"vector": pa.chunked_array([pa.array(rows, arrow)])})
    with pytest.raises(SourceError, match=rf"f\.parquet, {message}"):
        records_of(table, recipe(), file="f.parquet", first_row=1000)


@pytest.mark.parametrize("values", [pa.float16(), pa.float32(), pa.float64(), pa.int8()])
def test_fixed_size_lists_of_any_number_are_vectors(values):
    given = np.arange(-8, 8, dtype=np.float32).reshape(4, DIM)
    flat = pa.array(given.astype(values.to_pandas_dtype()).reshape(-1), values)
    table = pa.table({"vector": pa.FixedSizeListArray.from_arrays(flat, DIM)}).slice(1)
    records = records_of(table, recipe(), file="f", first_row=0)
    np.testing.assert_array_equal(records.vectors, given[1:])


def test_a_fixed_size_list_of_another_size_is_named():
    flat = pa.array(np.zeros(10, np.float32))
    table = pa.table({"vector": pa.FixedSizeListArray.from_arrays(flat, 5)})
    with pytest.raises(SourceError, match=r"row 0: .*expected 4 values; got 5"):
        records_of(table, recipe(), file="f", first_row=0)


def test_zero_vectors_are_refused_under_cosine_only():
    table = pa.table({"vector": [[1.0, 0, 0, 0], [0.0, 0, 0, 0]]})
    records_of(table, recipe(), file="f", first_row=0)
    with pytest.raises(SourceError, match=r"row 1: .*non-zero"):
        records_of(table, recipe(cosine=True), file="f", first_row=0)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (pa.array([1, None]), "row 1: .*expected an id; got a null"),
        (pa.array([1, -1]), "row 1: .*-1"),
        (pa.array([2**63 + 1, 2], pa.uint64()), "row 0: .*int64"),
        (pa.array(["a", "b"]), "expected integer ids; got string"),
        (pa.array([1.0, 2.0]), "expected integer ids; got double"),
    ],
)
def test_ids_that_cannot_be_are_named(ids, message):
    table = pa.table({"vector": [[1.0, 0, 0, 0]] * 2, "id": ids})
    with pytest.raises(SourceError, match=message):
        records_of(table, recipe(id="id"), file="f", first_row=0)


def test_texts_are_taken_from_plain_and_dictionary_columns():
    column = pa.array(["a", "b", "a"])
    for texts in (column, column.dictionary_encode(), column.cast(pa.large_string())):
        table = pa.table({"text": texts, "n": [1, 2, 3]})
        records = records_of(table, recipe(vector=None, text="text"), file="f", first_row=0)
        assert records.texts == ["a", "b", "a"]
        assert records.payloads[2] == {"n": 3}
    nulls = pa.table({"text": ["a", None]})
    with pytest.raises(SourceError, match=r"row 41: .*expected a text; got a null"):
        records_of(nulls, recipe(vector=None, text="text"), file="f", first_row=40)
    with pytest.raises(SourceError, match="expected texts; got int64"):
        records_of(pa.table({"text": [1]}), recipe(vector=None, text="text"), file="f", first_row=0)


def test_payload_types_are_told_or_refused():
    schema = pa.schema(
        {
            "vector": pa.list_(pa.float32()),
            "s": pa.dictionary(pa.int8(), pa.string()),
            "i": pa.int16(),
            "f": pa.float16(),
            "b": pa.bool_(),
            "t": pa.timestamp("ns"),
            "d": pa.date32(),
            "l": pa.list_(pa.string()),
            "n": pa.null(),
        }
    )
    assert column_types(schema, recipe(), file="f") == {
        "s": "str",
        "i": "int",
        "f": "float",
        "b": "bool",
        "t": "timestamp",
        "d": "timestamp",
        "l": "list[str]",
    }
    bad = schema.append(pa.field("m", pa.map_(pa.string(), pa.string())))
    with pytest.raises(SourceError, match=r"f: column 'm'.*map"):
        column_types(bad, recipe(), file="f")
    assert "m" not in column_types(bad, recipe(payload=("s",)), file="f")


def test_the_way_tells_apart_what_rows_become():
    ways = {
        recipe().way("e1"),
        recipe().way("e2"),
        recipe(id="id").way("e1"),
        recipe(payload=("s",)).way("e1"),
        recipe(vector="v2").way("e1"),
    }
    assert len(ways) == 5
