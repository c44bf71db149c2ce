"""Bytes that change behind the store's back: an error that names what it hit, or no harm at all."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from paradox.core.errors import CorruptionError, RecordCorrupt, StorageUnavailable
from paradox.core.types import Record
from paradox.store import RecordStore, WriteBatch
from paradox.store.codec import id_keys, seq_key
from paradox.store.keyspace import Mutation

DIM = 100  # 400 bytes: in blob files
SEED = 20_240_229


def fill(store: RecordStore, n_batches: int = 40) -> None:
    rng = np.random.default_rng(SEED)
    for number in range(n_batches):
        ids = 2 * rng.integers(-50, 100, rng.integers(1, 12))
        store.write(
            WriteBatch(
                vectors=rng.standard_normal((len(ids), store.dim)),
                ids=ids,
                payloads=[{"text": f"batch {number}", "n": number}] * len(ids),
                operation_id=b"%d" % number,
            )
        )
        if number % 5 == 0:
            store.write(WriteBatch(deletes=2 * rng.integers(-50, 100, 5)))
    store.assign_homes(np.arange(50), np.arange(50) % 3)


def contents(record: Record | None) -> Any:
    if record is None:
        return None
    return record.vector.tobytes(), record.payload, record.content_version, record.seq


class Truth:
    """What a store holds, to compare a damaged copy with."""

    def __init__(self, store: RecordStore) -> None:
        self.records = {i: contents(store.get(np.array([i]))[0]) for i in range(-100, 200, 2)}
        self.homes = store.homes(np.arange(60)).tolist()
        self.last_seq = store.last_seq

    def check(self, path: Path) -> str:
        """Read everything from a copy; every answer is right, or an error that says what it hit."""
        try:
            store = RecordStore.open(path)
        except CorruptionError:
            return "refused"
        with store:
            n_errors = 0
            for record_id, expected in self.records.items():
                try:
                    assert contents(store.get(np.array([record_id]))[0]) == expected
                except RecordCorrupt as error:
                    n_errors += 1
                    if f"record {record_id} " not in str(error):
                        raise
            try:
                assert store.homes(np.arange(60)).tolist() == self.homes
            except RecordCorrupt:
                n_errors += 1
            assert store.last_seq == self.last_seq
            for reading in (store.scan(), store.changes(0)):
                n_errors += self._agrees(reading)
            try:
                store.verify()
            except CorruptionError:
                return "found"
            assert not n_errors, "verify passed over what a read had found"
            return "harmless"

    def _agrees(self, reading: Iterator[Any]) -> bool:
        try:
            for block in reading:
                for record in getattr(block, "upserts", block).records():
                    assert contents(record) == self.records[record.id]
        except RecordCorrupt:
            return True
        return False


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    """A closed store with several tables and blob files."""
    path = tmp_path_factory.mktemp("closed") / "store"
    for n_batches in (40, 20):
        with RecordStore.open(path, dim=DIM) as store:
            fill(store, n_batches)
            truth = Truth(store)
    return path, truth


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    """A store whose process was killed: all of it is in the log."""
    path = tmp_path_factory.mktemp("killed") / "store"
    program = textwrap.dedent(
        f"""
        import os
        from paradox.store import RecordStore
        from tests.store.test_damage import fill
        fill(RecordStore.open({str(path)!r}, dim=16))
        os._exit(0)
        """
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    copy = path.with_name("copy")
    shutil.copytree(path, copy)
    with RecordStore.open(copy) as store:
        return path, Truth(store)


def flipped(path: Path, file: Path, at: int, bit: int, target: Path) -> Path:
    """Copy a store with one bit changed."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(path, target)
    with (target / file.relative_to(path)).open("r+b") as damaged:
        damaged.seek(at)
        byte = damaged.read(1)[0]
        damaged.seek(at)
        damaged.write(bytes([byte ^ 1 << bit]))
    return target


def log_of(path: Path) -> Path:
    [log] = (path / "rocksdb").glob("*.log")
    return log


def test_a_flipped_bit_anywhere_in_a_closed_store(
    closed: tuple[Path, Truth], tmp_path: Path
) -> None:
    path, truth = closed
    rng = random.Random(SEED)
    outcomes = set()
    for file in sorted(path.rglob("*")):
        size = file.stat().st_size if file.is_file() else 0
        for _ in range(6 if size else 0):
            at, bit = rng.randrange(size), rng.randrange(8)
            outcome = truth.check(flipped(path, file, at, bit, tmp_path / "copy"))
            outcomes.add((file.suffix or file.name.partition("-")[0], outcome))
    assert {(".blob", "found"), (".sst", "found"), (".sst", "refused"), ("CURRENT", "refused"),
            ("MANIFEST", "refused"), ("HEAD", "harmless")} <= outcomes  # fmt: skip


