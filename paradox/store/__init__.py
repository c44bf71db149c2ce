"""The durable record store: records, payload columns and their filters, snapshots.

Nothing above this room knows the engine under it, RocksDB.
"""

from paradox.store.batch import ChangeBlock, RecordBlock, StoreStats, WriteBatch, WriteReport
from paradox.store.payload_frame import PayloadFrame
from paradox.store.record_store import RecordStore
from paradox.store.schema import COLUMN_TYPES, ColumnType, Schema

__all__ = [
    "COLUMN_TYPES",
    "ChangeBlock",
    "ColumnType",
    "PayloadFrame",
    "RecordBlock",
    "RecordStore",
    "Schema",
    "StoreStats",
    "WriteBatch",
    "WriteReport",
]
