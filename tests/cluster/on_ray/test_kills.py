"""SIGKILL at random moments of an ingest, of a shard, of a driver that writes.

Every acknowledged record is there afterwards, no record twice, and the answers are as before.
"""

from __future__ import annotations

import random
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from processes import driver, kill, shard_process, wait_until

from paradox.cluster.ingest import ingest
from paradox.cluster.settings import CollectionSettings
from paradox.cluster.shard import open_engine

pytestmark = [
    pytest.mark.ray,
    # Ray Data's own, at the making of any of its contexts
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context"),
]

DIM = 16
SHARDS = 2
N_BEFORE = 300
ROWS = 500  # of one source file
CHOSEN = range(-400, -1)  # ids that the writer chooses from; those that are assigned are positive

WRITER = """
    collection = client.get(sys.argv[1])
    rng = np.random.default_rng(int(sys.argv[2]))
    for number in range(1_000_000):
        stamp = 1_000_000 * int(sys.argv[2]) + number
        n = int(rng.integers(1, 40))
        vectors = rng.standard_normal((n, 16)).astype(np.float32)
        rows = [{"stamp": stamp, "row": row} for row in range(n)]
        kind = rng.choice(["new", "add", "delete"])
        ids = rng.choice(399, n, replace=False) - 400
        print("try", kind, stamp, *ids, flush=True)
        if kind == "new":
            ids = collection.add(vectors, payload=rows).ids
        elif kind == "add":
            collection.add(vectors, ids=ids, payload=rows)
        else:
            collection.delete(ids)
        print("done", kind, stamp, *ids, flush=True)
"""

INGEST = """
    from paradox.cluster.ingest import ingest
    ingest(client.get(sys.argv[1]), sys.argv[2], batch_size=20, progress=False)
"""


class Writer:
    """A driver that adds and deletes, and says before and after each write what it does.

    Attributes:
        known: chosen id to the stamps that it may have; None is deleted, or never written.
        new: stamp to how many records without an id were acknowledged under it.
    """

    def __init__(self, collection, folder: Path) -> None:
        self.known: dict[int, set[int | None]] = {chosen: {None} for chosen in CHOSEN}
        self.new: Counter[int] = Counter()
        self._collection = collection
        self._folder = folder
        self._number = 0
        self._start()

    def n_done(self) -> int:
        return self._log.read_text().count("done")

    def killed(self, *, start: bool = True) -> None:
        """Kill the driver, learn what it had done, and start another."""
        assert self._process.poll() is None, self._log.read_text()
        self._process.kill()
        self._process.wait()
        under_way = None
        for line in self._log.read_text().splitlines(keepends=True):
            verb, kind, stamp, *ids = line.split()
            write = kind, int(stamp), [int(each) for each in ids]
            if verb == "try":
                under_way = write
            elif line.endswith("\n"):
                under_way = None
                self._acknowledged(*write)
        if under_way is not None and under_way[0] != "new":
            kind, stamp, ids = under_way
            for each in ids:  # its shard had done its part, or had not
                self.known[each] = self.known[each] | {stamp if kind == "add" else None}
        if start:
            self._start()

    def _acknowledged(self, kind: str, stamp: int, ids: list[int]) -> None:
        if kind == "new":
            self.new[stamp] = len(ids)
        else:
            self.known.update({each: {stamp if kind == "add" else None} for each in ids})

    def _start(self) -> None:
        self._number += 1
        self._log = self._folder / f"writer-{self._number}.log"
        with self._log.open("wb") as output:
            self._process = driver(WRITER, self._collection.name, self._number, output=output)


class Ingests:
    """Drivers that ingest one file after another, each again until all of it is in."""

    def __init__(self, collection, folder: Path) -> None:
        self._collection = collection
        self._folder = folder
        self._log = folder / "ingest.log"
        self.files = 0
        self._next_file()

    def keep_on(self) -> None:
        """Go on with the next file if this one is in."""
        code = self._process.poll()
        assert code in (None, 0), self._log.read_text()
        if code == 0:
            self._next_file()

    def killed(self) -> None:
        self._process.kill()
        self._process.wait()
        self._start()

    def end(self) -> None:
        """Have the last file completed, from where a last kill left it."""
        self._process.kill()
        self._process.wait()
        ingest(self._collection, str(self._path), batch_size=20, progress=False)

    def n_rows(self) -> int:
        """Return how many rows the ledger has, over all files."""
        ask, name = self._collection.supervisor.ask, self._collection.name
        storage = Path(self._collection.stats().storage)
        sources = [
            ask("known_source", name, path.stem) for path in (storage / "ingest").glob("*.json")
        ]
        return sum(
            stop - start for s in sources for done in s.done.values() for start, stop in done
        )

    def _next_file(self) -> None:
        rng = np.random.default_rng(self.files)
        self._path = self._folder / f"{self.files}.parquet"
        table = {
            "vector": list(rng.standard_normal((ROWS, DIM), dtype=np.float32)),
            "file": [self.files] * ROWS,
            "line": range(ROWS),
        }
        pq.write_table(pa.table(table), self._path, row_group_size=200)
        self.files += 1
        self._start()

    def _start(self) -> None:
        with self._log.open("wb") as output:
            self._process: subprocess.Popen[bytes] = driver(
                INGEST, self._collection.name, self._path, output=output
            )