def test_a_flipped_bit_anywhere_in_the_log(killed: tuple[Path, Truth], tmp_path: Path) -> None:
    path, truth = killed
    log = log_of(path)
    size = log.stat().st_size
    rng = random.Random(SEED)
    for _ in range(60):
        at, bit = rng.randrange(size), rng.randrange(8)
        assert truth.check(flipped(path, log, at, bit, tmp_path / "copy")) == "refused"


@pytest.mark.slow
@pytest.mark.timeout(1_200)
def test_a_flipped_bit_in_every_byte_of_the_end_of_the_log(
    killed: tuple[Path, Truth], tmp_path: Path
) -> None:
    path, truth = killed
    log = log_of(path)
    size = log.stat().st_size
    for at in range(size - 3_000, size):
        assert truth.check(flipped(path, log, at, at % 8, tmp_path / "copy")) == "refused"


def test_a_damaged_length_at_the_end_of_the_log(killed: tuple[Path, Truth], tmp_path: Path) -> None:
    """RocksDB takes the last write for one under way; the commits that `HEAD` counts tell."""
    path, _ = killed
    log = log_of(path)
    raw = log.read_bytes()
    at = len(raw) // 32_768 * 32_768  # entries start anew in each block
    entries = []
    while at + 7 < len(raw):
        entries.append(at)
        at += 7 + int.from_bytes(raw[at + 4 : at + 6], "little")
    assert at == len(raw)
    copy = flipped(path, log, entries[-1] + 5, 6, tmp_path / "copy")  # 16 KiB longer than it is
    with pytest.raises(RecordCorrupt, match="were acknowledged and are missing"):
        RecordStore.open(copy)


@pytest.mark.parametrize("lost", [1, 7, 100, 5_000])
def test_a_log_that_lost_its_end(killed: tuple[Path, Truth], tmp_path: Path, lost: int) -> None:
    path, _ = killed
    shutil.copytree(path, tmp_path / "copy")
    log = log_of(tmp_path / "copy")
    os.truncate(log, log.stat().st_size - lost)
    with pytest.raises(RecordCorrupt, match="were acknowledged and are missing"):
        RecordStore.open(tmp_path / "copy")


@pytest.mark.parametrize("tail", [b"\0" * 10_000, b"\x5a" * 1_000])
def test_a_write_under_way_when_the_power_went(
    killed: tuple[Path, Truth], tmp_path: Path, tail: bytes
) -> None:
    path, truth = killed
    shutil.copytree(path, tmp_path / "copy")
    with log_of(tmp_path / "copy").open("ab") as log:
        log.write(tail)
    assert truth.check(tmp_path / "copy") == "harmless"


@pytest.mark.parametrize("name", ["HEAD", "rocksdb/CURRENT", "rocksdb/MANIFEST-*", "rocksdb/*.blob",
                                  "rocksdb/*.sst", "rocksdb"])  # fmt: skip
def test_a_missing_file(closed: tuple[Path, Truth], tmp_path: Path, name: str) -> None:
    path, _ = closed
    copy = tmp_path / "copy"
    shutil.copytree(path, copy)
    missing = sorted(copy.glob(name))[0]
    shutil.rmtree(missing) if missing.is_dir() else missing.unlink()
    with pytest.raises(RecordCorrupt), RecordStore.open(copy, dim=DIM) as store:
        store.verify()


def test_a_store_found_damaged_is_left_as_it_was(
    killed: tuple[Path, Truth], tmp_path: Path
) -> None:
    path, _ = killed
    copy = tmp_path / "copy"
    shutil.copytree(path, copy)
    os.truncate(log_of(copy), log_of(copy).stat().st_size - 1_000)

    def state() -> dict[str, bytes]:
        files = (p for p in copy.rglob("*") if p.is_file() and not p.name.startswith("LOG"))
        return {p.name: p.read_bytes() for p in files}

    before = state()
    for _ in range(2):
        with pytest.raises(RecordCorrupt, match="are missing"):
            RecordStore.open(copy)
    assert state() == before


def test_one_damaged_slot_of_head_is_no_harm(closed: tuple[Path, Truth], tmp_path: Path) -> None:
    path, truth = closed
    for slot in (0, 512):
        copy = flipped(path, path / "HEAD", slot + 20, 3, tmp_path / "copy")
        assert truth.check(copy) == "harmless"


