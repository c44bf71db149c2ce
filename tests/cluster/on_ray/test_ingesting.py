"""Files and datasets into a collection: every format, resumed after a kill, in bounded memory."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import ray
from processes import driver, shard_process, wait_until

from paradox.cluster.columns import Recipe
from paradox.cluster.ingest import ingest
from paradox.cluster.pipeline import Plan
from paradox.cluster.training import sample_of_dataset
from paradox.core.errors import InvalidArgument, PayloadError, SourceError

pytestmark = [
    pytest.mark.ray,
    # Ray Data's own, at the making of any of its contexts
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context"),
]

DIM = 16


def table_of(numbers, seed=3):
    """Return rows of these numbers; the vector of a number is the same in every table."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((max(numbers) + 1, DIM), dtype=np.float32)[list(numbers)]
    return pa.table(
        {
            "vector": pa.array(list(vectors), pa.list_(pa.float32())),
            "n": pa.array(numbers, pa.int64()),
            "title": [f"title {n}" for n in numbers],
        }
    )


def fill(folder):
    """Write a folder of four files in four formats, 100 rows each."""
    pq.write_table(table_of(range(100)), folder / "a.parquet", row_group_size=30)
    table = table_of(range(100, 200))
    texts = pa.array([json.dumps(vector) for vector in table["vector"].to_pylist()])
    pyarrow.csv.write_csv(table.set_column(0, "vector", texts), folder / "b.csv")
    lines = (json.dumps(row) for row in table_of(range(200, 300)).to_pylist())
    (folder / "c.jsonl").write_text("\n".join(lines))
    (folder / "d.json").write_text(json.dumps(table_of(range(300, 400)).to_pylist()))


def numbers_in(collection):
    """Return the column `n` of all records, sorted."""
    n_records = len(collection)
    found = collection.query(np.zeros(DIM), k=n_records, recall=1.0)
    return sorted(record.payload["n"] for record in found.records())


def test_every_format_goes_in_and_only_what_is_new_goes_in_again(make, tmp_path):
    fill(tmp_path)
    collection = make()
    report = ingest(collection, str(tmp_path), batch_size=40, progress=False)
    assert (report.files, report.rows, report.inserted, report.rows_before) == (4, 400, 400, 0)
    assert numbers_in(collection) == list(range(400))
    vectors = np.array(table_of(range(400))["vector"].to_pylist(), np.float32)
    found = collection.query(vectors, k=1, recall=1.0)
    np.testing.assert_allclose(found.distances[:, 0], 0, atol=1e-6)
    assert [r[0].payload["title"] for r in found.records()] == [f"title {n}" for n in range(400)]

    again = ingest(collection, str(tmp_path), batch_size=40, progress=False)
    assert (again.rows, again.rows_before) == (0, 400)
    pq.write_table(table_of(range(400, 420)), tmp_path / "e.parquet")
    more = ingest(collection, str(tmp_path), batch_size=40, progress=False)
    assert (more.rows, more.inserted, more.rows_before) == (20, 20, 400)
    anew = ingest(collection, str(tmp_path / "a.parquet"), resume=False, progress=False)
    assert (anew.rows, anew.replaced) == (100, 100)
    assert numbers_in(collection) == list(range(420))


def test_a_dataset_goes_in_by_its_ids(make):
    collection = make()
    dataset = ray.data.from_arrow(table_of(range(150)))
    with pytest.raises(InvalidArgument, match="id_column"):
        ingest(collection, dataset, progress=False)
    for inserted, replaced in ((150, 0), (0, 150)):
        report = ingest(collection, dataset, id_column="n", progress=False)
        assert (report.inserted, report.replaced) == (inserted, replaced)
    assert [record.id for record in collection.get(range(150))] == list(range(150))
    for _ in range(2):
        assert ingest(collection, dataset, resume=False, progress=False).inserted == 150
    assert len(collection) == 450


