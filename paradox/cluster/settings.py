"""What a collection is: settings that never change, and the little state its shards share.

| file in the collection's storage | holds                         | written                       |
| -------------------------------- | ----------------------------- | ----------------------------- |
| `collection.json`                | `CollectionSettings`          | once, when it is created      |
| `state.json`                     | `CollectionState`             | by the supervisor             |
| `partitioner.bin`                | the trained partitioner       | once, when it is trained      |
| `ingest/<key>.json`              | `SourceRows` of a source file | by the supervisor             |
| `shard-<n>/`                     | an engine                     | by the shard                  |
"""

from __future__ import annotations

import secrets
from collections.abc import Collection as AnyOf
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast, get_args

import msgspec

from paradox.cluster.names import check_collection_name
from paradox.core.errors import InvalidArgument
from paradox.core.files import make_folder
from paradox.core.metric import Metric, check_metric
from paradox.core.vectors import check_dim
from paradox.index.options import as_plain
from paradox.store import ColumnType, Schema

SETTINGS_FILE = "collection.json"
STATE_FILE = "state.json"
PARTITIONER_FILE = "partitioner.bin"
INGEST_FOLDER = "ingest"
DAMAGED_REMEDY = (
    "bring the file back from a copy of the folder; or drop the collection, and restore a snapshot"
)
"""What to do where one of these files is not what was written."""

FORMAT = 1
MAX_SHARDS = 4_096

Partition = Literal["semantic", "hash"]
Columns: TypeAlias = dict[str, ColumnType]
"""Payload columns, by name, and their types."""


class CollectionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings a collection keeps for life.

    Attributes:
        name: what it is called.
        dim: dimension of its vectors.
        metric: metric of its distances.
        index: index backend of its shards.
        index_options: options of that backend.
        shards: number of shards.
        partition: "semantic" keeps like vectors together, "hash" spreads them evenly.
        encoder: name of the encoder of its texts, or None where vectors are given.
        encoder_id: identity of that encoder, or "".
        schema: column to type of a closed schema, or None for an open one.
        uid: tells a collection from an earlier one of the same name.
        format: version of the storage's layout.
    """

    name: str
    dim: int
    metric: Metric
    index: str
    index_options: dict[str, Any]
    shards: int
    partition: Partition
    encoder: str | None
    encoder_id: str
    schema: Columns | None
    uid: str
    format: int = FORMAT

    @property
    def has_directory(self) -> bool:
        """Whether the home of a record is remembered, because it does not follow from the id."""
        return self.partition == "semantic" and self.shards > 1

    def schema_takes(self, column: str) -> bool:
        """Tell whether payloads may have a column of this name."""
        return self.schema is None or column in self.schema

    def shard_folder(self, storage: Path, shard: int) -> Path:
        """Return the folder of a shard's engine."""
        return storage / f"shard-{shard}"

    def make_shard_folders(self, storage: Path) -> None:
        """Make the empty folders in which engines may be made.

        A shard makes none itself: where its folder is missing so are its data, or the node cannot
        see the storage.
        """
        for shard in range(self.shards):
            make_folder(self.shard_folder(storage, shard))


class CollectionState(msgspec.Struct, frozen=True, kw_only=True):
    """What changes in a collection and must be the same for all its shards.

    Attributes:
        next_id: no assigned id was ever this or higher, and no chosen one either.
        columns: payload columns declared so far and their types.
    """

    next_id: int = 0
    columns: Columns = {}

    def schema(self, settings: CollectionSettings) -> Schema:
        """Return the payload schema as it stands."""
        if settings.schema is not None:
            return Schema.of(settings.schema)
        return Schema(self.columns)


def make_settings(
    name: str,
    *,
    dim: object,
    metric: str,
    index: str,
    index_options: dict[str, Any] | None,
    shards: int,
    partition: str,
    encoder: str | None,
    encoder_id: str,
    schema: dict[str, Any] | None,
) -> CollectionSettings:
    """Return checked settings of a new collection.

    Raises:
        InvalidArgument: a name, dimension, metric, number of shards, partition or schema that
            cannot be.
    """
    if partition not in get_args(Partition):
        raise InvalidArgument(
            f"partition: expected one of {', '.join(get_args(Partition))}; got {partition!r}"
        )
    return CollectionSettings(
        name=check_collection_name(name),
        dim=check_dim(dim),
        metric=check_metric(metric),
        index=index,
        index_options=as_plain(index_options),
        shards=check_shards(shards),
        partition=cast(Partition, partition),
        encoder=encoder,
        encoder_id=encoder_id,
        schema=None if schema is None else dict(Schema.of(schema).columns),
        uid=secrets.token_hex(8),
    )


def check_shards(shards: object) -> int:
    """Return `shards` if a collection may have so many.

    Raises:
        InvalidArgument: it is not an integer from 1 to `MAX_SHARDS`.
    """
    if isinstance(shards, bool) or not isinstance(shards, int) or not 1 <= shards <= MAX_SHARDS:
        raise InvalidArgument(f"shards: expected 1 to {MAX_SHARDS}; got {shards!r}")
    return shards


def differences(
    kept: CollectionSettings, asked: CollectionSettings, unasked: AnyOf[str] = ()
) -> list[str]:
    """Return what distinguishes two settings, each with both values, in words.

    Args:
        kept: one of them.
        asked: the other.
        unasked: fields that do not matter, beside those that tell creations apart.
    """
    ignored = {"uid", "format", *unasked}
    return [
        f"{field}: it has {getattr(kept, field)!r}, asked for {getattr(asked, field)!r}"
        for field in CollectionSettings.__struct_fields__
        if field not in ignored and getattr(kept, field) != getattr(asked, field)
    ]
