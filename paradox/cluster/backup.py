"""A collection's folder, copied consistently, and made again on any number of shards."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import msgspec
import numpy as np

from paradox.cluster.placement import TRAINING_ROWS_A_SHARD, rows_by_shard
from paradox.cluster.sealed import read_sealed, write_sealed
from paradox.cluster.settings import (
    INGEST_FOLDER,
    PARTITIONER_FILE,
    SETTINGS_FILE,
    STATE_FILE,
    CollectionSettings,
    check_shards,
)
from paradox.cluster.shard import open_engine
from paradox.core.errors import InvalidArgument, SnapshotCorrupt
from paradox.core.files import sync_folder, write_atomically
from paradox.core.making import in_the_making, remove_abandoned
from paradox.memory import LatentMemoryEngine
from paradox.routing import HashPartitioner, Partitioner, SemanticPartitioner, sample_size
from paradox.store import RecordBlock
from paradox.store.snapshot import claim_place, restore_snapshot, take_snapshot


def snapshot_collection(storage: Path, uri: str, stage_shards: Callable[[Path], None]) -> None:
    """Copy a collection to a folder or object store, where it becomes one snapshot.

    Args:
        storage: of the collection.
        uri: where to; anything fsspec speaks.
        stage_shards: writes a copy of every shard's engine into a folder, all of one moment.

    Raises:
        InvalidArgument: there is a snapshot at `uri` already, or none can be written there.
        StorageUnavailable: the place refuses.
    """
    claim_place(uri)  # first, so that a place that refuses costs nothing
    with in_the_making(storage / "snapshot") as staging:
        staging.mkdir()
        # The ledger first: it must claim no row that the shards' copies do not have. The state
        # last: ids up to its mark and its columns may be in the copies.
        if (storage / INGEST_FOLDER).is_dir():
            shutil.copytree(storage / INGEST_FOLDER, staging / INGEST_FOLDER)
        stage_shards(staging)
        for file in (PARTITIONER_FILE, STATE_FILE, SETTINGS_FILE):
            if (storage / file).exists():
                shutil.copy2(storage / file, staging / file)
        take_snapshot(staging, uri)


def restore_collection(
    uri: str,
    storage: Path,
    *,
    name: str,
    shards: int | None,
    check_room: Callable[[int], None] = lambda n_shards: None,
) -> CollectionSettings:
    """Make a collection's folder from a snapshot; it appears whole or not at all.

    Args:
        uri: where the snapshot is.
        storage: the folder to make; may exist if it is empty.
        name: what the collection is to be called.
        shards: number of shards, or None for the snapshot's.
        check_room: refuses a number of shards that is too large for the cluster.

    Returns:
        The settings of the new collection.

    Raises:
        SnapshotCorrupt: a file is missing or altered, or it is no collection's snapshot.
        InvalidArgument: `storage` is taken, or the shards are too many.
    """
    if shards is not None:
        check_room(check_shards(shards))
    if storage.exists() and (not storage.is_dir() or any(storage.iterdir())):
        raise InvalidArgument(f"storage: expected a new or empty folder; '{storage}' is taken")
    remove_abandoned(storage.parent)
    with in_the_making(storage) as unfinished:
        restore_snapshot(uri, unfinished)
        kept = read_sealed(
            unfinished / SETTINGS_FILE, CollectionSettings, remedy="restore another snapshot"
        )
        if kept is None:
            raise SnapshotCorrupt("expected the snapshot of a collection; it has no settings", uri)
        n_shards = kept.shards if shards is None else shards
        check_room(n_shards)
        settings = msgspec.structs.replace(
            kept, name=name, shards=n_shards, uid=secrets.token_hex(8)
        )
        for shard in range(kept.shards):
            if not kept.shard_folder(unfinished, shard).is_dir():
                raise SnapshotCorrupt(f"it has no records of shard {shard}", uri)
        if n_shards != kept.shards:
            _spread(unfinished, kept, settings)
        write_sealed(unfinished / SETTINGS_FILE, settings)
        unfinished.replace(storage)
        sync_folder(storage.parent)
    return settings


def _spread(storage: Path, kept: CollectionSettings, settings: CollectionSettings) -> None:
    """Write all records of a folder's shards again, into another number of shards."""
    old = storage / "before"
    old.mkdir()
    for shard in range(kept.shards):
        kept.shard_folder(storage, shard).rename(kept.shard_folder(old, shard))
    settings.make_shard_folders(storage)
    (storage / PARTITIONER_FILE).unlink(missing_ok=True)
    owners = HashPartitioner(settings.shards)
    with ExitStack() as stack:
        sources = [
            stack.enter_context(open_engine(kept, old, shard)) for shard in range(kept.shards)
        ]
        targets = [
            stack.enter_context(open_engine(settings, storage, shard))
            for shard in range(settings.shards)
        ]
        partitioner: Partitioner = owners
        if settings.has_directory:
            of_each = sample_size(settings.shards, settings.dim) // len(sources)
            samples = [source.sample(of_each)[1] for source in sources]
            sample = np.concatenate(samples)
            if len(sample) >= TRAINING_ROWS_A_SHARD * settings.shards:
                partitioner = SemanticPartitioner.train(
                    sample, settings.shards, metric=settings.metric, seed=0
                )
                write_atomically(storage / PARTITIONER_FILE, partitioner.to_bytes())
        for source in sources:
            for block in source.scan():
                _write_block(
                    block, partitioner, owners, targets, with_directory=settings.has_directory
                )
    shutil.rmtree(old)


def _write_block(
    block: RecordBlock,
    partitioner: Partitioner,
    owners: HashPartitioner,
    targets: list[LatentMemoryEngine],
    *,
    with_directory: bool,
) -> None:
    homes = partitioner.place(block.ids, block.vectors)
    if with_directory:
        for owner, rows in rows_by_shard(owners.place(block.ids, block.vectors)):
            targets[owner].assign_homes(block.ids[rows], homes[rows])
    made_by = list(zip(block.encoder_ids, block.versions.tolist(), strict=True))
    for encoder_id, version in set(made_by):
        alike = np.array([maker == (encoder_id, version) for maker in made_by])
        for home, at in rows_by_shard(homes[alike]):
            rows = np.flatnonzero(alike)[at]
            targets[home].add(
                block.vectors[rows],
                ids=block.ids[rows],
                payload=[block.payloads[row] for row in rows],
                encoder_id=encoder_id,
                version=version,
                timestamps=block.timestamps[rows].view("datetime64[us]"),
            )