def keyed(numbers, keys):
    return table_of(numbers).append_column("key", pa.array(keys, pa.int64()))


def numbers_by_key(collection, keys):
    return [record.payload["n"] for record in collection.get(keys)]


def test_of_rows_with_one_id_the_last_is_kept_and_that_is_said(make, tmp_path):
    """In one batch, in several of one file (the first batch is all left out), and in two files."""
    pq.write_table(keyed(range(95), [n % 50 for n in range(95)]), tmp_path / "a.parquet")
    pq.write_table(keyed(range(95, 120), [*range(40, 60), 7, 8, 7, 8, 7]), tmp_path / "b.parquet")
    collection = make()
    use = {"id_column": "key", "batch_size": 10, "progress": False}
    with pytest.warns(UserWarning, match="60 of 120 ids came again.* the last of each was kept"):
        report = ingest(collection, str(tmp_path), **use)
    assert (report.rows, report.inserted, report.replaced, report.duplicates) == (120, 60, 0, 60)
    assert "60 whose id came again" in str(report)
    expected = dict(zip([n % 50 for n in range(95)], range(95), strict=True))
    expected |= dict(zip([*range(40, 60), 7, 8, 7, 8, 7], range(95, 120), strict=True))
    assert numbers_by_key(collection, range(60)) == [expected[key] for key in range(60)]
    assert {record.content_version for record in collection.get(range(60))} == {1}

    again = ingest(collection, str(tmp_path), **use)
    assert (again.rows, again.duplicates, again.rows_before) == (0, 0, 120)
    # what a run that was killed had not written: rows before others of their id that are in
    ask = collection.supervisor.ask
    (ledger,) = (
        path.stem
        for path in (Path(collection.stats().storage) / "ingest").iterdir()
        if ask("known_source", collection.name, path.stem).n_rows == 95
    )
    (way,) = ask("known_source", collection.name, ledger).done
    begin = (collection.name, ledger, "a.parquet", 95, way)
    ask("begin_source", *begin, assign=False, afresh=True)
    ask("finish_rows", collection.name, ledger, way, [(40, 95)])
    with pytest.warns(UserWarning, match="40 of 40 ids came again"):
        rest = ingest(collection, str(tmp_path / "a.parquet"), **use)
    assert (rest.rows, rest.inserted, rest.replaced, rest.rows_before) == (40, 0, 0, 55)
    assert numbers_by_key(collection, range(60)) == [expected[key] for key in range(60)]
    # and all of the first file, of which ids come again in the second, which is in
    ask("begin_source", *begin, assign=False, afresh=True)
    with pytest.warns(UserWarning, match="of 95 ids came again"):
        rest = ingest(collection, str(tmp_path), **use)
    assert (rest.rows, rest.inserted, rest.rows_before) == (95, 0, 25)
    assert numbers_by_key(collection, range(60)) == [expected[key] for key in range(60)]


def test_ids_that_come_again_in_a_dataset_are_counted_once(make):
    collection = make()
    collection.add(np.ones((2, DIM)), ids=[3, 1_000])
    dataset = ray.data.from_arrow(keyed(range(90), [n % 40 for n in range(90)]))
    with pytest.warns(UserWarning, match="50 of 90 ids came again.*written last was kept"):
        report = ingest(collection, dataset, id_column="key", batch_size=20, progress=False)
    assert (report.rows, report.inserted, report.replaced, report.duplicates) == (90, 39, 1, 50)
    assert len(collection) == 41