def behind_the_back(store: RecordStore, mutation: Mutation) -> None:
    """Change what is stored as no code of ours would."""
    store._keyspace.write(mutation)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[RecordStore]:
    with RecordStore.open(tmp_path / "small", dim=4) as store:
        store.write(WriteBatch(vectors=np.eye(4), ids=[10, 20, 30, 40]))
        yield store


def key(record_id: int) -> bytes:
    return id_keys(np.array([record_id]))[0]


def test_a_missing_record_is_named(small: RecordStore) -> None:
    behind_the_back(small, [("records", key(20), None)])
    with pytest.raises(RecordCorrupt, match="record 20 is missing"):
        small.get(np.array([10, 20]))
    with pytest.raises(RecordCorrupt, match="record 20 is missing"):
        list(small.changes(0))
    with pytest.raises(RecordCorrupt, match="expected 4 records; found 3"):
        list(small.scan())
    with pytest.raises(RecordCorrupt, match="expected 4 records; found 3"):
        small.verify()
    assert small.get(np.array([10]))[0] is not None


def test_a_record_missing_with_its_head_is_noticed(small: RecordStore) -> None:
    behind_the_back(small, [("records", key(20), None), ("heads", key(20), None)])
    for reading in (small.scan, lambda: small.changes(0), small.verify):
        with pytest.raises(RecordCorrupt, match=r"found 3|record 20 is missing"):
            list(reading())  # type: ignore[call-overload]


def test_a_value_under_another_key_is_noticed(small: RecordStore) -> None:
    [value] = small._keyspace.get("records", [key(10)])
    behind_the_back(small, [("records", key(20), value)])
    for reading in (lambda: small.get(np.array([20])), small.verify, lambda: list(small.scan())):
        with pytest.raises(RecordCorrupt, match="record 20 fails its checksum"):
            reading()
    with pytest.raises(RecordCorrupt, match="record 20 fails its checksum"):
        small.get_vectors(np.array([10, 20]))


def test_an_old_value_come_back_is_noticed(small: RecordStore) -> None:
    [value] = small._keyspace.get("records", [key(10)])
    small.write(WriteBatch(vectors=np.ones((1, 4)), ids=[10]))
    behind_the_back(small, [("records", key(10), value)])
    with pytest.raises(RecordCorrupt, match="expected 4 records; found 4, or others"):
        small.verify()
    with pytest.raises(RecordCorrupt, match="record 10: expected seq 5 or later; it is of 1"):
        list(small.changes(0))


def test_a_missing_change_is_noticed(small: RecordStore) -> None:
    small.write(WriteBatch(deletes=[30]))
    small.write(WriteBatch(deletes=[40]))
    for seq, match in ((6, "changes 6 to 6 are missing"), (5, "changes 5 to"), (4, "changes 1 to")):
        behind_the_back(small, [("changes", seq_key(seq), None)])
        for reading in (lambda: list(small.changes(0)), small.verify):
            with pytest.raises(RecordCorrupt, match=match):
                reading()


@pytest.mark.parametrize("family", ["homes", "operations"])
def test_a_missing_home_or_operation_is_noticed(small: RecordStore, family: Any) -> None:
    small.assign_homes(np.array([1, 2]), [0, 1])
    small.write(WriteBatch(vectors=np.ones((1, 4)), operation_id=b"op"))
    assert small.verify() == 5
    behind_the_back(small, [(family, next(small._keyspace.cursor(family))[0], None)])
    with pytest.raises(RecordCorrupt, match=r"expected [12] (homes|operation ids); found [01]"):
        small.verify()


def test_a_damaged_record_can_be_replaced_or_deleted(
    closed: tuple[Path, Truth], tmp_path: Path
) -> None:
    path, _ = closed
    blob = max((path / "rocksdb").glob("*.blob"), key=lambda p: p.stat().st_size)
    copy = flipped(path, blob, blob.stat().st_size // 2, 0, tmp_path / "copy")
    with RecordStore.open(copy) as store:
        damaged = []
        for record_id in store.ids().tolist():
            try:
                store.get(np.array([record_id]))
            except RecordCorrupt:
                damaged.append(record_id)
        assert len(damaged) == 1
        with pytest.raises(RecordCorrupt, match=f"record {damaged[0]} cannot be read"):
            store.verify()
        store.write(WriteBatch(vectors=np.ones((1, DIM)), ids=damaged))
        assert store.get(np.array(damaged))[0] is not None
        assert store.verify() == len(store)


def test_another_error_of_the_disk_is_no_corruption(small: RecordStore) -> None:
    error = small._keyspace._translated(Exception("IO error: Input/output error"))  # type: ignore[attr-defined]
    assert isinstance(error, StorageUnavailable)