@pytest.mark.parametrize(
    ("kills", "seed"),
    [
        pytest.param(4, 1, id="4 kills"),
        pytest.param(30, 2, id="30 kills", marks=[pytest.mark.slow, pytest.mark.timeout(1200)]),
    ],
)
def test_kills_lose_nothing_and_double_nothing(client, tmp_path, kills, seed):
    chance = random.Random(seed)
    rng = np.random.default_rng(seed)
    collection = client.create(f"harassed-{kills}", dim=DIM, index="exact", shards=SHARDS)
    before = (5 + rng.standard_normal((N_BEFORE, DIM))).astype(np.float32)
    old_ids = -1_000 - np.arange(N_BEFORE)
    collection.add(before, ids=old_ids, payload=[{"line": -1}] * N_BEFORE)
    answers = _answers(collection, before)

    writer, ingests = Writer(collection, tmp_path), Ingests(collection, tmp_path)
    for number in range(kills):
        done, rows = writer.n_done(), ingests.n_rows()
        victim = ("shard", "ingest", "driver", "shard")[number % 4]

        def under_way(victim=victim, done=done, rows=rows):
            ingests.keep_on()
            return ingests.n_rows() > rows if victim == "ingest" else writer.n_done() > done

        wait_until(under_way)
        wait_until(lambda: chance.random() < 0.2)
        if victim == "shard":
            kill(shard_process(collection, chance.randrange(SHARDS)))
        elif victim == "ingest":
            ingests.killed()
        else:
            writer.killed()
    writer.killed(start=False)
    ingests.end()

    np.testing.assert_array_equal(_answers(collection, before), answers)
    settings, storage = collection.settings, Path(collection.stats().storage)
    n_records = len(collection)
    client.drop(settings.name, keep_data=True)
    records = _records(settings, storage)
    assert len(records) == n_records
    ids = [record["id"] for record in records]
    assert len(set(ids)) == len(ids), "a record is on two shards"

    lines = Counter((r["file"], r["line"]) for r in records if r.get("file") is not None)
    assert lines == Counter((file, line) for file in range(ingests.files) for line in range(ROWS))
    chosen = {r["id"]: r["stamp"] for r in records if r["id"] in CHOSEN}
    known = writer.known
    assert {i: chosen.get(i) for i in CHOSEN if chosen.get(i) not in known[i]} == {}
    unchosen = [r for r in records if r["id"] >= 0 and r.get("stamp") is not None]
    rows = Counter((r["stamp"], r["row"]) for r in unchosen)
    assert set(rows.values()) <= {1}, "a record without an id is there twice"
    stamps = Counter(r["stamp"] for r in unchosen)
    assert {s: stamps[s] for s, n in writer.new.items() if stamps[s] != n} == {}
    assert len(stamps) - len(writer.new) <= kills  # what was under way when its driver was killed
    assert {r["id"] for r in records if r["line"] == -1} == set(old_ids.tolist())


def _answers(collection, queries):
    """Return the nearest of the records that nothing changes, when every shard answers."""
    found = []

    def whole():
        hits = collection.query(queries[::5], k=5, recall=1.0, filter="line = -1")
        found[:] = [hits.ids]
        return not hits.shards_missing

    wait_until(whole)
    return found[0]


def _records(settings: CollectionSettings, storage: Path):
    """Return every record of every shard's engine, with its payload, no actor in between."""
    records = []
    for shard in range(settings.shards):
        with open_engine(settings, storage, shard) as engine:
            for block in engine.scan():
                for each, payload in zip(block.ids.tolist(), block.payloads, strict=True):
                    records.append({"line": None, **payload, "id": each})
            assert len(engine) == sum(len(block.ids) for block in engine.scan())
    return records