def test_files_without_a_row_are_named(make, tmp_path):
    nothing = table_of([0]).slice(1)
    pq.write_table(nothing, tmp_path / "a.parquet")
    (tmp_path / "b.csv").write_text("vector,n,title\n")
    (tmp_path / "c.json").write_text("[]")
    collection = make()
    for _ in range(2):  # the second time the ledger knows them
        with pytest.warns(UserWarning, match=r"no rows in .*a\.parquet, .*b\.csv, .*c\.json$"):
            report = ingest(collection, str(tmp_path), progress=False)
        assert (report.files, report.rows) == (3, 0)
    pq.write_table(table_of(range(20)), tmp_path / "d.parquet")
    pq.write_table(nothing, tmp_path / "e.parquet", compression="none")
    with pytest.warns(UserWarning, match="and 1 more files"):
        report = ingest(collection, str(tmp_path), progress=False)
    assert report.inserted == 20
    assert [path[-9:] for path in report.empty_files][-1] == "e.parquet"
    assert numbers_in(collection) == list(range(20))


def two_groups(n):
    """Return rows of two groups of vectors far apart: all of one, then all of the other."""
    vectors = np.random.default_rng(5).standard_normal((n, DIM)).astype(np.float32)
    vectors[n // 2 :] += 50
    return pa.table({"n": range(n), "vector": list(vectors)})


def test_a_dataset_trains_the_partitioner_on_all_of_it(make):
    """Its first rows are all of one group: of those alone come shards of which one holds most."""
    collection = make(shards=2)
    dataset = ray.data.from_arrow(two_groups(8_000)).repartition(20)
    assert ingest(collection, dataset, id_column="n", progress=False).inserted == 8_000
    held = [stats.n_records for stats in collection.stats().shards.values()]
    assert max(held) < 0.6 * 8_000


@pytest.mark.filterwarnings("ignore:The maximum number of concurrent tasks")  # `ingest` does so
def test_a_sample_of_a_dataset_is_drawn_from_all_its_rows_alike(make):
    collection = make(dim=1)
    numbers = pa.table({"n": range(5_000), "vector": [[float(n)] for n in range(5_000)]})
    dataset = ray.data.from_arrow(numbers).repartition(9)
    recipe = Recipe(dim=1, cosine=False, id="n", vector="vector", text=None, payload=None)
    plan = Plan(collection, recipe, "way", batch_size=100, concurrency=2)
    sample = sample_of_dataset(plan, dataset, 400)
    assert sample.shape == (400, 1)
    assert len(np.unique(sample)) == 400
    assert abs(sample.mean() - 2_500) < 5 * 5_000 / np.sqrt(12 * 400)  # five standard deviations
    assert len(sample_of_dataset(plan, dataset.limit(50), 400)) == 50
    nothing = ray.data.from_arrow(numbers.slice(0, 0))
    assert sample_of_dataset(plan, nothing, 400).shape == (0, 1)


def test_texts_are_encoded_on_the_way(make, tmp_path, capfd):
    texts = ["parse a date from a string", "open a file", "sort a list in place", "sum numbers"]
    path = tmp_path / "texts.parquet"
    pq.write_table(pa.table({"body": texts * 6, "n": range(24)}), path)
    collection = make(encoder="use-multilingual-v3", dim=None, shards=1)
    report = ingest(collection, str(path), text_column="body", batch_size=10, progress=False)
    assert report.inserted == 24
    found = collection.query(text="how do I read a timestamp?", k=1).records()[0]
    assert found.payload["text"] == texts[0]
    assert found.encoder_id == collection.settings.encoder_id
    np.testing.assert_allclose(
        collection.get([found.id])[0].vector,
        collection.encoder().encode(texts[:1])[0],
        atol=1e-5,
    )
    assert (
        "core_worker" not in capfd.readouterr().err
    )  # as Ray says of actors that it may not revive


def _ragged():
    table = table_of(range(50))
    vectors = table["vector"].to_pylist()
    vectors[37] = vectors[37][:3]
    return table.set_column(0, "vector", pa.array(vectors, pa.list_(pa.float32())))


def _not_finite():
    table = table_of(range(50))
    vectors = table["vector"].to_pylist()
    vectors[12][5] = float("nan")
    return table.set_column(0, "vector", pa.array(vectors, pa.list_(pa.float32())))


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (_ragged, SourceError, r"z\.parquet, row 37: .*expected 16 values; got 3"),
        (
            _not_finite,
            SourceError,
            r"z\.parquet, row 12: .*expected finite float32 values; got nan",
        ),
        (b"not parquet at all", SourceError, r"z\.parquet"),
        (
            lambda: table_of(range(5)).append_column("title2", pa.array([{"a": 1}] * 5)),
            SourceError,
            r"z\.parquet: column 'title2'.*struct",
        ),
        (
            lambda: table_of(range(5)).set_column(1, "n", pa.array(list("abcde"))),
            PayloadError,
            r"z\.parquet: column 'n': expected int; got str$",
        ),
        (
            lambda: table_of(range(5)).rename_columns(["v", "n", "title"]),
            SourceError,
            r"z\.parquet: expected a column 'vector'; it has 'v', 'n', 'title'",
        ),
    ],
)
def test_a_bad_file_is_named_and_nothing_of_the_source_goes_in(
    empty, tmp_path, bad, error, message
):
    fill(tmp_path)
    path = tmp_path / "z.parquet"
    if isinstance(bad, bytes):
        path.write_bytes(bad)
    else:
        pq.write_table(bad(), path)
    with pytest.raises(error, match=message):
        ingest(empty, str(tmp_path), progress=False)
    assert len(empty) == 0


@pytest.fixture(scope="module")
def empty(client):
    """A collection that stays empty."""
    return client.create("empty", dim=DIM, index="exact", shards=1)


INGEST = """
    from paradox.cluster.ingest import ingest
    ingest(client.get(sys.argv[1]), sys.argv[2], batch_size=20, progress=False)
"""


def test_an_ingest_whose_driver_is_killed_is_completed_by_running_it_again(make, tmp_path):
    path, log = tmp_path / "a.parquet", tmp_path / "driver.log"
    n_rows = 1_500
    pq.write_table(table_of(range(n_rows)), path, row_group_size=500)
    collection = make()
    with log.open("wb") as output:
        process = driver(INGEST, collection.name, path, output=output)
        wait_until(lambda: len(collection) > 100 or process.poll() is not None)
        process.kill()
        assert process.wait() == -9, log.read_text()
    report = ingest(collection, str(path), batch_size=20, progress=False)
    assert report.rows + report.rows_before == n_rows
    assert min(report.rows, report.rows_before) > 0
    assert numbers_in(collection) == list(range(n_rows))
    assert ingest(collection, str(path), batch_size=20, progress=False).rows == 0


HUGE = """
    import ray
    from paradox.cluster.ingest import ingest

    produced = sys.argv[2]

    def produce(batch):
        with open(produced, "ab") as file:
            file.write(b".")
        return {"n": batch["id"], "vector": np.ones((len(batch["id"]), 65_536), np.float32)}

    source = ray.data.range(4_000, override_num_blocks=500).map_batches(produce)
    ingest(client.get(sys.argv[1]), source, id_column="n", batch_size=8, progress=False)
"""


def test_what_waits_for_a_slow_shard_is_bounded(make, tmp_path):
    """A halted shard halts the source: of 1 GB in batches of 2 MB, less than the store's 128 MB."""
    produced, log = tmp_path / "produced", tmp_path / "driver.log"
    produced.touch()
    collection = make(dim=65_536, shards=1)
    process = shard_process(collection, 0)
    process.suspend()
    try:
        with log.open("wb") as output:
            source = driver(HUGE, collection.name, produced, output=output)
        seen = [0]
        while not (seen[-1] and seen[-25:] == [seen[-1]] * 25):  # nothing more for a while
            assert source.poll() is None, log.read_text()
            time.sleep(0.1)
            seen.append(produced.stat().st_size)
        source.kill()
        source.wait()
        assert 2 * seen[-1] < 128
    finally:
        process.resume()
